"""Every shard in one row: which part it takes, where it is in its life, whose child it is, how far it is read."""

from collections.abc import Sequence
from typing import Any, Final

from isthmus.clock import Clock
from isthmus.console.resharding.application import Reading, unread
from isthmus.console.resharding.cover import lanes_in, piece_of
from isthmus.console.resharding.drain import Listed
from isthmus.console.resharding.goals import children_of
from isthmus.console.resharding.lives import Life, lives
from isthmus.consumer.feed import Shard
from isthmus.errors import IsthmusError

MOST_RECORDS: Final = 100
"""Records after a checkpoint that are counted: what is more is many."""


def rows(stream: Listed, shards: Sequence[Shard], reading: Reading, lanes: int, clock: Clock) -> list[dict[str, Any]]:
    """Give a row for every shard that the stream lists or the application remembers, in the form of `shards list`.

    Costs one small read of every shard that is not read to its end. What one of them raises stands in its row.
    """
    children = children_of(shards)
    by_id = {shard.id: shard for shard in shards}
    return [
        _row(stream, name, life, by_id.get(name), children.get(name, []), reading, lanes, clock)
        for name, life in lives(shards, reading.saved, by_leases=reading.by_leases).items()
    ]


def _row(  # noqa: PLR0917 - a shard is known by all of these
    stream: Listed,
    name: str,
    life: Life,
    shard: Shard | None,
    children: Sequence[str],
    reading: Reading,
    lanes: int,
    clock: Clock,
) -> dict[str, Any]:
    saved = reading.saved.get(name)
    row: dict[str, Any] = {
        "id": name,
        "state": life.value,
        "share": None,
        "first_hash": None,
        "last_hash": None,
        "lanes": None,
        "parents": [] if shard is None else list(shard.parents),
        "children": list(children),
        "checkpoint": None if saved is None else saved.sequence,
        "undecided": None,
        "behind_ms": None,
        "owner": reading.owners.get(name),
        "trouble": "",
    }
    if shard is not None:
        piece = piece_of(shard)
        row |= {
            "share": round(100 * piece.share, 4),
            "first_hash": str(piece.low),
            "last_hash": str(piece.high),
            "lanes": lanes_in(piece, lanes),
        }
    if life in {Life.DRAINED, Life.TRIMMED}:
        return row | {"undecided": 0, "behind_ms": 0}
    if life is Life.LOST:
        return row | {"trouble": "Retention took it before it was read to its end: records may be lost."}
    try:
        seen = unread(stream, name, saved, clock.now_ms(), MOST_RECORDS)
    except IsthmusError as error:
        return row | {"trouble": str(error)}
    return row | {"undecided": seen.records, "behind_ms": seen.behind_ms}
