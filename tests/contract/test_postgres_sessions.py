"""Sessions of a PostgreSQL front office that are killed, stopped, locked out or broken off, and what comes after."""

import itertools
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from types import FrameType

import psycopg
import pytest

from isthmus.change import Change, Outcome, lane_of
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Decider
from isthmus.consumer.stores.postgres import connection as connecting
from isthmus.consumer.stores.postgres import watchdog
from isthmus.consumer.stores.postgres.store import PostgresSession, PostgresStore
from isthmus.errors import TargetDown, Transient
from isthmus.pipeline import Row, Transaction
from tests.contract.store_contract import world
from tests.fakes.postgres_office import LANES, PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import APPLIED, BATCH, DUPLICATE, STALE, World, delivered, event, upsert

__all__ = ["world"]

DEADLINE = 60.0
LONGEST_SILENCE = 20.0
"""Seconds, both."""
BATCHES = 100
"""Given to two workers each."""
OURS = "FROM pg_stat_activity WHERE application_name = 'isthmus' AND datname = current_database()"


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


def decided(decider: Decider, *changes: Change) -> list[Outcome | None]:
    """Decide, again and again through every outage."""
    while True:
        with suppress(Transient):
            return decider.apply([delivered(change) for change in changes])


def connections(office: PostgresOffice, expected: int) -> None:
    """See that there come to be so many connections of ours: a server takes its time to end one."""
    for _ in range(1_000):
        ((number,),) = office.run(f"SELECT count(*) {OURS}")
        if number == expected:
            return
    raise AssertionError(number)


def backend(world: World) -> int:
    session = world.session
    assert isinstance(session, PostgresSession)
    return session.connected().info.backend_pid


def quick(world: World) -> None:
    """Make `thing` an entity that the quick way takes."""
    world.entities = [replace(each, handlers=()) if each.name == "thing" else each for each in world.entities]
    world.decider.close()
    world.decider = world.elsewhere()


# killed


def test_sessions_killed_in_a_loop_lose_nothing_and_park_nothing(office: PostgresOffice, world: World) -> None:
    batches = [[upsert(n, f"k{n % 7}"), event(n, f"e{n % 5}"), upsert(n, "same")] for n in range(1, BATCHES + 1)]
    going: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def work(decider: Decider) -> None:
        for batch in batches:
            going.put(True)
            decided(decider, *batch)

    def kill() -> int:
        kills = 0
        while going.get():
            kills += office.run(f"SELECT count(pg_terminate_backend(pid)) {OURS} AND state <> 'idle'")[0][0]
        return kills

    with closing(world.elsewhere()) as second, ThreadPoolExecutor(3) as threads:
        killing = threads.submit(kill)
        try:
            for working in [threads.submit(work, each) for each in (world.decider, second)]:
                working.result(DEADLINE)
        finally:
            going.put(False)
        assert killing.result(DEADLINE) > 5
    assert office.own("parked") == office.own("outbox") == []
    assert {row["key"]: row["size"] for row in office.rows("thing")}["same"] == BATCHES
    assert len(office.own("ledger")) == BATCHES
    effects = world.effects()
    assert set(effects.values()) == {1}
    assert len([txn for txn in effects if txn.startswith("e")]) == BATCHES


def test_a_server_killed_in_the_middle_comes_back_on_its_data_and_everything_goes_on() -> None:
    server = PostgresServer()
    if server.server is None:
        pytest.skip("a given server is not ours to kill")
    embedded = server.server
    try:
        office = PostgresOffice(server)
        world = World(office)
        kills: list[Callable[[], object]] = [lambda: os.kill(embedded.server_pid(), signal.SIGKILL)]
        world.told.meanwhile["k-3"] = kills
        with closing(world), closing(office):
            for n in range(1, 7):
                assert decided(world.decider, upsert(n), event(n, "e"), upsert(n, f"k{n}")) == [APPLIED] * 3
            assert kills == []
            office.close()
            office._look = psycopg.connect(office.url, autocommit=True)
            assert office.own("parked") == []
            assert len(office.own("ledger")) == 6
            assert set(world.effects().values()) == {1}
            assert len(world.effects()) == 18
    finally:
        server.end()


