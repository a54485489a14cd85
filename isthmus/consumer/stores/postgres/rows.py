"""How entities become rows of the user's table, and the statements for it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from isthmus.change import Change
from isthmus.consumer.stores.poisoned import PoisonIn
from isthmus.consumer.stores.port import TableMapping
from isthmus.consumer.stores.postgres.columns import Shape
from isthmus.consumer.stores.postgres.names import placed, text_array
from isthmus.consumer.stores.postgres.values import Column, hold_for, takes_text_as_it_is
from isthmus.errors import Poison
from isthmus.keytemplates import KeyTemplates

_TEXTS = frozenset({str, type(None)})


def table_name(mapping: TableMapping) -> str:
    """Give the table's name as a statement with parameters has it."""
    return f"{placed(mapping.schema)}.{placed(mapping.table)}" if mapping.schema else placed(mapping.table)


def written_columns(mapping: TableMapping) -> list[str]:
    """Give the columns that the mapping writes, the key's first."""
    version = [mapping.version_column] if mapping.version_column is not None else []
    return [*mapping.keys, *mapping.columns.values(), *version]


class EntityStatements:
    """The statements for one entity type. `columns` are those of the real table, by name."""

    def __init__(
        self,
        entity: str,
        mapping: TableMapping,
        columns: Mapping[str, Column],
        shape: Shape,
        *,
        screen: str | None = None,
    ) -> None:
        self.shape = shape
        self.screen = screen
        """Takes the arrays of the upsert, and gives the places, from 1, of what would be refused. See `screening`."""
        self._templates = KeyTemplates(entity, mapping.keys)
        self._fields = tuple(mapping.columns)
        self._values = mapping.values
        self._versioned = mapping.version_column is not None
        self._names = written_columns(mapping)
        written = [columns[name] for name in mapping.columns.values()]
        self._holds = [hold_for(column) for column in written]
        self._plain = [takes_text_as_it_is(column) for column in written]
        self._keys = list(mapping.keys)
        self._longest = [(place, length) for place, name in enumerate(self._keys) if (length := columns[name].length)]
        table, keys = table_name(mapping), [placed(name) for name in self._keys]
        names = [placed(name) for name in self._names]
        casts = [columns[name].cast.replace("%", "%%") for name in self._names]
        arrays = ", ".join(f"%s::{cast}[]" for cast in casts)
        # An array of arrays would be unnested to its elements, so a list comes as its own text.
        taken = [f"c{place}{'::text[]' * columns[name].is_list}" for place, name in enumerate(self._names)]
        places = ", ".join(f"c{place}" for place in range(len(names)))
        changed = ", ".join(f"{name} = EXCLUDED.{name}" for name in names[len(keys) :])
        self.upsert = (
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(taken)} "  # noqa: S608 - every name is quoted
            f"FROM unnest({arrays}) AS j ({places}) "
            f"ON CONFLICT ({', '.join(keys)}) DO {'UPDATE SET ' + changed if changed else 'NOTHING'}"
        )
        found = [f"t.{key} = j.c{place}" for place, key in enumerate(keys)]
        found += [
            _same(f"t.{placed(column.name)}", taken[place], column) for place, column in enumerate(written, len(keys))
        ]
        self.same = (
            f"SELECT j.place::integer FROM unnest({arrays}) WITH ORDINALITY AS j ({places}, place) "  # noqa: S608 - same
            f"JOIN {table} t ON {' AND '.join(found)}"
        )
        marks = ", ".join(["%s::text[]"] * len(keys))
        places = ", ".join(f"k{place}" for place in range(len(keys)))
        same = " AND ".join(f"t.{key} = j.k{place}" for place, key in enumerate(keys))
        self.delete = f"DELETE FROM {table} t USING unnest({marks}) AS j ({places}) WHERE {same}"  # noqa: S608 - same
        # In one order, and never what another writes at this moment: it is read as that leaves it.
        self.select = (
            f"SELECT j.key, t.* FROM unnest(%s::text[], {marks}) AS j (key, {places}) JOIN {table} t ON {same} "  # noqa: S608 - same
            "ORDER BY j.key FOR UPDATE OF t"
        )

    def keys(self, keys: Sequence[str]) -> list[str]:
        """Give an array for each key column. Raises `PoisonIn`."""
        made = []
        for place, key in enumerate(keys):
            try:
                made.append(self._values_of(key))
            except Poison as poison:
                raise PoisonIn(poison, place) from poison
        return [text_array(column) for column in zip(*made, strict=True)]

    def wanted(self, keys: Sequence[str]) -> list[str]:
        """Give the arrays of the select. A key of another shape has no row."""
        made = []
        for key in keys:
            with suppress(Poison):
                made.append([key, *self._values_of(key)])
        return [text_array(column) for column in zip(*made, strict=True)] or ["{}"] * (1 + len(self._keys))

    def _values_of(self, key: str) -> Sequence[str]:
        values = self._templates.values(key)
        for place, length in self._longest:
            # PostgreSQL cuts spaces off the end of what is too long, in silence: two keys would be one row.
            if len(values[place]) > length:
                raise Poison("value", f"the key is longer than the {length} characters of its column")
        return values

    def rows(self, changes: Sequence[Change]) -> list[str]:
        """Give an array for each column of the upsert.

        Raises `PoisonIn` for what its column would not hold exactly.
        """
        arrays = self.keys([change.key for change in changes])
        rows = self._taken(changes)
        for number, column in enumerate(zip(*rows, strict=True)):
            as_it_is = self._plain[number] and _TEXTS.issuperset(map(type, column)) and not _with_nul(column)
            arrays.append(text_array(column if as_it_is else self._held(number, column)))
        if self._versioned:
            arrays.append(text_array([change.version for change in changes]))
        return arrays

    def _taken(self, changes: Sequence[Change]) -> list[Sequence[Any]]:
        if self._values is None:
            # Nearly always each field is there; which is not is looked for only then.
            with suppress(KeyError, TypeError):
                return [[change.data[name] for name in self._fields] for change in changes]
        return [self._row(place, change) for place, change in enumerate(changes)]

    def _row(self, place: int, change: Change) -> Sequence[Any]:
        data = change.data
        if not isinstance(data, Mapping):
            raise PoisonIn(Poison("contract", "the data is no object"), place)
        if self._values is None:
            missing = next((name for name in self._fields if name not in data), None)
            if missing is not None:
                raise PoisonIn(Poison("contract", f"no field {missing!r}"), place)
            return [data[name] for name in self._fields]
        try:
            values = list(self._values(data))
        except Poison as poison:
            raise PoisonIn(poison, place) from poison
        except Exception as error:
            raise PoisonIn(Poison("mapping", type(error).__name__), place) from error
        if len(values) != len(self._fields):
            raise PoisonIn(Poison("mapping", "another number of values than of columns"), place)
        return values

    def _held(self, number: int, column: Sequence[Any]) -> list[str | None]:
        hold, held = self._holds[number], []
        if hold is None:
            raise Poison("value", "a column of a type that no value of a change fits exactly")
        for place, value in enumerate(column):
            try:
                held.append(hold(value))
            except Poison as poison:
                raise PoisonIn(poison, place) from poison
        return held


class Found(NamedTuple):
    """What a connection found when it was made."""

    entities: Mapping[str, EntityStatements]
    durably: str
    """The statement that is run last in a transaction, see `isthmus.consumer.stores.postgres.connection.durably`."""


def _same(held: str, taken: str, column: Column) -> str:
    """Give the condition that a column holds what would be written.

    By their texts: two values that a type calls equal may differ, and some types know no equality. But what the column
    rounds or fills up to its own number of digits is compared as the type does.
    """
    if column.scale is not None or column.base.startswith(("time", "date")):
        return f"{held} IS NOT DISTINCT FROM {taken}"
    cast = column.cast.replace("%", "%%")
    return f"{held}::text IS NOT DISTINCT FROM {taken if column.is_list else f'{taken}::{cast}'}::text"


def _with_nul(column: Sequence[str | None]) -> bool:
    return any(value is not None and "\0" in value for value in column)
