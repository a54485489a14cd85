"""Where each shard is in its life, as an operator asks: is it open, and if not, is it read to its end? Pure."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.console.resharding.goals import children_of
from isthmus.consumer.feed import Shard


class Life(StrEnum):
    """A shard's life."""

    OPEN = "open"
    """It takes records."""
    DRAINING = "draining"
    """Closed, and the application has not decided all of it: its children wait."""
    DRAINED = "drained"
    """Closed, and all of it is decided."""
    TRIMMED = "trimmed"
    """The stream no longer lists it, and all of it was decided."""
    LOST = "lost"
    """The stream no longer lists it, and not all of it was decided: records may be lost."""


def lives(shards: Sequence[Shard], saved: Mapping[str, ShardCheckpoint], *, by_leases: bool) -> dict[str, Life]:
    """Give the life of every shard that the stream lists or the application remembers.

    `by_leases`: what is saved are leases of the Kinesis Client Library, which removes the lease of a shard that is done
    with as soon as its children have theirs. So there a closed shard without a lease, whose children are accounted for,
    is drained. Our own checkpoints are never removed: there it was not read.
    """
    children = children_of(shards)
    found: dict[str, Life] = {}
    listed = {shard.id for shard in shards}
    for name in sorted({*saved} - listed):
        found[name] = Life.TRIMMED if saved[name].ended else Life.LOST
    accounted = _accounted(shards, saved, children) if by_leases else {*saved}
    for shard in shards:
        begun = shard.id in saved
        if not shard.closed:
            found[shard.id] = Life.OPEN
        elif begun:
            found[shard.id] = Life.DRAINED if saved[shard.id].ended else Life.DRAINING
        else:
            found[shard.id] = Life.DRAINED if shard.id in accounted else Life.DRAINING
    return found


def draining(found: Mapping[str, Life]) -> list[str]:
    """Give the shards that are draining, parents before children."""
    return [name for name, life in found.items() if life is Life.DRAINING]


def _accounted(
    shards: Sequence[Shard], saved: Collection[str], children: Mapping[str, Sequence[str]]
) -> Collection[str]:
    """Give the shards that have a lease, or had one that is not needed any more."""
    accounted: set[str] = set()
    # Children before parents: a grandchild's lease speaks for its parent, whose lease may be gone as well.
    for shard in reversed(shards):
        after = children[shard.id]
        if shard.id in saved or (after and all(child in accounted for child in after)):
            accounted.add(shard.id)
    return accounted
