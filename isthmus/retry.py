"""Retry: a pure schedule, an explicit list of what is tried again, and a stop that ends every wait at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from isthmus.chance import Chance
from isthmus.errors import Transient
from isthmus.lifecycle import Stop, Stopped

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Seconds. Without `jitter` each wait is as long as its bound.
    """

    first: float = 0.1
    factor: float = 2.0
    most: float = 10.0
    jitter: bool = True

    def delay(self, attempt: int, chance: Chance) -> float:
        """Give the wait in seconds before the attempt after `attempt` failures (1 or more).

        Between 0 and the bound of that attempt.
        """
        exponent = min(attempt - 1, 64)
        bound = min(self.most, self.first * self.factor**exponent)
        return bound * chance.random() if self.jitter else bound


def keep_trying(
    action: Callable[[], T],
    *,
    stop: Stop,
    chance: Chance,
    backoff: Backoff,
    on_failure: Callable[[Transient, int], None],
    on_recovery: Callable[[int], None] | None = None,
) -> T:
    """Run the action until it returns; only `Transient` is tried again, without a limit of attempts.

    An error with a schedule of its own is waited for by that one.

    `on_failure(error, attempt)` is told of each failure, `on_recovery(attempts)` once when it goes again after
    failures. Raises `Stopped` when a stop is requested while waiting, and whatever the action raises besides
    `Transient`.
    """
    attempt = 0
    while True:
        try:
            result = action()
        except Transient as error:
            attempt += 1
            on_failure(error, attempt)
            if stop.wait((error.backoff or backoff).delay(attempt, chance)):
                raise Stopped from error
        else:
            if attempt and on_recovery is not None:
                on_recovery(attempt)
            return result
