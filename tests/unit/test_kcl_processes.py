"""Processes that lost their parent and came to the worker."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEFORE = """
import os, subprocess, sys
from isthmus.clock import SystemClock
from isthmus.console.kcl import processes

processes.adopt_orphans()
mine = subprocess.Popen(["sleep", "600"])
"""
ORPHAN = """
parent = subprocess.Popen([sys.executable, "-c", '''
import subprocess
print(subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL).pid, flush=True)
'''], stdout=subprocess.PIPE, text=True)
orphan = int(parent.stdout.readline())
parent.wait()
parent.stdout.close()
"""
AFTER = """
mine.kill()
mine.wait()
print("done")
"""


def run(*parts: str) -> None:
    """Run a program: whatever comes to it comes to nobody else."""
    program = "\n".join([BEFORE, *parts, AFTER])
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody comes")
def test_who_lives_on_without_a_parent_is_ended_and_named_and_our_own_children_are_not() -> None:
    run(
        ORPHAN,
        "assert processes.end_orphans([mine.pid], SystemClock(), 0.1) == [orphan]",
        "assert mine.poll() is None",
        "assert processes.children_of(os.getpid()) == [mine.pid]",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody comes")
def test_who_ends_by_itself_is_waited_for_and_not_named() -> None:
    run(ORPHAN, "os.kill(orphan, 9)", "assert processes.end_orphans([mine.pid], SystemClock(), 600.0) == []")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody comes")
def test_who_cannot_be_ended_keeps_nobody_waiting() -> None:
    run(
        ORPHAN,
        "kill = os.kill",
        "def refuse(*_): raise PermissionError",
        "os.kill = refuse",
        "assert processes.end_orphans([mine.pid], SystemClock(), 0.1) == [orphan]",
        "os.kill = kill",
        "os.kill(orphan, 9)",
        "os.waitpid(orphan, 0)",
    )
