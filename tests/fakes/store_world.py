"""For the stores' contract: an applier on a store, and handlers that count their effects."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple, Protocol

from isthmus.change import Change, Kind, Outcome, Verb, version_of
from isthmus.clock import Clock
from isthmus.consumer.applier import Applier
from isthmus.consumer.redrive import Redriver, Remake
from isthmus.consumer.stores.lot import LotReader
from isthmus.consumer.stores.port import Decider, Delivered, Entity, Session, Store, TableMapping
from isthmus.consumer.stores.reading import StoreReader
from isthmus.errors import Poison, Transient
from isthmus.metrics import Metrics
from isthmus.pipeline import Row, Transaction
from tests.fakes.clock import FakeClock

APPLIED, UNCHANGED, DUPLICATE, STALE, FENCED, PARKED = (
    Outcome.APPLIED,
    Outcome.UNCHANGED,
    Outcome.DUPLICATE,
    Outcome.STALE,
    Outcome.FENCED,
    Outcome.PARKED,
)
SOURCE = "flights"


class Holds(Enum):
    """What a column of a value table means by a value, and so what counts as the same value in it."""

    ANY = "any"
    """Each value as it is."""
    TEXT = "text"
    """Text, character by character; a number as a text of the same number, an object as JSON text."""
    NUMBER = "number"
    """A number, compared as numbers: 1.10 is 1.1, -0 is 0, and 0.1 is the double that is written so."""
    TRUTH = "truth"
    """True or false."""
    JSON = "json"
    """A JSON value, in which only the form of a number and the order of members may differ."""
    MOMENT = "moment"
    """A moment in time, in any zone."""
    DAY = "day"
    """A day of the calendar, and nothing finer."""


class ValueTable(NamedTuple):
    """A table `value` for changes of any shape: a text key `key`, and columns that may all be NULL."""

    columns: Mapping[str, Holds]
    """As many types as the store has, the narrow ones too: what does not fit is to be parked."""
    read: Callable[[], Mapping[str, Mapping[str, Any]]]
    """Gives the rows that are there by key, values by column; None for NULL and for what is not there.

    MOMENT in microseconds since 1970, DAY in days since 1970 (both in the calendar of today, before its time too),
    JSON as JSON text, everything else as a Python value that holds it exactly.
    """


class FrontOffice(Protocol):
    """A store with the test's tables, and ways to look into it and to break it.

    `thing` (`key`, `size`, `note`, `version`; the size must not be negative), which the entities `thing` are mapped
    to, and `effect` (`txn`, `times`), which handlers write.
    """

    transactional: bool
    """Whether a batch is one transaction; else each change is one."""
    guards_apart: bool
    """Whether each entity type's guards lie with its own items, so that keys of two types may have the same text."""
    few: bool
    """Whether the store is so slow that a test of very many cases shall take some of them, by a fixed seed."""

    def effect(self, tx: Transaction, txn: str) -> object:
        """Count one effect of this transaction ID in `effect`; give what the handler is to return."""
        ...

    def store(self, entities: Sequence[Entity]) -> Store: ...
    def decider(
        self, store: Store, entities: Mapping[str, Entity], clock: Clock, metrics: Metrics, *, history: bool
    ) -> Decider:
        """Give a decider with connections of its own."""
        ...

    def redriver(
        self, store: Store, entities: Mapping[str, Entity], remake: Remake, clock: Clock, *, history: bool
    ) -> Redriver:
        """Give a redriver with connections of its own."""
        ...

    def reader(self) -> StoreReader: ...
    def lot(self) -> LotReader: ...
    def fresh(self) -> "FrontOffice":
        """Give another one, empty."""
        ...

    def damage(self, key: str) -> None:
        """Change the note of a `thing` as the front office itself would."""
        ...

    def settle(self, txn: str) -> None:
        """Write a transaction ID that an operator settled at the moment 0."""
        ...

    def outage(self) -> BaseException:
        """Give the driver's own error for a store that is away."""
        ...

    def break_at(
        self, decider: Decider | Redriver, at: int, error: BaseException, *, only: str = "", after: bool = False
    ) -> Callable[[], bool]:
        """Make one statement raise instead of run: number `at`, from 0, of those with `only` in them.

        With `after` it runs first. Give a function that says whether it happened.
        """
        ...

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Give the rows of one of the test's tables in the order of their first column."""
        ...

    def own(self, name: str) -> list[dict[str, Any]]:
        """Give the rows of one of our own tables, in a fixed order, without moments and places.

        `guard` (key, version, txn, rowhash, deleted), `ledger` (txn, ...), `settled` (txn), `parked` (key, txn,
        version, reason, message, event, attempts, ...), `outbox` (key, txn, event, ...), `audit` (deed, who, why, key,
        txn, event, made), `fence` (source, lane, epoch) and `history`.
        """
        ...

    def told(self) -> list[tuple[str, str]]:
        """Give transaction ID and outcome of each row of the history, in the order in which they were told."""
        ...

    def value_table(self) -> ValueTable:
        """Make the table `value` where it is not there; say what its columns hold."""
        ...


