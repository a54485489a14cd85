"""The front offices that the demo can keep in step: a SQLite file, an embedded PostgreSQL, the emulator's DynamoDB."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from isthmus import aws
from isthmus.console.demo.example import (
    Fronts,
    dynamodb_front,
    make_tables,
    make_tables_dynamodb,
    make_tables_postgres,
    postgres_front,
    sqlite_front,
)
from isthmus.console.demo.plan import Place
from isthmus.console.embedded import Emulator
from isthmus.console.embedded_postgres import EmbeddedPostgres
from isthmus.errors import Fatal
from isthmus.lifecycle import Stop

_LOCK_SECONDS = 30.0
"""For the lock of whoever writes: others hold it for milliseconds."""

Kind = Literal["sqlite", "postgres", "dynamodb"]

OWN_TABLE = "isthmus-flights-store"
"""Isthmus's own table in DynamoDB."""


class Front(Protocol):
    """A front office while the demo runs."""

    url: str
    """What the settings name."""
    address: str
    """How somebody else reaches it: what is written into `front-office.url`."""

    def decided(self) -> int:
        """Give how many entities are applied or parked: at least that many."""
        ...

    def any_applied(self) -> bool:
        """Say whether any change has taken effect."""
        ...

    def evidence(self) -> Fronts:
        """Give what the oracle reads it by."""
        ...

    def away(self) -> AbstractContextManager[None]:
        """Let nothing take effect there while this is entered."""
        ...

    def check(self) -> None:
        """Raise `Fatal` when it has ended by itself."""
        ...

    def stop(self) -> None:
        """End it. Safe to repeat."""
        ...


class SqliteFront:
    """A file beside the back office's."""

    url = "sqlite:///front-office.db"

    def __init__(self, file: Path) -> None:
        self._file = file
        self.address = f"sqlite:///{file.resolve()}"
        make_tables(file)

    def decided(self) -> int:
        """Give how many entities are decided."""
        with closing(self._open()) as connection:
            return _decided(connection.execute, "isthmus_guard", "isthmus_parked")

    def any_applied(self) -> bool:
        """Say whether any change has taken effect, by the history."""
        with closing(self._open()) as connection:
            return _any_applied(connection.execute, "isthmus_history")

    def evidence(self) -> Fronts:
        """Give what the oracle reads it by."""
        return partial(sqlite_front, self._file)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Hold the lock of whoever writes."""
        with closing(sqlite3.connect(self._file, timeout=_LOCK_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    def check(self) -> None:
        """Do nothing: a file does not end."""

    def stop(self) -> None:
        """Do nothing: a file is not stopped."""

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._file.resolve().as_uri()}?mode=ro", uri=True)


class PostgresFront:
    """A server of its own, on a socket file."""

    def __init__(self, folder: Path, log: Path, stop: Stop) -> None:
        self._server = EmbeddedPostgres(folder, log, stop=stop)
        self.url = self.address = self._server.url
        make_tables_postgres(self.url)
        self._look: Any = None

    def decided(self) -> int:
        """Give how many entities are decided."""
        return int(self._asked(partial(_decided, guard="isthmus.guard", parked="isthmus.parked"), 0))

    def any_applied(self) -> bool:
        """Say whether any change has taken effect, by the history."""
        return bool(self._asked(partial(_any_applied, history="isthmus.history"), False))  # noqa: FBT003 - its answer

    def evidence(self) -> Fronts:
        """Give what the oracle reads it by."""
        return partial(postgres_front, self.url)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Kill the server, and keep it from being started again: it has its crash to recover from then."""
        with _stopped(self._server.pid):
            with suppress(OSError, ValueError):
                os.kill(self._server.server_pid(), signal.SIGKILL)
            yield

    def check(self) -> None:
        """See that whoever watches over the server lives: the server itself is started again."""
        if not self._server.alive():
            raise Fatal("The embedded PostgreSQL died: what it held is gone for this demo. Run it again.")

    def stop(self) -> None:
        """End the server. Its data stay."""
        if self._look is not None:
            self._look.close()
        self._server.stop()

    def _asked(self, question: Callable[[Callable[[str], Any]], Any], unknown: object) -> Any:
        """Ask on one connection, made anew after somebody killed the server."""
        import psycopg  # noqa: PLC0415 - an extra

        try:
            if self._look is None or self._look.closed:
                self._look = psycopg.connect(self.url, autocommit=True)
            return question(self._look.execute)
        except psycopg.OperationalError:
            if self._look is not None:
                self._look.close()
            return unknown


class DynamoFront:
    """Tables in the emulator."""

    url = "dynamodb:"

    def __init__(self, emulator: Emulator) -> None:
        self._client = aws.client(emulator.access, "dynamodb")
        self._emulator = emulator
        tables = f"tables flight, airport_board, {OWN_TABLE}"
        self.address = f"dynamodb: {emulator.url} (region {emulator.access.region}, {tables})"
        make_tables_dynamodb(self._client)

    def decided(self) -> int:
        """Give how many flights there are: what is parked before anything took effect has an item too."""
        return int(self._client.describe_table(TableName="flight")["Table"]["ItemCount"])

    def any_applied(self) -> bool:
        """Say whether any change has taken effect."""
        return bool(self._client.scan(TableName="flight", Limit=1)["Items"])

    def evidence(self) -> Fronts:
        """Give what the oracle reads it by."""
        return partial(dynamodb_front, self._client, OWN_TABLE)

    def away(self) -> AbstractContextManager[None]:
        """Stop the emulator: the stream and the checkpoints are away with it."""
        return _stopped(self._emulator.pid)

    def check(self) -> None:
        """Do nothing: it lives and dies with the emulator."""

    def stop(self) -> None:
        """Do nothing: it lives and dies with the emulator."""


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        # It may have died meanwhile; who looks after it says so.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def open_front(kind: Kind, place: Place, emulator: Emulator, stop: Stop) -> Front:
    """Make a front office with the example's own tables. Raises `Fatal` when it does not come up, and `Stopped`."""
    front: Front
    if kind == "postgres":
        front = PostgresFront(place.postgres, place.logs / "postgresql.log", stop)
    elif kind == "dynamodb":
        front = DynamoFront(emulator)
    else:
        front = SqliteFront(place.front_office)
    place.front_office_url.write_text(f"{front.address}\n")
    return front


def _decided(ask: Callable[[str], Any], guard: str, parked: str) -> int:
    (guards,) = ask(f"SELECT count(*) FROM {guard}").fetchone()  # noqa: S608 - our own names
    (only_parked,) = ask(
        f"SELECT count(DISTINCT key) FROM {parked} p WHERE NOT EXISTS (SELECT 1 FROM {guard} g WHERE g.key = p.key)"  # noqa: S608 - same
    ).fetchone()
    return int(guards) + int(only_parked)


def _any_applied(ask: Callable[[str], Any], history: str) -> bool:
    (applied,) = ask(f"SELECT EXISTS (SELECT 1 FROM {history} WHERE outcome = 'applied')").fetchone()  # noqa: S608 - our own name
    return bool(applied)
