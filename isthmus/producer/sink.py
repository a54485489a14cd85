"""The port through which bundles go into the stream.

The Kinesis adapter and the in-memory stream pass `tests/contract/stream_contract.py`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One record to put: a bundle of one lane."""

    lane: int
    data: bytes


class Put(NamedTuple):
    """What became of one entry.

    Accepted with its place, or refused with an error code (Kinesis API, PutRecordsResultEntry).
    """

    shard: str = ""
    sequence: str = ""
    error: str = ""
    """Empty when accepted."""


class Sink(Protocol):
    """Where bundles go.

    One call is one PutRecords: at most 500 entries, partial success, no order promised among the entries.
    """

    def put(self, entries: Sequence[Entry]) -> list[Put]:
        """Send the entries and give one answer each, in their order.

        Raises `Transient` or `TargetDown` when nothing is known of any of them: all may have been accepted.
        Raises `Fatal` where no repeat
        helps (access denied, no such stream).
        """
        ...
