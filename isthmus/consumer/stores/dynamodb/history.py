"""The history of what was decided: for `trace`, no safety rests on it. It is written after what it tells of."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from isthmus.change import Outcome
from isthmus.clock import Clock
from isthmus.consumer.stores.dynamodb.items import (
    DECIDED_SLOT,
    FENCED_SLOT,
    PARTITION_KEY,
    SORT_KEY,
    history_item,
    history_key,
    superseded_item,
)
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.writes import Action, put_over
from isthmus.consumer.stores.port import Delivered

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item


class Tell(NamedTuple):
    """One row to be told."""

    delivered: Delivered
    outcome: Outcome
    new: bool
    """False for what may have been told before: then it is looked for first, and the first word stays."""


class History:
    """Writes the history, or nothing where none is kept.

    A change has one place for having been fenced and one for everything else, so a repeat writes the same item.
    """

    def __init__(self, requests: Requests, settings: DynamoSettings, clock: Clock, *, kept: bool) -> None:
        self._requests = requests
        self._settings = settings
        self._clock = clock
        self._kept = kept

    def tell(self, tells: Sequence[Tell]) -> None:
        """Write rows of changes of which no two have the same key."""
        if not self._kept or not tells:
            return
        now, life = self._clock.now_ms(), self._settings.history_ms
        told = self._told([each for each in tells if not each.new])
        items = [
            history_item(each.delivered, each.outcome, now, life) for each in tells if each.new or _is_news(each, told)
        ]
        self._requests.write_many(self._settings.table, put=items)

    def actions(self, delivered: Delivered, outcome: Outcome) -> list[Action]:
        """Give the write of a row, for a transaction in which what it tells happens."""
        if not self._kept:
            return []
        now, life = self._clock.now_ms(), self._settings.history_ms
        return [put_over(self._settings.table, history_item(delivered, outcome, now, life))]

    def superseded(self, parked: "Sequence[Item]") -> None:
        """Tell that parked changes are freed by a newer state. Safe to repeat."""
        if self._kept and parked:
            now, life = self._clock.now_ms(), self._settings.history_ms
            items = [superseded_item(each, now, life) for each in parked]
            self._requests.write_many(self._settings.table, put=items)

    def _told(self, tells: Sequence[Tell]) -> set[tuple[str, str]]:
        keys = [_place(each, slot) for each in tells for slot in (FENCED_SLOT, DECIDED_SLOT)]
        found = self._requests.get_many(self._settings.table, keys) if keys else []
        return {_identity(item) for item in found}


def _is_news(tell: Tell, told: set[tuple[str, str]]) -> bool:
    if _identity(_place(tell, DECIDED_SLOT)) in told:
        return False
    # What was fenced comes again from the new owner, and what becomes of it then is news.
    return tell.outcome is not Outcome.FENCED or _identity(_place(tell, FENCED_SLOT)) not in told


def _place(tell: Tell, slot: str) -> "Item":
    change = tell.delivered.change
    return history_key(change.key, change.version, change.id, slot)


def _identity(item: "Item") -> tuple[str, str]:
    return item[PARTITION_KEY]["S"], item[SORT_KEY]["S"]
