"""Do the user's tables take what the settings map to them? Each refusal names what mends it."""

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.change import VERSION_DIGITS
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.postgres.capacity import too_small
from isthmus.consumer.stores.postgres.columns import columns_of, regclass
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.names import quoted, text_array
from isthmus.consumer.stores.postgres.own import one, refuse_closed_schema, refuse_unlogged, refuse_without_rights
from isthmus.consumer.stores.postgres.rows import written_columns
from isthmus.consumer.stores.postgres.values import Column, hold_for
from isthmus.contracts import Bounds
from isthmus.errors import Missing, Refused

_TABLE = {"r", "p"}
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}
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
_NAMED_KEYS = frozenset({"string", "date", "date-time", "time", "uuid", "decimal"})
"""What an enumeration's column may get: its own words."""

# ON CONFLICT takes every such index on the key columns, so all of them must be asked at once, and tell keys apart
# byte by byte.
_UNIQUE = """
    SELECT array_agg(a.attname ORDER BY a.attname), bool_and(coalesce(c.collisdeterministic, true)),
        i.indexrelid::regclass::text, i.indimmediate, min(u.conname), min(pg_get_constraintdef(u.oid))
    FROM pg_index i
    LEFT JOIN pg_constraint u ON u.conindid = i.indexrelid AND u.contype IN ('p', 'u')
    JOIN LATERAL unnest(i.indkey::int2[], i.indcollation::oid[]) WITH ORDINALITY AS k (attnum, ruled, place)
        ON k.place <= i.indnkeyatts
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    LEFT JOIN pg_collation c ON c.oid = k.ruled
    WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
        AND i.indexprs IS NULL
    GROUP BY i.indexrelid"""
_TAKES_FOR_EQUAL = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
    JOIN pg_collation c ON c.oid = a.attcollation
    WHERE a.attrelid = to_regclass(%s) AND a.attname = ANY (%s) AND NOT c.collisdeterministic"""
_NEEDED = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped AND (a.attnotnull OR t.typnotnull)
        AND NOT a.atthasdef AND t.typdefault IS NULL AND a.attidentity = '' AND a.attgenerated = ''"""
_MADE_BY_ITSELF = """
    SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
        AND (attgenerated <> '' OR attidentity = 'a')"""
_CLOSED_SEQUENCE = """
    SELECT s.oid::regclass::text, a.attname, current_user
    FROM pg_attribute a
    JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    JOIN pg_depend u ON u.classid = 'pg_attrdef'::regclass AND u.objid = d.oid AND u.refclassid = 'pg_class'::regclass
    JOIN pg_class s ON s.oid = u.refobjid
    WHERE a.attrelid = to_regclass(%s) AND a.attname <> ALL (%s::text[])
        AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') END
    ORDER BY a.attnum"""
# Schemas that this user may not use do not exist for a name without a schema.
_HIDDEN = """
    SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = %s AND c.relkind IN ('r', 'p') AND NOT has_schema_privilege(n.oid, 'USAGE')
        AND n.nspname = ANY (string_to_array(replace(current_setting('search_path'), '"', ''), ', '))"""


def check_mapping(connection: Connection, entity: Entity) -> None:
    """Compare one mapping with its table. Raises `Missing` or `Refused`."""
    mapping = entity.mapping
    if mapping is None:
        return
    if mapping.schema is not None:
        refuse_closed_schema(connection, mapping.schema)
    name, wanted = regclass(mapping), written_columns(mapping)
    columns = columns_of(connection, mapping)
    if not columns:
        raise _missing(connection, entity.name, mapping, wanted)
    kind = one(connection, "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)", name)
    if kind not in _TABLE:
        raise Refused(
            f"Entity {entity.name}: {mapping.table!r} is {_KINDS.get(kind, 'something else')}, and not a table.",
            hint=f"Name the table under [entities.{entity.name}] table.",
        )
    refuse_without_rights(connection, name)
    refuse_unlogged(connection, name)
    _refuse_closed_sequence(connection, name, wanted)
    _refuse_what_hides_rows(connection, entity.name, mapping)
    for refusal in _wrong_columns(connection, entity, mapping, columns, wanted):
        raise refusal
    _refuse_without_key(connection, entity.name, mapping)


def _refuse_closed_sequence(connection: Connection, name: str, wanted: list[str]) -> None:
    """Raise `Refused` for a sequence that gives a column its default, where this user may not ask it."""
    found: Any = connection.execute(_CLOSED_SEQUENCE, (name, text_array(wanted))).fetchone()
    if found is not None:
        sequence, column, user = found
        raise Refused(
            f"The user {user!r} has not the right to use the sequence {sequence}, which numbers column {column!r} of "
            f"{name}.",
            hint=f"Run: GRANT USAGE ON SEQUENCE {sequence} TO {quoted(user)};",
        )


