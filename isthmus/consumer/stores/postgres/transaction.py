"""What an effect handler gets of the transaction."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.effects import Collected, collecting
from isthmus.consumer.stores.postgres.errors import WrongStatement, translate, translated
from isthmus.errors import IsthmusError, Poison

# Comments end where PostgreSQL lets them end: at either end of a line, and a block only after those inside it. One
# inside another is not looked through: what seems to follow it may be what ends the transaction.
_ALLOWED = re.compile(
    r"(?:[ \t\n\r\f\v]|--[^\r\n]*(?:[\r\n]|\Z)|/\*(?:(?!/\*).)*?\*/)*"
    r"(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES)\b",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
"""Statements on rows. Anything else could end the transaction or change how it is kept."""
_CANCEL_SECONDS = 5.0
"""For asking the server, over a connection of its own, to cancel what runs."""
_FAILED = psycopg.pq.TransactionStatus.INERROR


class PostgresTransaction:
    """Statements inside the transaction, and none that would end it. Parameters stand where `%s` is."""

    def __init__(self, connection: Connection, patience: Callable[[], None], turn: str) -> None:
        self._connection = connection
        self._patience = patience
        self._turn = turn
        self._has_turn = False
        self._failure: IsthmusError | None = None
        self._refusal: Poison | None = None
        self._collected: Collected | None = None

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement inside the transaction.

        Raises `Poison` for a statement that is not on rows, that PostgreSQL cannot run, or that a constraint refuses.
        What PostgreSQL itself refused has undone the whole part: whatever follows in it raises that again.
        """
        self.raise_failure()
        self.raise_refusal()
        if _ALLOWED.match(statement) is None:
            raise Poison("handler-statement", "A handler may only select, insert, update, delete and merge.")
        self._patience()
        try:
            with translated():
                if not self._has_turn:
                    self._connection.execute(self._turn)
                    self._has_turn = True
                if self._collected is not None:
                    return self._collected.execute(statement, parameters)
                # Prepared, for then it cannot be two: the second one could be a COMMIT.
                cursor = self._connection.execute(statement, parameters or None, prepare=True)
                return cursor.fetchall() if cursor.description is not None else []
        except IsthmusError as error:
            raise self._taken_in(error) from error

    @contextmanager
    def collecting(self) -> Iterator[Collected]:
        """Send what is run inside without waiting; at the end all of it is answered. Raises `PoisonIn`."""
        with translated(), collecting(self._connection, self._refusal_of) as collected:
            self._collected = collected
            try:
                yield collected
            finally:
                self._collected = None

    def _refusal_of(self, error: psycopg.Error) -> Poison:
        """Give the poison that an answer tells of; raise what is none."""
        ours = self._taken_in(translate(error))
        if isinstance(ours, Poison):
            return ours
        raise ours from error

    def _taken_in(self, error: IsthmusError) -> IsthmusError:
        """Give what becomes of an error, which whoever swallows it will meet again."""
        if isinstance(error, WrongStatement):
            # The statement is the user's own: what PostgreSQL cannot run of it is this change's trouble.
            error = Poison("handler-statement", error.message)
        if isinstance(error, Poison):
            self._refusal = error
        elif self._failure is None:
            self._failure = error
        return error if isinstance(error, Poison) else self._failure or error

    def interrupt(self, error: IsthmusError) -> None:
        """End the statement that another thread waits for; see `isthmus.consumer.lending.Interruptible`."""
        self._failure = error
        # What cannot be cancelled ends by the server's own limit, or by the watchdog.
        with suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=_CANCEL_SECONDS)

    def lose_turn(self) -> None:
        """Take in that a savepoint gave back what was locked after it."""
        self._has_turn = False

    def raise_failure(self) -> None:
        """Raise again what ended the unit, if anything did: whoever swallowed it must not go on."""
        if self._failure is not None:
            raise self._failure

    def raise_refusal(self) -> None:
        """Raise again what PostgreSQL refused, while nothing else can be done: whoever swallowed it must not go on."""
        if self._refusal is not None and self._connection.info.transaction_status is _FAILED:
            raise self._refusal
