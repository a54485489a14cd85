"""The owner's heart: it beats as long as the lease is ours, and says at once when it may no longer be."""

from collections.abc import Callable
from typing import Final

from isthmus.checkpoint.ownership import TAKE_OVER_AFTER
from isthmus.checkpoint.ports import Lease, Leases
from isthmus.clock import Clock
from isthmus.errors import IsthmusError, OwnershipLost, Transient
from isthmus.lifecycle import Stop

BEAT_EVERY: Final = 1.0
"""Seconds between two beats."""


class Heart:
    """Beats for one owned lease: `run` in a thread or an actor of its own, `lost` asked for by everybody else.

    `on_failure(error, attempt)` is told of each beat that failed, `on_recovery(attempts)` once when one succeeds
    after failures.
    """

    def __init__(
        self,
        leases: Leases,
        lease: Lease,
        *,
        clock: Clock,
        on_failure: Callable[[Transient, int], None],
        on_recovery: Callable[[int], None],
        take_over_after: float = TAKE_OVER_AFTER,
    ) -> None:
        self._leases = leases
        self._lease = lease
        self._clock = clock
        self._on_failure = on_failure
        self._on_recovery = on_recovery
        self._take_over_after = take_over_after
        self._failures = 0
        self._reason = ""
        self._beaten = clock.monotonic()

    @property
    def lost(self) -> bool:
        """Say whether the lease is, or may be, another's: stop all effects at once. It never becomes ours again.

        It may be another's as soon as nobody has seen us beat for as long as a take-over takes, whatever became of
        the beats that we sent: so this is true even while a beat hangs.
        """
        if not self._reason and self._clock.monotonic() - self._beaten >= self._take_over_after:
            self._reason = f"{self._lease.name}: no beat succeeded for {self._take_over_after:g} s."
        return bool(self._reason)

    @property
    def reason(self) -> str:
        """Say in a sentence why it is lost; empty while it is ours."""
        return self._reason if self.lost else ""

    def beat_once(self) -> None:
        """Raise the counter, or note that it failed for now.

        Raises `OwnershipLost` when the lease is, or may be, another's, and `Fatal` where no repeat helps; both are
        remembered.
        """
        sent = self._clock.monotonic()
        if self.lost:
            raise OwnershipLost(self._reason)
        try:
            self._leases.beat(self._lease.name, self._lease.epoch)
        except Transient as error:
            self._failures += 1
            self._on_failure(error, self._failures)
            return
        except IsthmusError as error:
            self._reason = self._reason or str(error)
            raise
        # When it was sent, not when it was answered: it may have been seen at any moment in between.
        self._beaten = sent
        if self._failures:
            failures, self._failures = self._failures, 0
            self._on_recovery(failures)

    def run(self, stop: Stop) -> None:
        """Beat until a stop is requested or the lease is lost; never raises an error of ours: `reason` tells it."""
        while not stop.requested():
            try:
                self.beat_once()
            except IsthmusError:
                return
            stop.wait(BEAT_EVERY)
