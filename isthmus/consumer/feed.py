"""The port through which shards are read.

The Kinesis adapter and the in-memory stream pass `tests/contract/stream_contract.py`.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from isthmus.errors import IsthmusError


class IteratorExpired(IsthmusError):  # noqa: N818 - the name that Kinesis gives it
    """The iterator is older than five minutes: ask for a new one after the last record that was read."""


class Trimmed(IsthmusError):  # noqa: N818 - a fact about the stream
    """What was asked for lies beyond retention: records are gone that were never read here."""


class Shard(NamedTuple):
    """A shard of the stream, open or closed."""

    id: str
    parents: tuple[str, ...]
    """Its parent and adjacent parent, whether or not they are still listed."""
    closed: bool
    first_hash: str = ""
    last_hash: str = ""
    """The range of hash keys that it takes, both ends in it, as decimal numbers; empty where nobody says."""


class Place(NamedTuple):
    """Where a record lies in its shard."""

    sequence: str
    """As it came: it is passed back as it came, and compared as an integer."""
    sub_sequence: int = 0
    """Its number among the records that a producer's library packed into one Kinesis record; 0 for the first, and for
    a record that was not packed."""

    @property
    def order(self) -> tuple[int, int]:
        """What places of one shard are compared by. Raises ValueError for a sequence number that is no number."""
        return int(self.sequence), self.sub_sequence


class Record(NamedTuple):
    """One Kinesis record, or one of several that a producer's library packed into it."""

    sequence: str
    """As it came: it is passed back as it came, and compared as an integer."""
    data: bytes
    partition_key: str
    arrival_ms: int
    """ApproximateArrivalTimestamp, milliseconds since 1970. Not an order."""
    sub_sequence: int = 0

    @property
    def place(self) -> Place:
        """Where it lies in its shard."""
        return Place(self.sequence, self.sub_sequence)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The answer of one GetRecords."""

    records: list[Record]
    iterator: str | None
    """Where to go on; None when the shard is closed and was read to its end."""
    behind_ms: int


class Feed(Protocol):
    """Shards and their records. Methods raise `Transient` (throttled, 5xx) or `TargetDown`; both are safe to repeat."""

    def shards(self) -> list[Shard]:
        """Give all shards that the stream still lists, parents before children."""
        ...

    def iterator(self, shard: str, after: str | None) -> str:
        """Give an iterator after a sequence number, or at the oldest record where `after` is None."""
        ...

    def fetch(self, iterator: str, limit: int) -> Fetched:
        """Read at most `limit` records. An empty answer says nothing about the end. Raises `IteratorExpired`."""
        ...
