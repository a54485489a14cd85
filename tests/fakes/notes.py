"""Notes in memory, with a fail switch, and a horizon over a stream in memory."""

import threading
from dataclasses import replace

from isthmus.checkpoint.notes import Note, Telling, merged
from isthmus.clock import Clock, rfc3339
from isthmus.consumer.feed import Record
from tests.fakes.stream import MemoryStream


class FakeNotes:
    """`Notes` in memory. It passes the contract. `told` holds every telling that was written, in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.rows: dict[str, Note] = {}
        self.told: list[Telling] = []
        self.failing: list[Exception] = []
        """Raised by the next calls, one each; nothing is written."""
        self.lost_answers = 0
        """So many tellings take effect and raise the first of `failing`."""
        self.reads = 0

    def read_all(self) -> dict[str, Note]:
        self.reads += 1
        if self.failing and not self.lost_answers:
            raise self.failing.pop(0)
        return dict(self.rows)

    def tell(self, telling: Telling) -> None:
        if self.failing and not self.lost_answers:
            raise self.failing.pop(0)
        with self._lock:
            note = merged(self.rows.get(telling.shard), telling)
            if note is not None:
                self.rows[telling.shard] = replace(note, updated=rfc3339(self._clock.now_ms()))
                self.told.append(telling)
        if self.lost_answers:
            self.lost_answers -= 1
            raise self.failing.pop(0)


class MemoryHorizon:
    """`Horizon` over a stream in memory. It passes the contract."""

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream
        self.asked: list[str] = []
        self.failing: list[Exception] = []

    def oldest(self, shard: str, sequence: str | None) -> Record | None:
        self.asked.append(shard)
        if self.failing:
            raise self.failing.pop(0)
        listed = {each.id for each in self._stream.shards()}  # which lets retention take what is due
        held = self._stream.records(shard) if shard in listed else []
        return next((record for record in held if sequence is None or int(record.sequence) >= int(sequence)), None)
