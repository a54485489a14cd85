"""One shard as the Kinesis Client Library keeps it, and the daemon's side of the protocol, without a wire.

As `MultiLangProtocol`, `ProcessTask`, `ShutdownTask` and `ShardRecordProcessorCheckpointer` of KCL 3.1.3 do it: records
at or below (sequence, sub-sequence) of the checkpoint are dropped; any line that is a checkpoint is obeyed, whoever
wrote it; one without a sequence number means the farthest delivered; other lines are passed over; a status for
something else is the child's end.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from isthmus.consumer.feed import Place, Record

SHARD = "shardId-000000000000"
TRIM_HORIZON = Place("TRIM_HORIZON")
SHARD_END = Place("SHARD_END")
_WORDS = {"TRIM_HORIZON": -2, "LATEST": -1}


def order(place: Place) -> tuple[int, int]:
    if place.sequence == SHARD_END.sequence:
        return 1 << 200, 0
    return _WORDS.get(place.sequence, -3) if not place.sequence.isdecimal() else int(place.sequence), place.sub_sequence


def records_of(*sizes: int, first: int = 7, step: int = 1) -> list[Record]:
    """Give Kinesis records in their order; each holds so many packed ones."""
    return [
        Record(str(first + step * number), f"{number}.{sub}".encode(), "lane-001", 1_000 + number, sub)
        for number, size in enumerate(sizes)
        for sub in range(size)
    ]


class FakeShard:
    """What outlives a child: the records, and the shard's row of the lease table."""

    def __init__(self, records: Iterable[Record], checkpoint: Place = TRIM_HORIZON) -> None:
        self.records = list(records)
        self.checkpoint = checkpoint
        self.obeyed: list[Place] = []
        """Every checkpoint that was written, in order."""
        self.errors: list[str] = []
        """Names of exceptions that the next attempts at a checkpoint meet; nothing is written."""
        self.on_checkpoint: Callable[[Place], object] = lambda _place: None

    @property
    def ended(self) -> bool:
        return self.checkpoint == SHARD_END

    def daemon(self) -> "FakeDaemon":
        return FakeDaemon(self)


class FakeDaemon:
    """The daemon's side of one child's life: gives the lines of questions, and hears lines."""

    def __init__(self, shard: FakeShard) -> None:
        self._shard = shard
        self._delivered = 0
        self._last = shard.checkpoint
        self._permitted = shard.checkpoint
        self._at_end: Place | None = None
        self.awaiting: str | None = None
        """The question that is not answered yet."""
        self.answered: list[str] = []
        self.garbage: list[bytes] = []
        """Lines that were no messages: the real daemon logs them whole."""
        self.failed = False
        """The child gave a wrong answer: the real daemon ends itself then."""

    @property
    def delivered(self) -> list[Record]:
        return self._shard.records[: self._delivered]

    @property
    def left(self) -> int:
        return len(self._shard.records) - self._delivered

    def initialize(self) -> bytes:
        start = self._shard.checkpoint
        return self._ask(
            "initialize", shardId=SHARD, sequenceNumber=start.sequence, subSequenceNumber=start.sub_sequence
        )

    def batch(self, count: int = 1000, *, behind: int | None = 0) -> bytes:
        """Give the next so many records that are not below the checkpoint."""
        fresh: list[Record] = []
        while self.left and len(fresh) < count:
            record = self._shard.records[self._delivered]
            self._delivered += 1
            if order(record.place) > order(self._last):
                fresh.append(record)
                self._permitted = max(self._permitted, record.place, key=order)
        return self.records(fresh, behind=behind)

    def records(self, records: Sequence[Record], *, behind: int | None = 0) -> bytes:
        items = [
            {
                "action": "record",
                "data": b64encode(record.data).decode(),
                "partitionKey": record.partition_key,
                "sequenceNumber": record.sequence,
                "approximateArrivalTimestamp": record.arrival_ms,
                "subSequenceNumber": record.sub_sequence,
            }
            for record in records
        ]
        return self._ask("processRecords", records=items, millisBehindLatest=behind)

    def lease_lost(self) -> bytes:
        return self._ask("leaseLost")

    def shutdown_requested(self) -> bytes:
        return self._ask("shutdownRequested")

    def shard_ended(self) -> bytes:
        self._at_end, self._permitted = self._permitted, SHARD_END
        return self._ask("shardEnded")

    def hear(self, line: bytes) -> bytes | None:
        """Hear a line of the child; give the answer to a checkpoint."""
        if not line.strip():
            return None
        try:
            message = json.loads(line)
            action = message["action"]
        except (ValueError, KeyError, TypeError):
            self.garbage.append(line)
            return None
        if action == "checkpoint":
            return self._checkpoint(message)
        if action == "status" and self.awaiting is not None and message.get("responseFor") == self.awaiting:
            self.answered.append(self.awaiting)
            self.awaiting = None
        else:
            self.failed = True
        return None

    def _ask(self, action: str, **fields: Any) -> bytes:
        assert self.awaiting is None, "the daemon asks one thing after the other"
        self.awaiting = action
        return json.dumps({"action": action, **fields}).encode()

    def _checkpoint(self, message: dict[str, Any]) -> bytes:
        sequence, sub = message.get("sequenceNumber"), message.get("subSequenceNumber")
        error = self._obey(sequence, sub)
        answer = {"action": "checkpoint", "sequenceNumber": sequence, "subSequenceNumber": sub, "error": error}
        return json.dumps(answer).encode()

    def _obey(self, sequence: str | None, sub: int | None) -> str | None:
        if self.awaiting in {None, "initialize", "leaseLost"}:
            return "InvalidStateException"
        if self._shard.errors:
            return self._shard.errors.pop(0)
        place = Place(sequence, sub or 0) if sequence is not None else self._permitted
        if not order(self._last) <= order(place) <= order(self._permitted):
            return "IllegalArgumentException"
        if place != self._last:
            self._last = SHARD_END if place == self._at_end else place
            self._shard.checkpoint = self._last
            self._shard.obeyed.append(self._last)
            self._shard.on_checkpoint(self._last)
        return None
