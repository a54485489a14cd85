"""Where an application's shards begin under the Kinesis Client Library: their leases, made before the daemon starts.

The local runtime's checkpoints are taken over once, while nobody reads, and locked by the record of it: from then on
the local runtime refuses to start.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from isthmus.checkpoint import answers
from isthmus.checkpoint.kcl import LATEST, SHARD_END, TRIM_HORIZON, KclLease
from isthmus.checkpoint.ports import HandOver, ShardCheckpoint
from isthmus.consumer.feed import Shard
from isthmus.errors import Refused
from isthmus.stream import StreamIdentity

AGREE = "--yes"


class Begun(NamedTuple):
    """What was made at a start."""

    taken_over: int
    """Shards that go on where the local runtime ended."""
    made: int
    """Leases that were written."""


def first_leases(shards: Sequence[Shard], saved: Mapping[str, ShardCheckpoint], start: str) -> list[KclLease]:
    """Give a lease for every shard of an application that has none yet.

    `start` is `trim-horizon` or `latest`, for an application of which nothing is saved. One that has read before goes
    on where it was, and begins what it has not read at its oldest record, whatever `start` says.
    """
    fresh = start == "latest" and not saved
    return [
        KclLease(
            shard=shard.id,
            checkpoint=_place(saved.get(shard.id), LATEST if fresh else TRIM_HORIZON),
            parents=shard.parents,
            first_hash=shard.first_hash,
            last_hash=shard.last_hash,
        )
        for shard in shards
        if not (fresh and shard.closed)
    ]


def missing(shards: Sequence[Shard], leases: Collection[str]) -> list[Shard]:
    """Give the open shards whose lease is gone: none stands there, and no parent's from whose end it would come.

    The library removes a lease only of a shard that is done with, when its children have theirs.
    """
    return [
        shard
        for shard in shards
        if not shard.closed and shard.id not in leases and not any(parent in leases for parent in shard.parents)
    ]


def trimmed(shards: Sequence[Shard], undone: Collection[str]) -> list[str]:
    """Give those shards that were not read to their end and that the stream no longer lists: retention took them.

    The library ends such a shard as if all of it was read. `shards` must have been listed after `undone` was read: a
    lease may be of a shard that is younger than the list.
    """
    return sorted(set(undone) - {shard.id for shard in shards})


def check_hand_over(made: HandOver, table: str, stream: StreamIdentity) -> None:
    """Raise `Refused` where an application's shards belong to another lease table, or to another stream."""
    if made.stream != stream:
        raise answers.other_stream(f"The lease table {made.leases}", made.stream, stream)
    if made.leases != table:
        raise Refused(
            f"This application's leases are in the table {made.leases}, and kcl.table says {table}: under another name "
            "it would read the whole stream again.",
            hint=f'Set table = "{made.leases}" under [kcl].',
        )


def refuse_foreign(table: str, leases: Collection[str]) -> None:
    """Raise `Refused` for a table with leases that this application has not made."""
    if leases:
        raise Refused(
            f"The table {table} holds leases of {len(leases)} shards, and this application has made none: they belong "
            "to another application, or to a stream that is no more.",
            hint="Give another name under [kcl]: table.",
        )


def refuse_latest(shards: Sequence[Shard], saved: Mapping[str, ShardCheckpoint], start: str, *, agreed: bool) -> None:
    """Raise `Refused` for a new application that would leave out what is in the stream, and nobody has agreed."""
    if start == "latest" and not saved and not agreed and shards:
        raise Refused(
            'kcl.start is "latest", and this application has read nothing yet: everything that is in the stream now '
            "would never be applied.",
            hint=f'Set start = "trim-horizon" under [kcl], or agree: isthmus consume {AGREE}',
        )


def refuse_missing(gone: Sequence[Shard], table: str, *, agreed: bool) -> None:
    """Raise `Refused` where leases are gone and nobody has agreed to read those shards again."""
    if gone and not agreed:
        names = ", ".join(shard.id for shard in gone)
        raise Refused(
            f"The table {table} has no lease for {names}, which are open: somebody deleted it, and with it how far the "
            "shard was read.",
            hint=f"Put it back, or read the shard again from its oldest record (what took effect is known, and does "
            f"not take effect twice): isthmus consume {AGREE}",
        )


def again(gone: Sequence[Shard]) -> list[KclLease]:
    """Give leases that read shards again from their oldest records."""
    return [
        KclLease(shard.id, TRIM_HORIZON, parents=shard.parents, first_hash=shard.first_hash, last_hash=shard.last_hash)
        for shard in gone
    ]


def _place(saved: ShardCheckpoint | None, otherwise: str) -> str:
    if saved is None:
        return otherwise
    return SHARD_END if saved.ended else saved.sequence or otherwise
