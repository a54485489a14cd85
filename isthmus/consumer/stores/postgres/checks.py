"""Do the user's tables take what the settings map to them? Each refusal names what mends it."""

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.postgres.columns import columns_of, regclass
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.names import literal, quoted
from isthmus.consumer.stores.postgres.schema import SCHEMA_VERSION, TABLES
from isthmus.consumer.stores.postgres.values import Column, hold_for
from isthmus.errors import Missing, Refused

_SETUP = "Run `isthmus store init`."
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_KEY_TYPES = {"text", "character varying"}
_NUMBERS = frozenset({"integer", "number", "decimal"})
_FITS: Mapping[str, frozenset[str]] = {
    "smallint": _NUMBERS,
    "integer": _NUMBERS,
    "bigint": _NUMBERS,
    "numeric": _NUMBERS,
    "double precision": _NUMBERS,
    "real": _NUMBERS,
    "boolean": frozenset({"boolean"}),
    "date": frozenset({"date", "string"}),
    "timestamp with time zone": frozenset({"date-time", "string"}),
    "timestamp without time zone": frozenset({"date-time", "string"}),
    "time without time zone": frozenset({"time", "string"}),
    "time with time zone": frozenset({"time", "string"}),
    "uuid": frozenset({"uuid", "string"}),
    "text[]": frozenset({"array"}),
}
"""What a column may get, where not anything: by the words of `isthmus.contracts`."""

_UNIQUE = """
    SELECT array_agg(a.attname ORDER BY a.attname),
        bool_and(coalesce(c.collisdeterministic, true))
    FROM pg_index i
    JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) ON k.place <= i.indnkeyatts
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    LEFT JOIN pg_collation c ON c.oid = a.attcollation
    WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL
        AND i.indexprs IS NULL
    GROUP BY i.indexrelid"""
