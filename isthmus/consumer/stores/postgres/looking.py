"""Looks into the parking lot: which keys wait there, and what of each.

However much is parked, and whatever is asked for, an answer takes less than a second (measured with a million changes
of 10,000 keys). So no statement here goes through the whole lot in the order of an index, for what may not be in it.
"""

from collections.abc import Callable
from typing import Any

from isthmus.consumer.deciding import BEHIND
from isthmus.consumer.stores.lot import ParkedKey, Selection, Waiting
from isthmus.consumer.stores.postgres.names import beyond, text_array
from isthmus.consumer.stores.postgres.statements import WAITING

Ask = Callable[..., list[Any]]
"""Runs a statement, in which `{s}` is our schema, with named parameters, and gives the rows."""

_NEAR = 100
"""Rows that are looked through for each key that is wanted, before all rows are."""

_PLACED = """key > %(after)s AND (%(from)s::text IS NULL OR key >= %(from)s)
    AND (%(below)s::text IS NULL OR key < %(below)s)"""
_FITS = """(%(reason)s::text IS NULL OR reason = %(reason)s) AND (%(source)s::text IS NULL OR source = %(source)s)
    AND (%(since)s::bigint IS NULL OR first_at >= %(since)s) AND (%(until)s::bigint IS NULL OR first_at < %(until)s)"""
# From key to key, and not through all that waits behind each.
_ALL_KEYS = f"""WITH RECURSIVE walk (key) AS (
        (SELECT key FROM {{s}}.parked WHERE {_PLACED} ORDER BY key LIMIT 1)
        UNION ALL
        SELECT (SELECT p.key FROM {{s}}.parked p WHERE p.key > walk.key
            AND (%(below)s::text IS NULL OR p.key < %(below)s) ORDER BY p.key LIMIT 1)
        FROM walk WHERE walk.key IS NOT NULL)
    SELECT key FROM walk WHERE key IS NOT NULL LIMIT %(most)s"""  # noqa: S608 - constants only
_NEAR_KEYS = f"""SELECT DISTINCT key
    FROM (SELECT * FROM {{s}}.parked WHERE {_PLACED} ORDER BY key LIMIT %(near)s) AS parked
    WHERE {_FITS} ORDER BY key LIMIT %(most)s"""  # noqa: S608 - same
# Materialized: else the planner, sure to find enough soon, may go through all rows by an index on the key.
_FITTING_KEYS = f"""WITH fitting AS MATERIALIZED (SELECT DISTINCT key FROM {{s}}.parked WHERE {_PLACED} AND {_FITS})
    SELECT key FROM fitting ORDER BY key LIMIT %(most)s"""  # noqa: S608 - same
_ONE_KEY = f"""SELECT key FROM {{s}}.parked WHERE key = %(key)s AND {_PLACED} AND {_FITS} LIMIT 1"""  # noqa: S608 - same
_OF_KEYS = """SELECT k.key, of_it.* FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS k (key, number)
    CROSS JOIN LATERAL (SELECT count(*),
        coalesce((array_agg(reason ORDER BY version, place) FILTER (WHERE reason <> %(behind)s))[1], %(behind)s),
        min(source), min(entity), min(first_at) FROM {s}.parked p WHERE p.key = k.key) AS of_it
    ORDER BY k.number"""


def parked_keys(ask: Ask, selection: Selection, after: str, most: int) -> list[ParkedKey]:
    """Give the first keys behind `after` with a change that fits, in the order of their text."""
    keys = [key for (key,) in _keys(ask, selection, after, most)]
    found = ask(_OF_KEYS, keys=text_array(keys), behind=BEHIND) if keys else []
    return [ParkedKey(*row) for row in found]


def parked_of(ask: Ask, key: str, skip: int, most: int) -> list[Waiting]:
    """Give changes of a key, in the order of their versions, but for the first `skip`."""
    return [Waiting(*row) for row in ask(WAITING, key=key, skip=skip, most=most, only=None)]


def _keys(ask: Ask, selection: Selection, after: str, most: int) -> list[Any]:
    key, prefix, reason, source, since, until = selection
    placed = {"after": after, "from": prefix, "below": beyond(prefix) if prefix else None, "most": most}
    wanted = {"reason": reason, "source": source, "since": since, "until": until}
    if key is not None:
        return ask(_ONE_KEY, key=key, **placed, **wanted)
    if not any(value is not None for value in wanted.values()):
        return ask(_ALL_KEYS, **placed)
    near = ask(_NEAR_KEYS, near=most * _NEAR, **placed, **wanted)
    return near if len(near) == most else ask(_FITTING_KEYS, **placed, **wanted)
