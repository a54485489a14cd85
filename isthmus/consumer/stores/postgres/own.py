"""Our own tables as they are in the database: whether they are there, of which version, and ours to write."""

from typing import Any

from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.names import literal, placed, quoted, text_array
from isthmus.consumer.stores.postgres.schema import PARTITIONED, SCHEMA_VERSION, TABLES
from isthmus.errors import Missing, Refused

_SETUP = "Run `isthmus store init`."
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_FEWER_RIGHTS = {"audit": ("SELECT", "INSERT")}
"""By table. Whoever writes the audit may be kept from changing what stands in it."""


def version_of(connection: Connection, schema: str) -> int | None:
    """Give the schema version of our own tables, None where there are none. Raises `Refused` for one that is none."""
    refuse_closed_schema(connection, schema)
    if one(connection, "SELECT to_regclass(%s)", f"{quoted(schema)}.meta") is None:
        return None
    refuse_without_rights(connection, f"{quoted(schema)}.meta", ("SELECT",))
    found = one(connection, f"SELECT value FROM {placed(schema)}.meta WHERE name = %s", "schema_version")  # noqa: S608 - quoted
    if found is None:
        return None
    if not found.isdecimal():
        raise _newer(schema, found)
    return int(found)


def refuse_newer(connection: Connection, schema: str) -> None:
    """Raise `Refused` when our own tables were made by a release that this one does not know."""
    found = version_of(connection, schema)
    if found is not None and found > SCHEMA_VERSION:
        raise _newer(schema, str(found))


def check_own(connection: Connection, schema: str) -> None:
    """See that our own tables are there, and ours to write. Raises `Missing` or `Refused`."""
    for table in TABLES:
        name = f"{quoted(schema)}.{table}"
        if one(connection, "SELECT to_regclass(%s)", name) is None:
            raise Missing(f"The front office has no table {schema}.{table} of ours.", hint=_SETUP)
        refuse_without_rights(connection, name, _FEWER_RIGHTS.get(table, _RIGHTS))
        refuse_unlogged(connection, name)
    refuse_nameless(connection, schema)
    refuse_unmakeable_schema(connection, schema)
    _refuse_another_owner(connection, schema)


def refuse_another(connection: Connection, schema: str, application: str, lanes: int) -> None:
    """Raise `Refused` where our own tables are another application's, or were made for another number of lanes.

    `Missing` where they do not say so.
    """
    rows: Any = connection.execute(f"SELECT name, value FROM {quoted(schema)}.meta")  # noqa: S608 - quoted
    found = dict(rows.fetchall())
    if not {"application", "lanes"} <= found.keys():
        raise Missing(f"The schema {schema!r} does not say whose it is.", hint=_SETUP)
    if found["application"] != application:
        raise Refused(
            f"The schema {schema!r} holds what the application {found['application']!r} remembers, and this one is "
            f"{application!r}: each would forget what the other one still needs.",
            hint="Name another schema: [store.postgres] schema.",
        )
    if found["lanes"] != str(lanes):
        noting = f"UPDATE {quoted(schema)}.meta SET value = '{lanes}' WHERE name = 'lanes';"  # noqa: S608 - for a person
        raise Refused(
            f"The schema {schema!r} was made for {found['lanes']} lanes, and [stream] lanes is {lanes}: workers of "
            "both would not see each other's locks.",
            hint=f"Set [stream] lanes = {found['lanes']}, or, when no consumer runs any more, run: {noting}",
        )


def _refuse_another_owner(connection: Connection, schema: str) -> None:
    """Raise `Refused` where this user may not make and drop the months: PostgreSQL lets only their owner do that."""
    rows: Any = connection.execute(
        "SELECT DISTINCT p.relid::regclass::text, current_user FROM unnest(%s::text[]) AS n (name) "
        "CROSS JOIN LATERAL pg_partition_tree(to_regclass(n.name)) p JOIN pg_class c ON c.oid = p.relid "
        "WHERE NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1",
        (text_array([f"{quoted(schema)}.{table}" for table in PARTITIONED]),),
    )
    foreign = rows.fetchall()
    if foreign:
        user = foreign[0][1]
        mending = " ".join(f"ALTER TABLE {name} OWNER TO {quoted(user)};" for name, _ in foreign)
        raise Refused(
            f"The user {user!r} does not own {', '.join(name for name, _ in foreign)}, of which a month is made and "
            "dropped now and then.",
            hint=f"Run: {mending}",
        )


