"""What an operator does with parked changes: they go for good, or get another event. Each deed is in the audit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.change import RAW_KEY_PREFIX
from isthmus.consumer.redrive import settled_by
from isthmus.consumer.stores.dynamodb.auditing import audited
from isthmus.consumer.stores.dynamodb.bodies import MAX_INSIDE, NAMES
from isthmus.consumer.stores.dynamodb.cancelled import Unmet
from isthmus.consumer.stores.dynamodb.heads import head_of
from isthmus.consumer.stores.dynamodb.items import BYTES
from isthmus.consumer.stores.dynamodb.line import Lines
from isthmus.consumer.stores.dynamodb.parts import Parts
from isthmus.consumer.stores.dynamodb.settled import Settling
from isthmus.consumer.stores.dynamodb.values import number, size_of
from isthmus.consumer.stores.dynamodb.waiting import EDITED, as_it_waits, waiting_of
from isthmus.consumer.stores.lot import Deed, Waiting
from isthmus.errors import Poison

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item

_MOST_ROWS, _MOST_BYTES = 20, 1_000_000
"""In one transaction, which has 100 actions and 4 MB ("Quotas", TransactWriteItems): each one that is discarded goes,
stands in the audit, and settles its ID and perhaps its row."""


class Deeds:
    """Discards and edits."""

    def __init__(self, parts: Parts, lines: Lines, settling: Settling) -> None:
        self._parts = parts
        self._lines = lines
        self._settling = settling

    def discard(self, key: str, txns: Sequence[str], who: str, why: str) -> int:
        """Take changes out for good, in as many transactions as they need; give how many."""
        wanted, done, attempt = set(txns), 0, 0
        while wanted:
            rows, is_all = self._portion(key, wanted)
            try:
                if rows:
                    self._discard(rows, who, why)
            except Unmet:
                attempt += 1
                self._parts.requests.step_aside(attempt)
                continue
            wanted.difference_update(row["txn"]["S"] for row in rows)
            done += len(rows)
            if is_all:
                break
        return done

    def edit(self, key: str, old: Waiting, event: bytes, who: str, why: str) -> bool:
        """Put another event in a change's place; say whether it was still what `old` says."""
        attempt = 0
        while True:
            try:
                return self._edit(old._replace(key=key), event, who, why)
            except Unmet:
                attempt += 1
                self._parts.requests.step_aside(attempt)

    def _portion(self, key: str, wanted: set[str]) -> "tuple[list[Item], bool]":
        """Give as many of the changes as one transaction takes, and whether these are all that there are."""
        found, size = list["Item"](), 0
        for row in self._lines.every(key):
            if row["txn"]["S"] not in wanted:
                continue
            size += size_of(row)
            if found and (len(found) == _MOST_ROWS or size > _MOST_BYTES):
                return found, False
            found.append(row)
            if len(found) == len(wanted):
                break
        return found, True

    def _discard(self, rows: "Sequence[Item]", who: str, why: str) -> None:
        parts, now = self._parts, self._parts.clock.now_ms()
        waiting = [waiting_of(row, self._event(row) or b"") for row in rows]
        first = as_it_waits(waiting[0])
        at = parts.looking.standing(first, parts.entities.get(first.entity))
        head = head_of(at.lot.item)
        if head is None:
            raise Unmet({})
        # Nothing takes effect under a key that was made here, so no flag has to stay for what was discarded.
        newest = "" if first.key.startswith(RAW_KEY_PREFIX) else max(each.version for each in waiting)
        actions, _ = parts.lot.leaving(at, rows, now, settled=newest)
        for row in rows:
            actions.append(audited(parts.settings.table, row, Deed.DISCARD, who, why, now_ms=now, turn=head.turn))
        names = [name for each in waiting for name in settled_by(each)]
        parts.requests.transact([*actions, *self._settling.actions(names, now)])

    def _edit(self, old: Waiting, event: bytes, who: str, why: str) -> bool:
        parts, now = self._parts, self._parts.clock.now_ms()
        at = parts.looking.standing(as_it_waits(old), parts.entities.get(old.entity))
        row, head = at.row.item, head_of(at.lot.item)
        if row is None or head is None or self._event(row) != old.event:
            return False
        kept = parts.bodies.keep(event)
        stays = {name: value for name, value in row.items() if name not in (*NAMES, BYTES)}
        before = {name: row[name] for name in NAMES if name in row}
        # The audit holds both, and an item has 400 KB.
        made = parts.bodies.keep(event, max(0, MAX_INSIDE - size_of(before)))
        sets: dict[str, Attribute] = {**kept, EDITED: {"BOOL": True}, BYTES: number(size_of({**stays, **kept}))}
        after = head.edited()
        parts.requests.transact(
            [
                parts.lot.rewritten(row, after, sets, [name for name in NAMES if name not in kept]),
                *parts.lot.heads(at.lot, after),
                audited(parts.settings.table, row, Deed.EDIT, who, why, now_ms=now, turn=head.turn, made=made),
            ]
        )
        return True

    def _event(self, row: "Item") -> bytes | None:
        try:
            return self._parts.bodies.event(row)
        except Poison:
            return None
