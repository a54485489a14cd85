"""The quick way of the SQLite store: it ends as the other way does, and steps aside wherever it might not."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.change import Change, Kind
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping, Taken
from isthmus.consumer.stores.sqlite.store import SqliteSession
from isthmus.errors import TargetDown
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import (
    APPLIED,
    World,
    contract,
    delete,
    delivered,
    event,
    marker,
    untranslated,
    upsert,
)

MAPPING = TableMapping("thing", "key", "version", {"size": "size", "note": "note"})
THING = Entity("thing", Kind.STATE, MAPPING, contract)
POSTING = Entity("posting", Kind.EVENT, None, contract)
ENTITIES = {"thing": THING, "posting": POSTING}
KEYS, VERSIONS = st.sampled_from("abcdef"), st.integers(1, 4)
CHANGES = st.one_of(
    st.builds(upsert, VERSIONS, KEYS, size=st.sampled_from([1, 2, -1]), epoch=st.integers(1, 3)),
    st.builds(upsert, VERSIONS, KEYS, rowhash=st.sampled_from(["one", "two"])),
    st.builds(delete, VERSIONS, KEYS),
    st.builds(untranslated, VERSIONS, KEYS),
    st.builds(event, VERSIONS, KEYS),
    st.builds(marker, st.integers(1, 3)),
)
PLAIN = st.builds(upsert, VERSIONS, KEYS, size=st.integers(0, 9), epoch=st.just(3))
BATCHES = st.lists(CHANGES, max_size=6) | st.lists(PLAIN, max_size=6, unique_by=lambda change: change.key)


@pytest.fixture
def office(tmp_path: Path) -> SqliteOffice:
    return SqliteOffice(tmp_path)


def taken(office: SqliteOffice, *changes: Change, history: bool = True) -> Taken:
    with closing(office.store([THING]).session()) as session:
        return session.take([delivered(change) for change in changes], [THING] * len(changes), 1, history=history)


def everything(office: SqliteOffice) -> object:
    names = ("guard", "ledger", "settled", "parked", "outbox", "fence", "history")
    return [office.rows("thing"), *[office.own(name) for name in names]]


BEFORE: dict[str, Callable[[World], object]] = {
    "a fence of its source": lambda world: world.apply(marker(2)),
    "its key parked": lambda world: world.apply(untranslated(1, "b")),
    "its ID settled": lambda world: world.office.settle("b-2"),
    "its ID in the ledger": lambda world: world.apply(event(2, "other")._replace(id="b-2")),
    "the same ID": lambda world: world.apply(upsert(2, "b")),
    "the same ID with an older version": lambda world: world.apply(upsert(1, "b", id="b-2")),
    "the same version": lambda world: world.apply(upsert(2, "b", id="another")),
    "something newer": lambda world: world.apply(upsert(3, "b")),
    "something newer, deleted": lambda world: world.apply(delete(3, "b")),
    "a trail without a guard": lambda world: world.apply(marker(2), upsert(1, "z")),
}


@pytest.mark.parametrize("why", [*BEFORE])
def test_it_steps_aside_for(office: SqliteOffice, why: str) -> None:
    with closing(World(office)) as world:
        BEFORE[why](world)
    before = everything(office)
    assert not taken(office, upsert(2, "a"), upsert(2, "b"), upsert(2, "c")).done
    assert everything(office) == before


@pytest.mark.parametrize("before", [[], [upsert(1, "b")], [delete(1, "b")], [marker(1)], [untranslated(1, "z")]])
def test_it_takes_what_is_plainly_new(office: SqliteOffice, before: list[Change]) -> None:
    with closing(World(office)) as world:
        world.apply(*before)
    assert taken(office, upsert(2, "a"), delete(2, "b"), upsert(2, "c")).done
    assert [row["key"] for row in office.rows("thing")] == ["a", "c"]
    assert [row["deleted"] for row in office.own("guard") if row["key"] == "b"] == [1]


def test_a_refused_row_changes_nothing(office: SqliteOffice) -> None:
    assert not taken(office, upsert(1, "a"), upsert(1, "b", size=-1)).done
    assert not any(everything(office))  # type: ignore[call-overload]  # a list of lists


def test_a_trail_goes_on_through_both_ways_and_is_kept_where_none_is_told(office: SqliteOffice) -> None:
    with closing(World(office)) as world:
        world.apply(upsert(1))
    assert taken(office, upsert(2), upsert(1, "b")).done
    assert taken(office, upsert(3), history=False).done
    with closing(World(office)) as world:
        world.apply(upsert(4), upsert(2, "b"))
    trace = office.reader().trace("k")
    assert trace is not None
    assert [row.txn for row in trace.history] == ["k-1", "k-2", "k-4"]


def test_an_outage_is_no_reason_to_try_the_other_way(office: SqliteOffice) -> None:
    with closing(office.store([THING]).session()) as session:
        assert isinstance(session, SqliteSession)
        office.break_at(session, 0, office.outage(), only="INTO isthmus_guard")
        with pytest.raises(TargetDown):
            session.take([delivered(upsert(1))], [THING], 1, history=True)
    assert not any(everything(office))  # type: ignore[call-overload]  # a list of lists


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(BATCHES, min_size=1, max_size=4), history=st.booleans())
def test_both_ways_end_alike_whatever_comes(
    office: SqliteOffice, *, batches: list[list[Change]], history: bool
) -> None:
    ends = []
    for is_quick in (False, True):
        fresh, clock = office.fresh(), FakeClock()
        with closing(fresh.store([THING, POSTING]).session()) as session:
            quick = session if is_quick else None
            applier = Applier(session, ENTITIES, clock, Metrics(), history=history, quick=quick)
            outcomes = []
            for batch in batches:
                if applier._at_once is not None:
                    applier._at_once._left = 0
                outcomes.append(applier.apply([delivered(change) for change in batch]))
        ends.append((outcomes, everything(fresh), [_told(fresh, key) for key in "abcdef"]))
    assert ends[0] == ends[1]


def _told(office: SqliteOffice, key: str) -> list[tuple[str, str]]:
    trace = office.reader().trace(key)
    return [(row.txn, row.outcome) for row in trace.history] if trace is not None else []


def test_the_applier_uses_it(office: SqliteOffice) -> None:
    with closing(office.store([THING]).session()) as session:
        applier = Applier(session, ENTITIES, FakeClock(), Metrics(), history=True, quick=session)
        session.unit = None  # type: ignore[method-assign, assignment]  # the other way is not to be needed
        assert applier.apply([delivered(upsert(1, "a")), delivered(upsert(1, "b"))]) == [APPLIED, APPLIED]
