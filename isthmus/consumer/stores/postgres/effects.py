"""Handlers' statements, sent before those before them were answered.

A handler mostly writes, and asks for nothing: then waiting for each answer is what its effect costs most. So inside
`collecting` a statement is only sent; what it gave is fetched when somebody looks at it, or at the end.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, overload

import psycopg

from isthmus.consumer.stores.port import PoisonIn
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.errors import Poison

Cursor = psycopg.Cursor[Any]
_MOST_TELLS = 100


class Rows(Sequence[Sequence[Any]]):
    """What a statement gives, fetched when somebody looks."""

    def __init__(self, cursor: Cursor, settle: Callable[[], None]) -> None:
        self._cursor = cursor
        self._settle = settle
        self._rows: list[Any] | None = None

    def _all(self) -> list[Any]:
        if self._rows is None:
            self._settle()
            self._rows = self._cursor.fetchall() if self._cursor.description is not None else []
        return self._rows

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, place: int) -> Sequence[Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sequence[Any]]: ...
    def __getitem__(self, place: int | slice) -> Any:
        return self._all()[place]

    def __eq__(self, other: object) -> bool:
        return self._all() == other

    __hash__ = None  # type: ignore[assignment]  # as a list has none

    def __repr__(self) -> str:
        return repr(self._all())


class Collected:
    """The statements of one part's handlers, each with the place of the change that it is of."""

    def __init__(
        self, connection: Connection, pipeline: psycopg.Pipeline, translate: Callable[[psycopg.Error], Poison]
    ) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._translate = translate
        self._sent: list[tuple[int, Cursor]] = []
        self._place = 0
        self._refused: PoisonIn | None = None

    def of(self, place: int) -> None:
        """Say whose statements come now."""
        self._place = place

    def execute(self, statement: str, parameters: Sequence[Any]) -> Rows:
        """Send a statement. Raises `PoisonIn` once one before it was refused: nothing after that is run."""
        if self._refused is not None:
            raise self._refused
        # Prepared, for then it cannot be two: the second one could be a COMMIT.
        cursor = self._connection.execute(statement, parameters or None, prepare=True)
        self._sent.append((self._place, cursor))
        return Rows(cursor, self.settle)

    def settle(self) -> None:
        """Wait until everything is answered. Raises `PoisonIn` with the place of what was refused first."""
        if self._refused is not None:
            raise self._refused
        sent, self._sent = self._sent, []
        if not sent:
            return
        try:
            self._pipeline.sync()
        except psycopg.Error as error:
            # The first without a result is the one that was refused; what came after it was not run.
            place = next((place for place, cursor in sent if cursor.pgresult is None), sent[-1][0])
            self._drain()
            self._refused = PoisonIn(self._translate(error), place)
            raise self._refused from error

    def _drain(self) -> None:
        """Take in that what came after a refusal was not run: the driver tells so of each part of it that it reads."""
        for _ in range(_MOST_TELLS):
            with suppress(psycopg.Error):
                self._pipeline.sync()
                return


@contextmanager
def collecting(connection: Connection, translate: Callable[[psycopg.Error], Poison]) -> Iterator[Collected]:
    """Collect what is run inside; at the end everything is answered.

    `translate` gives the poison for an error, or raises what is none.
    """
    with connection.pipeline() as pipeline:
        collected = Collected(connection, pipeline, translate)
        try:
            yield collected
        except BaseException:
            # Whatever was refused meanwhile: the driver would log it when the pipeline ends, with a row's values.
            with suppress(psycopg.Error, PoisonIn):
                collected.settle()
            raise
        collected.settle()
