"""Executors for a publisher that start no thread."""

from collections.abc import Callable, Sequence

from isthmus.producer.publisher import Handle
from isthmus.producer.sink import Put
from tests.fakes.clock import FakeClock


class Ended:
    """The handle of something that ran before anybody asked."""

    def __init__(self, function: Callable[[], list[Put]]) -> None:
        self._error: BaseException | None = None
        self._puts: list[Put] = []
        try:
            self._puts = function()
        except BaseException as error:  # noqa: BLE001 - kept, as a future keeps it
            self._error = error

    def done(self) -> bool:
        return True

    def result(self) -> list[Put]:
        if self._error is not None:
            raise self._error
        return self._puts


class InlineExecutor:
    """Runs everything at once; waiting moves the clock."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.waits: list[float] = []

    def submit(self, function: Callable[[], list[Put]]) -> Handle:
        return Ended(function)

    def wait(self, handles: Sequence[Handle], seconds: float) -> None:
        self.waits.append(seconds)
        if not any(handle.done() for handle in handles):
            self._clock.move(seconds)

    def close(self) -> None:
        """Nothing to close."""


class LaterExecutor:
    """Keeps what was submitted until a test runs it."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.pending: list[Later] = []

    def submit(self, function: Callable[[], list[Put]]) -> Handle:
        later = Later(function)
        self.pending.append(later)
        return later

    def wait(self, handles: Sequence[Handle], seconds: float) -> None:
        if not any(handle.done() for handle in handles):
            self._clock.move(seconds)

    def close(self) -> None:
        """Nothing to close."""

    def run(self, place: int = 0) -> None:
        self.pending.pop(place).run()


class Later:
    """The handle of something that runs when a test says so."""

    def __init__(self, function: Callable[[], list[Put]]) -> None:
        self._function = function
        self._ended: Ended | None = None

    def run(self) -> None:
        self._ended = Ended(self._function)

    def done(self) -> bool:
        return self._ended is not None

    def result(self) -> list[Put]:
        assert self._ended is not None
        return self._ended.result()
