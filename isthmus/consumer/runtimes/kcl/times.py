"""Up to which moment everything that arrived in a shard is decided, as far as a child can know. Pure."""

from collections import deque
from typing import Final

from isthmus.consumer.runtimes.kcl.protocol import ProcessRecords

READ_AHEAD: Final = 32
"""Batches. The library reads ahead while one is decided: 3 in its queue, 8 in the buffer behind it, and one on either
side (amazon-kinesis-client 3.1.3, `maxPendingProcessRecordsInput` and `ShardConsumer`); and some more."""


class ArrivalTimes:
    """Told of every batch of a shard, in their order."""

    def __init__(self) -> None:
        self.until_ms: int | None = None
        """Milliseconds since 1970; None while nothing is known."""
        self._asked: deque[int] = deque(maxlen=READ_AHEAD)

    def asked(self, now_ms: int) -> None:
        """Note when a batch was given."""
        self._asked.append(now_ms)

    def decided(self, batch: ProcessRecords) -> int | None:
        """Take in that all of the batch is decided, and what was before it; give the moment, which never goes back."""
        if batch.records:
            found = batch.records[-1].arrival_ms or None
        elif batch.behind_ms is not None and len(self._asked) == READ_AHEAD:
            # How far behind the shard's end it was when it was read, and that may be long ago: what was read ahead
            # lies there while a batch before it waits out an outage. Surely it was read after this one was given:
            found = self._asked[0] - batch.behind_ms
        else:
            found = None
        if found is not None:
            self.until_ms = found if self.until_ms is None else max(self.until_ms, found)
        return self.until_ms
