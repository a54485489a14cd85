"""The ports of the checkpoint floor.

Each adapter, and the one for tests, passes `tests/contract/checkpoint_contract.py`.

All of them raise `TargetDown` or `Transient` when the place where they write is away or throttles: then nothing is
known of the write, it may
have taken effect, and it is safe to repeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from isthmus.stream import StreamIdentity

NO_STREAM: Final = StreamIdentity(arn="", created="")
"""Whose stream was forgotten: a lease of it may be taken for any stream."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds something: enough to tell on the same host whether that process still lives."""

    name: str
    host: str
    boot_id: str
    pid: int
    started: str
    """The process's start time as the operating system gives it.

    Together with boot_id and pid it names one process for ever.
    """
    since: str
    """RFC 3339."""

    def __str__(self) -> str:
        return f"{self.name} (host {self.host}, process {self.pid}, since {self.since})"


@dataclass(frozen=True, slots=True)
class Lease:
    """A named thing of which there is one holder at a time: a source's producer, or an application's local worker."""

    name: str
    epoch: int
    """Grows at each take-over."""
    holder: Holder | None
    """None once it was given back."""
    beat: int
    """Raised every second by the holder.

    Who sees it unchanged for long enough, by a clock of its own, may take over.
    """
    stream: StreamIdentity
    generation: int = 0
    """How often the source was read anew on purpose (a resync). It never falls."""
    watermark: str | None = None
    """How far the source was read and acknowledged by Kinesis: the source's own text, or None before the first."""
    step: int = 0
    """Which save of the watermark this is, counted by the owner of the epoch."""
    updated: str = ""
    """RFC 3339: when it was last taken, or its watermark saved. The adapter sets it; what is passed in is ignored."""


class Leases(Protocol):
    """Ownership by conditional write, with what only the owner may write: the watermark."""

    def read(self, name: str) -> Lease | None:
        """Give the lease as it stands now (a consistent read), or None when nobody ever held it."""
        ...

    def take(self, lease: Lease, seen: Lease | None, *, replace: bool = False) -> None:
        """Write `lease` (new epoch, holder, beat, stream) if what stands there has the epoch and beat of `seen`.

        `seen` is what `read` gave; None means that nothing may stand there. Generation and watermark are written only
        where nothing stood, or where `replace` asks for it (a resync, which leaves the lease without a holder).
        Otherwise they stay: an old owner that still lives may have advanced the watermark since `seen` was read, and
        writing what was read would move it back. So the new owner reads again after taking, and believes only that.

        Raises `OwnershipLost` when another was quicker, and ValueError for a lease without a holder unless it asks to
        `replace`. After `Transient`, read again: it may have taken effect.
        """
        ...

    def beat(self, name: str, epoch: int) -> None:
        """Raise the counter.

        Raises `OwnershipLost` when the epoch is no longer this one, or the lease was given back.
        """
        ...

    def advance(self, name: str, epoch: int, watermark: str, *, step: int = 0) -> None:
        """Remember how far the source was read and acknowledged.

        Only the owner of the epoch can: raises `OwnershipLost` when another has taken the source. Safe to repeat. If
        it fails, the changes since the last mark are detected again with the same IDs. It never moves backwards:
        `step` counts the owner's saves, and one that arrives late, after a save with a higher step, changes nothing.
        """
        ...

    def give_back(self, name: str, epoch: int) -> None:
        """Say that nobody holds it, so that the next one need not wait.

        Does nothing when the epoch is no longer this one.
        """
        ...

    def all(self) -> list[Lease]:
        """Give every lease, in the order of their names."""
        ...


@dataclass(frozen=True, slots=True)
class ShardCheckpoint:
    """How far a shard was decided: everything at or before `sequence` is applied, parked, or otherwise done with."""

    shard: str
    stream: StreamIdentity
    sequence: str | None = None
    """The Kinesis sequence number exactly as it came, or None when nothing of the shard is done yet."""
    ended: bool = False
    """The shard is closed and all of it is done: its children may start."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Outcomes since the beginning, by name: at least that many."""
    updated: str = ""
    """RFC 3339: when it was saved. The adapter sets it; what is passed in is ignored."""


class ShardCheckpoints(Protocol):
    """Checkpoints of shards. They never go backwards."""

    def read_all(self) -> dict[str, ShardCheckpoint]:
        """Give every shard's checkpoint, by shard ID (a consistent read)."""
        ...

    def save(self, checkpoint: ShardCheckpoint) -> None:
        """Remember it, unless what stands there is further.

        Sequence numbers are compared as integers, `ended` is after every number.

        A checkpoint at or behind the one that stands there changes nothing and raises nothing: what it says is
        true already. Raises `Refused` when the one that stands there belongs to another stream identity, and
        `ValueError` for a sequence number that is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """What was fixed about a stream when it was set up."""

    identity: StreamIdentity
    lanes: int


@dataclass(frozen=True, slots=True)
class HandOver:
    """That the shards of an application were given to the Kinesis Client Library, for good."""

    leases: str
    """The name of its lease table."""
    stream: StreamIdentity
    complete: bool = False
    """Every shard has a lease. Before that no daemon has run, and missing leases may be made."""


class HandOvers(Protocol):
    """Where a hand-over is recorded. It is made once; `StreamRegistry.forget` removes it."""

    def read(self) -> HandOver | None:
        """Give what was recorded, or None while the local runtime reads the shards."""
        ...

    def record(self, made: HandOver) -> HandOver:
        """Record it if nothing is there yet, and give what stands there afterwards, which may be somebody else's."""
        ...

    def complete(self) -> None:
        """Record that every shard has a lease. Safe to repeat. Raises `OwnershipLost` where nothing is recorded."""
        ...


class StreamRegistry(Protocol):
    """Where the number of lanes is recorded with the stream's identity. It is written once."""

    def read(self) -> StreamRecord | None:
        """Give what was recorded, or None."""
        ...

    def record(self, record: StreamRecord) -> StreamRecord:
        """Record it if nothing is there yet, and give what stands there afterwards, which may be somebody else's."""
        ...

    def forget(self) -> None:
        """Remove the record, every checkpoint, lease and hand-over; only generations that were raised are kept.

        The way out when the stream was made anew. Safe to repeat. Of a lease with such a generation, holder, watermark
        and stream are removed: it stands for `NO_STREAM`. A generation that began at 0 again would make everything
        that comes older than what the front office holds.
        """
        ...
