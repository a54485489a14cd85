"""Tasks on virtual time: greenlets that take turns only where something waits, in an order that repeats."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from greenlet import GreenletExit, getcurrent, greenlet

from tests.fakes.clock import FakeClock

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: nothing that it still does has an effect."""


class Greenlets:
    """Starts tasks, and is their stop. `clock.move` of the test's own greenlet is what drives them.

    One of these is one process: `kill` ends it as SIGKILL does.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._hub = getcurrent()
        self._parked: dict[greenlet, object] = {}
        self._requested = False
        self._dead = False

    # the port `Spawn`

    def __call__(self, name: str, function: Callable[[], T]) -> "GreenTask[T]":
        del name
        task = GreenTask(self, function)
        runner = greenlet(task.run, parent=self._hub)
        self._park(runner, self._clock.monotonic())
        return task

    # the port `RuntimeStop`

    def request(self) -> None:
        self._requested = True
        for parked in list(self._parked):
            self._park(parked, self._clock.monotonic())

    def requested(self) -> bool:
        return self._requested

    def wait(self, seconds: float) -> bool:
        if not self._requested:
            self.sleep(seconds)
        return self._requested

    def sleep(self, seconds: float) -> None:
        """Let the others run for so long, stop or no stop."""
        if self._dead:
            raise Killed
        assert getcurrent() is not self._hub, "the hub drives, it does not wait"
        self._park(getcurrent(), self._clock.monotonic() + seconds)
        try:
            self._hub.switch()
        except GreenletExit:
            # A test let go of this process while it waited. It must not take a turn in the next test.
            self._dead = True
            raise

    def kill(self) -> None:
        """End every task where it waits. Whatever they try to wait for now ends them too."""
        self._dead = True
        for parked in list(self._parked):
            self._parked.pop(parked)
            if parked:
                parked.throw(Killed)

    def _park(self, sleeper: greenlet, until: float) -> None:
        ticket = self._parked[sleeper] = object()

        def wake() -> None:
            if self._parked.get(sleeper) is ticket:
                del self._parked[sleeper]
                sleeper.switch()

        self._clock.at(until, wake)


class GreenTask(Generic[T]):
    """A task of `Greenlets`."""

    def __init__(self, tasks: Greenlets, function: Callable[[], T]) -> None:
        self._tasks = tasks
        self._function = function
        self._outcome: list[Any] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._outcome.append(self._function())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asks for the result
            self._error = error

    def done(self) -> bool:
        return bool(self._outcome) or self._error is not None

    def result(self) -> T:
        while not self.done():
            self._tasks.sleep(0.001)
        if self._error is not None:
            raise self._error
        return cast("T", self._outcome[0])
