"""How far the application has read, whichever runtime reads, and whether anybody reads at all."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.ownership import worker_lease
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.console.progress import checkpoints_of, leases_of
from isthmus.console.wiring import Wiring
from isthmus.consumer.feed import Fetched
from isthmus.errors import IsthmusError


class Reading(NamedTuple):
    """How far an application is."""

    saved: Mapping[str, ShardCheckpoint]
    """By shard. Empty: it has never read this stream."""
    owners: Mapping[str, str]
    """The worker that holds each shard, where the Kinesis Client Library reads."""
    by_leases: bool
    """Whether it does."""
    awake: bool
    """Somebody has the right to read. A worker that died a moment ago counts too."""


class Application:
    """What is saved by the application of the settings."""

    def __init__(self, wiring: Wiring, checkpoints: DynamoCheckpoints) -> None:
        self._wiring = wiring
        self._checkpoints = checkpoints

    def reading(self) -> Reading:
        """Look how far it is. Raises as the checkpoints do."""
        made = self._checkpoints.hand_overs.read()
        if made is not None:
            leases = leases_of(self._wiring, made).read()
            owners = {lease.shard: lease.owner for lease in leases.values() if lease.owner}
            return Reading(checkpoints_of(leases, made), owners, by_leases=True, awake=bool(owners))
        worker = self._checkpoints.leases.read(worker_lease(self._wiring.settings.application))
        awake = worker is not None and worker.holder is not None
        return Reading(self._checkpoints.shards.read_all(), {}, by_leases=False, awake=awake)


class Unread(NamedTuple):
    """What of a shard is not decided."""

    records: int
    """So many were seen after the checkpoint, in one small read."""
    behind_ms: int
    """How old the oldest of them is; where none was seen, how far the read was behind the shard's end."""


class Reads(Protocol):
    """What of `Feed` is needed to look into a shard once."""

    def iterator(self, shard: str, after: str | None) -> str:
        """See `Feed`."""
        ...

    def fetch(self, iterator: str, limit: int) -> Fetched:
        """See `Feed`."""
        ...


def unread(feed: Reads, shard: str, saved: ShardCheckpoint | None, now_ms: int, limit: int) -> Unread:
    """Look what lies after a shard's checkpoint: one of the five reads a second that all its readers share.

    Raises as `Feed` does.
    """
    fetched = feed.fetch(feed.iterator(shard, None if saved is None else saved.sequence), limit)
    behind_ms = fetched.behind_ms
    if fetched.records:
        behind_ms = max(behind_ms, now_ms - fetched.records[0].arrival_ms)
    return Unread(len(fetched.records), behind_ms)


def age(seen: Unread | IsthmusError | None) -> str:
    """Tell in words how far behind a shard is."""
    if seen is None:
        return "nobody knows how far behind"
    if isinstance(seen, IsthmusError):
        return seen.message
    return f"{seen.behind_ms / 1000:,.1f} s behind" if seen.records or seen.behind_ms else "all read, not saved yet"
