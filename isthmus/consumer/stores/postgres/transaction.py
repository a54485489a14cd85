"""What an effect handler gets of the transaction."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.errors import WrongStatement, translated
from isthmus.errors import IsthmusError, Poison

_ALLOWED = re.compile(
    r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES)\b", re.IGNORECASE | re.DOTALL
)
"""Statements on rows. Anything else could end the transaction or change how it is kept."""


class PostgresTransaction:
    """Statements inside the transaction, and none that would end it. Parameters stand where `%s` is."""

    def __init__(self, connection: Connection, patience: Callable[[], None], turn: str) -> None:
        self._connection = connection
        self._patience = patience
        self._turn = turn
        self._has_turn = False
        self._failure: IsthmusError | None = None

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement inside the transaction.

        Raises `Poison` for a statement that is not on rows, that PostgreSQL cannot run, or that a constraint refuses.
        """
        self.raise_failure()
        if _ALLOWED.match(statement) is None:
            raise Poison("handler-statement", "A handler may only select, insert, update, delete and merge.")
        self._patience()
        try:
            with translated():
                if not self._has_turn:
                    self._connection.execute(self._turn)
                    self._has_turn = True
                # Prepared, for then it cannot be two: the second one could be a COMMIT.
                cursor = self._connection.execute(statement, parameters or None, prepare=True)
                return cursor.fetchall() if cursor.description is not None else []
        except WrongStatement as error:
            # The statement is the user's own: what PostgreSQL cannot run of it is this change's trouble.
            raise Poison("handler-statement", error.message) from error
        except Poison:
            raise
        except IsthmusError as error:
            self._failure = error
            raise

    def lose_turn(self) -> None:
        """Take in that a savepoint gave back what was locked after it."""
        self._has_turn = False

    def fail(self, error: IsthmusError) -> None:
        """Take in what ended the unit elsewhere."""
        self._failure = self._failure or error

    def raise_failure(self) -> None:
        """Raise again what ended the unit, if anything did: whoever swallowed it must not go on."""
        if self._failure is not None:
            raise self._failure