# locked out


@pytest.mark.parametrize("is_quick", [False, True])
def test_a_second_writer_that_holds_a_row_is_waited_for_and_nothing_is_parked(
    office: PostgresOffice, *, is_quick: bool
) -> None:
    office.address = replace(office.address, lock_timeout=0.05)
    with closing(World(office)) as world, psycopg.connect(office.url) as other:
        if is_quick:
            quick(world)
        world.apply(upsert(1), upsert(1, "b"))
        other.execute("SELECT * FROM thing WHERE key = 'b' FOR UPDATE")
        for _ in range(3):
            with pytest.raises(Transient) as found:
                world.apply(upsert(2), upsert(2, "b"))
            assert found.value.cause == "locked"
        other.rollback()
        assert world.apply(upsert(2), upsert(2, "b")) == [APPLIED, APPLIED]
        assert office.own("parked") == []


@pytest.mark.parametrize("is_quick", [False, True])
def test_a_worker_that_stands_still_with_a_lane_keeps_others_out_of_it_and_of_no_other(
    office: PostgresOffice, *, is_quick: bool
) -> None:
    office.address = replace(office.address, lock_timeout=0.05)
    with closing(World(office)) as world, closing(World(office)) as zombie:
        if is_quick:
            quick(world)
        others = [f"k{n}" for n in range(50) if lane_of(f"k{n}", LANES) != lane_of("k", LANES)]
        with zombie.session.unit() as unit:
            unit.load([upsert(1)])
            with pytest.raises(Transient) as found:
                world.apply(upsert(1))
            assert found.value.cause == "locked"
            assert world.apply(upsert(1, others[0])) == [APPLIED]
        assert world.apply(upsert(1)) == [APPLIED]
        assert office.own("parked") == []


def test_one_id_on_two_keys_that_another_worker_takes_at_the_same_moment_takes_effect_once(
    office: PostgresOffice, world: World
) -> None:
    with psycopg.connect(office.url) as other, ThreadPoolExecutor(1) as threads:
        other.execute(
            "INSERT INTO isthmus.ledger (txn, month, key, version, rowhash, decided) "
            "VALUES ('e-1', '0001-01-01', 'elsewhere', '1', '', 1)"
        )
        waiting = threads.submit(world.apply, event(1, "e"))
        while not office.run("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"):
            assert not waiting.done()
        other.commit()
        error = waiting.exception(DEADLINE)
    assert isinstance(error, Transient)
    assert error.cause == "overtaken"
    assert world.apply(event(1, "e")) == [DUPLICATE]
    assert world.effects() == {}


# silent


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def impatient(office: PostgresOffice, monkeypatch: pytest.MonkeyPatch) -> PostgresOffice:
    """Give an office whose server is taken for away after a fraction of a second."""
    if "host=" not in office.url:
        pytest.skip("a given server's processes are not ours to stop")
    monkeypatch.setattr(watchdog, "SURELY_DEAD", -19.8)
    return office


@pytest.mark.parametrize("is_quick", [False, True])
def test_a_server_that_says_nothing_is_taken_for_away_and_the_next_batch_goes_on(
    impatient: PostgresOffice, *, is_quick: bool
) -> None:
    with closing(World(impatient)) as world:
        if is_quick:
            quick(world)
        world.apply(upsert(1))
        for n in (2, 3):
            # In a thread of its own: whoever waits for ever shall fail this test, and not hang it.
            with ThreadPoolExecutor(1) as threads, stopped(backend(world)):
                waiting = threads.submit(world.apply, upsert(n))
                assert isinstance(waiting.exception(LONGEST_SILENCE), TargetDown)
            assert world.apply(upsert(n)) == [APPLIED]
        assert impatient.own("parked") == []


