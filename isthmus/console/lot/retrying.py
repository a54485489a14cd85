"""A redrive of many keys, some of them at a time, each by itself, to be ended and begun again at any point."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from isthmus.change import Outcome
from isthmus.clock import Clock
from isthmus.console.lot.pacing import Pace
from isthmus.console.lot.portion import Portion
from isthmus.console.lot.walking import Ask, keys_of
from isthmus.consumer.redrive import Redriven, Redriver, StillPoison
from isthmus.consumer.stores.lot import LotReader, ParkedKey, Selection
from isthmus.lifecycle import Stop, Stopped

_REHEARSED: Final = 100
"""Changes of a key in a rehearsal, which cannot go on behind them: nothing of them left the lot."""


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
        self._portion = Portion()
        self._ahead: ParkedKey | None = None

    def run(self, selection: Selection, tell: Callable[[Retried], object]) -> None:
        """Try every key that is selected.

        Raises `Stopped` between two transactions when a stop is requested, and what `ask` and the remaking raise. What
        was done until then is done.
        """
        keys = keys_of(self._lot, selection, ask=self._ask)
        working: dict[str, ParkedKey] = {}
        begun: set[str] = set()
        while self._filled(working, keys):
            if self._stop.requested():
                raise Stopped
            for key, found in self._tried(list(working)).items():
                if key not in begun:
                    begun.add(key)
                    self.told.tried += 1
                    self.told.unfinished += 1
                if self._is_over(key, found):
                    del working[key]
                    begun.remove(key)
            tell(self.told)

    def _filled(self, working: dict[str, ParkedKey], keys: Iterator[ParkedKey]) -> bool:
        """Take on as many keys as one transaction should try. Gives False at the end."""
        while (parked := self._ahead or next(keys, None)) is not None:
            self._ahead = parked
            if working and self._weight(*working.values(), parked) > self._changes():
                break
            working[parked.key], self._ahead = parked, None
        return bool(working)

    def _changes(self) -> int:
        return self._pace.at_once(self._portion.changes)

    def _weight(self, *keys: ParkedKey) -> int:
        # A rehearsal must see all of a key at once, and whoever redrives comes again.
        return sum(min(each.changes, _REHEARSED) for each in keys) if self._rehearse else len(keys)

    def _tried(self, keys: list[str]) -> dict[str, Redriven]:
        begun = self._clock.monotonic()
        each = _REHEARSED if self._rehearse else max(1, self._changes() // len(keys))
        found = self._ask(partial(self._redriver.redrive_all, keys, each=each, rehearse=self._rehearse))
        changes = sum(sum(each.outcomes.values()) for each in found.values())
        self._portion.tried(changes, sum(each.size for each in found.values()))
        self._pace.rest(max(1, changes), begun)
        return found

    def _is_over(self, key: str, found: Redriven) -> bool:
        """Note what became of a key; say whether there is nothing more to do for it."""
        told = self.told
        told.outcomes.update(found.outcomes)
        if found.left:
            # In a rehearsal nothing left the lot: it would try the same ones again and again.
            return self._rehearse
        told.unfinished -= 1
        if found.stopped is None:
            told.freed += 1
        else:
            told.stop(key, found.stopped)
        return True
