"""The model back office, its pipelines, and what must become of each row, said here once more and simply."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from isthmus.change import Change, Kind, Verb, transaction_id, version_of
from isthmus.codec import encode
from isthmus.errors import Poison
from isthmus.pipeline import Delete, Pipeline, Skip, Transaction, Translated, Upsert
from isthmus.producer.sources.port import Page, SourceRow
from isthmus.references import References

THINGS: Final = "things"
"""The table of kind `state`."""
MOVES: Final = "moves"
"""The append-only table of kind `event`."""
ALIENS: Final = "aliens"
"""What somebody else's producer sends, out of order: kind `state`, no table here."""
TABLES: Final = (THINGS, MOVES)
ENTITY: Final = {THINGS: "thing", MOVES: "move", ALIENS: "alien"}
ALIEN_KEY: Final = "alien"
NAMELESS_ID: Final = 0
"""The key function fails on it."""
TWIN_ID: Final = 1
"""Its rows make two entities."""


class Fate(StrEnum):
    """What is to become of a row."""

    FINE = "fine"
    GONE = "gone"
    SKIPPED = "skipped"
    UNTRANSLATABLE = "untranslatable"
    OUT_OF_CONTRACT = "out-of-contract"
    """The consumer's contract refuses it."""
    UNSTORABLE = "unstorable"
    """A constraint of the user's table refuses it."""
    UNHANDLED = "unhandled"
    """The effect handler refuses it."""
    CRASHING = "crashing"
    """The effect handler raises what nobody knows."""

    @property
    def is_poison(self) -> bool:
        return self not in {Fate.FINE, Fate.GONE, Fate.SKIPPED}

    @property
    def unhandled(self) -> "Fate":
        """Give what becomes of the row where no handler runs: another poison stands for one that only a handler is."""
        return {Fate.UNHANDLED: Fate.OUT_OF_CONTRACT, Fate.CRASHING: Fate.UNSTORABLE}.get(self, self)


class Version(NamedTuple):
    """One entry of the journal: a row as one commit left it."""

    id: int
    position: int
    fate: Fate

    @property
    def values(self) -> dict[str, Any]:
        return {"id": self.id, "n": self.position, "fate": self.fate.value}


class State(BaseModel):
    """The contract of every entity here."""

    size: int
    fate: str


def key_of(row: Mapping[str, Any]) -> str:
    if row["id"] == NAMELESS_ID:
        raise LookupError("no name")
    return f"e/{row['id']}"


def _translate(row: Mapping[str, Any], _references: References) -> Sequence[Translated]:
    fate = Fate(row["fate"])
    twin = row["id"] == TWIN_ID
    if fate is Fate.UNTRANSLATABLE:
        raise RuntimeError("cannot be translated")
    if fate is Fate.SKIPPED:
        return [Skip("asked-for")]
    if fate is Fate.GONE:
        return [Delete(f"e/{row['id']}"), *([Delete("twin/1")] if twin else [])]
    state = State(size=-row["n"] if fate is Fate.UNSTORABLE else row["n"], fate=fate.value)
    return [state, *([Upsert("twin/1", state)] if twin else [])]


def validate(data: Any) -> None:
    if data["fate"] == Fate.OUT_OF_CONTRACT:
        raise Poison("contract")


def handle(transaction: Transaction, change: Change, _previous: Mapping[str, Any] | None) -> None:
    """Count the effect, in the transaction that decides. A poisonous one has had it when it is refused."""
    transaction.execute(
        "INSERT INTO effect (txn, key, version, size, fate, epoch, times) VALUES (?, ?, ?, ?, ?, ?, 1) "
        "ON CONFLICT (txn) DO UPDATE SET times = times + 1",
        (change.id, change.key, change.version, *content(change.data), change.epoch),
    )
    fate = (change.data or {}).get("fate")
    if fate == Fate.UNHANDLED:
        raise Poison("unhandled")
    if fate == Fate.CRASHING:
        raise ZeroDivisionError


def pipeline(table: str) -> Pipeline:
    """Give the pipeline of a table."""
    kind = Kind.EVENT if table == MOVES else Kind.STATE
    prefix = "m" if table == MOVES else ""

    def key(row: Mapping[str, Any]) -> str:
        return prefix + key_of(row)

    return Pipeline(entity=ENTITY[table], contract=State, key=key, translate=_translate, kind=kind)


def content(data: Mapping[str, Any] | None) -> tuple[int | None, str | None]:
    """Give size and fate of a state or event, of a delete neither."""
    return (None, None) if data is None else (data["size"], data["fate"])


