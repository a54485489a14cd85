"""The head of a key's parking lot: what is known of the lot without a look at its changes. Pure.

Whatever changes a lot (parking, freeing, a redrive, a discard, an edit) writes its head in the same transaction, with
the condition that its turn is still the one that was read. So two of them never miss each other, the number of changes
is exact, and the one that takes the last change out knows it. The list of all parked keys holds a copy.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from isthmus.consumer.deciding import BEHIND
from isthmus.consumer.stores.dynamodb.items import TURN, listed_key, lot_key
from isthmus.consumer.stores.dynamodb.values import number, text
from isthmus.consumer.stores.lot import ParkedKey, Selection
from isthmus.consumer.stores.port import Parking

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item

DECIDING: Final = (TURN,)
"""What must be as it was read."""

_MOST_NAMES: Final = 50
"""Reasons, and sources, of one key that are counted by name. A foreign producer may make up as many as it likes, and an
item has 400 KB."""
_NAMED: Final = "="
"""Begins each name in a map: a name may be empty, and DynamoDB has no place for that."""

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Head:
    """What the head says. A lot without changes has none."""

    key: str
    turn: int
    """Grows with every change of the lot. It begins with the moment of the first parking: a lot that ended and began
    again in between is another one."""
    rows: int
    newest: str
    """The newest version that was parked since the lot began, whether it is still there or not."""
    entity: str
    first_at_ms: int
    """Since when the key is parked without a break."""
    last_at_ms: int
    reasons: Counts
    sources: Counts
    whole: bool = True
    """False where there were more names than are counted."""
    settled: str = ""
    """The newest version that an operator settled since the lot began."""

    def tried_again(self, before: str, after: str) -> "Head":
        """Give the head when a change stays, for another reason."""
        reasons = _more(_less(self.reasons, [before]), after)
        return self._with(reasons=reasons, whole=self.whole and after in reasons)

    def edited(self) -> "Head":
        """Give the head when the event of a change became another one."""
        return self._with()

    def without(self, rows: "Sequence[Item]", *, settled: str = "") -> "Head | None":
        """Give the head when these changes are gone, None where they were all; `settled` is the newest settled one."""
        if len(rows) >= self.rows:
            return None
        return self._with(
            rows=self.rows - len(rows),
            reasons=_less(self.reasons, [row["reason"]["S"] for row in rows]),
            sources=_less(self.sources, [row["source"]["S"] for row in rows]),
            settled=max(self.settled, settled),
        )

    def fits(self, selection: Selection) -> bool | None:
        """Say whether a change of the key fits all that is said; None where that needs a look at them."""
        reason, source = selection.reason, selection.source
        since, until = selection.since_ms, selection.until_ms
        if (reason is not None and self.whole and reason not in self.reasons) or (
            source is not None and self.whole and source not in self.sources
        ):
            return False
        # Bounds of those that are there, and perhaps of some that are gone.
        if (since is not None and self.last_at_ms < since) or (until is not None and self.first_at_ms >= until):
            return False
        any_time = (since is None or self.first_at_ms >= since) and (until is None or self.last_at_ms < until)
        named = sum(each is not None for each in (reason, source))
        # Two names may be those of two changes.
        of_one = self.whole and (named == 1 or len(self.reasons) == 1 or len(self.sources) == 1)
        return True if any_time and (named == 0 or of_one) else None

    def parked_key(self) -> ParkedKey:
        """Give what is listed of the key."""
        reason = min((name for name in self.reasons if name != BEHIND), default=BEHIND)
        source = min(self.sources, default="")
        return ParkedKey(self.key, self.rows, reason, source, self.entity, self.first_at_ms)

    def items(self) -> "tuple[dict[str, Attribute], dict[str, Attribute]]":
        """Give the item of the head, and its copy in the list of all parked keys."""
        held: dict[str, Attribute] = {
            "key": text(self.key),
            TURN: number(self.turn),
            "rows": number(self.rows),
            "newest": text(self.newest),
            "entity": text(self.entity),
            "first_at": number(self.first_at_ms),
            "last_at": number(self.last_at_ms),
            "reasons": _counts(self.reasons),
            "sources": _counts(self.sources),
            "whole": {"BOOL": self.whole},
            "settled": text(self.settled),
        }
        return {**lot_key(self.key), **held}, {**listed_key(self.key), **held}

    def _with(self, **changed: Any) -> "Head":
        return replace(self, turn=self.turn + 1, **changed)


def with_parked(head: Head | None, parking: Parking, now_ms: int, *, settled: str = "") -> Head:
    """Give the head of a lot with one change more, `settled` being what it is where the lot begins."""
    change = parking.delivered.change
    if head is None:
        head = Head(change.key, now_ms - 1, 0, "", change.entity, now_ms, now_ms, {}, {}, settled=settled)
    reasons, sources = _more(head.reasons, parking.reason), _more(head.sources, change.source)
    return replace(
        head,
        turn=head.turn + 1,
        rows=head.rows + 1,
        newest=max(head.newest, change.version),
        first_at_ms=min(head.first_at_ms, now_ms),
        last_at_ms=max(head.last_at_ms, now_ms),
        reasons=reasons,
        sources=sources,
        whole=head.whole and parking.reason in reasons and change.source in sources,
    )


def head_of(item: "Item | None") -> Head | None:
    """Give the head of an item, or of its copy in the list."""
    if item is None:
        return None
    return Head(
        key=item["key"]["S"],
        turn=int(item[TURN]["N"]),
        rows=int(item["rows"]["N"]),
        newest=item["newest"]["S"],
        entity=item["entity"]["S"],
        first_at_ms=int(item["first_at"]["N"]),
        last_at_ms=int(item["last_at"]["N"]),
        reasons=_counted(item["reasons"]),
        sources=_counted(item["sources"]),
        whole=item["whole"]["BOOL"],
        settled=item["settled"]["S"],
    )


def turn_of(item: "Item") -> int:
    """Give the turn of a head, or of a parked change."""
    return int(item[TURN]["N"])


def _more(counts: Counts, name: str) -> Counts:
    if name not in counts and len(counts) >= _MOST_NAMES:
        return counts
    return {**counts, name: counts.get(name, 0) + 1}


def _less(counts: Counts, names: Iterable[str]) -> Counts:
    left = dict(counts)
    for name in names:
        # A name that was one too many was never counted.
        if left.get(name, 0) > 1:
            left[name] -= 1
        else:
            left.pop(name, None)
    return left


def _counts(counts: Counts) -> "Attribute":
    return {"M": {f"{_NAMED}{name}": number(count) for name, count in counts.items()}}


def _counted(held: "Attribute") -> Counts:
    return {name.removeprefix(_NAMED): int(count["N"]) for name, count in held["M"].items()}
