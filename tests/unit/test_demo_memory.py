"""How much memory a child used, whatever its parent used."""

import subprocess
import sys

import pytest

from isthmus.console.demo.memory import high_water_mb

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_child_of_a_large_parent_is_as_large_as_itself() -> None:
    # What wait4(2) tells of a child is at least what its parent had in memory when it was started.
    held = bytearray(200_000_000)
    with subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 1 < high_water_mb(child.pid) < 100
        assert len(held) == 200_000_000


def test_of_a_process_that_has_ended_nothing_is_known() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert high_water_mb(child.pid) == 0.0
