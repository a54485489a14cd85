"""The held line of a key: what is known of it without a look at its changes, and how it lies in our own table. Pure.

| `pk` | `sk` | what |
|---|---|---|
| `held#<bucket>` | `<key>` | the line: while it is there, the key holds all that comes |
| `k#<key>` | `q#<place>` | one held change; the places grow in the order in which they came |
| `k#<key>` | `i#<txn>` | that a transaction ID is in the line: it comes again, and is held once |

Whatever changes a line writes it in the same transaction, with the condition that its turn is still the one that was
read. So two that hold, two that drain, and one of each, come one after the other, and who takes the last change out
knows it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from isthmus.consumer.stores.dynamodb.items import SORT_KEY, TOLD, TURN, item_key, of_key, short, told_of
from isthmus.consumer.stores.dynamodb.values import number, text
from isthmus.consumer.stores.held import Held, HeldGate, HeldHead
from isthmus.consumer.stores.port import Keeping

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item

LINES: Final = "held#"
"""Begins the partitions in which the lines lie. Their sort keys are entity keys, which may look like any other."""
HELD, NAME = "q#", "i#"
BUCKETS: Final = 16
"""All keys of a process may be held at once, and one partition takes 1,000 write units a second."""
_NAMED: Final = "="
"""Begins each name in a map: a name may be empty, and DynamoDB has no place for that."""


@dataclass(frozen=True, slots=True)
class HeldLine:
    """What the item of a line says. A key of which nothing is held has none."""

    key: str
    turn: int
    """Grows with every change of the line. It begins with the moment of the first one: a line that ended and began
    again in between is another one."""
    first: int
    """The place of the first change."""
    source: str
    entity: str
    """Of the first change, too: they decide whether the key may be drained."""
    rows: int
    types: Mapping[str, int]
    """How many changes by entity type, of those types of kind `state` whose items carry the mark."""
    gates: Mapping[str, tuple[int, int]]
    """By gate: how many changes, and a moment since when they are held: no later than the first of them."""

    def head(self) -> HeldHead:
        """Give what decides whether the key may be drained."""
        return HeldHead(self.key, self.source, self.entity)

    def marks(self, entity: str) -> bool:
        """Say whether the item of an entity of this type is to carry the mark."""
        return self.types.get(entity, 0) > 0

    def without_first(self, row: "Item", following: "Item | None") -> "HeldLine | None":
        """Give the line without its first change; None where it ends. `following` is the next one, as it stands."""
        if following is None:
            return None
        gate, entity = row["gate"]["S"], row["entity"]["S"]
        # What is behind the next one came after it.
        at_least = held_ms_of(following)
        left = {name: (count - (name == gate), max(since, at_least)) for name, (count, since) in self.gates.items()}
        types = {name: count for name, count in self.types.items() if name != entity}
        stay = self.types.get(entity, 0) - row["marks"]["BOOL"]
        return replace(
            self,
            turn=self.turn + 1,
            first=place_of(following),
            source=following["source"]["S"],
            entity=following["entity"]["S"],
            rows=self.rows - 1,
            types={**types, entity: stay} if stay > 0 else types,
            gates={name: said for name, said in left.items() if said[0] > 0},
        )

    def item(self) -> "dict[str, Attribute]":
        """Give the item."""
        types: dict[str, Attribute] = {f"{_NAMED}{name}": number(count) for name, count in self.types.items()}
        gates: dict[str, Attribute] = {
            f"{_NAMED}{name}": {"L": [number(count), number(since)]} for name, (count, since) in self.gates.items()
        }
        return {
            **line_key(self.key),
            TURN: number(self.turn),
            "first": number(self.first),
            "source": text(self.source),
            "entity": text(self.entity),
            "rows": number(self.rows),
            "types": {"M": types},
            "gates": {"M": gates},
        }


def with_held(line: HeldLine | None, keeping: Keeping, now_ms: int, *, marks: bool) -> HeldLine:
    """Give the line with one change more, at the place that is the line's new turn.

    `marks` says whether it is of a type whose items carry the mark.
    """
    change = keeping.delivered.change
    if line is None:
        line = HeldLine(change.key, now_ms - 1, now_ms, change.source, change.entity, 0, {}, {})
    count, since = line.gates.get(keeping.gate, (0, now_ms))
    types = {**line.types, change.entity: line.types.get(change.entity, 0) + 1} if marks else line.types
    gates = {**line.gates, keeping.gate: (count + 1, since)}
    return replace(line, turn=line.turn + 1, rows=line.rows + 1, types=types, gates=gates)


def line_of(item: "Item | None") -> HeldLine | None:
    """Give the line of an item."""
    if item is None:
        return None
    return HeldLine(
        key=item[SORT_KEY]["S"],
        turn=int(item[TURN]["N"]),
        first=int(item["first"]["N"]),
        source=item["source"]["S"],
        entity=item["entity"]["S"],
        rows=int(item["rows"]["N"]),
        types={name.removeprefix(_NAMED): int(count["N"]) for name, count in item["types"]["M"].items()},
        gates={
            name.removeprefix(_NAMED): (int(said["L"][0]["N"]), int(said["L"][1]["N"]))
            for name, said in item["gates"]["M"].items()
        },
    )


def held_item(keeping: Keeping, event: "Item", now_ms: int, place: int, *, marks: bool) -> "dict[str, Attribute]":
    """Give the item of a held change; `event` holds the event's bytes, or says where they are."""
    change = keeping.delivered.change
    return {
        **held_key(change.key, place),
        **told_of(keeping.delivered),
        "rowhash": text(change.rowhash),
        "entity": text(change.entity),
        "gate": text(keeping.gate),
        "decodable": {"BOOL": keeping.delivered.decoded},
        "held": number(now_ms),
        "marks": {"BOOL": marks},
        **event,
    }


