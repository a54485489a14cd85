"""Which rows of many their table would refuse: its own conditions, asked of rows that are not written.

PostgreSQL names only the first row that it refuses, and what was written before it is undone. So a batch with poison
here and there would be written in vain once for each. The catalogue knows most conditions: checks, columns that must
not be null, foreign keys. What is found is a guess that says whom to set aside, and whoever does that tries each alone:
a trigger, a unique constraint or a domain may refuse others, and a row of the same batch may be what another refers to.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from isthmus.consumer.stores.port import TableMapping
from isthmus.consumer.stores.postgres.columns import regclass
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.names import placed
from isthmus.consumer.stores.postgres.values import Column

_CONDITIONS = """
    SELECT c.contype::text, pg_get_expr(c.conbin, c.conrelid), here.names, there.names, n.nspname, r.relname
    FROM pg_constraint c
    LEFT JOIN pg_class r ON r.oid = c.confrelid
    LEFT JOIN pg_namespace n ON n.oid = r.relnamespace
    CROSS JOIN LATERAL (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number) AS here (names)
    CROSS JOIN LATERAL (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(c.confkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number) AS there (names)
    WHERE c.conrelid = to_regclass(%s) AND c.contype IN ('c', 'f') AND NOT c.condeferred
    UNION ALL
    SELECT 'n', NULL, ARRAY[a.attname::text], NULL, NULL, NULL
    FROM pg_attribute a WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped
    ORDER BY 1, 3"""

_ROW, _PLACE, _REFERRED = '"isthmus row"', '"isthmus place"', '"isthmus referred"'
"""Names that hardly any table of a user's has for a column."""


class _Condition(NamedTuple):
    """A row of `_CONDITIONS`."""

    kind: str
    """`c`: a check; `n`: not null; `f`: a foreign key."""
    expression: str | None
    columns: Sequence[str] | None
    referred_columns: Sequence[str] | None
    referred_schema: str | None
    referred_table: str | None


def screen_of(
    connection: Connection, mapping: TableMapping, written: Sequence[str], columns: Mapping[str, Column]
) -> str | None:
    """Give a statement that takes the arrays of an upsert, and gives the places, from 1, of what would be refused.

    `written` are the columns in the arrays' order. None where no condition can be asked of them.
    """
    name = regclass(mapping)
    rows: Any = connection.execute(_CONDITIONS, (name, name))
    conditions = (_Condition(*row) for row in rows)
    refused = [_refused(each) for each in conditions if each.columns and set(each.columns) <= set(written)]
    return _statement(written, columns, refused) if refused else None


def _refused(condition: _Condition) -> str:
    here = [f"{_ROW}.{placed(name)}" for name in condition.columns or ()]
    if condition.kind == "n":
        return f"{here[0]} IS NULL"
    if condition.kind == "c":
        # Null passes a check, as it does where the table asks it.
        return f"({(condition.expression or 'true').replace('%', '%%')}) IS FALSE"
    there = [f"{_REFERRED}.{placed(name)}" for name in condition.referred_columns or ()]
    table = f"{placed(condition.referred_schema or '')}.{placed(condition.referred_table or '')}"
    found = " AND ".join(f"{other} = {own}" for other, own in zip(there, here, strict=True))
    known = " AND ".join(f"{own} IS NOT NULL" for own in here)
    return f"({known} AND NOT EXISTS (SELECT 1 FROM {table} AS {_REFERRED} WHERE {found}))"  # noqa: S608 - quoted names


def _statement(written: Sequence[str], columns: Mapping[str, Column], refused: Iterable[str]) -> str:
    casts = [columns[name].cast.replace("%", "%%") for name in written]
    arrays = ", ".join(f"%s::{cast}[]" for cast in casts)
    places = ", ".join(f"c{place}" for place in range(len(written)))
    taken = [f"c{place}{'::text[]' * columns[name].is_list}" for place, name in enumerate(written)]
    named = ", ".join(f"{value} AS {placed(name)}" for value, name in zip(taken, written, strict=True))
    return (
        f"SELECT {_PLACE}::integer FROM (SELECT {named}, number AS {_PLACE} "  # noqa: S608 - every name is quoted
        f"FROM unnest({arrays}) WITH ORDINALITY AS j ({places}, number)) AS {_ROW} "
        f"WHERE {' OR '.join(refused)} ORDER BY 1"
    )
