"""Kind `state` without handlers on DynamoDB: one conditional write a change. Tombstones lie in either place."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.change import Change, Outcome
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.errors import TargetDown
from tests.contract.store_life_contract import Crash, decided
from tests.fakes import store_orders as orders
from tests.fakes.clock import FakeStop
from tests.fakes.dynamodb_desk import Metering, PlainOffice
from tests.fakes.emulator import Emulator
from tests.fakes.store_model import ByModel, agrees
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    PARKED,
    STALE,
    World,
    delete,
    event,
    marker,
    untranslated,
    upsert,
)


class PlainModel(ByModel):
    def take(self, change: Change, at_ms: int = 0) -> Outcome | None:
        outcome = super().take(change, at_ms)
        if change.entity == "thing":
            self.effects.pop(change.id, None)
        return outcome


@pytest.fixture(params=["item", "table"])
def office(emulator: Emulator, request: pytest.FixtureRequest) -> PlainOffice:
    return PlainOffice(emulator.client("dynamodb"), tombstones=request.param)


@pytest.fixture
def world(office: PlainOffice) -> Iterator[World]:
    made = World(office)
    yield made
    made.close()


def test_every_sequence_of_deliveries_ends_as_the_model_says(office: PlainOffice) -> None:
    world, model = World(office), PlainModel()
    sequences = orders.Sequences(orders.STATE, few=True)
    with closing(world):
        for deliveries in sequences.rounds():
            found = world.apply(*deliveries)
            expected = [model.take(change) for change in deliveries]
            told = zip(deliveries, found, expected, strict=True)
            assert [(sequences.word(change), *pair) for change, *pair in told if pair[0] is not pair[1]] == []
            agrees(world, model)
            assert world.metrics.hash_alarms._value.get() == model.alarms


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.builds(upsert, st.integers(1, 4), st.sampled_from("ab"), size=st.sampled_from([-1, 1, 2])),
                st.builds(upsert, st.integers(1, 4), st.sampled_from("ab"), id=st.sampled_from(["x", "y"])),
                st.builds(delete, st.integers(1, 4), st.sampled_from("ab")),
                st.builds(untranslated, st.integers(1, 4), st.sampled_from("ab")),
                st.builds(marker, st.integers(1, 2)),
            ),
            max_size=6,
        ),
        max_size=4,
    )
)
def test_whatever_comes_the_store_agrees_with_the_model(office: PlainOffice, batches: list[list[Change]]) -> None:
    world, model = World(office.fresh()), PlainModel()
    with closing(world):
        for batch in batches:
            assert world.apply(*batch) == [model.take(change) for change in batch]
        agrees(world, model)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whatever_request_is_the_last_all_of_it_again_ends_as_if_nothing_had_happened(
    office: PlainOffice, *, after: bool
) -> None:
    batch = (delete(1), untranslated(2), upsert(3), untranslated(1, "p"), delete(2, "p"), marker(1))
    clean = World(office.fresh())
    with closing(clean):
        clean.apply(*batch)
        expected = clean.state()
    for at in itertools.count():
        world = World(office.fresh())
        with closing(world):
            happened = office.break_at(world.decider, at, Crash(), after=after)
            with suppress(Crash):
                world.apply(*batch)
            if not happened():
                break
            with closing(world.another()) as next_one:
                decided(next_one, batch)
            assert world.state() == expected
    assert at > len(batch)


def test_two_workers_on_the_same_keys_end_as_one_would(world: World) -> None:
    changes = [
        change
        for n in range(1, 25, 3)
        for change in (upsert(n), untranslated(n + 1), upsert(n + 2, "b"), event(n, "e"), delete(n + 1, "b"))
    ]
    both = threading.Barrier(2)

    def run(decider: Any) -> None:
        both.wait()
        for begin in range(0, len(changes), 4):
            decided(decider, changes[begin : begin + 4])

    with closing(world.elsewhere()) as second:
        threads = [threading.Thread(target=run, args=(decider,)) for decider in (world.decider, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    model = PlainModel()
    for change in changes:
        model.take(change)
    agrees(world, model)
    assert len(world.office.own("outbox")) == 8


def test_the_same_version_of_another_transaction_is_stale(world: World) -> None:
    assert world.apply(upsert(5)) == [APPLIED]
    assert world.apply(upsert(5, id="other", size=9)) == [STALE]
    assert world.apply(upsert(6, id="k-5", size=9)) == [DUPLICATE]
    assert world.office.rows("thing")[0]["size"] == 5


def test_what_was_deleted_does_not_come_back_by_an_old_change(world: World) -> None:
    assert world.apply(upsert(1), delete(3)) == [APPLIED, APPLIED]
    assert world.office.rows("thing") == []
    assert world.apply(upsert(2), delete(2), delete(3)) == [STALE, STALE, DUPLICATE]
    assert world.office.rows("thing") == []
    assert world.apply(upsert(4)) == [APPLIED]
    assert world.apply(delete(3)) == [STALE]
    assert [row["size"] for row in world.office.rows("thing")] == [4]


def test_an_answer_that_was_lost_is_found_as_duplicate_and_told_all_the_same(world: World) -> None:
    world.apply(upsert(1))
    happened = world.office.break_at(world.decider, 0, world.office.outage(), only="update_item", after=True)
    with pytest.raises(TargetDown):
        world.apply(upsert(2))
    assert happened()
    assert world.apply(upsert(2)) == [DUPLICATE]
    assert world.history_of() == {"k-1": "applied", "k-2": "applied"}


def test_a_deleted_item_keeps_nothing_of_what_the_front_office_put_on_it(world: World, office: PlainOffice) -> None:
    world.apply(upsert(1))
    office.client.update_item(
        TableName=office.table("thing"),
        Key={"key": {"S": "k"}},
        UpdateExpression="SET basket = :basket",
        ExpressionAttributeValues={":basket": {"S": "full"}},
    )
    world.apply(upsert(2))
    assert world.office.rows("thing")[0]["basket"] == "full"
    world.apply(delete(3))
    left = [sorted(item) for item in office.items(office.table("thing"))]
    ours = ["deleted", "decided", "expires", "rowhash", "txn", "version"]
    kept = [sorted(["key", *(f"isthmus_{name}" for name in ours)])]
    assert left == (kept if office.settings.tombstones == "item" else [])


def test_what_lives_again_does_not_expire(world: World, office: PlainOffice) -> None:
    world.apply(delete(1), upsert(2))
    (item,) = office.items(office.table("thing"))
    assert not {"isthmus_deleted", "isthmus_decided", "isthmus_expires"} & set(item)


def test_what_is_parked_of_a_deleted_entity_keeps_its_tombstone(world: World, office: PlainOffice) -> None:
    def expiring() -> list[bool]:
        names = (office.table("thing"), office.settings.table)
        items = [item for name in names for item in office.items(name)]
        return ["isthmus_expires" in item for item in items if "isthmus_deleted" in item]

    world.apply(delete(1), untranslated(2))
    assert expiring() == [False]
    pruned = world.store.prune(
        memory_before_ms=world.clock.now_ms() + 1, history_before_ms=0, stop=FakeStop(world.clock)
    )
    assert pruned.guards == 0
    assert world.apply(untranslated(5), delete(3)) == [PARKED, APPLIED]
    assert expiring() == [False]
    assert world.apply(delete(6)) == [APPLIED]
    assert expiring() == [True]
    assert world.parked() == []


@pytest.mark.parametrize("longer", [True, False], ids=["longer", "for ever"])
def test_a_longer_memory_reaches_what_ttl_was_told_before(world: World, office: PlainOffice, *, longer: bool) -> None:
    def ends() -> set[int]:
        names = (office.table("thing"), office.settings.table)
        items = [item for name in names for item in office.items(name) if item.get("sk", {}).get("S") != "schema"]
        found = [item.get("expires", item.get("isthmus_expires")) for item in items]
        return {int(end["N"]) for end in found if end is not None}

    def prune() -> None:
        world.store.prune(memory_before_ms=0, history_before_ms=0, stop=FakeStop(world.clock))

    quiet = World(office, history=False)
    with closing(quiet):
        assert quiet.apply(upsert(1), delete(2), event(1, "e")) == [APPLIED] * 3
        (before,) = ends()
        world.store = office.store(world.entities)
        prune()
        assert ends() == {before}
        memory_ms = office.settings.memory_ms
        assert memory_ms is not None
        office.settings = replace(office.settings, memory_ms=2 * memory_ms if longer else None)
        world.store = office.store(world.entities)
        prune()
        assert ends() == ({before + memory_ms // 1000} if longer else set())
        assert quiet.apply(upsert(1), delete(2), event(1, "e")) == [STALE, DUPLICATE, DUPLICATE]
        assert quiet.apply(upsert(3)) == [APPLIED]


def test_an_upsert_of_under_1_kb_is_one_write_unit(emulator: Emulator) -> None:
    office = PlainOffice(emulator.client("dynamodb"))
    world = World(office, history=False)
    with closing(world):
        assert isinstance(world.decider, DynamoDecider)
        meter = world.decider._requests._client = Metering(office.client)
        changes = [upsert(1, f"k{number}", note="x" * 250) for number in range(20)]
        assert set(world.apply(*changes)) == {APPLIED}
        assert meter.units.pop("query") <= 1
        assert meter.units == {"update_item": 20}
        changes = [upsert(2, f"k{number}", note="x" * 250) for number in range(20)]
        assert set(world.apply(*changes)) == {APPLIED}
        assert set(world.apply(*changes)) == {DUPLICATE}
        meter.units.pop("query")
        # What a condition refused came as an error, which says nothing of what it cost.
        assert meter.units == {"update_item": 40}
        assert set(world.apply(*[delete(3, f"k{number}") for number in range(20)])) == {APPLIED}
        assert meter.units["put_item"] == 20


def test_history_is_one_write_unit_more_for_each_change(emulator: Emulator) -> None:
    office = PlainOffice(emulator.client("dynamodb"))
    world = World(office)
    with closing(world):
        assert isinstance(world.decider, DynamoDecider)
        meter = world.decider._requests._client = Metering(office.client)
        assert set(world.apply(*[upsert(1, f"k{number}") for number in range(20)])) == {APPLIED}
        meter.units.pop("query")
        assert meter.units == {"update_item": 20, "batch_write_item": 20}


def test_an_upsert_of_what_is_deleted_costs_four_units_where_tombstones_lie_in_our_table(emulator: Emulator) -> None:
    office = PlainOffice(emulator.client("dynamodb"), tombstones="table")
    world = World(office, history=False)
    with closing(world):
        assert isinstance(world.decider, DynamoDecider)
        meter = world.decider._requests._client = Metering(office.client)
        world.apply(upsert(1))
        assert meter.units["transact_write_items"] == 4
        world.apply(upsert(2))
        assert meter.units["transact_write_items"] == 4
        world.apply(delete(3))
        assert meter.units["transact_write_items"] == 8
        world.apply(upsert(4))
        assert meter.units["transact_write_items"] == 12
