"""Holding and draining in DynamoDB, broken off before and after every request: nothing is lost, nothing doubled."""

from contextlib import closing

import pytest

from isthmus.change import Outcome
from isthmus.checkpoint.gates import Covers
from isthmus.errors import Transient
from tests.contract.test_store_dynamodb_held import lines, marked, office
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.gate_world import GateWorld
from tests.fakes.store_world import delivered, event, upsert

__all__ = ["office"]

HELD = Outcome.HELD


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_anywhere_while_changes_are_held_and_drained_loses_and_doubles_nothing(
    office: DynamoOffice, *, after: bool
) -> None:
    batch = [upsert(1), event(1, "e"), upsert(2), event(2, "e"), upsert(3, note="wrong"), upsert(1, "b")]
    for plain in (False, True):
        fresh = GateWorld(office.fresh())
        with closing(fresh.without_handlers() if plain else fresh) as world:
            mine = world.office
            assert isinstance(mine, DynamoOffice)
            world.gates.close(Covers())
            at = 0
            while True:
                happened = mine.break_at(world.decider, at, mine.outage(), after=after)
                try:
                    outcomes = world.decider.apply([delivered(change) for change in batch])
                except Transient:
                    assert happened()
                    world.decider.close()
                    world.decider = world.elsewhere()
                else:
                    assert set(outcomes) == {HELD}
                if not happened():
                    break
                at += 2
            assert world.held() == ["k-1", "k-2", "k-3"]
            assert world.held("e") == ["e-1", "e-2"]
            world.gates.open(Covers())
            for at in range(0, 30, 2):
                drainer = world.drainer(portion=2)
                happened = mine.break_at(drainer, at, mine.outage(), after=after)
                try:
                    drainer.sweep()
                except Transient:
                    assert happened()
            world.drain()
            events = {"e-1": 1, "e-2": 1}
            assert world.effects() == (events if plain else {**events, "k-1": 1, "k-2": 1, "b-1": 1})
            assert [(row["key"], row["size"]) for row in mine.rows("thing")] == [("b", 1), ("k", 2)]
            assert world.parked() == [("k-3", "contract")]
            assert (mine.own("held"), lines(mine), marked(mine)) == ([], [], [])
