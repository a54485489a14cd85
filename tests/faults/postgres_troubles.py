"""Rows of the matrix about a real PostgreSQL that fails: while a batch is decided, or while its commit is answered."""

import itertools
import logging
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psycopg

from isthmus.change import Change
from isthmus.clock import SystemClock
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.postgres.connection import PostgresAddress
from isthmus.consumer.stores.postgres.store import PostgresSession
from isthmus.lifecycle import ThreadStop
from tests.fakes.commit_cutter import CommitCutter, Cut
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import upsert
from tests.faults.cases import random_changes, random_cut
from tests.faults.front import records_of
from tests.faults.offices import AnyFront, judged, postgres_server
from tests.faults.row import Context, Result

_BY_SERVER: Final[Mapping[str, tuple[type[psycopg.Error], str]]] = {
    "a serialization failure": (psycopg.errors.SerializationFailure, "serialization"),
    "a full disk": (psycopg.errors.DiskFull, "disk-full"),
}
"""What no server says at a test's word: the driver raises it in a statement's place, with the cause that we give it."""
_DEADLOCK, _LOCKED = "a deadlock", "a lock timeout"
_ENDED, _ENDED_ANY_TIME = "a session terminated at a statement", "a session terminated at any time"
_KILLED_SESSION, _KILLED_SERVER = "a session's process killed (-9)", "the server killed (-9)"
_LOST_CAUSES: Final = {"shut-down", "connection", "crashed", "starting", "unknown-completion"}
_LOOK_SECONDS: Final = 0.05
Strike = Callable[[random.Random, Callable[[], None]], set[str]]
"""Lets something happen while the work is done; gives the causes that say that the work met it."""


