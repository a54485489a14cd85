"""Redrives in DynamoDB: their requests, changes that became several, a crash at any request, handlers' troubles."""

import itertools
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from isthmus.change import Change, Outcome
from isthmus.consumer.redrive import Redriven
from isthmus.errors import TargetDown
from tests.contract.dynamodb_lot import RAW, WHO, WHY
from tests.contract.dynamodb_redrive import first_of, office, redriver_of
from tests.contract.store_contract import world
from tests.contract.store_life_contract import Crash
from tests.contract.store_redrive_contract import Mended, emptied
from tests.fakes.dynamodb_desk import Metering, PlainOffice
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.store_world import APPLIED, PARKED, World, delete, event, untranslated, upsert

__all__ = ["office", "world"]


def flags(office: DynamoOffice) -> list[str]:
    """Give where parked flags stand."""
    tables = (office.table("thing"), office.settings.table)
    return [str(item) for table in tables for item in office.items(table) if "isthmus_parked" in item]


def test_each_change_is_two_requests_and_the_key_two_more(world: World, office: DynamoOffice) -> None:
    world.apply(event(1, note="wrong"), *[event(n) for n in range(2, 9)])
    redriver = redriver_of(world, Mended({"k-1"}))
    redriver._requests._client = meter = Metering(office.client)
    with closing(redriver):
        assert redriver.redrive("k") == Redriven({"applied": 8})
    assert meter.requests == {"get_item": 1, "query": 1, "transact_get_items": 8, "transact_write_items": 8}


def test_redriven_states_that_are_parked_elsewhere_leave_their_lot(world: World) -> None:
    world.apply(untranslated(1, RAW))
    remake = Mended()
    remake.others[f"{RAW}-1"] = [upsert(1, "real", size=-1)]
    with closing(world.redriver(remake)) as redriver:
        assert redriver.redrive(RAW) == Redriven({"parked": 1})
    assert world.parked() == [("real-1", "constraint")]
    assert len(world.office.own("outbox")) == 2
    assert world.apply(upsert(1, "real", size=-1)) == [PARKED]


# a change that became several


def three(world: World) -> Mended:
    """Park a raw row that becomes an event of `a`, which is parked, a state of `b`, and an event of `c`."""
    world.apply(untranslated(1, RAW), event(1, "a", note="wrong"))
    remake = Mended({"a-1"})
    remake.others[f"{RAW}-1"] = [event(2, "a"), upsert(1, "b"), event(1, "c")]
    return remake


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_change_that_became_several_takes_effect_once_after_any_crash(office: DynamoOffice, *, after: bool) -> None:
    for at in itertools.count():
        world = World(office.fresh())
        with closing(world):
            remake = three(world)
            redriver = redriver_of(world, remake)
            happened = world.office.break_at(redriver, at, Crash(), after=after)
            with suppress(Crash):
                emptied(redriver, RAW)
            if not happened():
                break
            with closing(world.redriver(remake)) as again:
                emptied(again, RAW)
                emptied(again, "a")
            assert world.effects() == {"a-1": 1, "a-2": 1, "b-1": 1, "c-1": 1}
            assert world.parked() == []
            assert set(world.history_of().values()) == {"applied"}
    assert at > 10


def test_what_is_discarded_while_it_becomes_several_does_no_more(world: World) -> None:
    remake = three(world)
    seen = itertools.count()

    def third() -> None:
        with closing(world.redriver(Mended())) as other:
            assert other.discard(RAW, [f"{RAW}-1"], who=WHO, why=WHY) == 1

    redriver = redriver_of(world, remake)
    real = redriver._requests._client

    class Third:
        def __getattr__(self, name: str) -> Any:
            if name == "transact_write_items" and next(seen) == 2:
                third()
            return getattr(real, name)

    redriver._requests._client = Third()
    with closing(redriver):
        assert redriver.redrive(RAW) == Redriven({}, left=True)
    assert world.effects() == {"b-1": 1}
    assert world.parked() == [("a-1", "contract"), ("a-2", "behind")]


def test_one_that_is_poison_again_beside_others_of_its_row_stays_and_they_take_effect_once(world: World) -> None:
    world.apply(event(1, note="wrong"))
    remake = Mended()
    remake.others["k-1"] = [event(1, note="wrong"), event(1, "b")]
    with closing(world.redriver(remake)) as redriver:
        for times in (2, 3):
            found = redriver.redrive("k")
            assert found.stopped is not None
            assert found.outcomes["parked"] == 1
            assert first_of(world).attempts == times
    assert world.effects() == {"b-1": 1}


