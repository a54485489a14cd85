"""A table (or view) of any SQL database as a source, read by a cursor column that is taken in commit order.

Each page is *one statement*: the rows after the watermark, ordered by cursor and key columns (keyset paging), and
beside them the highest cursor as a scalar subquery. A statement reads from one snapshot on PostgreSQL, MySQL
(InnoDB), Oracle and SQLite at their default isolation. SQL Server reads from one snapshot only at isolation
`SNAPSHOT`, which is asked for (the database must allow it). Databases that only lock give no snapshot: there the
bound may be newer than the rows, which the order of the cursor makes harmless, for what was committed meanwhile has a
higher cursor than all rows of the page.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from types import NoneType
from typing import Any, Literal, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    TableClause,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    exists,
    false,
    func,
    inspect,
    literal_column,
    or_,
    select,
    table,
)
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from isthmus.change import POSITION_DIGITS
from isthmus.errors import Fatal, Missing, Refused, Transient
from isthmus.producer.sources.budget import QueryBudget
from isthmus.producer.sources.port import Page, SourceRow
from isthmus.producer.sources.sql_engine import meaning, read_only_engine
from isthmus.producer.sources.watermarks import key_text, key_values

BEFORE_ALL = -1
"""A cursor before every cursor."""
_MOST = 10**POSITION_DIGITS
_LOOK = "Look at the source's table and columns in the settings."


@dataclass(frozen=True, slots=True)
class SqlTable:
    """What is read.

    `cursor` is a whole number, unique per change, taken in commit order. `keys` are the columns of the primary key.
    `columns` are the others that are wanted; None: all. Cursor and keys are always read. Names are exact.
    """

    name: str
    cursor: str
    keys: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    """The statements for one table as it was found."""

    table: TableClause
    names: tuple[str, ...]
    nullable: frozenset[str]


class _RawText(bytes):
    """The bytes of a text that is not UTF-8: the driver takes them only as bytes, the statement makes them text."""


_FORMS: dict[type, type] = {NoneType: NoneType, _RawText: _RawText}
"""The types of a watermark's values for which the statement differs."""

_Form: TypeAlias = tuple[type, ...]
"""What a statement depends on: the types of a watermark's values, as far as they matter."""


def _form(position: Sequence[Any] | None) -> _Form | None:
    return None if position is None else tuple(_FORMS.get(type(value), object) for value in position)


def _values(position: Sequence[Any] | None) -> dict[str, Any]:
    return {f"isthmus_{place}": value for place, value in enumerate(position or ())}


def _bound_value(value: Any) -> Any:
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return _RawText(value.encode("utf-8", "surrogateescape"))
    return value


