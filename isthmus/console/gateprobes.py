"""What gates ask: a query in a SQL database, or a page that says so. Whatever is no clear answer is none."""

import sqlite3
from threading import Timer
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from isthmus.checkpoint.verdicts import is_true
from isthmus.consumer.gateprobing import Answer
from isthmus.errors import Refused, TargetDown, Transient

MOST_ROWS: Final = 1000
"""Rows of a query that are looked at."""
MOST_BYTES: Final = 64 * 1024
"""Of a page."""
_UNCLEAR: Final = "not-known"
_DRIVERS: Final = ("psycopg", "psycopg2")
_OK: Final = 200


class SqlProbe:
    """Closed while a query gives a row whose first column is true, or a number that is not 0. Else open.

    Reads only, where the database can be told so: SQLite, PostgreSQL and SQL Server. For another one, give it a user
    that may not write. One connection, opened for each question: an outage leaves none behind that is broken.
    """

    def __init__(self, name: str, sql: str, url: str, timeout: float) -> None:
        """Connect to nothing yet. Raises `Fatal` for an address that is none, or whose driver is not installed."""
        # Imported here: SQLAlchemy takes a quarter of a second, and more memory than a shard's process has for it.
        from isthmus.producer.sources.sql_engine import read_only_engine  # noqa: PLC0415 - see above

        self._what = f"what the gate {name} asks"
        self._sql = sql
        self._timeout = timeout
        self._engine = read_only_engine(_hurried(url, timeout), timeout)

    def __call__(self) -> Answer:
        """Ask. Raises `Transient` or `Refused` where there is no answer."""
        from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - as above

        from isthmus.producer.sources.sql_engine import meaning  # noqa: PLC0415 - as above

        late: list[bool] = []
        try:
            with self._engine.connect() as connection:
                driver = connection.connection.dbapi_connection
                timer = Timer(self._timeout, lambda: _interrupt(driver, late))
                timer.daemon = True
                timer.start()
                try:
                    # As it stands: neither a colon nor a per cent sign is a place for a value.
                    asked = connection.execution_options(no_parameters=True).exec_driver_sql(self._sql)
                    if not asked.returns_rows:
                        raise Refused(f"{_sentence(self._what)} is no query: it gives no rows.")
                    rows = asked.fetchmany(MOST_ROWS + 1)
                finally:
                    timer.cancel()
        except DBAPIError as error:
            if late:
                raise Transient("The database took longer than allowed.", cause="slow") from error
            raise meaning(error, self._what) from error
        finally:
            self._engine.dispose()
        return _rows_say([row[0] for row in rows])


class HttpProbe:
    """Closed while a page says so: with status 200, as JSON, `true` or a number that is not 0.

    Alone, or under the name `field` in an object. A redirect is not followed, and no proxy is asked.
    """

    def __init__(self, url: str, field: str, token: str | None, timeout: float) -> None:
        """Connect to nothing yet."""
        import urllib3  # noqa: PLC0415 - a shard's process asks nothing

        self._errors = urllib3.exceptions.HTTPError
        self._url = url
        self._field = field
        self._headers = {"accept": "application/json", "cache-control": "no-cache", "user-agent": "isthmus"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=1, timeout=urllib3.Timeout(total=timeout), retries=False, cert_reqs="CERT_REQUIRED"
        )

    def __call__(self) -> Answer:
        """Ask. Raises `Transient` where there is no answer."""
        try:
            with self._pool.request(
                "GET", self._url, headers=self._headers, redirect=False, preload_content=False
            ) as response:
                if response.status != _OK:
                    raise Transient(f"The page answers with status {response.status}, not {_OK}.", cause="status")
                body = response.read(MOST_BYTES + 1)
        except self._errors as error:
            # Its own words hold the address, and with it what may be a secret.
            host = urlsplit(self._url).hostname
            raise TargetDown(f"{host} does not answer ({type(error).__name__}).", cause="away") from error
        finally:
            # A connection that waits for the next question may be broken by then, and nothing is tried twice.
            self._pool.clear()
        if len(body) > MOST_BYTES:
            raise Transient(f"The page is longer than {MOST_BYTES:,} bytes.", cause=_UNCLEAR)
        return self._page_says(body)

    def _page_says(self, body: bytes) -> Answer:
        try:
            found: Any = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Transient("The page is not JSON.", cause=_UNCLEAR) from error
        what = "the page"
        if isinstance(found, dict):
            what = f"the field {self._field} of the page"
            if self._field not in found:
                raise Transient(f"The page has no field {self._field}.", cause=_UNCLEAR)
            found = found[self._field]
        try:
            closed = is_true(found)
        except ValueError as error:
            raise Transient(f"{_sentence(what)} {error}: neither true nor false.", cause=_UNCLEAR) from error
        return Answer(closed, f"{what} is {'true' if closed else 'false'}")


def _rows_say(values: list[object]) -> Answer:
    if len(values) > MOST_ROWS:
        raise Transient(f"The query gives more than {MOST_ROWS:,} rows: let it count them.", cause=_UNCLEAR)
    try:
        closed = [is_true(value) for value in values]
    except ValueError as error:
        raise Transient(
            f"The first column of the query {error}: make it a number or a boolean.", cause=_UNCLEAR
        ) from error
    if any(closed):
        return Answer(closed=True, words="the query's first column is true")
    return Answer(closed=False, words="the query's first column is false" if values else "the query gives no row")


def _interrupt(driver: object, late: list[bool]) -> None:
    # SQLite has no time limit for a statement; this is its way to end one from another thread. The others have one of
    # their own, or an answer that comes too late counts as none.
    if isinstance(driver, sqlite3.Connection):
        late.append(True)
        driver.interrupt()


def _hurried(url: str, timeout: float) -> str:
    """Let PostgreSQL's driver wait no longer for a connection than for an answer: by itself it waits for minutes."""
    from sqlalchemy import make_url  # noqa: PLC0415 - as above
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - as above

    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        return url  # who connects says what is wrong with it
    known = address.get_backend_name() == "postgresql" and address.drivername.partition("+")[2] in _DRIVERS
    if not known or "connect_timeout" in address.query:
        return url
    # libpq takes whole seconds, and anything below 2 for 2.
    seconds = max(2, round(timeout))
    return address.update_query_dict({"connect_timeout": str(seconds)}).render_as_string(hide_password=False)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
