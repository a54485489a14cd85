"""What is settled in the DynamoDB store: at no cost, without a window, with flags that outlive their lot."""

from contextlib import closing
from typing import Any

import pytest

from isthmus.change import Change
from isthmus.consumer.stores.lot import Selection
from tests.contract.dynamodb_lot import RAW, WHO, WHY, decider_of, discard, flagged, office, prune, redrive
from tests.contract.store_contract import world
from tests.contract.store_redrive_contract import Mended
from tests.fakes.dynamodb_desk import Between, Metering, PlainOffice
from tests.fakes.emulator import Emulator
from tests.fakes.store_world import APPLIED, DUPLICATE, World, delete, delivered, event, untranslated, upsert

__all__ = ["office", "world"]


def test_a_batch_under_way_does_not_apply_a_state_that_is_discarded_meanwhile(
    world: World, office: PlainOffice
) -> None:
    world.apply(upsert(1), upsert(2, size=-1))
    decider = decider_of(world)
    # It asked what is settled before the discard, and the change is good by now.
    decider._requests._client = Between(office.client, "update_item", lambda: discard(world, "k", "k-2"))
    assert decider.apply([delivered(upsert(2))]) == [DUPLICATE]
    assert [row["size"] for row in office.rows("thing")] == [1]
    assert flagged(office) != []
    assert world.apply(upsert(3)) == [APPLIED]
    assert flagged(office) == []


@pytest.mark.parametrize("first", [upsert(1), delete(1)], ids=["of something", "of nothing"])
def test_a_flag_that_a_discarded_change_left_stays_until_a_newer_one_decides(
    world: World, office: PlainOffice, first: Change
) -> None:
    if first.data is not None:
        world.apply(first)
    world.apply(upsert(5, size=-1), upsert(8, size=-1))
    assert discard(world, "k", "k-5", "k-8") == 2
    assert world.parked() == []
    assert world.apply(upsert(6), upsert(5), upsert(7)) == [APPLIED, DUPLICATE, APPLIED]
    assert len(flagged(office)) == 1
    assert world.apply(upsert(8), upsert(9), upsert(8)) == [DUPLICATE, APPLIED, DUPLICATE]
    assert flagged(office) == []


def test_what_is_parked_anew_where_a_flag_was_left_keeps_it_until_both_are_over(
    world: World, office: PlainOffice
) -> None:
    world.apply(upsert(9, size=-1))
    assert discard(world, "k", "k-9") == 1
    world.apply(upsert(3, size=-1))
    assert redrive(world, "k", "k-3").outcomes == {"applied": 1}
    assert len(flagged(office)) == 1
    assert world.apply(upsert(9), upsert(10)) == [DUPLICATE, APPLIED]
    assert flagged(office) == []


def test_what_was_never_an_entity_is_forgotten_with_what_was_settled(world: World, office: PlainOffice) -> None:
    world.apply(upsert(5, size=-1), untranslated(1, RAW), upsert(1, "alive"), untranslated(2, "alive"))
    assert discard(world, "k", "k-5") + discard(world, RAW, f"{RAW}-1") == 2
    (left, *_) = [item for item in flagged(office) if "isthmus_version" not in item]
    # Under a key that was made here nothing takes effect: of that nothing has to stay.
    assert RAW not in str(flagged(office))
    assert "isthmus_expires" in left
    now = world.clock.now_ms()
    prune(world, now)
    assert left in flagged(office)
    prune(world, now + 1)
    assert [item["key"]["S"] for item in office.items(office.table("thing"))] == ["alive"]
    assert world.apply(upsert(5)) == [APPLIED]


def test_a_flag_of_which_nobody_said_since_when_goes_with_the_second_pass(world: World, office: PlainOffice) -> None:
    world.apply(untranslated(1), event(2, note="wrong"))
    # The state's own change goes first, and the lot ends with one of another type.
    assert redrive(world, "k", "k-1", "k-2").outcomes == {"applied": 2}
    world.apply(untranslated(1, "gone"), event(2, "gone", note="wrong"))
    remake = Mended({"gone-2"})
    remake.others["gone-1"] = []
    with closing(world.redriver(remake)) as redriver:
        assert redriver.redrive("gone").outcomes == {"filtered": 1, "applied": 1}
    assert len(flagged(office)) == 2
    prune(world, 1_000)
    prune(world, 2_000)
    assert [item for item in flagged(office) if "isthmus_version" not in item] == []
    assert world.apply(upsert(3), upsert(3, "gone")) == [APPLIED, APPLIED]
    assert flagged(office) == []


