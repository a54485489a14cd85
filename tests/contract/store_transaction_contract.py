"""What a front-office store does where a batch is one transaction, beside what every store does.

Used beside `StoreContract` and `StoreLifeContract`, with the same fixtures.
"""

import itertools
from contextlib import closing, suppress

import pytest

from isthmus.consumer.stores.port import Unit
from isthmus.errors import Poison, TargetDown, Transient
from tests.fakes.store_world import (
    APPLIED,
    BATCH,
    DUPLICATE,
    PARKED,
    FrontOffice,
    World,
    event,
    marker,
    untranslated,
    upsert,
)


class Crash(BaseException):
    """The process is gone."""


class StoreTransactionContract:
    """All of a batch, or nothing of it."""

    def test_a_crash_at_any_statement_leaves_nothing_behind(self, office: FrontOffice) -> None:
        for at in itertools.count():
            world = World(office.fresh())
            with closing(world):
                world.apply(untranslated(1, "old"), upsert(1, "c"))
                before = world.state()
                happened = world.office.break_at(world.decider, at, Crash())
                with suppress(Crash):
                    world.apply(*BATCH)
                if not happened():
                    break
                assert world.state() == before
        assert at > len(BATCH)

    def test_an_outage_at_any_statement_is_mended_by_the_next_attempt(self, office: FrontOffice) -> None:
        clean = World(office.fresh())
        with closing(clean):
            clean.apply(*BATCH)
            expected = clean.state()
        for at in itertools.count():
            world = World(office.fresh())
            with closing(world):
                happened = world.office.break_at(world.decider, at, world.office.outage())
                outcomes = None
                with suppress(Transient):
                    outcomes = world.apply(*BATCH)
                if not happened():
                    break
                assert outcomes is None
                assert not any(world.state().values())
                world.apply(*BATCH)
                assert world.state() == expected
        assert at > len(BATCH)

    def test_a_handler_that_swallows_an_outage_neither_commits_nor_parks(self, office: FrontOffice) -> None:
        for then in (None, ValueError(), Poison("no-gate")):
            world = World(office.fresh())
            with closing(world):
                world.told.swallows = then or True
                happened = world.office.break_at(world.decider, 0, world.office.outage(), only="INTO effect")
                with pytest.raises(TargetDown):
                    world.apply(upsert(1))
                assert happened()
                assert not any(world.state().values())
                world.told.swallows = False
                assert world.apply(upsert(1)) == [APPLIED]

    def test_an_outage_passes_a_savepoint_whatever_was_made_of_it(self, world: World) -> None:
        happened = world.office.break_at(world.decider, 0, world.office.outage(), only="INTO effect")

        def swallow(unit: Unit, then: Exception | None) -> None:
            with unit.savepoint():
                with suppress(TargetDown):
                    world.told(unit.transaction, upsert(1), None)
                if then is not None:
                    raise then

        def swallow_twice() -> None:
            with world.session.unit() as unit:
                for then in (None, ValueError()):
                    with pytest.raises(TargetDown):
                        swallow(unit, then)

        with pytest.raises(TargetDown):
            swallow_twice()
        assert happened()

    def test_a_commit_whose_answer_is_lost_is_found_by_the_next_attempt(self, world: World) -> None:
        changes = (upsert(1), event(1, "e"), untranslated(1, "p"), upsert(2, "q", size=-1), marker(1))
        happened = world.office.break_at(world.decider, 0, world.office.outage(), only="COMMIT", after=True)
        with pytest.raises(TargetDown):
            world.apply(*changes)
        assert happened()
        before = world.state()
        assert world.apply(*changes) == [DUPLICATE, DUPLICATE, PARKED, PARKED, None]
        assert world.state() == before
        assert set(world.effects().values()) == {1}

    def test_the_reader_does_not_wait_for_an_open_unit_and_sees_nothing_of_it(self, world: World) -> None:
        world.apply(upsert(1))
        reader = world.office.reader()
        with world.session.unit() as unit:
            unit.load([upsert(2)])
            unit.write(world.entities[0], [upsert(2)])
            found = reader.trace("k")
        assert found is not None
        assert [row.txn for row in found.history] == ["k-1"]
