"""Connections to a PostgreSQL front office: how patient, how safe, and never less durable than a checkpoint."""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import conninfo

from isthmus.addresses import is_loopback
from isthmus.clock import Clock
from isthmus.consumer.stores.postgres.errors import translate_connecting, translated
from isthmus.consumer.stores.postgres.schema import LEAST_SERVER
from isthmus.errors import Refused

Connection = psycopg.Connection[tuple[object, ...]]

_SURELY_DEAD = 15.0
"""Seconds beyond the server's own limit for a statement: a server that says nothing at all is taken for away then."""
_GIVEN_UP = 60_000
"""Milliseconds after which the server ends a transaction in which nothing happens: that of a stopped worker."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where a front office is and how long its answers may take; times in seconds."""

    url: str
    """As libpq reads it: `postgresql://user:password@host:5432/database`."""
    schema: str = "isthmus"
    statement_timeout: float = 60.0
    lock_timeout: float = 10.0
    connect_timeout: float = 10.0
    verify_tls: bool = True
    root_certificate: str = "system"


def connect(address: PostgresAddress) -> Connection:
    """Open a connection in which every commit is durable.

    Raises `TargetDown`, `Missing` and `Refused`: also for a server that is too old, keeps no UTF-8, or commits before
    it has written.
    """
    try:
        connection: Connection = psycopg.connect(_parameters(address), autocommit=True)
    except psycopg.Error as error:
        raise translate_connecting(error) from error
    try:
        with translated():
            _prepared(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepared(connection: Connection, address: PostgresAddress) -> None:
    if connection.info.server_version < LEAST_SERVER:
        raise Refused(
            f"The front office is PostgreSQL {connection.info.server_version // 10_000}.",
            hint=f"Isthmus needs {LEAST_SERVER // 10_000} or newer.",
        )
    found = connection.execute(
        "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false), "
        "set_config('idle_in_transaction_session_timeout', %s, false), set_config('client_encoding', 'UTF8', false), "
        "set_config('application_name', 'isthmus', false), set_config('default_transaction_isolation', "
        "'read committed', false), set_config('standard_conforming_strings', 'on', false), "
        "current_setting('synchronous_commit'), current_setting('fsync'), current_setting('server_encoding')",
        (_ms(address.statement_timeout), _ms(address.lock_timeout), str(_GIVEN_UP)),
    ).fetchone()
    synchronous, fsync, encoding = found[-3:] if found is not None else ("", "", "")
    # A checkpoint must never be more durable than what it stands for.
    for name, value in (("synchronous_commit", synchronous), ("fsync", fsync)):
        if value == "off":
            raise Refused(
                f"The front office has {name} = off: it may lose what it said it has committed.",
                hint="Set it to on, e.g. ALTER ROLE CURRENT_USER SET synchronous_commit = on;",
            )
    if encoding != "UTF8":
        raise Refused(
            f"The front office's database keeps {encoding}, and not UTF8.", hint="Make it with ENCODING UTF8."
        )


def _parameters(address: PostgresAddress) -> str:
    try:
        given = conninfo.conninfo_to_dict(address.url)
    except psycopg.ProgrammingError:
        raise Refused("The address of the front office cannot be read.", hint="Mend [store] url.") from None
    hosts = str(given.get("host") or given.get("hostaddr") or "").split(",")
    limits: dict[str, str | int] = {
        "connect_timeout": max(2, round(address.connect_timeout)),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "target_session_attrs": "read-write",
    }
    if address.verify_tls and not all(_is_here(host) for host in hosts):
        # libpq's own default falls back to plain text (libpq, "SSL Support", sslmode=prefer).
        limits |= {"sslmode": "verify-full", "sslrootcert": address.root_certificate}
    return conninfo.make_conninfo(address.url, **limits)


def _is_here(host: str) -> bool:
    return not host or host.startswith(("/", "@")) or is_loopback(host)


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


class Watchdog:
    """Ends connections to a server that has accepted a request and says nothing, not even that it took too long.

    One thread for a store, for as long as any connection is watched.
    """

    def __init__(self, clock: Clock, limit: float) -> None:
        self._clock = clock
        self._limit = limit + _SURELY_DEAD
        self._lock = threading.Condition()
        self._armed: dict[int, tuple[float, int]] = {}
        self._running = False

    def arm(self, connection: Connection) -> None:
        """Give the connection the limit's time, from now on."""
        with self._lock:
            self._armed[id(connection)] = (self._clock.monotonic() + self._limit, connection.fileno())
            if not self._running:
                self._running = True
                threading.Thread(target=self._watch, name="front-office-watchdog", daemon=True).start()

    def disarm(self, connection: Connection) -> None:
        """Say that it has answered."""
        with self._lock:
            self._armed.pop(id(connection), None)

    def _watch(self) -> None:
        while True:
            with self._lock:
                if not self._armed:
                    # One period without anybody, and the thread ends: the next one that arms starts another.
                    if not self._lock.wait(1.0) and not self._armed:
                        self._running = False
                        return
                    continue
                now = self._clock.monotonic()
                for number, (deadline, descriptor) in list(self._armed.items()):
                    if now >= deadline:
                        del self._armed[number]
                        _hang_up(descriptor)
                self._lock.wait(0.5)


def _hang_up(descriptor: int) -> None:
    """Shut a socket down under whoever waits for it: the driver then says that the connection is lost."""
    with suppress(OSError), socket.socket(fileno=socket.dup(descriptor)) as line:
        line.shutdown(socket.SHUT_RDWR)
