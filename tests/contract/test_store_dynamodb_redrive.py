"""Redrives in DynamoDB: what others do between look and write, a crash at any request, what a rehearsal sees."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import pytest

from isthmus.change import RAW_KEY_PREFIX, Change, Outcome
from isthmus.consumer.parking import event_bytes
from isthmus.consumer.redrive import Redriven
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.dynamodb.redriving import DynamoRedriver
from isthmus.consumer.stores.lot import Selection
from isthmus.errors import Poison, TargetDown, Transient
from tests.contract.store_life_contract import Crash
from tests.contract.store_redrive_contract import Mended, emptied
from tests.fakes.dynamodb_desk import Between, Metering, PlainOffice
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.store_world import APPLIED, DUPLICATE, PARKED, World, delete, delivered, event, untranslated, upsert

WHO, WHY = "ada", "agreed with the registry"
RAW = f"{RAW_KEY_PREFIX}raw/flights/1"


@pytest.fixture(params=["item", "table"])
def office(emulator: Emulator, request: pytest.FixtureRequest) -> DynamoOffice:
    return DynamoOffice(emulator.client("dynamodb"), tombstones=request.param)


@pytest.fixture
def world(office: DynamoOffice) -> Iterator[World]:
    made = World(office)
    yield made
    made.close()


def redriver_of(world: World, remake: Mended) -> DynamoRedriver:
    redriver = world.redriver(remake)
    assert isinstance(redriver, DynamoRedriver)
    return redriver


def decider_of(world: World) -> DynamoDecider:
    assert isinstance(world.decider, DynamoDecider)
    return world.decider


def redriven_while(world: World, remake: Mended, then: Callable[[], object], key: str = "k") -> list[Redriven]:
    """Redrive a key; just before the first write something else happens."""
    redriver = redriver_of(world, remake)
    between = Between(redriver._requests._client, "transact_write_items", then)
    redriver._requests._client = between
    with closing(redriver):
        found = emptied(redriver, key)
    assert between.happened
    return found


def first_of(world: World, key: str = "k") -> Any:
    return world.office.lot().parked_of(key)[0]


def flags(office: DynamoOffice) -> list[str]:
    """Give where parked flags stand."""
    tables = (office.table("thing"), office.settings.table)
    return [str(item) for table in tables for item in office.items(table) if "isthmus_parked" in item]


# what others do between look and write


def test_a_live_event_that_is_parked_meanwhile_waits_behind_and_takes_effect_after(world: World) -> None:
    world.apply(event(1, note="wrong"))
    found = redriven_while(world, Mended({"k-1"}), lambda: world.apply(event(2)))
    assert [each.outcomes for each in found] == [{"applied": 1}, {"applied": 1}]
    assert [txn for txn, outcome in world.office.told() if outcome == "applied"] == ["k-1", "k-2"]
    assert world.apply(event(3)) == [APPLIED]


def test_a_live_event_is_not_left_behind_by_the_last_that_leaves(world: World, office: DynamoOffice) -> None:
    world.apply(event(1, note="wrong"))
    with closing(world.redriver(Mended({"k-1"}))) as redriver:
        decider = decider_of(world)
        decider._requests._client = Between(office.client, "transact_write_items", lambda: emptied(redriver))
        # It was decided to wait behind what has left the lot by now.
        assert world.apply(event(2)) == [APPLIED]
    assert world.effects() == {"k-1": 1, "k-2": 1}
    assert world.parked() == []


@pytest.mark.parametrize("live", [upsert(5), delete(5)], ids=["upsert", "delete"])
def test_a_newer_live_state_frees_what_is_redriven_at_that_moment(world: World, live: Change) -> None:
    world.apply(upsert(1), untranslated(2), untranslated(3))
    redriven_while(world, Mended({"k-2", "k-3"}), lambda: world.apply(live))
    assert world.history_of() == {"k-1": "applied", "k-2": "superseded", "k-3": "superseded", "k-5": "applied"}
    assert world.effects() == {"k-1": 1, "k-5": 1}
    assert world.parked() == []
    assert world.apply(upsert(6)) == [APPLIED]


def test_an_edit_between_look_and_write_is_not_lost(world: World) -> None:
    world.apply(event(1, note="wrong"))
    old, made = first_of(world), event_bytes(event(1, size=5))

    def edit() -> None:
        with closing(world.redriver(Mended())) as editor:
            assert editor.edit("k", old, made, who=WHO, why=WHY)

    seen: list[Any] = []
    remake = Mended({"k-1"})
    remake.meanwhile = [lambda: seen.append("once"), lambda: seen.append(first_of(world).edited)]
    redriven_while(world, remake, edit)
    assert seen == ["once", True]
    assert world.effects() == {"k-1": 1}
    assert [row["txn"] for row in world.office.own("settled")] == ["k-1"]


def test_what_is_discarded_between_look_and_write_never_takes_effect(world: World) -> None:
    world.apply(event(1, note="wrong"), event(2))

    def discard() -> None:
        with closing(world.redriver(Mended())) as other:
            assert other.discard("k", ["k-1"], who=WHO, why=WHY) == 1

    found = redriven_while(world, Mended({"k-1"}), discard)
    assert [each.outcomes for each in found] == [{}, {"applied": 1}]
    assert world.effects() == {"k-2": 1}
    assert world.apply(event(1)) == [DUPLICATE]


def test_an_older_change_that_is_parked_meanwhile_goes_first(world: World) -> None:
    world.apply(event(5, note="wrong"), event(6))
    # Its own row was not translated when it came, and another one redrives that now.
    found = redriven_while(world, Mended({"k-5"}), lambda: world.apply(event(2)))
    assert [each.outcomes for each in found] == [{}, {"applied": 3}]
    assert [txn for txn, outcome in world.office.told() if outcome == "applied"] == ["k-2", "k-5", "k-6"]


def test_another_redrive_between_look_and_write_does_not_double_an_effect(world: World) -> None:
    world.apply(event(1, note="wrong"), event(2), event(3))

    def other() -> None:
        with closing(world.redriver(Mended({"k-1"}))) as second:
            second.redrive("k", most=2)

    redriven_while(world, Mended({"k-1"}), other)
    assert world.effects() == {"k-1": 1, "k-2": 1, "k-3": 1}
    assert world.parked() == []


def test_a_discard_while_another_frees_leaves_no_key_parked_without_a_change(
    world: World, office: DynamoOffice
) -> None:
    world.apply(untranslated(2), event(9, note="wrong"))

    def discard() -> None:
        with closing(world.redriver(Mended())) as other:
            assert other.discard("k", ["k-9"], who=WHO, why=WHY) == 1

    # The first transaction is the effect of the state, the second frees what is older.
    seen = itertools.count()
    real = office.client

    class Second:
        def __getattr__(self, name: str) -> Any:
            if name == "transact_write_items" and next(seen) == 1:
                discard()
            return getattr(real, name)

    decider_of(world)._requests._client = Second()  # type: ignore[assignment]
    assert world.apply(upsert(3)) == [APPLIED]
    assert world.parked() == []
    assert office.lot().parked_keys(Selection()) == []
    assert world.apply(event(10)) == [APPLIED]


def test_each_change_is_two_requests_and_the_key_two_more(world: World, office: DynamoOffice) -> None:
    world.apply(event(1, note="wrong"), *[event(n) for n in range(2, 9)])
    redriver = redriver_of(world, Mended({"k-1"}))
    redriver._requests._client = meter = Metering(office.client)
    with closing(redriver):
        assert redriver.redrive("k") == Redriven({"applied": 8})
    assert meter.requests == {"get_item": 1, "query": 1, "transact_get_items": 8, "transact_write_items": 8}


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


def patiently(action: Callable[[], object]) -> None:
    while True:
        with suppress(Transient):
            action()
            return


def test_redrives_and_live_traffic_at_once_end_as_one_after_another(world: World) -> None:
    keys = ["a", "b"]
    world.apply(*[change for key in keys for change in (event(1, key, note="wrong"), event(2, key), event(3, key))])
    remake = Mended({"a-1", "b-1"})
    live, begin = world.elsewhere(), threading.Barrier(3)

    def redrives() -> None:
        begin.wait()
        with closing(world.redriver(remake)) as redriver:
            for key in keys * 4:
                patiently(lambda key=key: emptied(redriver, key))

    def lives() -> None:
        begin.wait()
        for n in range(4, 10):
            patiently(lambda n=n: live.apply([delivered(event(n, key)) for key in keys]))

    with ThreadPoolExecutor(3) as pool:
        for running in [pool.submit(run) for run in (redrives, redrives, lives)]:
            running.result()
    live.close()
    with closing(world.redriver(remake)) as redriver:
        for key in keys:
            emptied(redriver, key)
    assert world.effects() == {f"{key}-{n}": 1 for key in keys for n in range(1, 10)}
    assert world.parked() == []


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


# a rehearsal


def test_a_rehearsal_shows_each_handler_what_the_change_before_it_would_leave(world: World) -> None:
    world.apply(upsert(1), untranslated(2), untranslated(3), untranslated(4))
    before, remake = world.state(), Mended({"k-2", "k-4"})
    remake.others["k-3"] = [delete(3)]
    world.told.previous.clear()
    with closing(world.redriver(remake)) as redriver:
        assert redriver.redrive("k", rehearse=True) == Redriven({"applied": 3})
        assert world.state() == before
        shown = list(world.told.previous)
        world.told.previous.clear()
        assert redriver.redrive("k") == Redriven({"applied": 3})
    assert [(txn, row and row["size"]) for txn, row in shown] == [("k-2", 1), ("k-3", 7), ("k-4", None)]
    assert shown == world.told.previous


@pytest.mark.parametrize(
    "becomes",
    [
        [upsert(2, size=-1)],
        [event(2), event(2, "b"), event(2, "b")],
        [upsert(1)._replace(id="other")],
        [upsert(2), upsert(2)._replace(id="k-other"), untranslated(9, "c")],
        [event(7, "b", note="wrong"), event(8, "b")],
        [upsert(2)._replace(entity="nobody")],
        [],
    ],
    ids=["refused by the mapping", "twice", "stale", "of one key", "behind another", "of no type", "filtered"],
)
def test_a_rehearsal_says_what_then_happens(world: World, becomes: Sequence[Change]) -> None:
    world.apply(upsert(1), untranslated(2), event(3, note="wrong"))
    before, remake = world.state(), Mended({"k-3"})
    remake.others["k-2"] = list(becomes)
    with closing(world.redriver(remake)) as redriver:
        rehearsed = redriver.redrive("k", rehearse=True)
        assert world.state() == before
        assert redriver.redrive("k") == rehearsed


@pytest.mark.parametrize("error", [Poison("no-gate"), ValueError()], ids=["poison", "unknown"])
def test_a_rehearsal_runs_handlers_and_believes_what_they_say(world: World, error: Exception) -> None:
    world.apply(untranslated(1))
    world.told.raises["k-1"] = [error] * 9
    with closing(world.redriver(Mended({"k-1"}))) as redriver:
        rehearsed = redriver.redrive("k", rehearse=True)
        assert rehearsed.stopped is not None
        assert rehearsed.stopped.reason in {"no-gate", "handler-error"}
        assert redriver.redrive("k") == rehearsed


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


def test_redriven_states_that_are_parked_elsewhere_leave_their_lot(world: World) -> None:
    world.apply(untranslated(1, RAW))
    remake = Mended()
    remake.others[f"{RAW}-1"] = [upsert(1, "real", size=-1)]
    with closing(world.redriver(remake)) as redriver:
        assert redriver.redrive(RAW) == Redriven({"parked": 1})
    assert world.parked() == [("real-1", "constraint")]
    assert len(world.office.own("outbox")) == 2
    assert world.apply(upsert(1, "real", size=-1)) == [PARKED]
