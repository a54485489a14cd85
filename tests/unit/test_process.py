"""Which process this is, and which are dead."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.checkpoint import process
from isthmus.checkpoint.ports import Holder
from isthmus.checkpoint.process import is_dead, this_process

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells of processes in /proc")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that lives until its standard input is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        yield running
        running.kill()


def holder_of(running: subprocess.Popen[bytes]) -> Holder:
    return replace(this_process("x"), pid=running.pid, started=process._stat(running.pid)[1])


def test_this_process_is_alive() -> None:
    me = this_process("producer")
    assert (me.name, me.pid) == ("producer", os.getpid())
    assert is_dead(me) is False


def test_a_living_child_is_alive(child: subprocess.Popen[bytes]) -> None:
    assert is_dead(holder_of(child)) is False


def test_a_child_that_was_killed_is_dead_before_and_after_its_parent_took_note(child: subprocess.Popen[bytes]) -> None:
    holder = holder_of(child)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(holder) is True
    child.wait()
    assert is_dead(holder) is True


def test_a_stopped_process_is_alive(child: subprocess.Popen[bytes]) -> None:
    os.kill(child.pid, 19)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert is_dead(holder_of(child)) is False


def test_a_pid_that_another_process_has_now_is_dead() -> None:
    assert is_dead(replace(this_process("x"), started="1")) is True


def test_whoever_lived_before_the_host_started_again_is_dead() -> None:
    assert is_dead(replace(this_process("x"), boot_id="an earlier boot")) is True


@pytest.mark.parametrize("unknown", [{"host": "elsewhere"}, {"boot_id": ""}, {"started": ""}])
def test_of_whom_too_little_is_known_nothing_is_said(unknown: dict[str, str]) -> None:
    assert is_dead(replace(this_process("x"), **unknown)) is None  # type: ignore[arg-type]


def test_where_the_boot_has_no_name_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    me = this_process("x")
    monkeypatch.setattr(process, "_boot_id", str)
    assert is_dead(me) is None


def test_a_process_that_is_hidden_from_us_is_not_called_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    me = this_process("x")
    monkeypatch.setattr(process, "_stat", lambda _: ("", ""))
    assert is_dead(me) is None


def test_a_container_is_a_host_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "readlink", lambda _: Path("pid:[4026531836]"))
    on_the_host = this_process("x")
    monkeypatch.setattr(Path, "readlink", lambda _: Path("pid:[4026532999]"))
    assert this_process("x").host == f"{on_the_host.host}/pid:[4026532999]"
    assert is_dead(on_the_host) is None