class Troubled:
    """A front office in PostgreSQL, what can happen to it, and whether it did."""

    def __init__(self, office: PostgresOffice, server: PostgresServer) -> None:
        # So short that an attempt which waits for a lock in vain costs little.
        office.address = PostgresAddress(office.url, statement_timeout=20.0, lock_timeout=1.5)
        office.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public;")
        office.run(office._tables)
        # A waiting session looks for a deadlock once, so late: by then the other one waits for it.
        ((database,),) = office.run("SELECT current_database()")
        office.run(f"ALTER DATABASE {database} SET deadlock_timeout = 500")
        self.office = office
        self.server = server
        self.front = AnyFront(office, clock=SystemClock(), stop=ThreadStop())
        self.kinds: dict[str, Strike] = {
            **{name: self._in_place(error, cause) for name, (error, cause) in _BY_SERVER.items()},
            _DEADLOCK: self._deadlock,
            _LOCKED: self._locked,
            _ENDED: self._at_a_statement(self._terminate, all_go=False),
            _ENDED_ANY_TIME: self._at_any_time,
        }
        if server.server is not None:
            self.kinds[_KILLED_SESSION] = self._at_a_statement(lambda pid: os.kill(pid, signal.SIGKILL), all_go=True)
            self.kinds[_KILLED_SERVER] = self._at_a_statement(self._kill_server, all_go=True)

    def befalls(self, kind: str, chance: random.Random, work: Callable[[], None]) -> bool:
        """Let it happen while the work is done; say whether the work met it."""
        self.front.causes.clear()
        expected = self.kinds[kind](chance, work)
        return not expected.isdisjoint(self.front.causes)

    def close(self) -> None:
        self.front.end()
        self.office.close()

    def _in_place(self, error: type[psycopg.Error], cause: str) -> Strike:
        """Raise an error in the place of one of our statements."""

        def fail(_pid: int) -> None:
            raise error("no luck")

        def strike(chance: random.Random, work: Callable[[], None]) -> set[str]:
            session = _session(self.front)
            session._connection = _Ending(session.connected(), chance.randint(0, 12), fail, after=False)  # type: ignore[assignment]
            work()
            return {cause}

        return strike

    def _deadlock(self, chance: random.Random, work: Callable[[], None]) -> set[str]:
        """Let another one lock a row that we want second, wait until we wait for it, and want what we have locked."""
        first, second = ("z1", "z2") if chance.random() < 0.5 else ("z2", "z1")
        with self._another() as other:
            other.execute("SET deadlock_timeout = '60s'; BEGIN")
            other.execute("UPDATE thing SET note = note WHERE key = %s", (second,))
            working = threading.Thread(target=work)
            working.start()
            self._until_somebody_waits(working)
            # By us the other row is locked, or will be with the next statement: then there is no deadlock, and we wait.
            with suppress(psycopg.errors.QueryCanceled, psycopg.errors.DeadlockDetected):
                other.execute("SET statement_timeout = '3s'")
                other.execute("UPDATE thing SET note = note WHERE key = %s", (first,))
            other.execute("ROLLBACK")
            working.join()
        return {"deadlock"}

    def _locked(self, chance: random.Random, work: Callable[[], None]) -> set[str]:
        """Let another one hold a row until our patience with it has ended once or twice."""
        left = chance.randint(1, 2)
        met = threading.Semaphore(0)
        self.front.on_failure = lambda _error: met.release()
        self.office.address = PostgresAddress(self.office.url, statement_timeout=20.0, lock_timeout=0.1)
        self.front.life()
        with self._another() as other:
            other.execute("BEGIN")
            other.execute("UPDATE thing SET note = note WHERE key = %s", (chance.choice(["z1", "z2"]),))
            working = threading.Thread(target=work)
            working.start()
            for _ in range(left):
                while working.is_alive() and not met.acquire(timeout=_LOOK_SECONDS):
                    pass
            other.execute("ROLLBACK")
            working.join()
        return {"locked"}

    def _at_a_statement(self, end: Callable[[int], None], *, all_go: bool) -> Strike:
        """Let something end our session, whose process has this ID, before or after one of its statements.

        `all_go`: so do all other sessions.
        """

        def strike(chance: random.Random, work: Callable[[], None]) -> set[str]:
            session = _session(self.front)
            ending = _Ending(session.connected(), chance.randint(0, 25), end, after=chance.random() < 0.5)
            session._connection = ending  # type: ignore[assignment]
            work()
            if all_go and ending.happened():
                self._look_again()
            return _LOST_CAUSES

        return strike

    def _at_any_time(self, chance: random.Random, work: Callable[[], None]) -> set[str]:
        """End our sessions again and again while they work."""
        working = threading.Thread(target=work)
        working.start()
        for _ in range(chance.randint(1, 5)):
            for _ in range(chance.randint(0, 30)):
                self.office.run("SELECT 1")
            self.office.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'isthmus' AND datname = current_database()"
            )
        working.join()
        return _LOST_CAUSES

    def _terminate(self, pid: int) -> None:
        self.office.run("SELECT pg_terminate_backend(%s)", (pid,))

    def _kill_server(self, _session: int) -> None:
        """Kill the server: it is started again on the same data."""
        assert self.server.server is not None
        os.kill(self.server.server.server_pid(), signal.SIGKILL)

    def _look_again(self) -> None:
        """Wait until the session through which we look is gone too, and open another one when the server is back."""
        pause, gone = ThreadStop(), False
        while True:
            try:
                if not gone:
                    self.office.run("SELECT 1")
                    pause.wait(_LOOK_SECONDS)
                    continue
                self.office._look = psycopg.connect(self.office.url, autocommit=True, connect_timeout=5)
            except psycopg.OperationalError:
                self.office._look.close()
                gone = True
                pause.wait(_LOOK_SECONDS)
            else:
                return

    def _until_somebody_waits(self, working: threading.Thread) -> None:
        while working.is_alive():
            ((waiting,),) = self.office.run("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if waiting:
                return

    @contextmanager
    def _another(self) -> Iterator["psycopg.Connection[Any]"]:
        with psycopg.connect(self.office.url, autocommit=True) as connection:
            yield connection


class _Ending:
    """A connection at one of whose statements something happens to it."""

    def __init__(self, connection: Any, at: int, end: Callable[[int], None], *, after: bool) -> None:
        self._connection = connection
        self._left = at
        self._end = end
        self._after = after

    def happened(self) -> bool:
        return self._left < 0

    def execute(self, *arguments: Any, **options: Any) -> Any:
        self._left -= 1
        due = self._left == -1
        if due and not self._after:
            self._end(self._connection.info.backend_pid)
        done = self._connection.execute(*arguments, **options)
        if due and self._after:
            self._end(self._connection.info.backend_pid)
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _session(front: AnyFront) -> PostgresSession:
    assert isinstance(front.decider, Applier)
    session = front.decider._session
    assert isinstance(session, PostgresSession)
    return session


@contextmanager
def _troubled() -> Iterator[Troubled]:
    with _driver_is_quiet(), postgres_server() as server:
        made = Troubled(PostgresOffice(server), server)
        try:
            yield made
        finally:
            made.close()


@contextmanager
def _driver_is_quiet() -> Iterator[None]:
    """Keep what the driver says of lost connections out of it: there are hundreds."""
    driver = logging.getLogger("psycopg")
    before = driver.level
    driver.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        driver.setLevel(before)


def everything(context: Context) -> Result:
    """F46: each trouble befalls random batches; everything is applied in the end, and nothing parked that is good."""
    with _troubled() as troubled:
        kinds = list(troubled.kinds)
        result = Result.expecting(kinds)
        # Some strike where nothing of ours runs any more: they are tried again with other changes.
        for seed in itertools.count(context.first):
            if result.counts["troubles"] >= context.goal:
                break
            kind = min(kinds, key=lambda one: (result.fired[one], kinds.index(one)))
            met = _one(troubled, kind, seed, result)
            result.struck(kind, int(met))
            result.counts["troubles" if met else "not met"] += 1
            context.tell(result.counts["troubles"], context.goal)
            if result.counts["not met"] > 3 * context.goal + 20:
                result.violated(f"it is never met: {kind}")
                break
    return result


def _one(troubled: Troubled, kind: str, seed: int, result: Result) -> bool:
    chance, front = random.Random(seed), troubled.front
    front.on_failure = lambda _error: None
    troubled.office.address = PostgresAddress(troubled.office.url, statement_timeout=20.0, lock_timeout=1.5)
    front.batch_changes = 100 if kind == _DEADLOCK else chance.choice([3, 6, 100])
    front.reset()
    before = [upsert(1, "z1"), upsert(1, "z2")]
    front.process(records_of([before]))
    changes = random_changes(chance, 12)
    # The second one of each: what somebody else can lock is there already.
    both = [upsert(2, "z1", epoch=2), upsert(2, "z2", epoch=2)]
    place = chance.randint(0, len(changes))
    changes[place:place] = both if chance.random() < 0.5 else both[::-1]
    records = [one._replace(sequence=str(number)) for number, one in enumerate(_records(chance, changes), start=2)]
    met = troubled.befalls(kind, chance, lambda: front.process(records))
    if front.processor.position() != records[-1].sequence:
        result.violated(f"{kind}, seed {seed}: it ends at {front.processor.position()}")
    for sentence in judged(front, [*before, *changes]):
        result.violated(f"{kind}, seed {seed}: {sentence}")
    for cause in front.causes:
        result.counts[f"tried again: {cause}"] += 1
    return met


def _records(chance: random.Random, changes: Sequence[Change]) -> list[Any]:
    return records_of([part for part in random_cut(chance, changes) if part])


def answer_lost(context: Context) -> Result:
    """F38: a connection is cut when its COMMIT was sent: the server has committed, or it never saw it."""
    result = Result.expecting([cut.value for cut in Cut])
    with _driver_is_quiet(), postgres_server() as server:
        assert server.server is not None or "host=" in server.url, "a server behind a socket file is needed"
        office = PostgresOffice(server)
        cutter = CommitCutter(Path(str(psycopg.conninfo.conninfo_to_dict(office.url)["host"])))
        url = psycopg.conninfo.make_conninfo(office.url, host=str(cutter.folder))
        office.address = PostgresAddress(url, statement_timeout=20.0)
        front = AnyFront(office, clock=SystemClock(), stop=ThreadStop())
        try:
            for seed in itertools.count(context.first):
                if result.counts["commits"] >= context.goal:
                    break
                _cut_one(front, cutter, seed, result)
                context.tell(result.counts["commits"], context.goal)
        finally:
            front.end()
            office.close()
            cutter.close()
    return result


def _cut_one(front: AnyFront, cutter: CommitCutter, seed: int, result: Result) -> None:
    chance = random.Random(seed)
    changes = random_changes(chance, 10)
    front.batch_changes = chance.randint(1, 6)
    front.reset()
    cut = Cut.BEFORE if seed % 4 == 0 else Cut.AFTER
    cutter.arm(cut, chance.randint(0, 2))
    front.process(_records(chance, changes))
    if cutter.struck():
        result.struck(cut.value)
        result.counts["commits"] += cut is Cut.AFTER
        if not front.causes:
            result.violated(f"seed {seed}: a connection was cut, and nobody noticed")
    for sentence in judged(front, changes):
        result.violated(f"seed {seed}: {sentence}")
