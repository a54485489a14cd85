"""A redrive of many keys: one after another, each by itself, to be ended and begun again at any point."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from isthmus.change import Outcome
from isthmus.clock import Clock
from isthmus.console.lot.pacing import Pace
from isthmus.console.lot.walking import Ask, keys_of
from isthmus.consumer.redrive import Redriver, StillPoison
from isthmus.consumer.stores.lot import LotReader, Selection
from isthmus.lifecycle import Stop, Stopped

_AT_ONCE: Final = 100
"""Changes of one key in one transaction: its lock is not held for longer, nor are more payloads in memory."""


class StoppedAt(NamedTuple):
    """The first key that stopped for a reason, and how many did."""

    keys: int
    key: str
    message: str


@dataclass(slots=True)
class Retried:
    """What became of the keys."""

    tried: int = 0
    freed: int = 0
    """Nothing of them waits any more. Another redrive, or live traffic, may have been faster."""
    unfinished: int = 0
    """Tried as far as it went: a stop came, or a rehearsal cannot see what comes behind its first changes."""
    stopped: dict[str, StoppedAt] = field(default_factory=dict)
    """By reason: those that came to a change that is poison again."""
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def elsewhere(self) -> int:
        """How many changes went from one key of the lot to another: poison still, under a key that is known now."""
        return self.outcomes[Outcome.PARKED] - sum(each.keys for each in self.stopped.values())

    @property
    def all_free(self) -> bool:
        """Whether everything that was tried left the lot."""
        return self.tried == self.freed and not self.outcomes[Outcome.PARKED]

    def stop(self, key: str, poison: StillPoison) -> None:
        """Note a key that is poison again."""
        first = self.stopped.get(poison.reason, StoppedAt(0, key, poison.message))
        self.stopped[poison.reason] = first._replace(keys=first.keys + 1)

    def as_json(self) -> dict[str, Any]:
        """Give it in the form that `isthmus parked retry --json` documents."""
        return {
            "keys": {
                "tried": self.tried,
                "freed": self.freed,
                "stopped": sum(each.keys for each in self.stopped.values()),
                "unfinished": self.unfinished,
            },
            "stopped": [
                {"reason": reason, "keys": each.keys, "first": each.key, "message": each.message}
                for reason, each in sorted(self.stopped.items())
            ],
            "outcomes": dict(sorted(self.outcomes.items())),
            "elsewhere": self.elsewhere,
        }


class Retrying:
    """One run. `told` says at every moment how it stands."""

    def __init__(
        self,
        lot: LotReader,
        redriver: Redriver,
        *,
        ask: Ask,
        pace: Pace,
        clock: Clock,
        stop: Stop,
        rehearse: bool = False,
    ) -> None:
        self.told = Retried()
        self._lot = lot
        self._redriver = redriver
        self._ask = ask
        self._pace = pace
        self._clock = clock
        self._stop = stop
        self._rehearse = rehearse

    def run(self, selection: Selection, tell: Callable[[Retried], object]) -> None:
        """Try every key that is selected.

        Raises `Stopped` between two transactions when a stop is requested, and what `ask` and the remaking raise. What
        was done until then is done.
        """
        for parked in keys_of(self._lot, selection, ask=self._ask):
            if self._stop.requested():
                raise Stopped
            self.told.tried += 1
            self.told.unfinished += 1
            if self._done(parked.key):
                self.told.unfinished -= 1
            tell(self.told)

    def _done(self, key: str) -> bool:
        """Try a key until it is free or stops; say whether it came so far."""
        told = self.told
        while True:
            begun = self._clock.monotonic()
            again = partial(self._redriver.redrive, key, most=_AT_ONCE, rehearse=self._rehearse)
            found = self._ask(again)
            told.outcomes.update(found.outcomes)
            self._pace.rest(max(1, sum(found.outcomes.values())), begun)
            if found.stopped is not None:
                told.stop(key, found.stopped)
                return True
            if not found.left:
                told.freed += 1
                return True
            if self._rehearse:
                # Nothing left the lot: it would try the same ones again and again.
                return False
            if self._stop.requested():
                raise Stopped
