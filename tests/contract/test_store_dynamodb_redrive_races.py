"""What others do between look and write of a redrive in DynamoDB: live traffic, operators, other redrives."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import pytest

from isthmus.change import Change
from isthmus.consumer.parking import event_bytes
from isthmus.consumer.redrive import Redriven
from isthmus.consumer.stores.lot import Selection
from isthmus.errors import Transient
from tests.contract.dynamodb_lot import WHO, WHY, decider_of
from tests.contract.dynamodb_redrive import first_of, office, redriver_of
from tests.contract.store_contract import world
from tests.contract.store_redrive_contract import Mended, emptied
from tests.fakes.dynamodb_desk import Between
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.store_world import APPLIED, DUPLICATE, World, delete, delivered, event, untranslated, upsert

__all__ = ["office", "world"]


def redriven_while(world: World, remake: Mended, then: Callable[[], object], key: str = "k") -> list[Redriven]:
    """Redrive a key; just before the first write something else happens."""
    redriver = redriver_of(world, remake)
    between = Between(redriver._requests._client, "transact_write_items", then)
    redriver._requests._client = between
    with closing(redriver):
        found = emptied(redriver, key)
    assert between.happened
    return found


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
