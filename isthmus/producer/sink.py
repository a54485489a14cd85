"""The port through which bundles go into the stream.

The Kinesis adapter and the in-memory stream pass `tests/contract/stream_contract.py`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from isthmus.errors import OwnershipLost


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


class OwnedSink:
    """A sink that takes nothing once the ownership is lost: not even what waited to be sent when that happened."""

    def __init__(self, sink: Sink, lost: Callable[[], bool]) -> None:
        self._sink = sink
        self._lost = lost

    def put(self, entries: Sequence[Entry]) -> list[Put]:
        """Send the entries; see `Sink`. Raises `OwnershipLost`, and sends nothing, after the loss."""
        if self._lost():
            raise OwnershipLost("The source was, or may have been, taken by another producer.")
        return self._sink.put(entries)
