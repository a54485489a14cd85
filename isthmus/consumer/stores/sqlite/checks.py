"""Do the user's tables take what the settings map to them? Each refusal names what mends it."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.sqlite.rows import Affinity, affinities, folded, is_strict, quoted
from isthmus.consumer.stores.sqlite.schema import SCHEMA_VERSION
from isthmus.contracts import DATE, DECIMAL, INTEGER, MOMENT, NULL, NUMBER, STRING, TIME, UUID
from isthmus.errors import Missing, Refused

_TEXTS = (Affinity.TEXT, Affinity.AS_IT_IS)
_NEVER_NUMBERS = frozenset({STRING, DATE, MOMENT, TIME, UUID, "array", "object"})
"""What a STRICT column of numbers refuses, but for a string that looks like one."""


class _Column(NamedTuple):
    """A column as `PRAGMA table_info` has it."""

    name: str
    declared: str
    needed: bool
    """NOT NULL."""
    default: str | None


def version_of(connection: sqlite3.Connection, path: Path) -> int | None:
    """Give the schema version of our own tables, None where there are none. Raises `Refused` for one that is none."""
    if not affinities(connection, "isthmus_meta"):
        return None
    found = connection.execute("SELECT value FROM isthmus_meta WHERE name = 'schema_version'").fetchone()
    if found is None:
        return None
    if not found[0].isdecimal():
        raise _newer(path, found[0])
    return int(found[0])


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `Refused` when our own tables were made by a release that this one does not know."""
    found = version_of(connection, path)
    if found is not None and found > SCHEMA_VERSION:
        raise _newer(path, str(found))


def refuse_another(connection: sqlite3.Connection, path: Path, application: str) -> None:
    """Raise `Refused` where our own tables are another application's, `Missing` where they do not say so."""
    found = connection.execute("SELECT value FROM isthmus_meta WHERE name = 'application'").fetchone()
    if found is None:
        raise Missing(f"{path} does not say whose it is.", hint="Run `isthmus setup`.")
    if found[0] != application:
        raise Refused(
            f"{path} holds what the application {found[0]!r} remembers, and this one is {application!r}: each would "
            "forget what the other one still needs.",
            hint="Name another file: [store] url.",
        )


def refuse_nameless(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `Refused` for guards, made before the first release, that cannot say of which entity type they are."""
    columns = affinities(connection, "isthmus_guard")
    if columns and "entity" not in columns:
        raise Refused(
            f"The guards of {path} do not name their entity type.",
            hint="Run: ALTER TABLE isthmus_guard ADD COLUMN entity TEXT NOT NULL DEFAULT '';",
        )


def _newer(path: Path, found: str) -> Refused:
    return Refused(
        f"{path} was made by a newer release (schema {found}, this one knows {SCHEMA_VERSION}).",
        hint="Install that release.",
    )


def check_mapping(connection: sqlite3.Connection, entity: Entity, mapping: TableMapping) -> None:
    """Compare one entity type's mapping with its table. Raises `Missing` or `Refused`."""
    table, keys = mapping.table, list(mapping.keys)
    texts = [*keys, mapping.version_column] if mapping.version_column is not None else keys
    wanted = [*keys, *mapping.columns.values(), *texts[len(keys) :]]
    columns = _columns(connection, table)
    given = [folded(column) for column in wanted]
    _refuse_missing(connection, entity.name, table, keys, wanted)
    twice = sorted({column for column in wanted if given.count(folded(column)) > 1})
    if twice:
        raise Refused(
            f"Entity {entity.name}: column {twice[0]!r} of table {table!r} would get two values.",
            hint="Map each column once.",
        )
    does = affinities(connection, table)
    for column in texts:
        # A numeric column makes 7 of '007', and rounds a version of 38 digits.
        if does[folded(column)] not in _TEXTS:
            raise Refused(
                f"Entity {entity.name}: column {column!r} of table {table!r} must hold text as it is.",
                hint=f"Make the table anew with: {quoted(column)} TEXT",
            )
    _refuse_unfit(entity, mapping, columns, strict=is_strict(connection, table))
    _refuse_unmapped(entity.name, table, columns, given)
    if not _unique(connection, table, keys):
        names = " and ".join(repr(key) for key in keys)
        raise Refused(
            f"Entity {entity.name}: {table!r} has no unique index on {names} alone, compared byte by byte.",
            hint=f"Run: CREATE UNIQUE INDEX {quoted(table + '_key')} ON {quoted(table)} "
            f"({', '.join(f'{quoted(key)} COLLATE BINARY' for key in keys)});",
        )


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, _Column]:
    rows = connection.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    found = [_Column(name, declared, bool(needed), default) for _, name, declared, needed, default, _ in rows]
    return {folded(column.name): column for column in found}