def test_a_second_change_of_the_same_key_is_parked_before_the_first_leaves(world: World) -> None:
    world.apply(event(1, note="wrong"), event(5))
    remake = Mended()
    remake.others["k-1"] = [event(1), event(2, note="wrong")]
    with closing(world.redriver(remake)) as redriver:
        assert redriver.redrive("k", most=1) == Redriven({"applied": 1, "parked": 1}, left=True)
        assert world.parked() == [("k-2", "contract"), ("k-5", "behind")]
        assert redriver.redrive("k").outcomes == {"parked": 1}
    assert world.effects() == {"k-1": 1}


# states without handlers, where live traffic is one write


@pytest.fixture(params=["item", "table"])
def plain(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(PlainOffice(emulator.client("dynamodb"), tombstones=request.param))
    yield made
    made.close()


def test_the_last_that_leaves_takes_the_flag_with_it(plain: World) -> None:
    office = plain.office
    assert isinstance(office, DynamoOffice)
    plain.apply(untranslated(1), upsert(2, size=-1), untranslated(1, "gone"))
    remake = Mended({"k-1"})
    remake.others["gone-1"] = []
    with closing(plain.redriver(remake)) as redriver:
        assert redriver.redrive("k").outcomes == {"applied": 1, "parked": 1}
        assert len(flags(office)) == 2
        remake.good.add("k-2")
        assert redriver.redrive("k").outcomes == {"applied": 1}
        assert redriver.redrive("gone").outcomes == {"filtered": 1}
    assert flags(office) == []
    assert [row["key"] for row in office.rows("thing")] == ["k"]
    # Nothing is left of what was never an entity.
    assert len(office.items(office.table("thing"))) == 1


def test_a_delete_that_is_redriven_leaves_a_tombstone_and_no_flag(plain: World) -> None:
    office = plain.office
    assert isinstance(office, DynamoOffice)
    plain.apply(upsert(1), untranslated(2))
    remake = Mended()
    remake.others["k-2"] = [delete(2)]
    with closing(plain.redriver(remake)) as redriver:
        assert redriver.redrive("k").outcomes == {"applied": 1}
    assert (flags(office), office.rows("thing")) == ([], [])
    assert plain.apply(upsert(1), upsert(3)) == [Outcome.STALE, APPLIED]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_states_take_effect_in_order_after_any_crash(plain: World, *, after: bool) -> None:
    for at in itertools.count():
        key = f"k{at}"
        plain.apply(upsert(1, key), untranslated(2, key), untranslated(3, key), untranslated(4, key))
        remake = Mended({f"{key}-2", f"{key}-4"})
        remake.others[f"{key}-3"] = [delete(3, key)]
        redriver = redriver_of(plain, remake)
        happened = plain.office.break_at(redriver, at, Crash(), after=after)
        with suppress(Crash):
            emptied(redriver, key)
        with closing(plain.redriver(remake)) as again:
            emptied(again, key)
        told = [outcome for txn, outcome in plain.office.told() if txn.startswith(f"{key}-")]
        assert told == ["applied"] * 4
        assert plain.parked() == []
        assert plain.apply(upsert(5, key)) == [APPLIED]
        if not happened():
            break
    assert at > 6


# handlers


def test_a_handlers_condition_that_does_not_hold_stops_the_key_and_tries_it_again_the_next_time(
    world: World, office: DynamoOffice
) -> None:
    world.apply(event(1, note="wrong"))
    check = {"TableName": office.table("effect"), "Key": {"txn": "a"}, "ConditionExpression": "attribute_exists(txn)"}
    world.entities[1] = type(world.entities[1])("posting", world.entities[1].kind, None, None, (_returns(check),))
    with closing(world.redriver(Mended({"k-1"}))) as redriver:
        found = redriver.redrive("k")
        assert found.stopped is not None
        assert (found.stopped.reason, found.stopped.stage) == ("handler-condition", "handler")
        office.client.put_item(TableName=office.table("effect"), Item={"txn": {"S": "a"}})
        assert redriver.redrive("k").outcomes == {"applied": 1}


def _returns(check: Any) -> Any:
    return lambda *_: [{"ConditionCheck": check}]


def test_a_handler_that_meets_an_outage_leaves_all_as_it_was(world: World, office: DynamoOffice) -> None:
    world.apply(untranslated(1))
    before = world.state()

    def reads(tx: Any, _change: Change, _previous: Any) -> None:
        tx.get(office.table("effect"), {"txn": "total"})

    world.entities[0] = type(world.entities[0])(
        "thing", world.entities[0].kind, world.entities[0].mapping, None, (reads,)
    )
    for rehearse in (True, False):
        redriver = redriver_of(world, Mended({"k-1"}))
        # The first get is that of the lot's head.
        world.office.break_at(redriver, 1, world.office.outage(), only="get_item")
        with closing(redriver), pytest.raises(TargetDown):
            redriver.redrive("k", rehearse=rehearse)
        assert world.state() == before
