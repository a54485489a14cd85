"""What gates ask, of a real database and a real server: a clear answer, or none."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from isthmus.console.gateprobes import MOST_BYTES, HttpProbe, SqlProbe
from isthmus.errors import Fatal, IsthmusError, Refused, TargetDown, Transient
from tests.fakes.postgres_server import PostgresServer


@pytest.fixture
def office(tmp_path: Path) -> Path:
    file = tmp_path / "office.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE CLOSING (MONTH TEXT, DONE INTEGER, NOTE TEXT)")
        connection.execute("INSERT INTO CLOSING VALUES ('2013-01', 1, 'secret'), ('2013-02', 0, 'secret')")
    return file


def query(file: Path, sql: str, timeout: float = 5.0) -> SqlProbe:
    return SqlProbe("books", sql, f"sqlite:///{file}", timeout)


@pytest.mark.parametrize(
    "sql, closed, words",
    [
        ("SELECT count(*) FROM CLOSING WHERE DONE = 0", True, "the query's first column is true"),
        ("SELECT count(*) FROM CLOSING WHERE DONE = 7", False, "the query's first column is false"),
        ("SELECT DONE FROM CLOSING WHERE MONTH = '2099-01'", False, "the query gives no row"),
        ("SELECT DONE FROM CLOSING ORDER BY MONTH DESC", True, "the query's first column is true"),
        ("SELECT 1 WHERE '50%' LIKE '50\\%' ESCAPE '\\' AND ':x' = ':x'", True, "the query's first column is true"),
    ],
)
def test_a_query_closes_while_some_row_begins_with_what_is_true(
    office: Path, sql: str, words: str, *, closed: bool
) -> None:
    assert query(office, sql)() == (closed, words)


def test_a_condition_that_changes_is_seen_by_the_same_probe(office: Path) -> None:
    probe = query(office, "SELECT count(*) FROM CLOSING WHERE DONE = 0")
    assert probe().closed
    with closing(sqlite3.connect(office)) as connection, connection:
        connection.execute("UPDATE CLOSING SET DONE = 1")
    assert not probe().closed
    office.rename(office.with_name("away.db"))
    with pytest.raises(IsthmusError):
        probe()
    office.with_name("away.db").rename(office)
    assert not probe().closed


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT NULL",
        "SELECT NOTE FROM CLOSING",
        "SELECT x FROM CLOSING",
        "SELECT * FROM NOTHING",
        "SELEC",
        "UPDATE CLOSING SET DONE = 1",
        "DELETE FROM CLOSING",
        "CREATE TABLE X (Y)",
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 1001) SELECT i FROM n",
    ],
)
def test_what_is_no_clear_answer_is_none_and_nothing_is_written(office: Path, sql: str) -> None:
    before = office.read_bytes()
    with pytest.raises((Transient, Refused)) as caught:
        query(office, sql)()
    assert "secret" not in str(caught.value)
    assert office.read_bytes() == before


def test_a_query_that_takes_too_long_is_ended(office: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(Transient, match="longer than allowed") as caught:
        query(office, endless, timeout=0.2)()
    assert caught.value.cause == "slow"


def test_an_address_that_is_none_is_told_when_the_probe_is_made(tmp_path: Path) -> None:
    with pytest.raises(Fatal):
        SqlProbe("books", "SELECT 1", "nodb://x", 1.0)
    with pytest.raises(IsthmusError):
        query(tmp_path / "nowhere" / "x.db", "SELECT 1")()


def test_postgresql_is_asked_for_reading_and_for_so_long_only(postgres: PostgresServer) -> None:
    address = postgres.url.replace("postgresql://", "postgresql+psycopg://")

    def probe(sql: str, timeout: float = 5.0) -> SqlProbe:
        return SqlProbe("books", sql, address, timeout)

    assert probe("SELECT true WHERE '50%' LIKE '50%' AND ':x' = ':x'")().closed
    assert not probe("SELECT 0.0::numeric")().closed
    for wrong in ("CREATE TABLE gate_probe (x int)", "SELECT 'true'", "SELECT nothing", "SELECT NULL::boolean"):
        with pytest.raises((Transient, Refused)):
            probe(wrong)()
    with pytest.raises(Transient):
        probe("SELECT pg_sleep(60)", timeout=0.3)()


# A page


class Page:
    """A server on loopback that answers as it is told."""

    def __init__(self) -> None:
        page = self
        self.status, self.body, self.headers = 200, b"true", {"content-type": "application/json"}
        self.silent = threading.Event()
        self.hangs = False
        self.asked: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page.asked.append({name.lower(): value for name, value in self.headers.items()} | {"path": self.path})
                if page.hangs:
                    page.silent.wait(30)
                    return
                self.send_response(page.status)
                for name, value in page.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(page.body)))
                self.end_headers()
                self.wfile.write(page.body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/state?key=secret"

    def close(self) -> None:
        self.silent.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page()
    yield made
    made.close()


@pytest.mark.parametrize(
    "body, closed, words",
    [
        (b"true", True, "the page is true"),
        (b" 0\n", False, "the page is false"),
        (b'{"closed": true, "x": 1}', True, "the field closed of the page is true"),
        (b'{"closed": 0}', False, "the field closed of the page is false"),
    ],
)
def test_a_page_closes_while_it_says_so(page: Page, body: bytes, words: str, *, closed: bool) -> None:
    page.body = body
    assert HttpProbe(page.url, "closed", None, 5.0)() == (closed, words)


def test_a_page_that_changes_is_seen_by_the_same_probe_which_says_who_it_is(page: Page) -> None:
    probe = HttpProbe(page.url, "moving", "hush", 5.0)
    for answer, closed in ((b'{"moving": true}', True), (b'{"moving": false}', False)):
        page.body = answer
        assert probe().closed is closed
    assert {(each["authorization"], each["path"]) for each in page.asked} == {("Bearer hush", "/state?key=secret")}


@pytest.mark.parametrize(
    "status, body",
    [
        (204, b""),
        (404, b"true"),
        (500, b"false"),
        (302, b"false"),
        (200, b""),
        (200, b"open"),
        (200, b'"false"'),
        (200, b"null"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"closed": null}'),
        (200, b'{"open": true}'),
        (200, b"<html></html>"),
        (200, b" " * MOST_BYTES + b"false"),
    ],
)
def test_a_page_that_is_no_clear_answer_is_none(page: Page, status: int, body: bytes) -> None:
    page.status, page.body = status, body
    if status == 302:
        page.headers["location"] = page.url
    with pytest.raises(Transient) as caught:
        HttpProbe(page.url, "closed", None, 5.0)()
    assert "secret" not in str(caught.value)
    assert len(page.asked) == 1


def test_a_server_that_is_away_or_says_nothing_is_no_answer(page: Page) -> None:
    page.hangs = True
    probe = HttpProbe(page.url, "closed", None, 0.3)
    with pytest.raises(TargetDown, match=r"^127.0.0.1 does not answer \(ReadTimeoutError\)") as caught:
        probe()
    assert "secret" not in str(caught.value)
    page.hangs = False
    assert probe().closed
    gone = HttpProbe("http://127.0.0.1:1/", "closed", None, 1.0)
    with pytest.raises(TargetDown):
        gone()


def test_no_proxy_of_the_environment_is_asked(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert HttpProbe(page.url, "closed", None, 5.0)().closed
