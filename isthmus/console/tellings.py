"""What one worker adds to the notes of shards: each thing once, however often the answer is lost."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from prometheus_client import Metric

from isthmus.checkpoint.notes import Notes, Telling
from isthmus.consumer.runtimes.retention import Known
from isthmus.stream import StreamIdentity

NOTE_AFTER_MS: Final = 60_000
"""How far a shard's moment must have moved to be noted for its own sake: one small write a minute."""
_OUTCOMES: Final = "isthmus_changes_total"
_MOMENT: Final = "isthmus_shard_decided_until_timestamp_seconds"


class Told(NamedTuple):
    """What the metrics of this worker say, by shard."""

    counts: Mapping[str, Counter[str]]
    until_ms: Mapping[str, int]


def told_by(families: Iterable[Metric]) -> Told:
    """Find it in everything that is exported."""
    counts: dict[str, Counter[str]] = {}
    until_ms: dict[str, int] = {}
    for sample in (sample for family in families for sample in family.samples):
        if sample.name == _OUTCOMES:
            counts.setdefault(sample.labels["shard"], Counter())[sample.labels["outcome"]] = int(sample.value)
        elif sample.name == _MOMENT:
            until_ms[sample.labels["shard"]] = round(sample.value * 1000)
    return Told(counts, until_ms)


@dataclass(slots=True)
class _Page:
    """What was told of one shard."""

    number: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    until_ms: int = 0
    ended: bool = False
    unknown: Telling | None = None
    """The last one, while nothing is known of its answer: it is told again as it is."""


class Tellings:
    """For one task. `teller` is a name that nobody else ever has: what is told is counted up from 1 under it."""

    def __init__(self, notes: Notes, stream: StreamIdentity, teller: str) -> None:
        self._notes = notes
        self._stream = stream
        self._teller = teller
        self._pages: dict[str, _Page] = {}

    def tell(
        self, counts: Mapping[str, Counter[str]], known: Mapping[str, Known], ended: Collection[str] = frozenset()
    ) -> None:
        """Tell what is new and worth a write: what was counted in all, how far shards are, which are at their end.

        Raises as `Notes` does; then the same is told again the next time, and after it what is new since.
        """
        for shard in sorted({*counts, *known, *ended}):
            page = self._pages.setdefault(shard, _Page())
            if page.unknown is None:
                page.unknown = self._telling(
                    shard, page, counts.get(shard, Counter()), known.get(shard, Known()), ended=shard in ended
                )
            if page.unknown is not None:
                self._notes.tell(page.unknown)
                _written(page, page.unknown)

    def _telling(self, shard: str, page: _Page, counted: Counter[str], known: Known, *, ended: bool) -> Telling | None:
        fresh = counted - page.counted
        has_moved = (known.until_ms or 0) - page.until_ms >= NOTE_AFTER_MS
        if not (fresh or has_moved or (ended and not page.ended)):
            return None
        page.number += 1
        return Telling(
            shard,
            self._stream,
            self._teller,
            page.number,
            decided_until_ms=known.until_ms,
            sequence=known.sequence,
            ended=ended,
            counts=dict(fresh),
        )


def _written(page: _Page, telling: Telling) -> None:
    page.unknown = None
    page.counted += Counter(telling.counts)
    page.until_ms = telling.decided_until_ms or page.until_ms
    page.ended = page.ended or telling.ended