class Told:
    """What handlers were told, and how they misbehave."""

    def __init__(self, office: FrontOffice) -> None:
        self.previous: list[tuple[str, Row | None]] = []
        self.raises: dict[str, list[BaseException]] = {}
        """By transaction ID: what to raise, time after time, after the effect was written."""
        self.meanwhile: dict[str, list[Callable[[], object]]] = {}
        """By transaction ID: what happens, time after time, before the effect is written."""
        self.swallows: bool | Exception = False
        self._office = office

    def __call__(self, tx: Transaction, change: Change, previous: Row | None) -> object:
        self.previous.append((change.id, previous))
        effect: object = None
        if self.meanwhile.get(change.id):
            self.meanwhile[change.id].pop(0)()
        try:
            effect = self._office.effect(tx, change.id)
        except Transient:
            if not self.swallows:
                raise
            with suppress(Transient):
                self._office.effect(tx, "behind the unit's back")
            if isinstance(self.swallows, Exception):
                raise self.swallows from None
        if self.raises.get(change.id):
            raise self.raises[change.id].pop(0)
        return effect


class World:
    """An applier on a store that knows `thing`, of kind state, and `posting`, of kind event with handlers only."""

    def __init__(self, office: FrontOffice, *, history: bool = True) -> None:
        self.office = office
        self.told = Told(office)
        mapping = TableMapping("thing", "key", "version", {"size": "size", "note": "note"})
        self.entities = [
            Entity("thing", Kind.STATE, mapping, contract, (self.told,)),
            Entity("posting", Kind.EVENT, None, contract, (self.told,)),
        ]
        self.store = office.store(self.entities)
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.history = history
        self.decider = self.another()

    def another(self) -> Decider:
        """Give one more decider of the same store, as another shard of this process has one."""
        return self._decider(self.store)

    def elsewhere(self) -> Decider:
        """Give one more decider, as another process has one."""
        return self._decider(self.office.store(self.entities))

    def _decider(self, store: Store) -> Decider:
        by_name = {entity.name: entity for entity in self.entities}
        return self.office.decider(store, by_name, self.clock, self.metrics, history=self.history)

    def redriver(self, remake: Remake) -> Redriver:
        """Give a redriver, as another process has one."""
        by_name = {entity.name: entity for entity in self.entities}
        store = self.office.store(self.entities)
        return self.office.redriver(store, by_name, remake, self.clock, history=self.history)

    @property
    def session(self) -> Session:
        """The decider's session, where a batch is one transaction."""
        assert isinstance(self.decider, Applier)
        return self.decider._session

    def apply(self, *changes: Change) -> list[Outcome | None]:
        self.clock.move(1)
        return self.decider.apply([delivered(change) for change in changes])

    def close(self) -> None:
        self.decider.close()

    def state(self) -> dict[str, Any]:
        """Give everything that the store holds, but for moments."""
        names = ("guard", "ledger", "settled", "parked", "outbox", "fence", "history")
        own = {name: self.office.own(name) for name in names}
        return {"thing": self.office.rows("thing"), "effect": self.office.rows("effect"), **own}

    def parked(self) -> list[tuple[str, str]]:
        return sorted((row["txn"], row["reason"]) for row in self.office.own("parked"))

    def effects(self) -> dict[str, int]:
        return {row["txn"]: row["times"] for row in self.office.rows("effect")}

    def history_of(self) -> dict[str, str]:
        return dict(self.office.told())


def contract(data: Any) -> None:
    if isinstance(data, dict) and data.get("note") == "wrong":
        raise Poison("contract", "wrong note")
    if isinstance(data, dict) and data.get("note") == "odd":
        raise ZeroDivisionError


def delivered(change: Change) -> Delivered:
    return Delivered(change, "shard-0", "1", 1)


def upsert(n: int, key: str = "k", **other: Any) -> Change:
    """Give a state of the entity, version n, that is good unless `size` or `note` make it bad."""
    data = {"size": other.pop("size", n), "note": other.pop("note", "fine")}
    version = version_of(other.pop("generation", 0), n)
    fields = {"id": f"{key}-{n}", "entity": "thing", "verb": Verb.UPSERT, "rowhash": f"hash-{n}", "data": data, **other}
    return Change(source=SOURCE, key=key, version=version, lane=1, epoch=fields.pop("epoch", 1), time="", **fields)


def delete(n: int, key: str = "k") -> Change:
    return upsert(n, key)._replace(verb=Verb.DELETE, data=None)


def event(n: int, key: str = "k", **other: Any) -> Change:
    return upsert(n, key, **other)._replace(entity="posting", verb=Verb.EVENT)


def untranslated(n: int, key: str = "k", entity: str = "thing") -> Change:
    data = {"reason": "no-airport", "message": "BQN is unknown", "row": {"a": n}}
    return upsert(n, key)._replace(entity=entity, verb=Verb.UNTRANSLATED, data=data)


def marker(epoch: int, lane: int = 1, source: str = SOURCE) -> Change:
    return Change(f"m-{epoch}", source, "epoch", Verb.MARKER, "", "", lane, epoch, "")


BATCH = (upsert(1), upsert(2, "b", size=-1), delete(2), event(1, "e"), untranslated(3), upsert(4), marker(2))
