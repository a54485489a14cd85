"""Who is killed, and that it is really gone: real processes, which look as a worker's do."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isthmus.console.demo.kills import Kill, Victim
from isthmus.console.demo.readings import Readings
from isthmus.console.demo.targets import KclTargets, LocalTargets, below_worker, killed
from isthmus.console.kcl.processes import children_of
from tests.fakes.shop import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
UP = Readings(producer_up=True, consumers_up=(True, True))


class Processes:
    """Pipelines' processes by name, each with its kills noted."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.pids = pids
        self.killed: list[str] = []

    def pid(self, name: str) -> int:
        return self.pids[name]

    def kill(self, name: str) -> None:
        self.killed.append(name)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process with two children: a `java` that has two of its own, and one that is none."""
    bash = str(shutil.which("bash"))
    java = shutil.copy(bash, tmp_path / "java")
    text = f"{java} -c 'sleep 600 & sleep 600 & wait' & sleep 600 & wait"
    with subprocess.Popen([bash, "-c", text], start_new_session=True) as process:
        wanted = [Victim.DAEMON, Victim.CHILD, Victim.CHILD]
        until(lambda: [what for what, _ in below_worker(process.pid)] == wanted, "all of them run")
        everybody = {*children_of(process.pid), *(pid for _, pid in below_worker(process.pid))}
        yield process
        for pid in everybody:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()


def is_gone(pid: int) -> bool:
    """Say whether a process does nothing any more, whether or not anybody has waited for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except FileNotFoundError:
        return True


def kcl(worker: subprocess.Popen[bytes]) -> tuple[KclTargets, Processes]:
    # The second worker has nothing below it: it only starts.
    processes: Any = Processes({"worker-1": worker.pid, "worker-2": 2**22 + 1})
    return KclTargets(processes, ("worker-1", "worker-2")), processes


def test_a_workers_daemon_and_children_are_found_and_others_are_not(worker: subprocess.Popen[bytes]) -> None:
    found = list(below_worker(worker.pid))
    (daemon,) = [pid for what, pid in found if what is Victim.DAEMON]
    assert len(children_of(worker.pid)) == 2
    assert [pid for what, pid in found if what is Victim.CHILD] == children_of(daemon)


@pytest.mark.parametrize("victim", [Victim.DAEMON, Victim.CHILD])
@pytest.mark.parametrize("pick", [0.0, 0.99])
def test_the_very_process_that_was_picked_is_gone_when_the_kill_counts(
    worker: subprocess.Popen[bytes], victim: Victim, pick: float
) -> None:
    several = [pid for what, pid in below_worker(worker.pid) if what is victim]
    chosen = several[int(pick * len(several))]
    made, processes = kcl(worker)
    assert made.kill(Kill(0, victim, pick))
    assert is_gone(chosen)
    assert not any(is_gone(pid) for pid in several if pid != chosen)
    assert processes.killed == []


def test_a_worker_is_picked_among_those_that_have_shards(worker: subprocess.Popen[bytes]) -> None:
    made, processes = kcl(worker)
    assert made.kill(Kill(0, Victim.WORKER, 0.99))
    assert processes.killed == ["worker-1"]


def test_who_only_starts_is_not_at_work_and_a_kill_of_nobody_does_not_count() -> None:
    processes: Any = Processes({"worker-1": 2**22 + 1})
    made = KclTargets(processes, ("worker-1",))
    assert made.at_work(UP) == {Victim.PRODUCER}
    assert made.at_work(Readings()) == frozenset()
    for victim in (Victim.WORKER, Victim.DAEMON, Victim.CHILD):
        assert not made.kill(Kill(0, victim))
    assert processes.killed == []


def test_who_has_a_shard_is_at_work_and_a_producer_that_answers(worker: subprocess.Popen[bytes]) -> None:
    made, processes = kcl(worker)
    assert made.at_work(UP) == {Victim.PRODUCER, Victim.WORKER, Victim.DAEMON, Victim.CHILD}
    assert made.at_work(Readings()) == {Victim.WORKER, Victim.DAEMON, Victim.CHILD}
    assert made.kill(Kill(0, Victim.PRODUCER))
    assert processes.killed == ["producer"]


def test_a_process_that_ended_before_the_signal_was_not_killed() -> None:
    with subprocess.Popen([str(shutil.which("sleep")), "600"]) as ended:
        ended.send_signal(signal.SIGTERM)
        until(lambda: is_gone(ended.pid), "it has ended")
        # Nobody has waited for it yet: its number still stands for it.
        assert not killed(ended.pid, lambda: True)
    assert not killed(ended.pid, lambda: True)


def test_a_process_that_is_another_one_by_now_is_left_alone() -> None:
    with subprocess.Popen([str(shutil.which("sleep")), "600"]) as other:
        assert not killed(other.pid, lambda: False)
        assert not is_gone(other.pid)
        other.kill()


def test_of_the_local_runtime_whoever_answers_is_at_work() -> None:
    met: list[str] = []
    processes: Any = SimpleNamespace(kill=met.append)
    made = LocalTargets(processes)
    assert made.at_work(Readings(producer_up=True, consumers_up=(False,))) == {Victim.PRODUCER}
    assert made.at_work(Readings(producer_up=False, consumers_up=(True,))) == {Victim.CONSUMER}
    assert made.kill(Kill(0, Victim.CONSUMER))
    assert met == ["consumer"]
