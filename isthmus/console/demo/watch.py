"""Waiting for something while everything that runs is looked after."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from isthmus.errors import Fatal, IsthmusError
from isthmus.lifecycle import Stop, Stopped

_LOOK_SECONDS = 0.5
_LAST_LOOKS = 20
"""A dead process's connections break a moment before its end is known: so many looks, 50 ms apart."""
_LAST_LOOK_SECONDS = 0.05


class Watch:
    """Looks after the parts that run. Each part's check raises `Fatal` when it has ended by itself."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._checks: list[Callable[[], None]] = []

    def add(self, check: Callable[[], None]) -> None:
        """Look after one more part."""
        self._checks.append(check)

    def check(self) -> None:
        """Look after all, in the order in which they were added."""
        for check in self._checks:
            check()

    def until(self, reached: Callable[[], bool], seconds: float = _LOOK_SECONDS) -> None:
        """Look again and again, so many seconds apart; whatever dies meanwhile ends the wait with its name.

        Raises `Stopped` when a stop is requested.
        """
        while not reached():
            self.check()
            if self._stop.wait(seconds):
                raise Stopped

    def until_stopped(self) -> None:
        """Look after all until a stop is requested."""
        while not self._stop.wait(_LOOK_SECONDS):
            self.check()

    @contextmanager
    def naming_the_dead(self) -> Iterator[None]:
        """Make of an error that follows from a part's death the error that says so."""
        try:
            yield
        except IsthmusError:
            if self._stop.requested():
                raise
            for _ in range(_LAST_LOOKS):
                self.check()
                if self._stop.wait(_LAST_LOOK_SECONDS):
                    break
            raise


def alive_check(name: str, alive: Callable[[], bool]) -> Callable[[], None]:
    """Give the check of a part of AWS. Raises `Fatal` once it is not alive."""

    def check() -> None:
        if not alive():
            raise Fatal(f"The {name} itself died: what it held is gone, and with it this demo. Run it again.")

    return check
