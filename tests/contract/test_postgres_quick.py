"""The quick way of the PostgreSQL store: it ends as the other way does, and steps aside wherever it might not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.change import Change, Kind, Outcome
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping, Taken
from isthmus.consumer.stores.postgres.store import PostgresSession
from isthmus.errors import Transient
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import (
    APPLIED,
    PARKED,
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


@pytest.fixture(scope="module")
def databases(postgres: PostgresServer) -> Iterator[list[PostgresOffice]]:
    made = [PostgresOffice(postgres), PostgresOffice(postgres)]
    yield made
    for each in made:
        each.close()


@pytest.fixture
def office(databases: list[PostgresOffice]) -> PostgresOffice:
    return databases[0].fresh()


@pytest.fixture
def session(office: PostgresOffice) -> Iterator[PostgresSession]:
    with closing(office.store([THING]).session()) as made:
        yield made


def _of(change: Change, epoch: int, source: str) -> Change:
    return change._replace(epoch=epoch, source=source)


KEYS = st.sampled_from("abcdef")
VERSIONS = st.integers(1, 4)
CHANGES = st.builds(
    _of,
    st.one_of(
        st.builds(upsert, VERSIONS, KEYS, size=st.sampled_from([1, 2, 3, -1]), rowhash=st.sampled_from(["one", "two"])),
        st.builds(upsert, VERSIONS, KEYS, note=st.sampled_from(["fine", "wrong", "a\0b"])),
        st.builds(delete, VERSIONS, KEYS),
        st.builds(untranslated, VERSIONS, KEYS),
        st.builds(event, VERSIONS, KEYS),
        st.builds(marker, st.integers(1, 3)),
    ),
    st.sampled_from([2, 2, 2, 1, 3]),
    st.sampled_from(["flights", "flights", "gates"]),
)
PLAIN = st.builds(upsert, VERSIONS, KEYS, size=st.integers(0, 9), epoch=st.just(2))
BATCHES = st.lists(CHANGES, max_size=8) | st.lists(PLAIN, max_size=6, unique_by=lambda change: change.key)


def taken(session: PostgresSession, *changes: Change) -> Taken:
    return session.take([delivered(change) for change in changes], [THING] * len(changes), 1, history=True)


def everything(office: PostgresOffice) -> object:
    names = ("guard", "ledger", "settled", "parked", "outbox", "fence", "history")
    return [office.rows("thing"), *[office.own(name) for name in names]]


BEFORE: dict[str, Callable[[World], object]] = {
    "a fence of its source": lambda world: world.apply(marker(2)),
    "a fence of its source in another lane": lambda world: world.apply(marker(2, lane=3)),
    "its key parked": lambda world: world.apply(untranslated(1, "b")),
    "its key parked with something newer": lambda world: world.apply(untranslated(9, "b")),
    "its ID settled": lambda world: world.office.settle("b-2"),
    "its ID in the ledger": lambda world: world.apply(event(2, "other")._replace(id="b-2")),
    "the same ID": lambda world: world.apply(upsert(2, "b")),
    "the same ID with another row hash": lambda world: world.apply(upsert(2, "b", rowhash="other")),
    "the same ID with an older version": lambda world: world.apply(upsert(1, "b", id="b-2")),
    "the same version": lambda world: world.apply(upsert(2, "b", id="another")),
    "something newer": lambda world: world.apply(upsert(3, "b")),
    "something newer, deleted": lambda world: world.apply(delete(3, "b")),
}


@pytest.mark.parametrize("why", BEFORE)
def test_it_steps_aside_for(office: PostgresOffice, session: PostgresSession, why: str) -> None:
    with closing(World(office)) as world:
        BEFORE[why](world)
    before = everything(office)
    assert taken(session, upsert(2, "a"), upsert(2, "b"), upsert(2, "c")) == Taken(done=False)
    assert everything(office) == before


@pytest.mark.parametrize(
    "before", [[], [upsert(1, "b")], [delete(1, "b")], [marker(1)], [marker(9, source="other")], [untranslated(1, "z")]]
)
def test_it_takes_what_is_plainly_new(office: PostgresOffice, session: PostgresSession, before: list[Change]) -> None:
    with closing(World(office)) as world:
        world.apply(*before)
    assert taken(session, upsert(2, "a"), delete(2, "b"), upsert(2, "c")).done
    assert [row["key"] for row in office.rows("thing")] == ["a", "c"]
    assert [row["deleted"] for row in office.own("guard") if row["key"] == "b"] == [True]


def test_it_is_used_and_gives_way_for_ever_fewer_batches_where_it_leads_nowhere(session: PostgresSession) -> None:
    tries: list[bool] = []

    class Counting:
        def take(self, *args: object, **others: object) -> Taken:
            done = session.take(*args, **others)  # type: ignore[arg-type]  # as they came
            tries.append(done.done)
            return done

    applier = Applier(session, ENTITIES, FakeClock(), Metrics(), history=False, quick=Counting())  # type: ignore[arg-type]  # all of it that is asked
    for n in range(1, 4):
        assert applier.apply([delivered(upsert(n))]) == [APPLIED]
    assert tries == [True] * 3
    for _ in range(20):
        applier.apply([delivered(upsert(1))])
    assert tries[3:] == [False] * 4


# guesses


@pytest.mark.parametrize("bad", ["last", "b"])
def test_a_wrong_guess_whose_fault_it_was_does_no_harm(office: PostgresOffice, bad: str) -> None:
    office.run("DROP TABLE IF EXISTS odd; DROP TABLE IF EXISTS room; CREATE TABLE room (number text PRIMARY KEY)")
    columns = "note text CHECK (note <> 'a'), room text REFERENCES room, size text UNIQUE, key text PRIMARY KEY"
    office.run(f"CREATE TABLE odd ({columns})")
    office.run("INSERT INTO room VALUES ('there'); INSERT INTO odd VALUES ('x', NULL, 'c, d', 'zero')")
    entity = Entity(
        "odd", Kind.STATE, TableMapping("odd", columns={"note": "note", "room": "room", "size": "size"}), None
    )
    ways = {"note": "a", "room": "c", "size": "c, d"}
    with closing(office.store([entity]).session()) as session:
        applier = Applier(session, {"odd": entity}, FakeClock(), Metrics(), history=False, quick=session)
        for round_, (field, value) in enumerate(ways.items(), start=1):
            # Each value looks like keys of others in the batch.
            batch = [
                upsert(round_, key)._replace(
                    entity="odd",
                    data={"note": key + "!", "room": None, "size": f"{key}{round_}"}
                    | ({field: value} if key == bad else {}),
                )
                for key in ("a", "b", "c", "d", "c, d", "last")
            ]
            for _ in range(2):
                outcomes = applier.apply([delivered(change) for change in batch])
                assert (outcomes[["a", "b", "c", "d", "c, d", "last"].index(bad)]) is PARKED
                assert outcomes.count(PARKED) == 1
    assert {row["key"] for row in office.own("parked")} == {bad}


# two at once


def test_two_workers_on_the_same_keys_in_opposite_order_never_stand_in_a_ring(office: PostgresOffice) -> None:
    keys = [f"k{n}" for n in range(40)]
    both = threading.Barrier(2)
    troubles: list[str] = []
    outcomes: list[Outcome | None] = []

    def work(order: list[str]) -> None:
        with closing(office.store([THING]).session()) as session:
            applier = Applier(session, {"thing": THING}, FakeClock(), Metrics(), history=True, quick=session)
            both.wait()
            for n in range(1, 26):
                try:
                    outcomes.extend(applier.apply([delivered(upsert(n, key)) for key in order]))
                except Transient as error:
                    troubles.append(error.cause)

    threads = [threading.Thread(target=work, args=(order,)) for order in (keys, keys[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert {row["size"] for row in office.rows("thing")} == {25}
    assert len(outcomes) == 2 * 25 * len(keys)
    assert outcomes.count(APPLIED) == len(office.own("history"))


@pytest.mark.parametrize("is_quick", [True, False])
def test_rows_are_written_in_the_order_of_the_stream_so_that_one_may_leave_room_for_the_next(
    office: PostgresOffice, *, is_quick: bool
) -> None:
    office.run("CREATE TABLE IF NOT EXISTS seat (key text PRIMARY KEY, note text UNIQUE)")
    entity = Entity("seat", Kind.STATE, TableMapping("seat", columns={"note": "note"}), None)
    with closing(office.store([entity]).session()) as session:
        quick = session if is_quick else None
        applier = Applier(session, {"seat": entity}, FakeClock(), Metrics(), history=False, quick=quick)
        for n, batch in enumerate(([("z", "1A")], [("z", "1B"), ("a", "1A")], [("a", "1C"), ("z", "1A")]), start=1):
            changes = [upsert(n, key, note=note)._replace(entity="seat") for key, note in batch]
            assert set(applier.apply([delivered(change) for change in changes])) == {APPLIED}


# all of it


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(BATCHES, min_size=1, max_size=5), settled=st.lists(st.builds("{}-{}".format, KEYS, VERSIONS)))
def test_both_ways_end_alike_whatever_comes(
    databases: list[PostgresOffice], batches: list[list[Change]], settled: list[str]
) -> None:
    ends = []
    for office, is_quick in zip(databases, (True, False), strict=True):
        office.fresh()
        for txn in set(settled):
            office.settle(txn)
        metrics = Metrics()
        outcomes = []
        with closing(office.store([THING]).session()) as session:
            quick, clock = session if is_quick else None, FakeClock()
            for batch in batches:
                # Each batch by a new one, which tries the quick way whatever became of it before.
                applier = Applier(session, ENTITIES, clock, metrics, history=True, quick=quick)
                outcomes.append(applier.apply([delivered(change) for change in batch]))
        names = ("guard", "ledger", "settled", "parked", "outbox", "fence", "history")
        own = {name: office.own(name) for name in names}
        # The order among different keys is not promised.
        for name in ("parked", "outbox"):
            own[name] = sorted(own[name], key=lambda row: (row["key"], row["txn"]))
        ends.append((outcomes, office.rows("thing"), own, metrics.hash_alarms._value.get()))
    assert ends[0] == ends[1]