def test_what_is_parked_is_not_forgotten_by_any_number_of_passes(world: World, office: PlainOffice) -> None:
    world.apply(untranslated(1), delete(1, "b"), untranslated(2, "b"))
    for moment in range(world.clock.now_ms() + 10, world.clock.now_ms() + 13):
        prune(world, moment)
    assert len(flagged(office)) == 2
    assert len(world.parked()) == 2


def test_a_row_is_settled_for_deciders_that_began_before_and_for_one_write_alike(world: World) -> None:
    world.apply(untranslated(1, RAW)._replace(sourcekey="[1]"))
    other = world.elsewhere()
    assert discard(world, RAW, f"{RAW}-1") == 1
    real = [upsert(n, "real")._replace(sourcekey="[1]") for n in (1, 2)]
    assert world.apply(*real) == [DUPLICATE, APPLIED]
    assert other.apply([delivered(each) for each in real]) == [DUPLICATE, DUPLICATE]
    other.close()
    assert world.history_of() == {"real-2": "applied"}


def test_a_batch_under_way_takes_a_row_that_is_discarded_meanwhile_as_if_it_came_before(
    world: World, office: PlainOffice
) -> None:
    world.apply(untranslated(1, RAW)._replace(sourcekey="[1]"), upsert(0, "real"))
    decider, real = decider_of(world), upsert(1, "real")._replace(sourcekey="[1]")
    decider._requests._client = Between(office.client, "update_item", lambda: discard(world, RAW, f"{RAW}-1"))
    assert decider.apply([delivered(real)]) == [APPLIED]
    assert world.apply(real) == [DUPLICATE]


def test_what_is_settled_costs_other_changes_nothing(emulator: Emulator) -> None:
    office = PlainOffice(emulator.client("dynamodb"))
    world = World(office, history=False)
    with closing(world):
        world.apply(*[untranslated(n, RAW)._replace(sourcekey=f"[{n}]") for n in range(1, 40)])
        assert discard(world, RAW, *[f"{RAW}-{n}" for n in range(1, 40)]) == 39
        meter = Metering(office.client)
        decider_of(world)._requests._client = meter
        for n in range(1, 4):
            changes = [upsert(100 + n, f"k{number}")._replace(sourcekey="[1]") for number in range(20)]
            assert set(world.apply(*changes)) == {APPLIED}
            # Two requests of a few hundred bytes when something was added to the list, and one from then on.
            assert meter.units.pop("query") <= (2 if n == 1 else 1)
        assert meter.units == {"update_item": 60}
        assert meter.requests == {"query": 4, "update_item": 60}
        assert world.apply(upsert(7, "real")._replace(sourcekey="[7]")) == [DUPLICATE]


def test_only_what_was_added_to_the_list_is_read(world: World, office: PlainOffice) -> None:
    asked: list[Any] = []
    real = office.client

    class Listening:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def query(self, **wanted: Any) -> Any:
            asked.append(wanted["ExpressionAttributeValues"])
            return real.query(**wanted)

    decider_of(world)._requests._client = Listening()
    for n in range(1, 4):
        office.settle(f"k-{n}")
        assert world.apply(upsert(n)) == [DUPLICATE]
        assert world.apply(upsert(n)) == [DUPLICATE]
    after = [values[":after"]["S"] for values in asked if ":after" in values]
    assert [int(each) for each in after] == [0, 1, 2]


@pytest.mark.parametrize("untyped", [True, False], ids=["without entity types", "with"])
def test_whoever_discards_needs_no_entity_types(world: World, office: PlainOffice, *, untyped: bool) -> None:
    world.apply(upsert(1), upsert(2, size=-1), untranslated(1, "gone"), event(1, "e", note="wrong"), event(2, "e"))
    entities = {} if untyped else {entity.name: entity for entity in world.entities}
    with closing(office.redriver(world.store, entities, Mended(), world.clock, history=True)) as redriver:
        for key, txns in (("k", ["k-2"]), ("gone", ["gone-1"]), ("e", ["e-1", "e-2"])):
            assert redriver.discard(key, txns, who=WHO, why=WHY) == len(txns)
    assert office.lot().parked_keys(Selection()) == []
    assert world.apply(upsert(2), event(2, "e"), event(3, "e")) == [DUPLICATE, DUPLICATE, APPLIED]
    prune(world, 1_000)
    prune(world, world.clock.now_ms() + 1)
    prune(world, world.clock.now_ms() + 1)
    # Of what never was an entity nothing is left, and an entity's flag goes with its next change.
    assert [item["key"]["S"] for item in office.items(office.table("thing"))] == ["k"]
    assert world.apply(upsert(3), upsert(1, "gone")) == [APPLIED, APPLIED]
    assert flagged(office) == []
