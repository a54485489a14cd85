"""How long a command waits for a front office that is away: for a while, and it says so."""

from collections.abc import Callable
from typing import TypeVar

from isthmus.chance import Chance
from isthmus.clock import Clock
from isthmus.errors import TargetDown, Transient
from isthmus.lifecycle import Stop
from isthmus.retry import Backoff, keep_trying

T = TypeVar("T")


class Patience:
    """An `Ask` that tries again for at most so many seconds.

    `say` is told once of each outage. Raises `TargetDown` when the time is over, and `Stopped` when a stop is
    requested meanwhile.
    """

    def __init__(
        self, seconds: float, *, clock: Clock, stop: Stop, chance: Chance, say: Callable[[str], object]
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._stop = stop
        self._chance = chance
        self._say = say

    def __call__(self, action: Callable[[], T], /) -> T:
        """Run the action until it goes, or the time is over."""
        begun = self._clock.monotonic()

        def failed(error: Transient, attempt: int) -> None:
            if self._clock.monotonic() - begun >= self._seconds:
                raise TargetDown(f"{error.message} It was waited for, for {self._seconds:g} s.") from error
            if attempt == 1:
                self._say(f"tried again, for at most {self._seconds:g} s: {error}")

        return keep_trying(
            action,
            stop=self._stop,
            chance=self._chance,
            backoff=Backoff(most=min(10.0, self._seconds)),
            on_failure=failed,
        )