def test_a_server_that_says_nothing_in_the_middle_of_a_handler_is_taken_for_away(impatient: PostgresOffice) -> None:
    with closing(World(impatient)) as world:
        pid = backend(world)
        world.told.meanwhile["k-1"] = [lambda: os.kill(pid, signal.SIGSTOP)]
        try:
            with pytest.raises(TargetDown):
                world.apply(upsert(1))
        finally:
            os.kill(pid, signal.SIGCONT)
        assert world.apply(upsert(1)) == [APPLIED]
        assert world.effects() == {"k-1": 1}


# broken off


@pytest.mark.parametrize("is_quick", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_an_interruption_anywhere_leaves_the_session_usable_and_no_connection_behind(
    office: PostgresOffice, *, after: bool, is_quick: bool
) -> None:
    batch = (upsert(1), upsert(1, "b")) if is_quick else BATCH[:-1]
    for at in itertools.count(step=1 if is_quick else 3):
        with closing(World(office.fresh())) as world:
            if is_quick:
                quick(world)
            happened = office.break_at(world.decider, at, KeyboardInterrupt(), after=after)
            with suppress(KeyboardInterrupt):
                world.apply(*batch)
            if not happened():
                break
            outcomes = world.apply(*batch)
            assert set(outcomes) & {APPLIED, DUPLICATE, STALE}
            assert set(world.effects().values()) <= {1}
            connections(office, 1)
        connections(office, 0)
    assert at > 4


def test_a_signal_in_the_middle_of_a_statement_breaks_it_off(office: PostgresOffice, world: World) -> None:
    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    def sleep(tx: Transaction, _: Change, __: Row | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        tx.execute("SELECT pg_sleep(30)")

    entities = {"thing": replace(world.entities[0], handlers=(sleep,))}
    applier = Applier(world.session, entities, world.clock, world.metrics, history=False)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            applier.apply([delivered(upsert(1))])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not any(world.state().values())
    assert world.apply(upsert(1)) == [APPLIED]
    connections(office, 1)


def test_every_way_to_fail_gives_its_connection_back(office: PostgresOffice) -> None:
    for error in (psycopg.OperationalError("gone"), psycopg.errors.ReadOnlySqlTransaction(), ZeroDivisionError()):
        for at in range(12):
            with closing(World(office.fresh())) as world:
                office.break_at(world.decider, at, error)
                with suppress(Transient, ZeroDivisionError):
                    world.apply(*BATCH)
                connections(office, len(_open(world)))
    connections(office, 0)


def _open(world: World) -> Sequence[object]:
    session = world.session
    assert isinstance(session, PostgresSession)
    return [each for each in [session._connection] if each is not None and not each.closed]


def test_a_transaction_in_which_nothing_happens_is_ended_by_the_server_and_tried_again(
    office: PostgresOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connecting._SESSION, "idle_in_transaction_session_timeout", "30")
    with closing(World(office)) as world:
        pid = backend(world)

        def until_it_is_ended() -> None:
            while office.run("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)):
                pass

        world.told.meanwhile["k-1"] = [until_it_is_ended]
        with pytest.raises(Transient) as found:
            world.apply(upsert(1))
        # What ended it is said only where somebody listens at that moment.
        assert found.value.cause in {"idle-too-long", "connection"}
        assert world.apply(upsert(1)) == [APPLIED]
        assert office.own("parked") == []


def test_a_watchdog_ends_with_its_last_connection_and_watches_the_next_one(impatient: PostgresOffice) -> None:
    def watching() -> bool:
        return any(each.name == "front-office-watchdog" for each in threading.enumerate())

    with closing(World(impatient)) as world:
        world.apply(upsert(1))
        for each in threading.enumerate():
            if each.name == "front-office-watchdog":
                each.join(DEADLINE)
        assert not watching()
        with stopped(backend(world)), pytest.raises(TargetDown):
            world.apply(upsert(2))
        assert PostgresStore(impatient.address, [], lanes=LANES).versions() == (1, 1)
