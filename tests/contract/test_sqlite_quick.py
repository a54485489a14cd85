"""The quick way of the SQLite store, as every store's, and where it is special."""

from contextlib import closing
from pathlib import Path

import pytest

from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.sqlite.store import SqliteSession
from isthmus.errors import TargetDown
from isthmus.metrics import Metrics
from tests.contract.store_quick_contract import (
    ENTITIES,
    THING,
    StoreQuickContract,
    everything,
    session_of,
    steps_aside,
)
from tests.fakes.clock import FakeClock
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import APPLIED, delivered, marker, upsert


@pytest.fixture
def office(tmp_path: Path) -> SqliteOffice:
    return SqliteOffice(tmp_path)


@pytest.fixture
def pair(office: SqliteOffice) -> list[SqliteOffice]:
    return [office, office]


class TestQuick(StoreQuickContract):
    pass


def test_it_steps_aside_for_a_trail_without_a_guard(office: SqliteOffice) -> None:
    steps_aside(office, lambda world: world.apply(marker(2), upsert(1, "z")))


def test_an_outage_is_no_reason_to_try_the_other_way(office: SqliteOffice) -> None:
    with closing(session_of(office)) as session:
        assert isinstance(session, SqliteSession)
        office.break_at(session, 0, office.outage(), only="INTO isthmus_guard")
        with pytest.raises(TargetDown):
            session.take([delivered(upsert(1))], [THING], 1, history=True)
    assert not any(everything(office).values())


def test_the_applier_needs_no_other_way_for_what_is_plainly_new(office: SqliteOffice) -> None:
    with closing(session_of(office)) as session:
        applier = Applier(session, ENTITIES, FakeClock(), Metrics(), history=True, quick=session)
        session.unit = None  # type: ignore[method-assign, assignment]  # the other way is not to be needed
        assert applier.apply([delivered(upsert(1, "a")), delivered(upsert(1, "b"))]) == [APPLIED, APPLIED]