def name_item(keeping: Keeping, place: int) -> "dict[str, Attribute]":
    """Give the item that says that a transaction ID is in the line."""
    change = keeping.delivered.change
    return {**name_key(change.key, change.id), "rowhash": text(change.rowhash), "place": number(place)}


def held_of(item: "Item", event: bytes) -> Held:
    """Give the held change of an item."""
    return Held(
        **{name: item[name]["S"] for name in TOLD if "S" in item[name]},
        rowhash=item["rowhash"]["S"],
        entity=item["entity"]["S"],
        epoch=int(item["epoch"]["N"]),
        arrived_ms=int(item["arrived"]["N"]),
        gate=item["gate"]["S"],
        event=event,
        decodable=item["decodable"]["BOOL"],
        held_ms=held_ms_of(item),
    )


def by_gate(lines: Iterable[HeldLine]) -> list[HeldGate]:
    """Give how much is held for which gate, the most changes first."""
    found: dict[str, HeldGate] = {}
    for line in lines:
        for gate, (count, since) in line.gates.items():
            known = found.get(gate, HeldGate(gate, 0, 0, since))
            found[gate] = HeldGate(gate, known.keys + 1, known.changes + count, min(known.since_ms, since))
    return sorted(found.values(), key=lambda each: (-each.changes, each.gate))


def place_of(item: "Item") -> int:
    """Give the place of a held change in its line."""
    return int(item[SORT_KEY]["S"].removeprefix(HELD))


def held_ms_of(item: "Item") -> int:
    """Give since when a change is held: milliseconds since 1970."""
    return int(item["held"]["N"])


def line_key(key: str) -> "dict[str, Attribute]":
    """Give the place of a key's line."""
    # As it is: an entity key has no more bytes than a sort key may have.
    return item_key(bucket(_bucket_of(key)), key)


def bucket(number_of_it: int) -> str:
    """Give one of the partitions in which lines lie."""
    return f"{LINES}{number_of_it}"


def held_key(key: str, place: int) -> "dict[str, Attribute]":
    """Give the place of a held change."""
    return item_key(of_key(key), f"{HELD}{place:020d}")


def name_key(key: str, txn: str) -> "dict[str, Attribute]":
    """Give the place where it says that an ID is in the line."""
    return item_key(of_key(key), f"{NAME}{short(txn)}")


def _bucket_of(key: str) -> int:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[0] % BUCKETS
