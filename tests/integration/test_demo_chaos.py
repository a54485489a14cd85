"""The demo as a user starts it: under chaos, and in every way in which it can end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from isthmus.console.demo.chaos import times
from isthmus.console.proxy.faults import Fault
from isthmus.lifecycle import ThreadStop

DEADLINE_SECONDS = 30.0
KILLS = {Fault.PRODUCER_KILLED, Fault.CONSUMER_KILLED}

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start `isthmus demo --days 1` with these options. What it says goes, line by line, through its stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "isthmus.console.main", "demo", "--days", "1", "--dir", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def says(process: subprocess.Popen[str], words: str) -> None:
    """Read on until the process says these words."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return
    pytest.fail(f"it never said {words!r}:\n{''.join(said)}")


def states() -> dict[int, tuple[int, str]]:
    """Give every process's parent and state (proc_pid_stat(5)), by its number."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            found[int(path.parent.name)] = (int(parent), state)
    return found


def children(pid: int) -> dict[int, str]:
    """Give a process's children with their command lines."""
    return {
        child: Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        for child, (parent, state) in states().items()
        if parent == pid and state not in {"Z", "X"}
    }


def all_end(pids: list[int]) -> bool:
    pause, until = ThreadStop(), time.monotonic() + DEADLINE_SECONDS
    while any(state not in {"Z", "X"} for pid, (_, state) in states().items() if pid in pids):
        if time.monotonic() > until:
            return False
        pause.wait(0.05)
    return True


def test_under_chaos_every_planned_fault_happens_and_the_front_office_is_right_all_the_same(tmp_path: Path) -> None:
    with demo(tmp_path, "--chaos", "--seed", "7", "--json") as process:
        out, said = process.communicate()
    assert process.returncode == 0, said + out
    summary = json.loads(out.splitlines()[-1])
    assert (summary["ok"], summary["mismatches"]) == (True, 0)
    assert summary["restarts"] == {"producer": 2, "consumer": 2}
    assert summary["faults"] == {fault.value: 2 if fault in KILLS else times(1) for fault in Fault}
    assert "--seed 7 replays it" in said
    assert "faults were put in, of 21 kinds" in " ".join(out.split())


def test_a_seed_without_chaos_is_a_mistake(tmp_path: Path) -> None:
    with demo(tmp_path, "--seed", "7") as process:
        _, said = process.communicate()
    assert process.returncode == 2
    assert "--seed replays a plan of --chaos" in said


@on_linux
@pytest.mark.parametrize("options", [(), ("--chaos",)])
def test_a_demo_killed_with_sigkill_leaves_no_process_behind(tmp_path: Path, options: tuple[str, ...]) -> None:
    with demo(tmp_path, *options) as process:
        says(process, "first change applied after")
        started = list(children(process.pid))
        assert len(started) == 4 + len(options)
        process.kill()
        assert all_end(started)


@on_linux
def test_an_emulator_that_dies_ends_the_demo_with_code_1_and_a_sentence_that_says_so(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        says(process, "first change applied after")
        started = children(process.pid)
        (emulator,) = [pid for pid, command in started.items() if "ministack" in command]
        os.kill(emulator, signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode == 1
        assert "The AWS emulator itself died" in said
        assert all_end(list(started))


@on_linux
def test_a_pipeline_process_that_somebody_kills_is_started_again_and_counted(tmp_path: Path) -> None:
    with demo(tmp_path, "--json") as process:
        assert process.stdout is not None
        says(process, "first change applied after")
        for name in ("produce", "consume"):
            (victim,) = [pid for pid, command in children(process.pid).items() if f" {name} " in command]
            os.kill(victim, signal.SIGKILL)
            says(process, f"`isthmus {name}` was ended by signal 9: it is started again")
        out, _ = process.communicate()
        assert process.returncode == 0
        summary = json.loads(out.splitlines()[-1])
        assert (summary["ok"], summary["restarts"]) == (True, {"producer": 1, "consumer": 1})
        assert "2 times a process was killed and started again" in " ".join(out.split())


@on_linux
def test_a_demo_that_stays_shows_its_memory_and_ends_on_ctrl_c_with_code_130_and_all_processes(
    tmp_path: Path,
) -> None:
    with demo(tmp_path, "--stay", "--json") as process:
        assert process.stdout is not None
        summary = None
        for line in process.stdout:
            if line.startswith("{"):
                summary = json.loads(line)
            if line.startswith("Try: "):
                break
        assert summary is not None
        assert summary["ok"]
        assert all(megabytes > 20 for megabytes in summary["peak_rss_mb"].values())
        started = list(children(process.pid))
        # The back office has lived its days, and has ended.
        assert len(started) == 3
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert process.returncode == 130
        assert all_end(started)
