"""Redriving in PostgreSQL, beside live traffic, other redrives, constraints that wait for the commit, and kills."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from isthmus.change import RAW_KEY_PREFIX, Change, lane_of
from isthmus.consumer.redrive import Redriven, Redriver, TransactionalRedriver
from isthmus.consumer.stores.postgres.lanes import Looks
from isthmus.consumer.stores.postgres.store import PostgresSession
from isthmus.errors import Transient
from tests.contract.store_contract import world
from tests.contract.store_redrive_contract import WHO, WHY, Mended, emptied
from tests.fakes.postgres_office import LANES, TABLES, PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import APPLIED, PARKED, World, delivered, event, untranslated, upsert

__all__ = ["world"]

DEADLINE = 60.0
"""Seconds."""
ROUNDS = 120
ONLY_AT_THE_COMMIT = """
CREATE TABLE allowed (txn text PRIMARY KEY);
ALTER TABLE effect ADD FOREIGN KEY (txn) REFERENCES allowed DEFERRABLE INITIALLY DEFERRED;
"""
WAITS = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> Iterator[PostgresOffice]:
    before = database.address
    yield database.fresh()
    database.address = before


@pytest.fixture(scope="module")
def strict_database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    """Give an office that asks only at the commit whether an effect is one that may be."""
    made = PostgresOffice(postgres, TABLES + ONLY_AT_THE_COMMIT)
    yield made
    made.close()


def key_in(lane: int, begin: str = "k") -> str:
    return next(key for n in itertools.count() if lane_of(key := f"{begin}{n}", LANES) == lane)


def session_of(redriver: Redriver) -> PostgresSession:
    assert isinstance(redriver, TransactionalRedriver)
    session = redriver._session
    assert isinstance(session, PostgresSession)
    return session


def backend(redriver: Redriver) -> int:
    return session_of(redriver).connected().info.backend_pid


def waits(office: PostgresOffice, redrive: Future[Redriven]) -> None:
    """See that a redrive comes to wait for a lane."""
    while not office.run(WAITS):
        assert not redrive.done()


# beside live traffic


def events(n: int) -> Change:
    return event(n, note="wrong" if n % 3 == 0 else "fine")


def states(n: int) -> Change:
    return untranslated(n) if n % 3 == 0 else upsert(n)


@pytest.mark.parametrize("made", [events, states])
def test_live_changes_of_a_key_that_is_redriven_all_the_time_take_effect_once_and_in_order(
    office: PostgresOffice, made: Callable[[int], Change]
) -> None:
    numbers = range(1, ROUNDS + 1)
    with closing(World(office)) as world, closing(world.redriver(Mended({f"k-{n}" for n in numbers}))) as redriver:
        live = threading.Event()

        def decide() -> None:
            try:
                for n in numbers:
                    assert world.apply(made(n), upsert(n, "other")) in ([APPLIED] * 2, [PARKED, APPLIED])
            finally:
                live.set()

        def redrive() -> int:
            rounds = 0
            while not live.is_set():
                rounds += 1
                assert all(found.stopped is None for found in emptied(redriver, most=2))
            emptied(redriver)
            return rounds

        with ThreadPoolExecutor(2) as threads:
            both = threads.submit(decide), threads.submit(redrive)
            assert [each.result(DEADLINE) for each in both][1]
        told = [(int(txn.removeprefix("k-")), outcome) for txn, outcome in office.told() if txn.startswith("k-")]
        applied = [n for n, outcome in told if outcome == "applied"]
        assert applied == sorted(set(applied))
        # Nothing is lost, and nothing is told of twice.
        assert sorted(n for n, _ in told) == list(numbers)
        assert {outcome for _, outcome in told} <= {"applied", "superseded", "stale"}
        assert world.effects() == {f"k-{n}": 1 for n in applied} | {f"other-{n}": 1 for n in numbers}
        assert made is states or applied == list(numbers)
        assert world.parked() == []


def test_whoever_waited_for_the_lane_sees_what_was_parked_meanwhile(office: PostgresOffice, world: World) -> None:
    beside = key_in(lane_of("k", LANES), "beside")
    world.apply(event(1, note="wrong"))
    with closing(world.redriver(Mended({"k-1"}))) as redriver, ThreadPoolExecutor(1) as threads:
        redrives: list[Future[Redriven]] = []

        def redrive() -> None:
            redrives.append(threads.submit(redriver.redrive, "k"))
            waits(office, redrives[0])

        # In the middle of a batch that parks one more.
        world.told.meanwhile[f"{beside}-1"] = [redrive]
        assert world.apply(event(2), event(1, beside)) == [PARKED, APPLIED]
        assert redrives[0].result(DEADLINE).outcomes == {"applied": 2}
    assert world.parked() == []


def test_a_key_whose_lane_somebody_keeps_is_tried_again_later(office: PostgresOffice) -> None:
    office.address = replace(office.address, lock_timeout=0.05)
    with closing(World(office)) as world, closing(world.redriver(Mended({"k-1"}))) as redriver:
        world.apply(event(1, note="wrong"))
        with world.session.unit() as zombie:
            zombie.load([event(2)])
            for act in (
                lambda: redriver.redrive("k"),
                lambda: redriver.discard("k", ["k-1"], who=WHO, why=WHY),
            ):
                with pytest.raises(Transient) as found:
                    act()
                assert found.value.cause == "locked"
        assert redriver.redrive("k").outcomes == {"applied": 1}


# beside other redrives


def crossed(world: World, remake: Mended, n: int = 1) -> list[str]:
    """Park two rows whose keys were not known, in the first lane and the last: each belongs into the other one's."""
    rows = [key_in(lane, f"{RAW_KEY_PREFIX}raw/flights/{n}/") for lane in (0, LANES - 1)]
    for row, lane in zip(rows, (LANES - 1, 0), strict=True):
        remake.others[f"{row}-1"] = [upsert(n, key_in(lane))]
    assert world.apply(*(untranslated(1, row) for row in rows)) == [PARKED, PARKED]
    return rows


