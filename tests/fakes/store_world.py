"""For the stores' contract: an applier on a store, handlers that count their effects, and the rules once more."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from isthmus.change import Change, Kind, Outcome, Verb, version_of
from isthmus.clock import Clock
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Decider, Delivered, Entity, Session, Store, TableMapping
from isthmus.consumer.stores.reading import StoreReader
from isthmus.errors import Poison, Transient
from isthmus.metrics import Metrics
from isthmus.pipeline import Row, Transaction
from tests.fakes.clock import FakeClock

APPLIED, DUPLICATE, STALE, FENCED, PARKED = (
    Outcome.APPLIED,
    Outcome.DUPLICATE,
    Outcome.STALE,
    Outcome.FENCED,
    Outcome.PARKED,
)
SOURCE = "flights"


class FrontOffice(Protocol):
    """A store with the test's tables, and ways to look into it and to break it.

    `thing` (`key`, `size`, `note`, `version`; the size must not be negative), which the entities `thing` are mapped
    to, and `effect` (`txn`, `times`), which handlers write.
    """

    transactional: bool
    """Whether a batch is one transaction; else each change is one."""

    def effect(self, tx: Transaction, txn: str) -> object:
        """Count one effect of this transaction ID in `effect`; give what the handler is to return."""
        ...

    def store(self, entities: Sequence[Entity]) -> Store: ...
    def decider(
        self, store: Store, entities: Mapping[str, Entity], clock: Clock, metrics: Metrics, *, history: bool
    ) -> Decider:
        """Give a decider with connections of its own."""
        ...

    def reader(self) -> StoreReader: ...
    def fresh(self) -> "FrontOffice":
        """Give another one, empty."""
        ...

    def settle(self, txn: str) -> None:
        """Write a transaction ID that an operator settled at the moment 0."""
        ...

    def outage(self) -> BaseException:
        """Give the driver's own error for a store that is away."""
        ...

    def break_at(
        self, decider: Decider, at: int, error: BaseException, *, only: str = "", after: bool = False
    ) -> Callable[[], bool]:
        """Make one statement of a decider raise instead of run: number `at`, from 0, of those with `only` in them.

        With `after` it runs first. Give a function that says whether it happened.
        """
        ...

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Give the rows of one of the test's tables in the order of their first column."""
        ...

    def own(self, name: str) -> list[dict[str, Any]]:
        """Give the rows of one of our own tables, in a fixed order, without moments and places.

        `guard` (key, version, txn, rowhash, deleted), `ledger` (txn, ...), `settled` (txn), `parked` (key, txn,
        version, reason, message, event, ...), `outbox` (key, txn, event, ...), `fence` (source, lane, epoch) and
        `history`.
        """
        ...

    def told(self) -> list[tuple[str, str]]:
        """Give transaction ID and outcome of each row of the history, in the order in which they were told."""
        ...


class Told:
    """What handlers were told, and how they misbehave."""

    def __init__(self, office: FrontOffice) -> None:
        self.previous: list[tuple[str, Row | None]] = []
        self.raises: dict[str, list[BaseException]] = {}
        """By transaction ID: what to raise, time after time, after the effect was written."""
        self.swallows: bool | Exception = False
        self._office = office

    def __call__(self, tx: Transaction, change: Change, previous: Row | None) -> object:
        self.previous.append((change.id, previous))
        effect: object = None
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
        """Give one more decider, as another process has one."""
        by_name = {entity.name: entity for entity in self.entities}
        return self.office.decider(self.store, by_name, self.clock, self.metrics, history=self.history)

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
    fields = {"id": f"{key}-{n}", "entity": "thing", "verb": Verb.UPSERT, "rowhash": f"hash-{n}", "data": data, **other}
    return Change(
        source=SOURCE, key=key, version=version_of(0, n), lane=1, epoch=fields.pop("epoch", 1), time="", **fields
    )


def delete(n: int, key: str = "k") -> Change:
    return upsert(n, key)._replace(verb=Verb.DELETE, data=None)


def event(n: int, key: str = "k", **other: Any) -> Change:
    return upsert(n, key, **other)._replace(entity="posting", verb=Verb.EVENT)


def untranslated(n: int, key: str = "k", entity: str = "thing") -> Change:
    data = {"reason": "no-airport", "message": "BQN is unknown", "row": {"a": n}}
    return upsert(n, key)._replace(entity=entity, verb=Verb.UNTRANSLATED, data=data)


def marker(epoch: int, lane: int = 1, source: str = SOURCE) -> Change:
    return Change(f"m-{epoch}", source, "epoch", Verb.MARKER, "", "", lane, epoch, "")


class ByModel:
    """The rules once more, one change after another, in a few lines: what the end must be whatever the batches were."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, str]] = {}
        self.guards: dict[str, tuple[str, str]] = {}
        self.ledger: set[str] = set()
        self.lot: dict[tuple[str, str], str] = {}
        self.fence = 0

    def take(self, change: Change) -> Outcome | None:  # noqa: PLR0911 - one for each rule
        if change.verb is Verb.MARKER:
            self.fence = max(self.fence, change.epoch)
            return None
        if change.epoch < self.fence:
            return FENCED
        is_event = change.entity == "posting"
        version, txn = self.guards.get(change.key, ("", ""))
        if change.id in self.ledger or (not is_event and change.id == txn):
            return DUPLICATE
        if not is_event and change.version <= version:
            return STALE
        if (change.key, change.id) in self.lot:
            return PARKED
        bad = change.verb is Verb.UNTRANSLATED or bool(
            change.data and (change.data["size"] < 0 or change.data["note"] == "wrong")
        )
        if bad or (is_event and any(key == change.key for key, _ in self.lot)):
            self.lot[change.key, change.id] = change.version
            return PARKED
        if is_event:
            self.ledger.add(change.id)
            return APPLIED
        self.guards[change.key] = (change.version, change.id)
        self.lot = {place: old for place, old in self.lot.items() if place[0] != change.key or old > change.version}
        self.rows.pop(change.key, None)
        if change.verb is Verb.UPSERT:
            self.rows[change.key] = (change.data["size"], change.data["note"])
        return APPLIED


def agrees(world: World, model: ByModel) -> None:
    rows = {row["key"]: (row["size"], row["note"]) for row in world.office.rows("thing")}
    assert rows == model.rows
    assert {row["key"]: (row["version"], row["txn"]) for row in world.office.own("guard")} == model.guards
    assert {row["txn"] for row in world.office.own("ledger")} == model.ledger
    assert {(row["key"], row["txn"]): row["version"] for row in world.office.own("parked")} == model.lot
    assert all(times == 1 for times in world.effects().values())


BATCH = (upsert(1), upsert(2, "b", size=-1), delete(2), event(1, "e"), untranslated(3), upsert(4), marker(2))