def _missing(connection: Connection, entity: str, mapping: TableMapping, wanted: list[str]) -> Missing | Refused:
    if mapping.schema is None:
        hidden = one(connection, _HIDDEN, mapping.table)
        if hidden is not None:
            refuse_closed_schema(connection, hidden)
    keys = ", ".join(quoted(key) for key in mapping.keys)
    columns = "".join(f"{quoted(column)} text, " for column in dict.fromkeys(wanted))
    first = ""
    if mapping.schema is not None and one(connection, "SELECT to_regnamespace(%s)", quoted(mapping.schema)) is None:
        first = f"CREATE SCHEMA {quoted(mapping.schema)}; "
    return Missing(
        f"Entity {entity}: the front office has no table {mapping.table!r}.",
        hint=f"Run: {first}CREATE TABLE {regclass(mapping)} ({columns}PRIMARY KEY ({keys}));",
    )


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
        found = columns[column]
        short = column == mapping.version_column and found.length is not None and found.length < VERSION_DIGITS
        if found.base not in _KEY_TYPES or short:
            needs = f"{VERSION_DIGITS} characters of text" if short else "text as it is"
            yield Refused(
                f"{who}column {column!r} of table {mapping.table!r} is {found.base}; it must hold {needs}.",
                hint=f"Run: ALTER TABLE {name} ALTER COLUMN {quoted(column)} TYPE text;",
            )
    for field, column in mapping.columns.items():
        yield from _wrong_type(entity, mapping, field, columns[column])
        yield from _too_small(entity, mapping, field, columns[column])
    yield from _unmapped(connection, entity, mapping, wanted)


def _wrong_type(entity: Entity, mapping: TableMapping, field: str, column: Column) -> Iterator[Refused]:
    types = entity.types.get(field, frozenset()) - {"null"}
    takes = _NAMED_KEYS if column.category == "E" else _FITS.get(column.base)
    misfit = hold_for(column) is None or (mapping.values is None and takes is not None and types and not types & takes)
    if misfit:
        what = f", and field {field!r} holds {' or '.join(sorted(types))}" if types else ""
        yield Refused(
            f"Entity {entity.name}: column {column.name!r} of table {mapping.table!r} is {column.base}{what}.",
            hint=f"Run: ALTER TABLE {regclass(mapping)} ALTER COLUMN {quoted(column.name)} TYPE text;",
        )


def _too_small(entity: Entity, mapping: TableMapping, field: str, column: Column) -> Iterator[Refused]:
    found = too_small(column, entity.bounds.get(field, Bounds())) if mapping.values is None else None
    if found is not None:
        why, larger = found
        yield Refused(
            f"Entity {entity.name}: column {column.name!r} of table {mapping.table!r} is too small for field "
            f"{field!r}: it {why}.",
            hint=f"Run: ALTER TABLE {regclass(mapping)} ALTER COLUMN {quoted(column.name)} TYPE {larger};",
        )


def _unmapped(connection: Connection, entity: Entity, mapping: TableMapping, wanted: list[str]) -> Iterator[Refused]:
    name = regclass(mapping)
    rows: Any = connection.execute(_NEEDED, (name,))
    for column, declared, by_column in rows:
        if column not in wanted:
            mending = f"ALTER TABLE {name} ALTER COLUMN {quoted(column)}" if by_column else f"ALTER DOMAIN {declared}"
            yield Refused(
                f"Entity {entity.name}: column {column!r} ({declared}) of table {mapping.table!r} needs a value, "
                "which no field gives.",
                hint=f"Map a field to it, or run: {mending} DROP NOT NULL;",
            )


def _refuse_what_hides_rows(connection: Connection, entity: str, mapping: TableMapping) -> None:
    found: Any = connection.execute(
        "SELECT row_security_active(oid), current_user, EXISTS (SELECT 1 FROM pg_rewrite WHERE ev_class = c.oid) "
        "FROM pg_class c WHERE oid = to_regclass(%s)",
        (regclass(mapping),),
    ).fetchone()
    hides, user, ruled = found
    if hides:
        # A row that a policy hides would not be deleted, and nobody would hear of it.
        raise Refused(
            f"Entity {entity}: {mapping.table!r} has row security, which holds for the user {user!r}.",
            hint=f"Run: ALTER ROLE {quoted(user)} BYPASSRLS;",
        )
    if ruled:
        raise Refused(
            f"Entity {entity}: {mapping.table!r} has rules, and PostgreSQL takes no upsert there.",
            hint="Make triggers of its rules.",
        )


def _refuse_without_key(connection: Connection, entity: str, mapping: TableMapping) -> None:
    name, keys = regclass(mapping), sorted(mapping.keys)
    unlike: Any = connection.execute(_TAKES_FOR_EQUAL, (name, keys)).fetchone()
    if unlike is not None:
        column, declared = unlike
        raise Refused(
            f"Entity {entity}: column {column!r} of table {mapping.table!r} takes different keys for equal.",
            hint=f'Run: ALTER TABLE {name} ALTER COLUMN {quoted(column)} TYPE {declared} COLLATE "C";',
        )
    rows: Any = connection.execute(_UNIQUE, (name,))
    found = [row for columns, *row in rows if sorted(columns) == keys]
    for bytewise, index, at_once, constraint, definition in found:
        if not at_once:
            mended = definition.replace(" INITIALLY DEFERRED", "").replace(" DEFERRABLE", "")
            raise Refused(
                f"Entity {entity}: the key {constraint!r} of table {mapping.table!r} is not asked at once.",
                hint=f"Run: ALTER TABLE {name} DROP CONSTRAINT {quoted(constraint)}, "
                f"ADD CONSTRAINT {quoted(constraint)} {mended};",
            )
        if not bytewise:
            raise Refused(
                f"Entity {entity}: the index {index} of table {mapping.table!r} takes different keys for equal.",
                hint=f"Run: DROP INDEX {index};",
            )
    if not found:
        listed = ", ".join(quoted(key) for key in mapping.keys)
        raise Refused(
            f"Entity {entity}: {mapping.table!r} has no unique index on {', '.join(map(repr, mapping.keys))} alone, "
            "for all rows.",
            hint=f"Run: CREATE UNIQUE INDEX ON {name} ({listed});",
        )
