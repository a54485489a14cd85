"""Rehearsals of redrives in DynamoDB: what they show to handlers, what they say, and that nothing stays of them."""

from collections.abc import Sequence
from contextlib import closing

import pytest

from isthmus.change import Change
from isthmus.consumer.redrive import Redriven
from isthmus.errors import Poison
from tests.contract.dynamodb_redrive import office
from tests.contract.store_contract import world
from tests.contract.store_redrive_contract import Mended
from tests.fakes.store_world import World, delete, event, untranslated, upsert

__all__ = ["office", "world"]


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
