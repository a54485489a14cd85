"""Reads a DynamoDB front office beside whoever decides in it.

Counting scans: our own table, and the user's for their guards. That reads, and costs, all of them; what is parked is
counted and listed by the heads of the lots, a trace of a key reads what belongs to it, and a trace of a transaction ID
scans only where neither ledger nor key knows it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from isthmus.chance import system_chance
from isthmus.change import Kind
from isthmus.clock import SystemClock
from isthmus.consumer.deciding import Guard
from isthmus.consumer.stores.dynamodb.bodies import Bodies
from isthmus.consumer.stores.dynamodb.heads import head_of
from isthmus.consumer.stores.dynamodb.heldlines import LINES, held_of
from isthmus.consumer.stores.dynamodb.holding import HoldingReader, is_held
from isthmus.consumer.stores.dynamodb.items import (
    GUARD,
    HISTORY,
    LEDGER,
    LISTED,
    OUTBOX,
    PARKED,
    PARTITION_KEY,
    SETTLED,
    SHARED,
    SORT_KEY,
    guard_of,
    history_row,
    ledger_key,
    of_key,
    parked_row,
)
from isthmus.consumer.stores.dynamodb.lotreading import LotReading
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.rows import EntityItems, Marks
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.writes import Expression, Place
from isthmus.consumer.stores.held import Held, HeldGate
from isthmus.consumer.stores.lot import ParkedKey, Selection, Waiting
from isthmus.consumer.stores.port import Entity
from isthmus.consumer.stores.reading import MOST_HELD, ParkedReason, Trace
from isthmus.errors import Poison
from isthmus.lifecycle import ThreadStop
from isthmus.payloads import Payloads

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from isthmus.consumer.stores.dynamodb.values import Item


class DynamoReader:
    """`StoreReader`, `LotReader` and `HeldReader` on DynamoDB.

    What it gives is of one moment per item, and not of one for all.

    `payloads` is where parked events lie that are too large for an item.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        settings: DynamoSettings,
        entities: Sequence[Entity],
        *,
        payloads: Payloads | None = None,
    ) -> None:
        self._requests = Requests(client, settings, stop=ThreadStop(), chance=system_chance())
        self._bodies = Bodies(self._requests, settings.table, payloads, SystemClock())
        self._lot = LotReading(self._requests, settings.table, self._bodies)
        self._holding = HoldingReader(self._requests, settings.table)
        self._table = settings.table
        self._marks = Marks(settings.prefix)
        self._states = [
            EntityItems(entity, entity.mapping, self._marks)
            for entity in entities
            if entity.mapping is not None and entity.kind is Kind.STATE
        ]

    def counts(self) -> Mapping[str, int]:
        """Give numbers of items by name."""
        counts: Counter[str] = Counter()
        parked: set[str] = set()
        for item in self._requests.scan(self._table):
            pk, sk = item[PARTITION_KEY]["S"], item[SORT_KEY]["S"]
            if pk == LISTED or pk.startswith(LINES):
                continue
            if sk.startswith(HISTORY):
                counts[f"history_{item['outcome']['S']}"] += 1
            elif sk.startswith(PARKED):
                counts["parked_changes"] += 1
                parked.add(pk)
            elif sk.startswith(GUARD):
                self._count(counts, item)
            elif sk == LEDGER or (sk == SETTLED and pk != SHARED):
                counts[sk] += 1
            elif pk == OUTBOX:
                counts[OUTBOX] += 1
        for _, item in self._guarded():
            self._count(counts, item)
        counts["parked_keys"] = len(parked)
        names = ("guards", "deleted", LEDGER, SETTLED, OUTBOX, "parked_changes")
        return dict.fromkeys(names, 0) | counts

    def parked_by_reason(self) -> list[ParkedReason]:
        """Give what is parked, the most changes first.

        Reads the heads alone, which know since when a key is parked without a break. So what is told as the oldest
        moment of a reason is too early where older changes of the same key are gone, or are parked for another reason.
        """
        changes: Counter[str] = Counter()
        keys: Counter[str] = Counter()
        since: dict[str, int] = {}
        for item in self._requests.query(self._table, LISTED, "", {}):
            head = head_of(item)
            if head is not None:
                changes.update(head.reasons)
                keys.update(head.reasons.keys())
                for reason in head.reasons:
                    since[reason] = min(since.get(reason, head.first_at_ms), head.first_at_ms)
        found = [ParkedReason(reason, keys[reason], count, since[reason]) for reason, count in changes.items()]
        return sorted(found, key=lambda each: (-each.changes, each.reason))

    def trace(self, key_or_txn: str) -> Trace | None:
        """Explain the entity of a key, or of a transaction ID."""
        ledger = self._requests.get(Place(self._table, ledger_key(key_or_txn)))
        took_effect = None if ledger is None else int(ledger["decided"]["N"])
        found = self._of_key(key_or_txn, took_effect)
        if _anything(found):
            return found
        key = ledger["key"]["S"] if ledger is not None else self._key_of(key_or_txn)
        return None if key is None else self._of_key(key, took_effect)

    def parked_keys(self, selection: Selection, *, after: str = "", most: int = 100) -> list[ParkedKey]:
        """Give the first keys behind `after`; see `LotReader`."""
        return self._lot.parked_keys(selection, after=after, most=most)

    def parked_of(self, key: str, *, skip: int = 0, most: int = 100) -> list[Waiting]:
        """Give changes of a key, but for the first `skip`; see `LotReader`."""
        return self._lot.parked_of(key, skip=skip, most=most)

    def held_by_gate(self) -> list[HeldGate]:
        """Give how much is held for which gate; see `HeldReader`."""
        return self._holding.by_gate()

    def held_of(self, key: str, *, most: int = 100) -> list[Held]:
        """Give the first that are held of a key; see `HeldReader`."""
        return self._holding.of(key, self._bodies, most=most)

    def _of_key(self, key: str, took_effect_ms: int | None) -> Trace:
        items = list(self._requests.query(self._table, of_key(key), "", {}))
        guards = [item for item in items if item[SORT_KEY]["S"].startswith(GUARD)]
        for entity in self._states:
            try:
                item = self._requests.get(Place(entity.table, entity.key(key)))
            except Poison:
                continue
            guards += [item] if item is not None else []
        standing = [guard for item in guards if (guard := guard_of(item, self._marks.prefix)) is not None]
        return Trace(
            key=key,
            guard=max(standing, key=lambda guard: guard.version, default=None),
            history=[history_row(item) for item in items if item[SORT_KEY]["S"].startswith(HISTORY)],
            parked=[parked_row(item) for item in items if item[SORT_KEY]["S"].startswith(PARKED)],
            # Without their events: of these one has a look elsewhere.
            held=[held_of(item, b"") for item in islice(filter(is_held, items), MOST_HELD)],
            took_effect_ms=took_effect_ms,
        )

    def _key_of(self, txn: str) -> str | None:
        wanted = {"FilterExpression": "txn = :txn", "ExpressionAttributeValues": {":txn": {"S": txn}}}
        for item in self._requests.scan(self._table, **wanted):
            if "key" in item:
                return item["key"]["S"]
        for entity, item in self._guarded():
            guard: Guard | None = guard_of(item, self._marks.prefix)
            if guard is not None and guard.txn == txn:
                return entity.entity_key(item)
        return None

    def _guarded(self) -> "Iterator[tuple[EntityItems, Item]]":
        """Give the items that carry guards, each once, with a type whose item it is."""
        expression = Expression()
        wanted: dict[str, Any] = {
            "FilterExpression": f"attribute_exists({expression.name(self._marks.version)})",
            **expression.members(),
        }
        for table in dict.fromkeys(entity.table for entity in self._states):
            sharing = [entity for entity in self._states if entity.table == table]
            for item in self._requests.scan(table, **wanted):
                yield next((each for each in sharing if each.entity_key(item) is not None), sharing[0]), item

    def _count(self, counts: Counter[str], item: "Item") -> None:
        guard = guard_of(item, self._marks.prefix)
        if guard is not None:
            counts["guards"] += 1
            counts["deleted"] += guard.deleted


def _anything(trace: Trace) -> bool:
    return trace.guard is not None or bool(trace.history or trace.parked or trace.held)