def _refuse_missing(
    connection: sqlite3.Connection, entity: str, table: str, keys: Sequence[str], wanted: Sequence[str]
) -> None:
    columns = _columns(connection, table)
    if not columns:
        rest = [quoted(column) for column in wanted[len(keys) :]]
        if len(keys) == 1:
            parts = [f"{quoted(keys[0])} TEXT PRIMARY KEY", *rest]
        else:
            primary = f"PRIMARY KEY ({', '.join(quoted(key) for key in keys)})"
            parts = [*(f"{quoted(key)} TEXT NOT NULL" for key in keys), *rest, primary]
        raise Missing(
            f"Entity {entity}: the front office has no table {table!r}.",
            hint=f"Run: CREATE TABLE {quoted(table)} ({', '.join(parts)});",
        )
    kind = connection.execute("SELECT type FROM pragma_table_list WHERE name = ? COLLATE NOCASE", (table,)).fetchone()
    if kind == ("view",):
        raise Refused(
            f"Entity {entity}: {table!r} is a view.",
            hint=f"Name the table behind it as table under [entities.{entity}].",
        )
    for column in wanted:
        if folded(column) not in columns:
            raise Missing(
                f"Entity {entity}: table {table!r} has no column {column!r}.",
                hint=f"Run: ALTER TABLE {quoted(table)} ADD COLUMN {quoted(column)};",
            )


def _refuse_unfit(entity: Entity, mapping: TableMapping, columns: Mapping[str, _Column], *, strict: bool) -> None:
    """Refuse a column that no value of its field fits, or that refuses one which the contract allows."""
    for field, name in mapping.columns.items():
        column, types = columns[folded(name)], entity.types.get(field, frozenset())
        if NULL in types and column.needed:
            why, better = "refuses NULL, which the contract allows", column.declared
        elif strict and types and (kept := _strict(column.declared, types - {NULL})):
            why, better = f"is {column.declared} in a STRICT table, and the contract has {kept}", "ANY"
        else:
            continue
        raise Refused(
            f"Entity {entity.name}: column {name!r} of table {mapping.table!r} {why}.",
            hint=f"Make the table anew with: {f'{quoted(name)} {better}'.rstrip()}",
        )


def _strict(declared: str, types: frozenset[str]) -> str:
    """Say which of a field's types a column of a STRICT table refuses always (sqlite.org, "STRICT Tables")."""
    refused = {
        "INT": _NEVER_NUMBERS,
        "INTEGER": _NEVER_NUMBERS,
        "REAL": _NEVER_NUMBERS,
        "BLOB": _NEVER_NUMBERS | {INTEGER, NUMBER, DECIMAL, "boolean"},
    }.get(declared.upper(), frozenset())
    return ", ".join(sorted(types & refused))


def _refuse_unmapped(entity: str, table: str, columns: Mapping[str, _Column], given: Sequence[str]) -> None:
    for folded_name, column in columns.items():
        if column.needed and column.default is None and folded_name not in given:
            raise Refused(
                f"Entity {entity}: column {column.name!r} of table {table!r} needs a value, which no field gives.",
                hint=f"Map a field to it, or make the table anew with: "
                f"{quoted(column.name)} {column.declared} NOT NULL DEFAULT '',",
            )


def _unique(connection: sqlite3.Connection, table: str, keys: Sequence[str]) -> bool:
    """Say whether ON CONFLICT finds an index on the keys, and one that holds only equal keys for equal."""
    wanted = sorted((folded(key), "BINARY") for key in keys)
    for _, index, unique, _, partial in connection.execute(f"PRAGMA index_list({quoted(table)})").fetchall():
        rows = connection.execute(f"PRAGMA index_xinfo({quoted(index)})").fetchall()
        columns = [(folded(name or ""), collation) for _, _, name, _, collation, indexed in rows if indexed]
        if unique and not partial and sorted(columns) == wanted:
            return True
    return False
