"""Do the user's tables take what the settings map to them? Each refusal names what mends it."""

import sqlite3
from pathlib import Path

from isthmus.consumer.stores.port import TableMapping
from isthmus.consumer.stores.sqlite.rows import Affinity, affinities, folded, quoted
from isthmus.consumer.stores.sqlite.schema import SCHEMA_VERSION
from isthmus.errors import Missing, Refused

_TEXTS = (Affinity.TEXT, Affinity.AS_IT_IS)


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `Refused` when our own tables were made by a release that this one does not know."""
    if not affinities(connection, "isthmus_meta"):
        return
    found = connection.execute("SELECT value FROM isthmus_meta WHERE name = 'schema_version'").fetchone()
    if found is not None and not (found[0].isdecimal() and int(found[0]) <= SCHEMA_VERSION):
        raise Refused(
            f"{path} was made by a newer release (schema {found[0]}, this one knows {SCHEMA_VERSION}).",
            hint="Install that release.",
        )


def check_mapping(connection: sqlite3.Connection, entity: str, mapping: TableMapping) -> None:
    """Compare one mapping with its table. Raises `Missing` or `Refused`."""
    table, key = mapping.table, mapping.key_column
    wanted = [key, *mapping.columns.values()]
    if mapping.version_column is not None:
        wanted.append(mapping.version_column)
    columns = affinities(connection, table)
    if not columns:
        others = "".join(f", {quoted(column)}" for column in wanted[1:])
        raise Missing(
            f"Entity {entity}: the front office has no table {table!r}.",
            hint=f"Run: CREATE TABLE {quoted(table)} ({quoted(key)} TEXT PRIMARY KEY{others});",
        )
    for column in wanted:
        if folded(column) not in columns:
            raise Missing(
                f"Entity {entity}: table {table!r} has no column {column!r}.",
                hint=f"Run: ALTER TABLE {quoted(table)} ADD COLUMN {quoted(column)};",
            )
    given = [folded(column) for column in wanted]
    twice = sorted({column for column in wanted if given.count(folded(column)) > 1})
    if twice:
        raise Refused(
            f"Entity {entity}: column {twice[0]!r} of table {table!r} would get two values.",
            hint="Map each column once.",
        )
    for column in {key, mapping.version_column or key}:
        # A numeric column makes 7 of '007', and rounds a version of 38 digits.
        if columns[folded(column)] not in _TEXTS:
            raise Refused(
                f"Entity {entity}: column {column!r} of table {table!r} must hold text as it is.",
                hint=f"Make the table anew with: {quoted(column)} TEXT",
            )
    _refuse_unmapped(connection, entity, table, given)
    if not _unique(connection, table, key):
        raise Refused(
            f"Entity {entity}: {table!r} has no unique index on {key!r} alone, compared byte by byte.",
            hint=f"Run: CREATE UNIQUE INDEX {quoted(table + '_key')} "
            f"ON {quoted(table)} ({quoted(key)} COLLATE BINARY);",
        )


def _refuse_unmapped(connection: sqlite3.Connection, entity: str, table: str, given: list[str]) -> None:
    rows = connection.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    for _, name, declared, notnull, default, _ in rows:
        if notnull and default is None and folded(name) not in given:
            raise Refused(
                f"Entity {entity}: column {name!r} of table {table!r} needs a value, which no field gives.",
                hint=f"Map a field to it, or make the table anew with: {quoted(name)} {declared} NOT NULL DEFAULT '',",
            )


def _unique(connection: sqlite3.Connection, table: str, key: str) -> bool:
    """Say whether ON CONFLICT (key) finds an index, and one that holds only equal keys for equal."""
    for _, index, unique, _, partial in connection.execute(f"PRAGMA index_list({quoted(table)})").fetchall():
        rows = connection.execute(f"PRAGMA index_xinfo({quoted(index)})").fetchall()
        columns = [(folded(name or ""), collation) for _, _, name, _, collation, indexed in rows if indexed]
        if unique and not partial and columns == [(folded(key), "BINARY")]:
            return True
    return False