_NEEDED = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attnotnull AND NOT atthasdef
        AND attidentity = '' AND attgenerated = ''"""
_MADE_BY_ITSELF = """
    SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
        AND (attgenerated <> '' OR attidentity = 'a')"""


def refuse_newer(connection: Connection, schema: str) -> None:
    """Raise `Refused` when our own tables were made by a release that this one does not know."""
    if _one(connection, "SELECT to_regclass(%s)", f"{quoted(schema)}.meta") is None:
        return
    found = _one(connection, f"SELECT value FROM {quoted(schema)}.meta WHERE name = %s", "schema_version")  # noqa: S608 - quoted
    if found is not None and not (found.isdecimal() and int(found) <= SCHEMA_VERSION):
        raise Refused(
            f"Schema {schema!r} was made by a newer release (schema {found}, this one knows {SCHEMA_VERSION}).",
            hint="Install that release.",
        )


def check_own(connection: Connection, schema: str) -> None:
    """See that our own tables are there, and ours to write. Raises `Missing` or `Refused`."""
    for table in TABLES:
        name = f"{quoted(schema)}.{table}"
        if _one(connection, "SELECT to_regclass(%s)", name) is None:
            raise Missing(f"The front office has no table {schema}.{table} of ours.", hint=_SETUP)
        _refuse_without_rights(connection, name, schema)


def check_mapping(connection: Connection, entity: Entity) -> None:
    """Compare one mapping with its table. Raises `Missing` or `Refused`."""
    mapping = entity.mapping
    if mapping is None:
        return
    name, wanted = regclass(mapping), _wanted(mapping)
    columns = columns_of(connection, mapping)
    if not columns:
        keys = ", ".join(quoted(key) for key in mapping.keys)
        others = "".join(f"{quoted(column)} text, " for column in wanted)
        raise Missing(
            f"Entity {entity.name}: the front office has no table {mapping.table!r}.",
            hint=f"Run: CREATE TABLE {name} ({others}PRIMARY KEY ({keys}));",
        )
    kind = _one(connection, "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)", name)
    if kind in _KINDS:
        raise Refused(
            f"Entity {entity.name}: {mapping.table!r} is {_KINDS[kind]}, and not a table.",
            hint="Name the table under [entities.NAME] table.",
        )
    _refuse_without_rights(connection, name, mapping.schema)
    for refusal in _wrong_columns(connection, entity, mapping, columns, wanted):
        raise refusal
    _refuse_without_key(connection, entity.name, mapping)


def _wanted(mapping: TableMapping) -> list[str]:
    version = [mapping.version_column] if mapping.version_column is not None else []
    return [*mapping.keys, *mapping.columns.values(), *version]


def _wrong_columns(
    connection: Connection, entity: Entity, mapping: TableMapping, columns: Mapping[str, Column], wanted: list[str]
) -> Iterator[Missing | Refused]:
    name, who = regclass(mapping), f"Entity {entity.name}: "
    made = {row[0] for row in connection.execute(_MADE_BY_ITSELF, (name,))}
    for column in wanted:
        place = f"{who}column {column!r} of table {mapping.table!r}"
        if column not in columns:
            hint = f"Run: ALTER TABLE {name} ADD COLUMN {quoted(column)} text;"
            yield Missing(f"{who}table {mapping.table!r} has no column {column!r}.", hint=hint)
        elif column in made:
            yield Refused(f"{place} is made by the database itself.", hint="Map the field to another column.")
        elif wanted.count(column) > 1:
            yield Refused(f"{place} would get two values.", hint="Map each column once.")
    for column in [*mapping.keys, *([mapping.version_column] if mapping.version_column else [])]:
        if columns[column].base not in _KEY_TYPES:
            yield Refused(
                f"{who}column {column!r} of table {mapping.table!r} is {columns[column].base}; "
                "it must hold text as it is.",
                hint=f"Run: ALTER TABLE {name} ALTER COLUMN {quoted(column)} TYPE text;",
            )
    for field, column in mapping.columns.items():
        yield from _wrong_type(entity, mapping, field, columns[column])
    rows: Any = connection.execute(_NEEDED, (name,))
    for column, declared in rows:
        if column not in wanted:
            yield Refused(
                f"{who}column {column!r} ({declared}) of table {mapping.table!r} needs a value, which no field gives.",
                hint=f"Map a field to it, or run: ALTER TABLE {name} ALTER COLUMN {quoted(column)} DROP NOT NULL;",
            )


def _wrong_type(entity: Entity, mapping: TableMapping, field: str, column: Column) -> Iterator[Refused]:
    types = entity.types.get(field, frozenset()) - {"null"}
    takes = _FITS.get(column.base)
    misfit = hold_for(column) is None or (mapping.values is None and takes is not None and types and not types & takes)
    if misfit:
        what = f", and field {field!r} holds {' or '.join(sorted(types))}" if types else ""
        yield Refused(
            f"Entity {entity.name}: column {column.name!r} of table {mapping.table!r} is {column.base}{what}.",
            hint=f"Run: ALTER TABLE {regclass(mapping)} ALTER COLUMN {quoted(column.name)} TYPE text;",
        )


def _refuse_without_key(connection: Connection, entity: str, mapping: TableMapping) -> None:
    name, keys = regclass(mapping), sorted(mapping.keys)
    rows: Any = connection.execute(_UNIQUE, (name,))
    if not any(sorted(found) == keys and bytewise for found, bytewise in rows):
        listed = ", ".join(quoted(key) for key in mapping.keys)
        raise Refused(
            f"Entity {entity}: {mapping.table!r} has no unique index on {', '.join(map(repr, mapping.keys))} alone, "
            "asked at once and comparing byte by byte.",
            hint=f"Run: CREATE UNIQUE INDEX ON {name} ({listed});",
        )


def _refuse_without_rights(connection: Connection, name: str, schema: str | None) -> None:
    usage = "has_schema_privilege(c.relnamespace, 'USAGE')"
    rights = ", ".join(f"has_table_privilege(c.oid, {literal(right)})" for right in _RIGHTS)
    found: Any = connection.execute(
        f"SELECT current_user, {usage}, {rights} FROM pg_class c WHERE c.oid = to_regclass(%s)",  # noqa: S608 - constants
        (name,),
    ).fetchone()
    user, may_enter, *may = found
    missing = [right for right, given in zip(_RIGHTS, may, strict=True) if not given]
    if not may_enter:
        raise Refused(
            f"The user {user!r} may not use the schema of {name}.",
            hint=f"Run: GRANT USAGE ON SCHEMA {quoted(schema or 'public')} TO {quoted(user)};",
        )
    if missing:
        raise Refused(
            f"The user {user!r} has not the right to {', '.join(missing)} in {name}.",
            hint=f"Run: GRANT {', '.join(missing)} ON {name} TO {quoted(user)};",
        )


def _one(connection: Connection, statement: str, parameter: str) -> Any:
    row: Any = connection.execute(statement, (parameter,)).fetchone()
    return row[0] if row is not None else None