def refuse_nameless(connection: Connection, schema: str) -> None:
    """Raise `Refused` for guards, made before the first release, that cannot say of which entity type they are."""
    name = f"{quoted(schema)}.guard"
    nameless = """SELECT true FROM pg_class c WHERE c.oid = to_regclass(%s) AND NOT EXISTS (
        SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'entity' AND NOT a.attisdropped)"""
    if one(connection, nameless, name) is not None:
        raise Refused(
            f"The guards of the schema {schema!r} do not name their entity type.",
            hint=f"Run: ALTER TABLE {name} ADD COLUMN entity text COLLATE \"C\" NOT NULL DEFAULT '';",
        )


def refuse_closed_schema(connection: Connection, schema: str) -> None:
    """Raise `Refused` for a schema that this user may not use: PostgreSQL does not say what is in it."""
    closed = "SELECT current_user FROM pg_namespace WHERE nspname = %s AND NOT has_schema_privilege(oid, 'USAGE')"
    user = one(connection, closed, schema)
    if user is not None:
        raise Refused(
            f"The user {user!r} may not use the schema {schema!r}.",
            hint=f"Run: GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(user)};",
        )


def refuse_unmakeable_schema(connection: Connection, schema: str) -> None:
    """Raise `Refused` where this user may not make our schema, or nothing in it."""
    found: Any = connection.execute(
        "SELECT current_user, current_database(), has_database_privilege(current_database(), 'CREATE'), "
        "(SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %s)",
        (schema,),
    ).fetchone()
    user, database, may_make_it, may_make_in_it = found
    if may_make_in_it is None and not may_make_it:
        raise Refused(
            f"The user {user!r} may not make the schema {schema!r} in the database {database!r}.",
            hint=f"Run: CREATE SCHEMA {quoted(schema)} AUTHORIZATION {quoted(user)};",
        )
    if may_make_in_it is False:
        raise Refused(
            f"The user {user!r} may not make tables in the schema {schema!r}.",
            hint=f"Run: GRANT USAGE, CREATE ON SCHEMA {quoted(schema)} TO {quoted(user)};",
        )


def refuse_without_rights(connection: Connection, name: str, needed: tuple[str, ...] = _RIGHTS) -> None:
    """Raise `Refused` where this user may not do what is needed with a table. `name` is quoted."""
    rights = ", ".join(f"has_table_privilege(c.oid, {literal(right)})" for right in needed)
    found: Any = connection.execute(
        f"SELECT current_user, {rights} FROM pg_class c WHERE c.oid = to_regclass(%s)",  # noqa: S608 - constants
        (name,),
    ).fetchone()
    user, *may = found
    missing = ", ".join(right for right, given in zip(needed, may, strict=True) if not given)
    if missing:
        raise Refused(
            f"The user {user!r} has not the right to {missing} in {name}.",
            hint=f"Run: GRANT {missing} ON {name} TO {quoted(user)};",
        )


def refuse_unlogged(connection: Connection, name: str) -> None:
    """Raise `Refused` for a table that a crash empties, or a session's end: also where only a part of it is such.

    `name` is quoted.
    """
    found = one(
        connection,
        "SELECT c.oid::regclass::text FROM pg_class c, (SELECT to_regclass(%s) AS oid) t WHERE c.relpersistence <> 'p' "
        "AND (c.oid = t.oid OR c.oid IN (SELECT relid FROM pg_partition_tree(t.oid))) ORDER BY 1",
        name,
    )
    if found is not None:
        raise Refused(
            f"The table {found} is unlogged or temporary: a crash would empty it, and what was applied does not come "
            "again.",
            hint=f"Run: ALTER TABLE {found} SET LOGGED;",
        )


def one(connection: Connection, statement: str, parameter: str) -> Any:
    """Give the first column of the first row, None where there is none."""
    row: Any = connection.execute(statement, (parameter,)).fetchone()
    return row[0] if row is not None else None


def _newer(schema: str, found: str) -> Refused:
    return Refused(
        f"Schema {schema!r} was made by a newer release (schema {found}, this one knows {SCHEMA_VERSION}).",
        hint="Install that release.",
    )
