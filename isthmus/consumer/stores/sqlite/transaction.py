"""What an effect handler gets of the transaction."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from isthmus.consumer.stores.poisoned import Undone
from isthmus.consumer.stores.sqlite.errors import WrongStatement, translated
from isthmus.errors import IsthmusError, Poison

_ALLOWED = re.compile(
    r"(?:[\s\ufeff]|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|VALUES)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Statements on rows. Anything else could end the transaction, leave the file or change how it is kept."""


@contextmanager
def refusing(connection: sqlite3.Connection) -> Iterator[None]:
    """Turn SQLite's errors into ours. Raises `Undone` where a refusal took the whole transaction with it."""
    try:
        with translated():
            yield
    except Poison as poison:
        # ON CONFLICT ROLLBACK, or RAISE(ROLLBACK) in a trigger: whatever ran now would be committed by itself.
        if not connection.in_transaction:
            raise Undone(poison) from poison
        raise


class SqliteTransaction:
    """Statements inside the transaction, and none that would end it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._failure: IsthmusError | None = None

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement inside the transaction.

        Raises `Poison` for a statement that is not on rows, that SQLite cannot run, or that a constraint refuses.
        """
        self.raise_failure()
        if _ALLOWED.match(statement) is None:
            raise Poison("handler-statement", "A handler may only select, insert, update, replace and delete.")
        try:
            with refusing(self._connection):
                return self._connection.execute(statement, parameters).fetchall()
        except WrongStatement as error:
            # The statement is the user's own: what SQLite cannot run of it is this change's trouble, not the store's.
            raise Poison("handler-statement", error.message) from error
        except Poison:
            raise
        except IsthmusError as error:
            if self._failure is None:
                self._failure = error
            raise self._failure from error

    def interrupt(self, error: IsthmusError) -> None:
        """End the statement that another thread runs; see `isthmus.consumer.lending.Interruptible`."""
        self._failure = error
        self._connection.interrupt()

    def raise_failure(self) -> None:
        """Raise again what ended the unit, if anything did: whoever swallowed it must not go on."""
        if self._failure is not None:
            raise self._failure