class SqlSource:
    """A table of a SQL database. Passes the contract of `Source`.

    `start` is where a source without a watermark begins: `beginning`, `now`, or after a cursor value. Every statement
    is paid for out of `budget` (None: no bound), looking at the columns among them; `timeout` is how long one may
    take, in seconds.
    """

    def __init__(
        self,
        url: str,
        what: SqlTable,
        *,
        start: Literal["beginning", "now"] | int = "beginning",
        budget: QueryBudget | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Connect to nothing yet. Raises Fatal for an address that is none, ValueError for a table without keys."""
        if not what.keys:
            raise ValueError(f"table {what.name} needs at least one key column")
        self._engine = read_only_engine(url, timeout)
        self._what = what
        self._start = start
        self._budget = budget
        self._shape: _Shape | None = None
        self._pages: dict[_Form | None, Select[Any]] = {}

    def start(self) -> str | None:
        """Give the watermark to begin at. Raises as `read` does."""
        if self._start == "beginning":
            return None
        if self._start == "now":
            with self._reading() as (connection, shape):
                bound = self._bound(connection, shape)
            # An empty table too has a now: whoever asks again after a restart must not skip what came meanwhile.
            return key_text([BEFORE_ALL if bound is None else bound])
        return key_text([self._start])

    def read(self, after: str | None, limit: int) -> Page:
        """Give the rows after a watermark, at most `limit`, with the bound of the same snapshot.

        Raises `TargetDown` or `Transient` when the database is away, locked or slow; `Missing` where table or column
        is not there; `Refused` for a watermark of another kind; `Fatal` for a cursor that is no whole number.
        """
        position = None if after is None else self._bound_values(after)
        with self._reading() as (connection, shape):
            statement = self._page(shape, _form(position))
            self._spend()
            found = connection.execute(statement, {**_values(position), "isthmus_limit": limit}).fetchall()
            if found:
                bound = self._checked_bound(found[0][-2], found[0][-1])
            else:
                # Nothing lies behind the watermark in the snapshot of the page. What this second statement sees
                # behind it is newer than that snapshot, so it is left out.
                bound = self._bound(connection, shape)
                if bound is not None and position is not None:
                    bound = min(bound, position[0])
                elif position is None:
                    bound = None
        return Page(self._rows(shape, found), bound, more=len(found) >= limit)

    def count(self, after: str | None, bound: int) -> int:
        """Give how many rows lie after a watermark, up to a cursor and with it. Raises as `read` does."""
        position = None if after is None else self._bound_values(after)
        with self._reading() as (connection, shape):
            cursor = shape.table.c[self._what.cursor]
            upto = cursor <= bindparam("isthmus_bound")
            statement = select(func.count()).select_from(shape.table).where(upto, *self._after(shape, _form(position)))
            self._spend()
            return connection.execute(statement, {**_values(position), "isthmus_bound": bound}).scalar_one()

    def ready_in(self) -> float:
        """Give the seconds until the budget allows the next read, 0.0: now. Asks nobody; never raises."""
        return 0.0 if self._budget is None else self._budget.ready_in()

    def position(self, watermark: str) -> int:
        """Give the cursor in a watermark; -1 is before every row. Asks nobody.

        Raises `Refused` for a text that is no watermark of this source.
        """
        return int(self._position(watermark)[0])

    def close(self) -> None:
        """Give connections back. Safe to repeat."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[tuple[Connection, _Shape]]:
        known = self._shape
        try:
            with self._engine.connect() as connection:
                if self._shape is None:
                    self._shape = self._look(connection)
                yield connection, self._shape
        except DBAPIError as error:
            self._shape = None
            self._engine.dispose()
            meant = meaning(error, self._what.name)
            if known is not None and isinstance(meant, Refused):
                # The table may have changed since it was looked at: looking again names a column that is gone.
                meant = Transient(f"{self._what.name} may have changed, it is looked at again.", cause="changed")
            raise meant from error

    def _spend(self) -> None:
        if self._budget is not None:
            self._budget.spend()

    def _look(self, connection: Connection) -> _Shape:
        what = self._what
        self._spend()
        try:
            found = {each["name"]: each for each in inspect(connection).get_columns(what.name, schema=what.schema)}
        except NoSuchTableError:
            raise Missing(f"The back office has no table {what.name}.", hint=_LOOK) from None
        needed = dict.fromkeys((what.cursor, *what.keys))
        names = tuple(needed | dict.fromkeys(found if what.columns is None else what.columns))
        if absent := [name for name in names if name not in found]:
            raise Missing(f"The table {what.name} has no column {', '.join(absent)}.", hint=_LOOK)
        self._pages.clear()
        # Columns without a type: a value comes as the driver gives it, so one odd value cannot spoil a whole page.
        clause = table(what.name, *(column(name) for name in names), schema=what.schema)
        return _Shape(clause, names, frozenset(name for name in needed if found[name]["nullable"]))

    def _page(self, shape: _Shape, form: _Form | None) -> Select[Any]:
        statement = self._pages.get(form)
        if statement is None:
            statement = self._pages[form] = self._build(shape, form)
        return statement

    def _build(self, shape: _Shape, form: _Form | None) -> Select[Any]:
        columns = shape.table.c
        cursor = columns[self._what.cursor]
        keys = [columns[name] for name in self._what.keys]
        order: list[ColumnElement[Any]] = [cursor]
        for key in keys:
            if key.name in shape.nullable:
                order.append(case((key.is_(None), 1), else_=0))
            order.append(key)
        return (
            select(*(columns[name] for name in shape.names), *self._bound_columns(shape))
            .where(*self._after(shape, form))
            .order_by(*order)
            .limit(bindparam("isthmus_limit"))
        )

    def _after(self, shape: _Shape, form: _Form | None) -> list[ColumnElement[bool]]:
        """Give the conditions of rows after a watermark; none where there is no watermark."""
        if form is None:
            return []
        cursor = shape.table.c[self._what.cursor]
        first: ColumnElement[Any] = bindparam("isthmus_0")
        if len(form) == 1:
            return [cursor > first]
        # `cursor >= x AND (...)`, and not `cursor > x OR ...`: this way an index on the cursor gives both the start
        # and the order of the page, on every database.
        keys = [shape.table.c[name] for name in self._what.keys]
        return [cursor >= first, or_(cursor > first, self._behind(shape, keys, form))]

    def _behind(self, shape: _Shape, keys: Sequence[ColumnElement[Any]], form: _Form) -> ColumnElement[bool]:
        """Give the condition that the key lies behind that of the watermark. NULL comes last in the order."""
        ways: list[ColumnElement[bool]] = []
        same: list[ColumnElement[bool]] = []
        for place, (name, key) in enumerate(zip(self._what.keys, keys, strict=True), start=1):
            value: ColumnElement[Any] = bindparam(f"isthmus_{place}")
            if form[place] is _RawText:
                value = cast(value, Text)
            if form[place] is NoneType:
                same.append(key.is_(None))
                continue
            further = or_(key > value, key.is_(None)) if name in shape.nullable else key > value
            ways.append(and_(*same, further))
            same.append(key == value)
        return or_(*ways) if ways else false()

    def _bound_columns(self, shape: _Shape) -> list[ColumnElement[Any]]:
        """Give the highest cursor, and 1 where a row has no cursor: such a row would never be seen."""
        cursor = shape.table.c[self._what.cursor]
        other = shape.table.alias("isthmus_all")
        highest = select(func.max(other.c[self._what.cursor])).scalar_subquery().label("isthmus_bound")
        if cursor.name not in shape.nullable:
            return [highest, literal_column("0").label("isthmus_lost")]
        lost = exists().where(other.c[self._what.cursor].is_(None))
        return [highest, case((lost, 1), else_=0).label("isthmus_lost")]

    def _bound(self, connection: Connection, shape: _Shape) -> int | None:
        self._spend()
        found = connection.execute(select(*self._bound_columns(shape))).one()
        return self._checked_bound(found[0], found[1])

    def _checked_bound(self, highest: object, lost: object) -> int | None:
        if lost:
            raise self._wrong_cursor("is NULL")
        return None if highest is None else self._cursor(highest)

    def _cursor(self, value: object) -> int:
        if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
            value = int(value)
        if type(value) is not int:
            raise self._wrong_cursor(f"holds a {type(value).__name__}")
        if not 0 <= value < _MOST:
            raise self._wrong_cursor("is negative or too long")
        return value

    def _wrong_cursor(self, how: str) -> Fatal:
        what = self._what
        return Fatal(
            f"The cursor column {what.cursor} of {what.name} {how} in some row: it must be a whole number, 0 or more, "
            f"of at most {POSITION_DIGITS} digits, in every row.",
            # Such a row has no place in the order: to read on without it would lose it, and nobody would know.
            hint=f"Find {what.cursor} IS NULL OR {what.cursor} < 0; give the row a number, or leave it out by a view.",
        )

    def _rows(self, shape: _Shape, found: Sequence[Row[Any]]) -> list[SourceRow]:
        what = self._what
        names = shape.names
        cursor_at = names.index(what.cursor)
        places = [names.index(name) for name in what.keys]
        key_of = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
        rows = []
        for row in found:
            position = row[cursor_at]
            if type(position) is not int or not 0 <= position < _MOST:
                position = self._cursor(position)
            try:
                sourcekey = key_text(key_of(row))
            except ValueError as error:
                raise Refused(f"A key column of {what.name} cannot be used: {error}.") from None
            watermark = f"[{position},{sourcekey[1:]}"
            rows.append(SourceRow(dict(zip(names, row, strict=False)), position, watermark, sourcekey))
        return rows

    def _bound_values(self, after: str) -> list[Any]:
        return [_bound_value(value) for value in self._position(after)]

    def _position(self, after: str) -> list[Any]:
        values = key_values(after)
        if len(values) not in (1, 1 + len(self._what.keys)) or type(values[0]) is not int:
            raise Refused(
                f"The saved watermark does not fit the key columns of {self._what.name}.",
                hint="They were changed: see `Reading a source again` in docs/runbook.md.",
            )
        return values