def test_two_redrives_whose_rows_belong_into_each_others_lanes_do_not_stand_in_a_ring(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    remake = Mended()
    rows = crossed(world, remake)
    both, begin_in_order = threading.Barrier(2), Looks.begin_in_order

    def with_both_lanes_locked(looks: Looks, keys: Iterable[str]) -> None:
        both.wait(DEADLINE)
        begin_in_order(looks, keys)

    monkeypatch.setattr(Looks, "begin_in_order", with_both_lanes_locked)
    with (
        closing(world.redriver(remake)) as one,
        closing(world.redriver(remake)) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        tries = [threads.submit(redriver.redrive, row) for redriver, row in zip((one, other), rows, strict=True)]
        assert [each.result(DEADLINE).outcomes for each in tries] == [{"applied": 1}] * 2
    assert world.parked() == []
    assert len(world.office.rows("thing")) == 2


def test_redrives_and_live_changes_through_the_same_lanes_all_get_on(office: PostgresOffice) -> None:
    live, remake = [f"live{n}" for n in range(2 * LANES)], Mended()
    with closing(World(office)) as world, closing(world.elsewhere()) as decider, ThreadPoolExecutor(3) as threads:
        crossings = [crossed(world, remake, n) for n in range(1, ROUNDS + 1)]

        def redrive(place: int) -> None:
            with closing(world.redriver(remake)) as redriver:
                for rows in crossings:
                    assert redriver.redrive(rows[place]).stopped is None

        def decide() -> None:
            for n in range(1, ROUNDS + 1):
                assert decider.apply([delivered(upsert(n, key)) for key in live]) == [APPLIED] * len(live)

        working = [threads.submit(redrive, 0), threads.submit(redrive, 1), threads.submit(decide)]
        assert [each.exception(DEADLINE) for each in working] == [None] * 3
        assert world.parked() == []
        expected = [*live, *(key_in(lane) for lane in (0, LANES - 1))]
        assert {row["key"]: row["size"] for row in office.rows("thing")} == dict.fromkeys(expected, ROUNDS)


def test_a_row_that_is_discarded_while_its_redrive_gives_its_lane_back_is_left_alone(
    office: PostgresOffice, world: World
) -> None:
    remake = Mended()
    _, row = crossed(world, remake)
    with (
        closing(world.redriver(remake)) as redriver,
        closing(world.redriver(remake)) as another,
        ThreadPoolExecutor(1) as threads,
    ):
        with world.session.unit() as keeper:
            # The lower lane, which the row's state belongs into.
            keeper.load([upsert(1, key_in(0))])
            redrive = threads.submit(redriver.redrive, row)
            waits(office, redrive)
            assert another.discard(row, [f"{row}-1"], who=WHO, why=WHY) == 1
        error = redrive.exception(DEADLINE)
        assert isinstance(error, Transient)
        assert error.cause == "overtaken"
        assert redriver.redrive(row) == Redriven()
    assert office.rows("thing") == []


# constraints that are asked at the commit


@pytest.fixture
def strict(strict_database: PostgresOffice) -> Iterator[World]:
    """Give a world where three events wait, and the second one's effect is refused."""
    office = strict_database.fresh()
    office.run("INSERT INTO allowed VALUES ('k-1'), ('k-3')")
    with closing(World(office)) as world:
        assert world.apply(event(1, note="wrong"), event(2), event(3)) == [PARKED] * 3
        yield world


def test_what_is_refused_at_the_commit_stops_its_key_and_not_what_was_before_it(strict: World) -> None:
    office = strict.office
    assert isinstance(office, PostgresOffice)
    with closing(strict.redriver(Mended({"k-1"}))) as redriver:
        found = emptied(redriver)
        assert [each.outcomes for each in found] == [{"applied": 1}, {"parked": 1}]
        assert found[-1].stopped is not None
        assert (found[-1].stopped.txn, found[-1].stopped.reason) == ("k-2", "constraint")
        assert [(row["txn"], row["reason"], row["attempts"]) for row in office.own("parked")] == [
            ("k-2", "constraint", 2),
            ("k-3", "behind", 1),
        ]
        assert strict.effects() == {"k-1": 1}
        office.run("INSERT INTO allowed VALUES ('k-2')")
        assert [each.outcomes for each in emptied(redriver)] == [{"applied": 2}]
    assert strict.effects() == {"k-1": 1, "k-2": 1, "k-3": 1}


def test_a_rehearsal_knows_what_would_be_refused_at_the_commit(strict: World) -> None:
    office = strict.office
    assert isinstance(office, PostgresOffice)
    before = strict.state()
    with closing(strict.redriver(Mended({"k-1"}))) as redriver:
        # As it would be done: when all at once are refused, they are tried one by one.
        assert redriver.redrive("k", rehearse=True) == Redriven({"applied": 1}, left=True)
        office.run("DELETE FROM allowed")
        found = redriver.redrive("k", rehearse=True)
        assert found.stopped is not None
        assert (found.stopped.txn, found.stopped.reason) == ("k-1", "constraint")
    assert strict.state() == before


# sessions


def test_a_rehearsal_keeps_its_connection(world: World) -> None:
    world.apply(event(1, note="wrong"))
    with closing(world.redriver(Mended({"k-1"}))) as redriver:
        before = backend(redriver)
        assert redriver.redrive("k", rehearse=True).outcomes == {"applied": 1}
        assert backend(redriver) == before


def test_a_session_that_is_killed_between_looking_and_trying_is_made_anew(office: PostgresOffice, world: World) -> None:
    world.apply(event(1, note="wrong"), event(2))
    remake = Mended({"k-1"})
    with closing(world.redriver(remake)) as redriver:
        remake.meanwhile = [lambda: office.run("SELECT pg_terminate_backend(%s, 10000)", (backend(redriver),))]
        with pytest.raises(Transient):
            redriver.redrive("k")
        assert redriver.redrive("k").outcomes == {"applied": 2}
    assert world.effects() == {"k-1": 1, "k-2": 1}


# history


def test_what_leaves_the_lot_is_not_told_of_as_superseded_by_what_came_of_it(world: World) -> None:
    world.apply(untranslated(1))
    remake = Mended()
    remake.others["k-1"] = [upsert(1, id="bad", size=-1), upsert(2)]
    with closing(world.redriver(remake)) as redriver:
        assert redriver.redrive("k").outcomes == {"parked": 1, "applied": 1}
    assert world.office.told() == [("bad", "superseded"), ("k-2", "applied")]
