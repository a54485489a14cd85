"""The fault proxy in front of PostgreSQL: a real server behind it, psycopg before it."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from isthmus.console.proxy.kinds import Service
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.proxy_stand import ProxyStand
from tests.fakes.shop import until


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    url = postgres.database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (it text)")
    return url


class Between:
    """The proxy before a database, and sessions through it."""

    def __init__(self, database: str, *specs: str) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(database)
        self.database = database
        self._parts = parts
        host = str(parts["host"])
        where = host if host.startswith("/") else f"{host}:{parts.get('port', 5432)}"
        self.stand = ProxyStand(Service.POSTGRES, where, *specs)

    def connect(self, **more: Any) -> psycopg.Connection[Any]:
        through = {**self._parts, "host": "127.0.0.1", "port": self.stand.port, "connect_timeout": 20}
        return psycopg.connect(**{**through, **more})

    def kept(self) -> list[str]:
        """Give what the database holds, asked past the proxy."""
        with psycopg.connect(self.database) as connection:
            return [row[0] for row in connection.execute("SELECT it FROM kept ORDER BY it").fetchall()]


@pytest.fixture
def between(database: str) -> Iterator[Callable[..., Between]]:
    begun: list[Between] = []

    def make(*specs: str) -> Between:
        made = Between(database, *specs)
        made.stand.__enter__()
        begun.append(made)
        return made

    yield make
    for each in begun:
        each.stand.end()


def test_without_a_plan_sessions_pass_with_large_values_copies_and_pipelines(
    between: Callable[..., Between],
) -> None:
    it = between()
    with it.connect() as connection:
        large = "x" * 3_000_000
        assert connection.execute("SELECT %s::text", (large,)).fetchone() == (large,)
        with connection.cursor() as cursor, cursor.copy("COPY kept FROM STDIN") as copy:
            for number in range(1000):
                copy.write_row((f"{number:04}",))
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int", (number,)) for number in range(20)]
            assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(20)]
        connection.commit()
    assert len(it.kept()) == 1000
    assert it.stand.kinds == []


def test_a_wish_to_cancel_passes(between: Callable[..., Between]) -> None:
    it = between("postgres latency seconds=0.001")
    with psycopg.connect(it.database) as holder, it.connect() as connection, ThreadPoolExecutor(1) as pool:
        holder.execute("SELECT pg_advisory_lock(1)")
        waits = pool.submit(connection.execute, "SELECT pg_advisory_lock(1)")
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = %s"
        pid = connection.info.backend_pid
        until(lambda: holder.execute(waiting, (pid,)).fetchone() == (1,), "the statement waits")
        connection.cancel_safe(timeout=20)
        with pytest.raises(psycopg.errors.QueryCanceled):
            waits.result(20)


@pytest.mark.parametrize("sslmode", ["disable", "prefer"])
def test_a_client_that_asks_for_tls_is_told_that_there_is_none(between: Callable[..., Between], sslmode: str) -> None:
    with between().connect(sslmode=sslmode) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_answer_to_a_commit_is_lost_after_the_server_has_committed(between: Callable[..., Between]) -> None:
    it = between("postgres commit answer-lost times=1")
    connection = it.connect()
    connection.execute("INSERT INTO kept VALUES ('committed')")
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    assert it.kept() == ["committed"]
    assert it.stand.kinds == ["answer-lost"]


def test_a_commit_that_rolls_back_is_none(between: Callable[..., Between]) -> None:
    it = between("postgres commit answer-lost times=1")
    with it.connect() as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere")
        connection.execute("COMMIT")
        assert it.stand.kinds == []
        connection.execute("INSERT INTO kept VALUES ('after')")
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    assert it.kept() == ["after"]
    assert it.stand.kinds == ["answer-lost"]


def piped(connection: psycopg.Connection[Any], *statements: str) -> None:
    """Send them all before the first is answered."""
    with connection.pipeline():
        for statement in statements:
            connection.execute(statement.encode())


def test_a_commit_in_a_pipeline_loses_its_answer_too(between: Callable[..., Between]) -> None:
    it = between("postgres commit answer-lost times=1")
    connection = it.connect()
    with pytest.raises(psycopg.OperationalError):
        piped(connection, "INSERT INTO kept VALUES ('piped')", "COMMIT")
    assert it.kept() == ["piped"]
    assert it.stand.kinds == ["answer-lost"]


def test_a_commit_whose_connection_breaks_before_it_never_happened(between: Callable[..., Between]) -> None:
    it = between("postgres commit reset times=1")
    connection = it.connect()
    connection.execute("INSERT INTO kept VALUES ('never')")
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    assert it.stand.kinds == ["reset"]
    with it.connect() as again:
        # The server has undone it when its row can be locked: no wait, and no time.
        again.execute("LOCK TABLE kept")
        assert again.execute("SELECT count(*) FROM kept").fetchone() == (0,)


@pytest.mark.parametrize("ask", ["SELECT 1", "INSERT INTO kept VALUES ('asked')"])
def test_the_answer_to_a_statement_is_lost_after_it_was_run(between: Callable[..., Between], ask: str) -> None:
    it = between("postgres query answer-lost times=1")
    connection = it.connect(autocommit=True)
    with pytest.raises(psycopg.OperationalError):
        connection.execute(ask.encode())
    assert it.kept() == (["asked"] if "INSERT" in ask else [])
    assert it.stand.kinds == ["answer-lost"]
    with it.connect() as again:
        assert again.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_with_values_loses_its_answer_once_the_server_is_ready_again(
    between: Callable[..., Between],
) -> None:
    it = between("postgres query answer-lost times=1 first=3")
    connection = it.connect(autocommit=True)
    keep = "INSERT INTO kept SELECT chr(97 + count(*)::int) FROM kept"
    with pytest.raises(psycopg.OperationalError):
        piped(connection, keep, "SELECT 1", keep, "SELECT 1", keep, "SELECT 1")
    assert it.kept()[:2] == ["a", "b"]
    assert it.stand.kinds == ["answer-lost"]


def test_a_session_that_is_refused_gets_the_servers_own_words(between: Callable[..., Between]) -> None:
    it = between("postgres throttle times=1", "postgres connect unavailable times=1")
    with pytest.raises(psycopg.OperationalError, match="sorry, too many clients already"):
        it.connect()
    with pytest.raises(psycopg.OperationalError, match="the database system is starting up"):
        it.connect()
    with it.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert it.stand.kinds == ["throttle", "unavailable"]


def test_a_connection_breaks_before_the_server_is_reached(between: Callable[..., Between]) -> None:
    it = between("postgres connect reset times=1")
    with pytest.raises(psycopg.OperationalError):
        it.connect()
    it.connect().close()
    assert it.stand.kinds == ["reset"]


@pytest.mark.parametrize("operation", ["connect", "query"])
def test_an_answer_is_cut_after_so_many_bytes(between: Callable[..., Between], operation: str) -> None:
    it = between(f"postgres {operation} cut bytes=2000 times=1")
    connection = it.connect()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT repeat('x', 5000)")
    assert it.stand.kinds == ["cut"]


def test_an_answer_that_is_shorter_than_the_cut_is_whole_and_the_next_session_is_cut(
    between: Callable[..., Between],
) -> None:
    it = between("postgres query cut bytes=2000 times=1")
    with it.connect(autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    connection = it.connect(autocommit=True)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT repeat('x', 5000)")
    assert it.stand.kinds == ["cut"]


def test_a_half_open_session_says_nothing_until_the_client_gives_up(between: Callable[..., Between]) -> None:
    it = between("postgres connect half-open times=1")
    with socket.create_connection(("127.0.0.1", it.stand.port), timeout=0.3) as connection:
        connection.sendall(b"\x00\x00\x00\x11\x00\x03\x00\x00user\x00me\x00\x00")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert it.stand.kinds == []
    it.stand.wait_fired(1)
    assert it.stand.kinds == ["half-open"]
    it.connect().close()


def test_a_half_open_session_ends_after_as_long_as_it_is_to_be_and_its_statement_never_ran(
    between: Callable[..., Between],
) -> None:
    it = between("postgres query half-open seconds=0.2 times=1")
    connection = it.connect(autocommit=True)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("INSERT INTO kept VALUES ('never')")
    assert it.kept() == []
    assert it.stand.kinds == ["half-open"]


def test_latency_keeps_each_statement_back_and_comes_on_top_of_another_fault(between: Callable[..., Between]) -> None:
    it = between("postgres commit reset times=1", "postgres commit latency seconds=0.1")
    connection = it.connect()
    connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    assert it.stand.kinds == ["latency", "reset"]


def test_faults_of_sessions_that_are_broken_off_by_the_end_of_the_proxy_are_put_back(
    between: Callable[..., Between],
) -> None:
    it = between("postgres query cut bytes=1000000")
    connection = it.connect()
    connection.execute("SELECT 1")
    rules = it.stand.end()
    assert (rules.counts[0].fired, rules.counts[0].open) == (0, 0)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")


@pytest.mark.parametrize(
    "words",
    [b"\x00\x00\x00\x04", b"GET / HTTP/1.1\r\n\r\n", b"\x7f\xff\xff\xff\x00\x03\x00\x00", b"\x00\x00\x00\x09\x00"],
)
def test_what_is_no_client_of_postgresql_is_hung_up_on(between: Callable[..., Between], words: bytes) -> None:
    it = between()
    with socket.create_connection(("127.0.0.1", it.stand.port), timeout=20) as connection:
        connection.sendall(words)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(10) == b""
    it.connect().close()
