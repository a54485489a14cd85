"""Who is at work and can be killed, by the runtime, and how."""

import os
import select
import signal
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar

from isthmus.console.demo.kills import Kill, Victim
from isthmus.console.demo.pipeline import Pipeline
from isthmus.console.demo.readings import Readings
from isthmus.console.kcl.processes import children_of
from isthmus.errors import Fatal

T = TypeVar("T")
_KILL_MS: Final = 10_000
_JAVA: Final = "java"


class Targets(Protocol):
    """The processes that a plan of kills means."""

    def at_work(self, found: Readings) -> frozenset[Victim]:
        """Give the kinds of which one at least is at work: one that only starts would show little."""
        ...

    def kill(self, kill: Kill) -> bool:
        """Kill whom the plan means, with SIGKILL, and see that it is gone. False: there was nobody any more."""
        ...


class LocalTargets:
    """One producer and one consumer."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def at_work(self, found: Readings) -> frozenset[Victim]:
        """Give who answers."""
        up = {Victim.PRODUCER: found.producer_up, Victim.CONSUMER: all(found.consumers_up)}
        return frozenset(victim for victim, answers in up.items() if answers)

    def kill(self, kill: Kill) -> bool:
        """Kill it; it is started again."""
        self._pipeline.kill(kill.victim.value)
        return True


class KclTargets:
    """One producer, and several workers with all that is below them. A worker is at work when a child of it is."""

    def __init__(self, pipeline: Pipeline, workers: Sequence[str]) -> None:
        self._pipeline = pipeline
        self._workers = workers

    def at_work(self, found: Readings) -> frozenset[Victim]:
        """Give who answers, and who has a shard."""
        producer = {Victim.PRODUCER} if found.producer_up else set()
        shards = {Victim.WORKER, Victim.DAEMON, Victim.CHILD} if self._having_shards() else set()
        return frozenset(producer | shards)

    def kill(self, kill: Kill) -> bool:
        """Kill it. A producer and a worker are started again by us, a daemon by its worker, a child by its daemon."""
        if kill.victim is Victim.PRODUCER:
            self._pipeline.kill(kill.victim.value)
            return True
        workers = self._having_shards()
        if not workers:
            return False
        if kill.victim is Victim.WORKER:
            self._pipeline.kill(_picked(workers, kill.pick))
            return True
        pids = self._below(workers, kill.victim)
        if not pids:
            return False
        pid = _picked(pids, kill.pick)
        # Asked again once it is held: a number may be given to another process at any time before that.
        return killed(pid, lambda: pid in self._below(workers, kill.victim))

    def _below(self, workers: Sequence[str], wanted: Victim) -> list[int]:
        return [pid for name in workers for what, pid in below_worker(self._pipeline.pid(name)) if what is wanted]

    def _having_shards(self) -> list[str]:
        return [
            name
            for name in self._workers
            if any(what is Victim.CHILD for what, _ in below_worker(self._pipeline.pid(name)))
        ]


def below_worker(pid: int) -> Iterable[tuple[Victim, int]]:
    """Give the daemon of a worker's process and that one's children, nothing where the system does not tell."""
    # A daemon's children come to the worker when they have lost it. They are about to end, and no daemons.
    for daemon in filter(_is_java, children_of(pid)):
        yield Victim.DAEMON, daemon
        for child in children_of(daemon):
            yield Victim.CHILD, child


def _is_java(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == _JAVA
    except OSError:
        return False


def _picked(some: Sequence[T], pick: float) -> T:
    return some[int(pick * len(some))]


def killed(pid: int, is_it: Callable[[], bool]) -> bool:
    """Kill a process with SIGKILL, and wait for its end. False: it had ended, or it is not the one that is meant.

    Raises `Fatal` when it does not end.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        if ended.poll(0) or not is_it():
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if not ended.poll(_KILL_MS):
            raise Fatal(f"Process {pid} was killed and does not end.")
    finally:
        os.close(descriptor)
    return True
