"""Reference tables of a SQL back office, held in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import column, inspect, select, table
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from isthmus.clock import Clock
from isthmus.errors import Fatal, IsthmusError, Missing, Refused
from isthmus.log import Away, get_logger
from isthmus.producer.sources.budget import QueryBudget
from isthmus.producer.sources.sql_engine import meaning, read_only_engine

MOST_ROWS = 200_000
"""Rows of one reference table. All are held in memory, twice while loading: a larger table is no reference table."""

_LOOK = "Look at the source's reference tables in the settings."
_log = get_logger("isthmus.producer.references")

Table = Mapping[Any, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """Where a reference table lies. `keys` are the columns that a translator looks it up by."""

    name: str
    keys: tuple[str, ...]
    schema: str | None = None


class NoReferences:
    """The references of a source that has none."""

    def table(self, name: str) -> Table:
        """Raise Fatal: there is no such table."""
        raise _unknown(name)

    def refresh_if_due(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class JoinedReferences:
    """Reference tables that lie in several places, or are loaded again at different intervals, as one."""

    def __init__(self, parts: Sequence["SqlReferences"]) -> None:
        self._parts = tuple(parts)
        self._by_name = {name: part for part in parts for name in part.names}

    def table(self, name: str) -> Table:
        """Give a table as it was last loaded; see `SqlReferences`."""
        if name not in self._by_name:
            raise _unknown(name)
        return self._by_name[name].table(name)

    def refresh_if_due(self) -> None:
        """Load what never was, or is due; see `SqlReferences`."""
        for part in self._parts:
            part.refresh_if_due()

    def close(self) -> None:
        """Give all connections back. Safe to repeat."""
        for part in self._parts:
            part.close()


class SqlReferences:
    """Reference tables in one database. A `References` whose owner calls `refresh_if_due` between two pages.

    `tables` gives each table by the name that translators use. `reload_interval` and `timeout` are in seconds.
    Loading pays two statements a table out of `budget` (None: no bound), and never waits for it.
    """

    def __init__(
        self,
        url: str,
        tables: Mapping[str, ReferenceTable],
        *,
        clock: Clock,
        budget: QueryBudget | None = None,
        reload_interval: float = 300.0,
        timeout: float = 30.0,
    ) -> None:
        """Connect to nothing yet. Raises Fatal for an address that is none, ValueError for a table without keys."""
        if empty := [name for name, each in tables.items() if not each.keys]:
            raise ValueError(f"reference tables without key columns: {', '.join(empty)}")
        self._engine = read_only_engine(url, timeout)
        self._where = dict(tables)
        self._clock = clock
        self._budget = budget
        self._interval = reload_interval
        self._tables: dict[str, Table] | None = None
        self._due_at = 0.0
        self._away = Away("references", _log, clock)

    @property
    def names(self) -> frozenset[str]:
        """The tables' names, as translators use them."""
        return frozenset(self._where)

    def table(self, name: str) -> Table:
        """Give a table as it was last loaded: rows by key, a tuple where the key has several columns.

        Never waits. A table that was given stays as it is when tables are loaded again. Raises Fatal for an unknown
        name, and before the first load.
        """
        if name not in self._where:
            raise _unknown(name)
        if self._tables is None:
            raise Fatal(f"The reference table {name} was used before it was loaded.")
        return self._tables[name]

    def refresh_if_due(self) -> None:
        """Load all tables if they never were, or if the interval has passed.

        The first load raises as `Source.read` does, and `Refused` for a key that two rows share or a table that is
        too large. Later on tables that cannot be loaded stay as they were, which is logged once; the next attempt is
        an interval away.
        """
        if self._tables is None:
            self._load()
        elif self._clock.monotonic() >= self._due_at:
            try:
                self._load()
            except IsthmusError as error:
                self._due_at = self._clock.monotonic() + self._interval
                self._away.failed(type(error).__name__, message=error.message)
            else:
                self._away.recovered()

    def close(self) -> None:
        """Give connections back. Safe to repeat."""
        self._engine.dispose()

    def _load(self) -> None:
        # All or none: a carrier of today must not meet an airport of yesterday because one table failed.
        self._tables = {name: self._read(where) for name, where in self._where.items()}
        self._due_at = self._clock.monotonic() + self._interval

    def _read(self, where: ReferenceTable) -> Table:
        try:
            with self._engine.connect() as connection:
                self._spend()
                found = inspect(connection).get_columns(where.name, schema=where.schema)
                names = [each["name"] for each in found]
                if absent := [key for key in where.keys if key not in names]:
                    raise Missing(f"The reference table {where.name} has no column {', '.join(absent)}.", hint=_LOOK)
                clause = table(where.name, *(column(name) for name in names), schema=where.schema)
                self._spend()
                rows = connection.execute(select(clause).limit(MOST_ROWS + 1)).fetchall()
        except NoSuchTableError:
            raise Missing(f"The back office has no table {where.name}.", hint=_LOOK) from None
        except DBAPIError as error:
            self._engine.dispose()
            raise meaning(error, where.name) from error
        if len(rows) > MOST_ROWS:
            raise Refused(f"The reference table {where.name} has more than {MOST_ROWS} rows.", hint=_LOOK)
        places = [names.index(key) for key in where.keys]
        result = {}
        for row in rows:
            key = row[places[0]] if len(places) == 1 else tuple(row[place] for place in places)
            result[key] = MappingProxyType(dict(zip(names, row, strict=True)))
        if len(result) < len(rows):
            raise Refused(f"Rows of the reference table {where.name} share one key.", hint=_LOOK)
        return MappingProxyType(result)

    def _spend(self) -> None:
        if self._budget is not None:
            self._budget.spend()


def _unknown(name: str) -> Fatal:
    return Fatal(f"There is no reference table {name!r}.", hint=_LOOK)