def expected_payload(table: str, row: Version) -> tuple[str, Mapping[str, Any] | None]:
    """Give verb and data that each change of this row must carry; of an untranslated one the row is told."""
    if row.id == NAMELESS_ID or row.fate is Fate.UNTRANSLATABLE:
        return "untranslated", row.values
    if row.fate is Fate.GONE:
        return "delete", None
    size = -row.position if row.fate is Fate.UNSTORABLE else row.position
    return "event" if table == MOVES else "upsert", {"size": size, "fate": row.fate.value}


def expected_keys(table: str, row: Version) -> list[str]:
    """Give the keys under which changes of this row must come: none where it is filtered."""
    if row.fate is Fate.SKIPPED and row.id != NAMELESS_ID:
        return []
    if row.id == NAMELESS_ID:
        return [f"~raw/{table}/{source_key(table, row)}"]
    key = ("m" if table == MOVES else "") + f"e/{row.id}"
    return [key, "twin/1"] if row.id == TWIN_ID and row.fate is not Fate.UNTRANSLATABLE else [key]


def source_key(table: str, row: Version) -> str:
    """Give the primary key as a JSON array."""
    return f"[{row.id}]" if table == THINGS else f"[{row.id},{row.position}]"


def refuses(entity: str, data: Mapping[str, Any] | None) -> bool:
    """Say whether a front office must refuse this state or event for what it is."""
    fate = Fate((data or {}).get("fate", Fate.FINE))
    # An event writes no table, so there is no constraint to break.
    return fate.is_poison and not (fate is Fate.UNSTORABLE and entity == ENTITY[MOVES])


def foreign_events(chance: random.Random, positions: Iterator[int], lane: int, *, handled: bool) -> list[bytes]:
    """Give states of one alien entity, the newest not last, some of them poison, as another system would send them."""
    numbers = list(itertools.islice(positions, chance.randint(3, 6)))
    chance.shuffle(numbers)
    return [_foreign_event(chance, number, lane, handled=handled) for number in numbers]


def _foreign_event(chance: random.Random, number: int, lane: int, *, handled: bool) -> bytes:
    version = version_of(0, number)
    fate = chance.choice([Fate.FINE, Fate.UNHANDLED])
    state = {"size": number, "fate": (fate if handled else fate.unhandled).value}
    deleted = chance.random() < 0.2
    return encode(
        Change(
            id=transaction_id(ALIENS, ALIEN_KEY, version),
            source=ALIENS,
            entity=ENTITY[ALIENS],
            verb=Verb.DELETE if deleted else Verb.UPSERT,
            key=ALIEN_KEY,
            version=version,
            lane=lane,
            epoch=0,
            time="",
            data=None if deleted else state,
        )
    )


@dataclass
class Office:
    """Tables with a cursor in commit order, and the journal of every commit."""

    handled: bool
    """Whether a handler runs for what changes in `things`; without one, nothing but its table is written."""
    journal: dict[str, list[Version]] = field(default_factory=lambda: {table: [] for table in TABLES})
    now: dict[tuple[str, int], Version] = field(default_factory=dict)
    """What a reader sees. An event has a row of its own."""
    _position: int = 0

    def commit(self, table: str, row_id: int, fate: Fate) -> Version:
        """Modify a row (`things`) or append one (`moves`)."""
        self._position += 1
        if table == MOVES and fate in {Fate.GONE, Fate.SKIPPED, Fate.UNSTORABLE}:
            fate = Fate.FINE
        if table == THINGS and not self.handled:
            fate = fate.unhandled
        row = Version(row_id, self._position, fate)
        self.journal[table].append(row)
        self.now[table, row_id if table == THINGS else row.position] = row
        return row

    def is_shown(self, table: str, row: Version) -> bool:
        """Say whether the source still shows this version of the row."""
        return table == MOVES or self.now[table, row.id] is row

    def read(self, table: str, after: str | None, limit: int) -> Page:
        """Give a page, as `Source.read` promises it."""
        begin = int(after or 0)
        rows = sorted(
            (row for (name, _), row in self.now.items() if name == table and row.position > begin),
            key=lambda row: row.position,
        )
        bound = max((row.position for (name, _), row in self.now.items() if name == table), default=None)
        page = [SourceRow(row.values, row.position, str(row.position), source_key(table, row)) for row in rows[:limit]]
        return Page(page, bound, more=len(rows) > limit)
