"""Whose fault it was that PostgreSQL refused a statement for many rows, as far as it says so."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from isthmus.change import Change
from isthmus.consumer.stores.poisoned import PoisonIn
from isthmus.consumer.stores.postgres.errors import translate
from isthmus.errors import Poison

_ROW = re.compile(r"\((.*)\)\.?\s*\Z", re.DOTALL)
"""The values that PostgreSQL quotes in an error's detail: of a whole row, or of a constraint's columns."""


@contextmanager
def poison_in(begun: int, changes: Sequence[Change]) -> Iterator[None]:
    """Turn the driver's errors into ours; where a change is named by its key, raise `PoisonIn` with its place.

    `begun` is the place of the first of `changes`. It is a guess from PostgreSQL's words, which depend on the server's
    language and on the order of columns: it only says where to cut, and whoever cuts tries the change alone.
    """
    try:
        yield
    except PoisonIn as poison:
        raise PoisonIn(poison, begun + poison.place) from poison
    except (psycopg.Error, UnicodeEncodeError) as error:
        ours = translate(error)
        place = _guess(error, changes) if isinstance(ours, Poison) else None
        if isinstance(ours, Poison) and place is not None:
            raise PoisonIn(ours, begun + place) from error
        raise ours from error


def _guess(error: BaseException, changes: Sequence[Change]) -> int | None:
    detail = error.diag.message_detail if isinstance(error, psycopg.Error) else None
    found = _ROW.search(detail) if detail else None
    if found is None:
        return None
    said = found[1]
    by_key = {change.key: place for place, change in enumerate(changes)}
    for part in said.split(", "):
        if part in by_key:
            return by_key[part]
    # A constraint's own columns: whoever has just this value, and is the only one.
    having = [
        place
        for place, change in enumerate(changes)
        if isinstance(change.data, dict) and said in map(str, change.data.values())
    ]
    return having[0] if len(having) == 1 else None
