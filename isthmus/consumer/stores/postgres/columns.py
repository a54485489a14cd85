"""What the user's table is really like, from the catalogue."""

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.consumer.stores.port import TableMapping
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.names import literal, quoted, text_array
from isthmus.consumer.stores.postgres.values import Column
from isthmus.errors import Transient

# A domain's values are those of the type under it, with its modifier.
_COLUMNS = """
    SELECT a.attname, format_type(coalesce(b.base, t.oid), NULL),
        coalesce(bt.typcategory, t.typcategory), coalesce(nullif(b.mod, -1), a.atttypmod)
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN LATERAL (
        WITH RECURSIVE under (oid, kind, below, mod) AS (
            SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod
            UNION ALL
            SELECT d.oid, d.typtype, d.typbasetype, CASE WHEN u.mod = -1 THEN d.typtypmod ELSE u.mod END
            FROM under u JOIN pg_type d ON u.kind = 'd' AND d.oid = u.below)
        SELECT oid AS base, mod FROM under WHERE kind <> 'd' AND t.typtype = 'd') b ON true
    LEFT JOIN pg_type bt ON bt.oid = b.base
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum"""
# Nothing in it is a parameter: then the server plans it once, and not each time, which costs more than it does.
_SHAPE = """
    SELECT a.attrelid || string_agg(format(' %s %s %s', a.attname, a.atttypid, a.atttypmod), '' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = to_regclass({table}) AND a.attname = ANY ({columns}::text[])
    GROUP BY a.attrelid"""
_HEADER = 4
"""A length's modifier counts these bytes too (PostgreSQL, src/include/utils/numeric.h and varchar.c)."""
_SCALE_BITS = 0x7FF
_SCALE_SIGN = 0x400


def columns_of(connection: Connection, mapping: TableMapping) -> dict[str, Column]:
    """Give the columns of the mapping's table by name, in their order; nothing where there is no table."""
    rows: Any = connection.execute(_COLUMNS, (regclass(mapping),))
    return {name: _column(name, base, category, modifier) for name, base, category, modifier in rows}


class Shape:
    """Which table stands at a mapping's name, and of which types the columns are that the mapping writes.

    Asked again after each write, in its transaction, which keeps the table from being altered: PostgreSQL itself would
    round a number or a moment to a type that the column has got since then, in silence.
    """

    def __init__(self, connection: Connection, mapping: TableMapping, columns: Sequence[str]) -> None:
        self.statement = _SHAPE.format(table=literal(regclass(mapping)), columns=literal(text_array(columns)))
        self._found = connection.execute(self.statement).fetchone()

    def refuse_another(self, found: tuple[object, ...] | None) -> None:
        """Raise `Transient` where something else is found now: the connection is made anew, and looks again."""
        if found != self._found:
            raise Transient("The front office's table was altered.", cause="plan-changed")


def regclass(mapping: TableMapping) -> str:
    """Give the table's name as `to_regclass` reads it."""
    return f"{quoted(mapping.schema)}.{quoted(mapping.table)}" if mapping.schema else quoted(mapping.table)


def _column(name: str, base: str, category: str, modifier: int) -> Column:
    length = precision = scale = None
    if modifier >= 0:
        if base in {"character varying", "character"}:
            length = modifier - _HEADER
        elif base == "numeric":
            packed = modifier - _HEADER
            precision = packed >> 16
            # Since PostgreSQL 15 a scale may be negative: eleven bits with a sign.
            scale = ((packed & _SCALE_BITS) ^ _SCALE_SIGN) - _SCALE_SIGN
        elif base.startswith(("time", "interval")):
            precision = modifier
    return Column(name, base, _CASTS.get(base, "text" if category == "A" else base), category, length, precision, scale)


_CASTS: Mapping[str, str] = {"character": "text", "character varying": "text"}
"""What is cut or padded without a word by a cast is cast to text, and assigned."""
