"""Connections to a PostgreSQL front office: how patient, how safe, and never less durable than a checkpoint."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import conninfo, pq

from isthmus.addresses import is_loopback
from isthmus.consumer.stores.postgres.errors import translate_connecting, translated
from isthmus.consumer.stores.postgres.loading import load_whatever_is_there
from isthmus.consumer.stores.postgres.names import text_array
from isthmus.consumer.stores.postgres.schema import LEAST_SERVER
from isthmus.consumer.stores.postgres.watchdog import Watchdog
from isthmus.errors import Refused

Connection = psycopg.Connection[tuple[object, ...]]

_GIVEN_UP = 60_000
"""Milliseconds after which the server ends a transaction in which nothing happens: that of a stopped worker."""

_SESSION = {
    "idle_in_transaction_session_timeout": str(_GIVEN_UP),
    "idle_session_timeout": "0",
    "application_name": "isthmus",
    "default_transaction_isolation": "read committed",
    # What a role or a database may have been given, and what would make other values of ours, or show others.
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
}


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where a front office is and how long its answers may take; times in seconds."""

    url: str
    """As libpq reads it: `postgresql://user:password@host:5432/database`."""
    schema: str = "isthmus"
    statement_timeout: float = 40.0
    lock_timeout: float = 10.0
    connect_timeout: float = 10.0
    verify_tls: bool = True
    root_certificate: str = "system"


@contextmanager
def connected(address: PostgresAddress, watchdog: Watchdog) -> Iterator[Connection]:
    """Open a connection, watch over it, and close it at the end. Raises as `connect`."""
    connection = connect(address, watchdog)
    try:
        with watchdog.watching(connection):
            yield connection
    finally:
        connection.close()


def connect(address: PostgresAddress, watchdog: Watchdog) -> Connection:
    """Open a connection in which every commit is durable.

    Raises `TargetDown`, `Missing` and `Refused`: also for a server that is too old, keeps no UTF-8, or commits before
    it has written.
    """
    try:
        connection: Connection = psycopg.connect(_parameters(address), autocommit=True)
    except psycopg.Error as error:
        raise translate_connecting(error) from error
    try:
        load_whatever_is_there(connection)
        with watchdog.watching(connection), translated():
            _prepared(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def durably(connection: Connection) -> str:
    """Give the statement that makes a commit as durable as the session was at its start.

    Run last in a transaction: a handler or a trigger may have set something else, for its own statements' speed.
    """
    found = connection.execute("SELECT quote_literal(current_setting('synchronous_commit'))").fetchone()
    return f"SELECT set_config('synchronous_commit', {found[0] if found is not None else ''}, false)"


def _prepared(connection: Connection, address: PostgresAddress) -> None:
    if connection.info.server_version < LEAST_SERVER:
        raise Refused(
            f"The front office is PostgreSQL {connection.info.server_version // 10_000}.",
            hint=f"Isthmus needs {LEAST_SERVER // 10_000} or newer.",
        )
    limits = {"statement_timeout": _ms(address.statement_timeout), "lock_timeout": _ms(address.lock_timeout)}
    session = _SESSION | limits
    connection.execute(
        "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s (name, value)",
        (text_array(list(session)), text_array(list(session.values()))),
    )
    # Set to what it is: what the server is told later counts for sessions that have set nothing of their own.
    found = connection.execute(
        "SELECT set_config('synchronous_commit', current_setting('synchronous_commit'), false), "
        "current_setting('fsync'), current_setting('server_encoding')"
    ).fetchone()
    synchronous, fsync, encoding = found if found is not None else ("", "", "")
    # A checkpoint must never be more durable than what it stands for.
    for name, value, mending in (
        ("synchronous_commit", synchronous, "Run: ALTER ROLE CURRENT_USER SET synchronous_commit = on;"),
        ("fsync", fsync, "Set fsync = on in postgresql.conf."),
    ):
        if value == "off":
            raise Refused(
                f"The front office has {name} = off: it may lose what it said it has committed.", hint=mending
            )
    if encoding != "UTF8":
        raise Refused(
            f"The front office's database keeps {encoding}, and not UTF8.", hint="Make it with ENCODING UTF8."
        )


def _parameters(address: PostgresAddress) -> str:
    try:
        given = conninfo.conninfo_to_dict(address.url)
    except psycopg.ProgrammingError:
        # Its own words would show the password.
        raise Refused("The address of the front office cannot be read.", hint="Mend [store] url.") from None
    # Named here, and empty where the address names none: what the environment or a service's file says of hosts then
    # counts for nothing (libpq, "Environment Variables": they are defaults).
    hosts = _hosts(given)
    limits: dict[str, str | int] = {
        **hosts,
        "connect_timeout": max(2, round(address.connect_timeout)),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "target_session_attrs": "read-write",
    }
    if address.verify_tls and not _is_here(hosts):
        # libpq's own default falls back to plain text (libpq, "SSL Support", sslmode=prefer).
        limits |= {"sslmode": "verify-full", "sslrootcert": address.root_certificate}
    return conninfo.make_conninfo(address.url, **limits)


def _hosts(given: Mapping[str, object]) -> dict[str, str]:
    """Give the hosts that libpq will ask: those of the address, or else, where it names none, the environment's.

    Nothing where a service's file says it, which is not seen here.
    """
    if given.get("host") or given.get("hostaddr"):
        return {name: str(given.get(name) or "") for name in ("host", "hostaddr")}
    if given.get("service"):
        return {}
    defaults = {each.keyword.decode(): each.val.decode() for each in pq.Conninfo.get_defaults() if each.val}
    if defaults.get("service"):
        return {}
    return {name: defaults.get(name, "") for name in ("host", "hostaddr")}


def _is_here(hosts: Mapping[str, str]) -> bool:
    """Say whether it can only be this machine."""
    if not hosts:
        return False
    asked = hosts["hostaddr"] or hosts["host"]
    return all(not host or host.startswith(("/", "@")) or is_loopback(host) for host in asked.split(","))


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
