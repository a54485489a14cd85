"""Handlers' statements, sent before those before them were answered.

A handler mostly writes, and asks for nothing: then waiting for each answer is what its effect costs most. So inside
`collecting` a statement is only sent; what it gave is fetched when somebody looks at it, or at the end.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from datetime import date, datetime
from decimal import Decimal
from typing import Any, overload

import psycopg

from isthmus.consumer.stores.poisoned import PoisonIn
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.pipelines import answered, drain, pipelined
from isthmus.errors import Poison

Cursor = psycopg.Cursor[Any]
_AT_ONCE = 64
"""Writes that wait at most: the server shall be busy with them while the next handlers run."""
_ONLY_WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_GIVES = re.compile(r"\bRETURNING\b", re.IGNORECASE)
_STAY_AS_THEY_ARE = frozenset({str, int, float, bool, type(None), Decimal, bytes, date, datetime})


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
        self._writes: list[tuple[int, str, Any]] = []
        self._places: list[int] = []
        self._place = 0
        self._refused: Poison | None = None

    def of(self, place: int) -> None:
        """Say whose statements come now."""
        self._place = place

    def execute(self, statement: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Take a statement. Raises `PoisonIn` or `Poison` once one before it was refused: nothing after that is run."""
        if self._refused is not None:
            raise self._refused
        with self._answering():
            if parameters and _ONLY_WRITES.match(statement) is not None and _GIVES.search(statement) is None:
                if self._writes and self._writes[-1][1] != statement:
                    self._send()
                self._writes.append((self._place, statement, _as_given(parameters)))
                if len(self._writes) >= _AT_ONCE:
                    self._send()
                return ()
            self._send()
            # Prepared, for then it cannot be two: the second one could be a COMMIT.
            cursor = self._connection.execute(statement, parameters or None, prepare=True)
            self._places.append(self._place)
            return Rows(cursor, self.settle)

    def settle(self) -> None:
        """Wait until everything is answered. Raises `PoisonIn` or, where it is not known whose it was, `Poison`."""
        if self._refused is not None:
            raise self._refused
        if self._writes or self._places:
            with self._answering():
                self._send()
                answered(self._connection, self._pipeline)
            self._places.clear()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Take in what the driver says of any statement so far: it says so when it happens to read the answer."""
        try:
            yield
        except psycopg.Error as error:
            drain(self._connection, self._pipeline)
            poison = self._translate(error)
            whose = {*self._places, *(place for place, _, _ in self._writes)}
            self._refused = PoisonIn(poison, whose.pop()) if len(whose) == 1 else poison
            raise self._refused from error

    def _send(self) -> None:
        """Send the writes that wait: a statement once for all of its parameters costs half of one for each."""
        if self._writes:
            writes, self._writes = self._writes, []
            self._places += [place for place, _, _ in writes]
            with self._connection.cursor() as cursor:
                cursor.executemany(writes[0][1], [parameters for _, _, parameters in writes])


def _as_given(parameters: Sequence[Any] | Mapping[str, Any]) -> Any:
    """Give parameters as they are now: whoever gave them may write into them before they are sent."""
    if isinstance(parameters, Mapping):
        return {name: _kept(value) for name, value in parameters.items()}
    return tuple(map(_kept, parameters))


def _kept(value: Any) -> Any:
    if type(value) in _STAY_AS_THEY_ARE:
        return value
    return bytes(value) if isinstance(value, memoryview) else deepcopy(value)


@contextmanager
def collecting(connection: Connection, translate: Callable[[psycopg.Error], Poison]) -> Iterator[Collected]:
    """Collect what is run inside; at the end everything is answered.

    `translate` gives the poison for an error, or raises what is none.
    """
    with pipelined(connection) as pipeline:
        collected = Collected(connection, pipeline, translate)
        try:
            yield collected
        except BaseException:
            # Whatever was refused meanwhile: the driver would log it when the pipeline ends, with a row's values.
            with suppress(psycopg.Error, PoisonIn):
                collected.settle()
            raise
        collected.settle()
