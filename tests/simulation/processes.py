"""A process on virtual time: tasks that take turns, and what an operating system may do to all of them at once."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

from isthmus.checkpoint.ports import Holder
from isthmus.producer.publisher import Handle
from isthmus.producer.sink import Put
from tests.fakes.clock import FakeClock
from tests.fakes.greenlets import Greenlets, GreenTask, Killed

T = TypeVar("T")

FOR_EVER: Final = 1e9
"""Seconds."""
_INSTANT: Final = 1e-6
"""Seconds. A shorter wait would be lost in the rounding of the clock, and never end."""


class _Sleep:
    """When a task wants to go on."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until = until


class Process(Greenlets):
    """One life of a producer or of a consumer. It may be killed, frozen for a while, or asked to end.

    `chance` is its own: what happens to others does not change what this one draws.
    """

    def __init__(self, clock: FakeClock, role: str, number: int, seed: int) -> None:
        super().__init__(clock)
        self.role = role
        self.name = f"{role}-{number}"
        self.chance = random.Random(f"{seed}/{self.name}")
        self.holder = Holder(self.name, self.chance.choice(["here", "there"]), "boot", number, "started", "")
        self.alive = True
        self.lag = 0.0
        """How many seconds its monotonic clock stood still."""
        self.belongings: list[Callable[[], None]] = []
        """What the operating system closes when the process is gone."""
        self._frozen_until: float | None = None
        self._overdue: list[tuple[greenlet, object]] = []
        self._resting: list[greenlet] = []

    def __call__(self, name: str, function: Callable[[], T]) -> "Job[T]":
        del name
        job = Job(self, function)
        self._park(greenlet(job.run, parent=self._hub), self._clock.monotonic())
        return job

    def refuse_the_dead(self) -> None:
        """Raise `Killed` in what a dead process still runs on its way out: it has no effect any more."""
        if self._dead:
            raise Killed

    def sleep(self, seconds: float) -> None:
        self.refuse_the_dead()
        self._park(getcurrent(), self._clock.monotonic() + (max(seconds, _INSTANT) if seconds > 0 else 0.0))
        try:
            self._hub.switch()
        except GreenletExit:
            self._dead = True
            raise

    def rest(self, seconds: float) -> None:
        """Sleep until some task of this process has ended, or so long."""
        me = getcurrent()
        self._resting.append(me)
        try:
            self.sleep(seconds)
        finally:
            self._resting.remove(me)

    def rouse(self, sleepers: Sequence[greenlet] | None = None) -> None:
        """Wake tasks now, by default those that rest."""
        now = self._clock.monotonic()
        for sleeper in list(self._resting if sleepers is None else sleepers):
            if sleeper in self._parked:
                self._park(sleeper, now)

    def end(self) -> None:
        """SIGKILL. Only the hub may call it."""
        self.alive = False
        self.kill()
        for close in self.belongings:
            close()

    def freeze(self, seconds: float, *, clock_stands: bool) -> None:
        """SIGSTOP, and SIGCONT so much later. `clock_stands`: a virtual machine's pause, which it does not notice."""
        if self._frozen_until is None:
            self._frozen_until = self._clock.monotonic() + seconds
            self._clock.at(self._frozen_until, partial(self._thaw, seconds if clock_stands else 0.0))

    def _thaw(self, stood: float) -> None:
        self._frozen_until = None
        self.lag += stood
        overdue, self._overdue = self._overdue, []
        if stood:
            for sleeper, sleep in list(self._parked.items()):
                assert isinstance(sleep, _Sleep)
                self._park(sleeper, sleep.until + stood)
        else:
            for sleeper, sleep in overdue:
                self._wake(sleeper, sleep)

    def _park(self, sleeper: greenlet, until: float) -> None:
        sleep = self._parked[sleeper] = _Sleep(until)
        self._clock.at(until, partial(self._wake, sleeper, sleep))

    def _wake(self, sleeper: greenlet, sleep: object) -> None:
        if self._parked.get(sleeper) is not sleep:
            return
        if self._frozen_until is not None:
            self._overdue.append((sleeper, sleep))
            return
        del self._parked[sleeper]
        sleeper.switch()


class Job(GreenTask[T]):
    """A task whose end wakes those who rest."""

    def __init__(self, process: Process, function: Callable[[], T]) -> None:
        super().__init__(process, function)
        self._process = process

    def run(self) -> None:
        super().run()
        self._process.rouse()

    def result(self) -> T:
        while not self.done():
            self._process.rest(FOR_EVER)
        return super().result()


class ProcessClock:
    """What one process knows of time. `wall` is everybody's wall clock."""

    def __init__(self, process: Process, clock: FakeClock, wall: Callable[[], int]) -> None:
        self._process = process
        self._clock = clock
        self.now_ms = wall

    def monotonic(self) -> float:
        return self._clock.monotonic() - self._process.lag


class Part:
    """The stop of a part of a process: it stops with the whole (unless it is `apart`), and may be stopped alone."""

    def __init__(self, process: Process, *, apart: bool = False) -> None:
        self._process = process
        self._apart = apart
        self._requested = False
        self._waiting: list[greenlet] = []

    def request(self) -> None:
        self._requested = True
        self._process.rouse(self._waiting)

    def requested(self) -> bool:
        return self._requested or (not self._apart and self._process.requested())

    def wait(self, seconds: float) -> bool:
        if not self.requested():
            me = getcurrent()
            self._waiting.append(me)
            try:
                self._process.sleep(seconds)
            finally:
                self._waiting.remove(me)
        return self.requested()


class GreenExecutor:
    """The publisher's executor: each request is a task of its own."""

    def __init__(self, process: Process, clock: FakeClock) -> None:
        self._process = process
        self._clock = clock

    def submit(self, function: Callable[[], list[Put]]) -> Handle:
        return self._process("send", function)

    def wait(self, handles: Sequence[Handle], seconds: float) -> None:
        heeds_stop = not self._process.requested()
        end = self._clock.monotonic() + max(seconds, _INSTANT)
        while not any(handle.done() for handle in handles) and not (heeds_stop and self._process.requested()):
            left = end - self._clock.monotonic()
            if left <= 0:
                return
            self._process.rest(left)

    def close(self) -> None:
        """Nothing to close."""


class GreenLock:
    """A lock between the tasks of one process: a real one would stop the only thread there is."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._held = False
        self._waiting: list[greenlet] = []

    def __enter__(self) -> None:
        while self._held:
            me: Any = getcurrent()
            self._waiting.append(me)
            try:
                self._process.sleep(FOR_EVER)
            finally:
                self._waiting.remove(me)
        self._held = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held = False
        self._process.rouse(self._waiting)
