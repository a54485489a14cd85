"""What every front-office store does where entity types meet in one key, and with what user code does to a change.

An adapter's test module derives a class from `StoreTypesContract`, and provides the fixture `office`: a `FrontOffice`,
fresh and prepared.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Protocol

import orjson
import pytest

from isthmus.change import Change, Kind, Outcome
from isthmus.consumer.deciding import ANOTHER_TYPE
from isthmus.consumer.stores.port import Decider, Entity, TableMapping
from isthmus.errors import Poison, Refused
from isthmus.metrics import Metrics
from isthmus.pipeline import Handler, Row, RowFunction, Transaction
from tests.fakes.clock import FakeClock
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    PARKED,
    STALE,
    FrontOffice,
    World,
    contract,
    delete,
    delivered,
    event,
    untranslated,
    upsert,
)


class SqlOffice(FrontOffice, Protocol):
    """A front office that runs statements."""

    def run(self, statement: str) -> object: ...


FIELDS = {"size": "size", "note": "note"}
THING = Entity("thing", Kind.STATE, TableMapping("thing", "key", "version", FIELDS), contract)


@contextmanager
def deciding(office: FrontOffice, *entities: Entity) -> Iterator[Decider]:
    by_name = {entity.name: entity for entity in entities}
    store = office.store(entities)
    with closing(office.decider(store, by_name, FakeClock(), Metrics(), history=True)) as decider:
        yield decider


def apply(decider: Decider, *changes: Change) -> list[Outcome | None]:
    return decider.apply([delivered(change) for change in changes])


def orders(office: FrontOffice) -> Entity:
    """Give another type of kind `state`: it has no table, and its handler counts."""
    return Entity("order", Kind.STATE, None, contract, (lambda tx, change, _: office.effect(tx, change.id),))


def order(n: int, key: str = "k") -> Change:
    return upsert(n, key, id=f"order-{key}-{n}", entity="order")._replace(source="/app/orders")


def parked(office: FrontOffice) -> list[tuple[str, str]]:
    return sorted((row["txn"], row["reason"]) for row in office.own("parked"))


def effects(office: FrontOffice) -> dict[str, int]:
    return {row["txn"]: row["times"] for row in office.rows("effect")}


class StoreTypesContract:
    """Types that share keys, and user code."""

    @pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "one by one"])
    def test_of_two_types_of_states_with_one_key_neither_makes_the_other_stale(
        self, office: FrontOffice, *, at_once: bool
    ) -> None:
        changes = [upsert(7), order(3), order(8), upsert(5), upsert(9), order(3)]
        with deciding(office, THING, orders(office)) as decider:
            found = apply(decider, *changes) if at_once else [apply(decider, each)[0] for each in changes]
            if office.guards_apart:
                assert found == [APPLIED, APPLIED, APPLIED, STALE, APPLIED, STALE]
                assert effects(office) == {"order-k-3": 1, "order-k-8": 1}
            else:
                assert found == [APPLIED, PARKED, PARKED, STALE, APPLIED, PARKED]
                assert parked(office) == [("order-k-3", ANOTHER_TYPE), ("order-k-8", ANOTHER_TYPE)]
                assert [row["txn"] for row in office.own("outbox")] == ["order-k-3", "order-k-8"]
                assert "'thing'" in office.own("parked")[0]["message"]
        assert [(row["key"], row["size"]) for row in office.rows("thing")] == [("k", 9)]

    def test_where_a_deleted_entity_is_remembered_its_key_is_still_its_types(self, office: FrontOffice) -> None:
        with deciding(office, THING, orders(office)) as decider:
            outcome = APPLIED if office.guards_apart else PARKED
            assert apply(decider, order(3), delete(7)) == [APPLIED, outcome]
            assert apply(decider, order(4)) == [APPLIED]

    def test_plainly_new_states_of_two_types_with_one_key_are_not_taken_for_one(self, office: FrontOffice) -> None:
        twin = Entity("twin", Kind.STATE, THING.mapping, None)
        with deciding(office, THING) as decider:
            assert apply(decider, upsert(1)) == [APPLIED]
        if not office.guards_apart:
            with deciding(office, twin) as decider:
                assert apply(decider, upsert(2, id="twin")._replace(entity="twin")) == [PARKED]
            assert [row["size"] for row in office.rows("thing")] == [1]

    def test_a_state_frees_nothing_that_is_parked_of_another_type(self, office: FrontOffice) -> None:
        posting = Entity("posting", Kind.EVENT, None, contract, (lambda tx, change, _: office.effect(tx, change.id),))
        lost = untranslated(2, entity="order")._replace(id="lost")
        with deciding(office, THING, posting) as decider:
            batch = (event(1, note="wrong", id="bad"), event(3, id="behind"), lost, untranslated(4))
            assert apply(decider, *batch) == [PARKED] * 4
            assert apply(decider, upsert(9)) == [APPLIED]
            assert parked(office) == [("bad", "contract"), ("behind", "behind"), ("lost", "no-airport")]
            assert dict(office.told())["k-4"] == "superseded"
            assert apply(decider, event(8, id="later"), untranslated(10), upsert(11)) == [PARKED, PARKED, APPLIED]
            assert [txn for txn, _ in parked(office)] == ["bad", "behind", "later", "lost"]

    def test_events_and_states_of_one_key_live_side_by_side(self, office: FrontOffice) -> None:
        posting = Entity("posting", Kind.EVENT, None, contract, (lambda tx, change, _: office.effect(tx, change.id),))
        with deciding(office, THING, posting) as decider:
            assert apply(decider, upsert(5), event(1, id="e"), event(6, id="f"), upsert(4)) == [
                APPLIED,
                APPLIED,
                APPLIED,
                STALE,
            ]

    def test_of_a_type_that_nobody_knows_only_its_own_guard_or_the_same_id_counts(self, office: FrontOffice) -> None:
        with deciding(office, THING) as decider:
            assert apply(decider, upsert(7)) == [APPLIED]
            assert apply(decider, upsert(7)._replace(entity="new"), order(3)) == [DUPLICATE, PARKED]
            assert parked(office) == [("order-k-3", "unknown-entity")]

    # user code

    def test_a_handler_that_changes_what_it_is_handed_changes_nothing_else(self, office: FrontOffice) -> None:
        seen: list[Any] = []

        def spoils(tx: Transaction, change: Change, previous: Row | None) -> object:
            seen.append((change.id, change.data["size"], list(change.data["deep"][0]["list"])))
            change.data["deep"][0]["list"].append(2)
            if isinstance(previous, dict):
                previous.clear()
            if change.data.pop("note") == "bad":
                raise Poison("my-reason")
            change.data["size"] *= 100
            return office.effect(tx, change.id)

        def counts(_: Transaction, change: Change, previous: Row | None) -> None:
            seen.append((change.id, change.data["size"], previous is None or bool(previous)))

        data = {"size": 1, "note": "fine", "deep": [{"list": [1]}]}
        batch = [upsert(1, f"k{n}", data={**data, "note": "bad" if n == 3 else "fine"}) for n in range(5)]
        sent = orjson.dumps([change.data for change in batch])
        spoiled = Entity("thing", Kind.STATE, THING.mapping, None, (spoils, counts))
        with deciding(office, spoiled) as decider:
            assert apply(decider, *batch) == [APPLIED, APPLIED, APPLIED, PARKED, APPLIED]
            assert apply(decider, upsert(2, "k0", data=data)) == [APPLIED]
        assert {size for _, size, _ in seen} == {1}
        assert all(rest in ([1], True) for _, _, rest in seen)
        assert orjson.dumps([change.data for change in batch]) == sent
        (row,) = office.own("parked")
        assert (row["reason"], orjson.loads(row["event"])["data"]) == ("my-reason", {**data, "note": "bad"})

    def test_a_row_function_that_takes_its_state_apart_changes_nothing_else(self, office: FrontOffice) -> None:
        row = RowFunction(("size", "note"), lambda state: {"size": state.pop("size"), "note": state.pop("note")})
        mapping = TableMapping("thing", "key", columns=FIELDS, values=row.row)
        with deciding(office, Entity("thing", Kind.STATE, mapping, None)) as decider:
            outcomes = apply(decider, *[upsert(1, f"k{n}", size=-1 if n == 3 else n) for n in range(6)])
        assert outcomes == [PARKED if n == 3 else APPLIED for n in range(6)]
        assert [row["size"] for row in office.rows("thing")] == [0, 1, 2, 4, 5]
        (parked_row,) = office.own("parked")
        assert parked_row["reason"] == "constraint"
        assert orjson.loads(parked_row["event"])["data"] == {"size": -1, "note": "fine"}

    @pytest.mark.parametrize("what", ["number", "generator", "coroutine"])
    def test_what_a_handler_returns_by_mistake_parks_its_change_and_undoes_its_effect(
        self, office: FrontOffice, what: str
    ) -> None:
        def number(tx: Transaction, change: Change, _: Row | None) -> object:
            office.effect(tx, change.id)
            return 1 if change.key == "bad" else office.effect(tx, change.id)

        def generator(tx: Transaction, change: Change, _: Row | None) -> Iterator[object]:
            yield office.effect(tx, change.id)

        async def coroutine(tx: Transaction, change: Change, _: Row | None) -> None:
            office.effect(tx, change.id)

        handlers: dict[str, Sequence[Handler]] = {
            "number": (number,),
            "generator": (generator,),
            "coroutine": (coroutine,),
        }
        posting = Entity("posting", Kind.EVENT, None, contract, handlers[what])
        with warnings.catch_warnings(), deciding(office, posting) as decider:
            warnings.simplefilter("error")
            assert apply(decider, event(1, "bad")) == [PARKED]
        wrong = "handler-action" if office.guards_apart else "handler-return"
        assert [reason for _, reason in parked(office)] == [wrong]
        assert effects(office) == {}


class GuardTableContract:
    """Where guards are rows of a table of ours, `guard`, of which the office runs statements."""

    guard: str

    def test_guards_that_do_not_name_their_entity_type_are_refused_with_the_statement_that_mends_it(
        self, office: SqlOffice
    ) -> None:
        with closing(World(office)) as world:
            world.apply(upsert(1))
            office.run(f"ALTER TABLE {self.guard} DROP COLUMN entity")
            for act in (world.store.prepare, lambda: world.store.check(world.entities)):
                with pytest.raises(Refused, match="do not name their entity type") as found:
                    act()
        office.run(found.value.hint.partition("un: ")[2])
        with closing(World(office)) as world:
            world.store.check(world.entities)
            assert world.apply(upsert(1), upsert(2)) == [DUPLICATE, APPLIED]
            assert [row["entity"] for row in office.own("guard")] == ["thing"]
