"""Whether retention took records that nobody had read. Kinesis says nothing of it: reading goes on with the oldest one.

What is known of a shard is a moment: everything that arrived before it is decided. While that moment is younger than
retention, nothing can be missing. Once it is older, the last record that was decided is looked for. If it is there
still, so is everything after it. If it is gone, what came after it may be gone too, up to the oldest record there is:
nobody can say any more whether anything came. A moment and not only a record, because a quiet shard has no young one.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from isthmus.consumer.feed import Record

SLACK_MS: Final = 5 * 60 * 1000
"""How much younger than retention a moment must be: our clock is not Kinesis', and a moment is noted a minute late."""


class Known(NamedTuple):
    """How far a shard is decided."""

    sequence: str | None = None
    """A record that is decided, with all before it."""
    until_ms: int | None = None
    """Everything that arrived before this moment is decided; milliseconds since 1970."""


class Lost(NamedTuple):
    """What may be lost of a shard."""

    shard: str
    after: str | None
    """The last record that was decided; None: none of the shard was."""
    since_ms: int | None
    """Everything that arrived before this moment was decided; None where nobody noted it."""
    oldest: Record | None
    """The first record that is there still; None where there is none."""
    final: bool
    """Nothing more of it was lost since. Before, retention takes more and more, as long as the shard stands still."""


class Horizon(Protocol):
    """Asks the stream for its oldest records. Raises `Transient` or `TargetDown`; safe to repeat."""

    def oldest(self, shard: str, sequence: str | None) -> Record | None:
        """Give the record with this sequence number, or the oldest one after it that can still be read.

        With None: the oldest of the shard. None: there is no such record now.
        """
        ...


def is_in_doubt(known: Known, now_ms: int, retention_ms: int) -> bool:
    """Say whether retention may have taken something of a shard that was not decided."""
    if known.until_ms is None:
        return known.sequence is not None
    return now_ms - known.until_ms > retention_ms - SLACK_MS


class LossWatch:
    """Looks at shards time after time. Says when something may be lost, and once more when that range has an end."""

    def __init__(self, horizon: Horizon) -> None:
        self._horizon = horizon
        self._known: dict[str, Known] = {}
        self._losing: dict[str, Lost] = {}

    @property
    def known(self) -> Mapping[str, Known]:
        """How far each shard is decided; of what may be lost before that, it was told."""
        return self._known

    def begin(self, shard: str, known: Known) -> None:
        """Begin with a shard where its note, or else its checkpoint, says that it was."""
        self._known[shard] = known

    def forget(self, shard: str) -> None:
        """Let go of a shard that is another's, or done with."""
        self._known.pop(shard, None)
        self._losing.pop(shard, None)

    def look(self, shard: str, seen: Known, *, now_ms: int, retention_ms: int) -> Lost | None:
        """Take in how far a shard that was begun is now; give what may be lost, if that is news.

        Raises as `Horizon` does: then nothing was taken in, and the doubt is looked into the next time.
        """
        known = self._known[shard]
        further = _further(known, seen)
        lost: Lost | None = None
        if is_in_doubt(known, now_ms, retention_ms):
            oldest = self._horizon.oldest(shard, known.sequence)
            if known.sequence is not None and oldest is not None and int(oldest.sequence) == int(known.sequence):
                further = _further(further, Known(None, oldest.arrival_ms))
            else:
                lost = Lost(shard, known.sequence, known.until_ms, oldest, final=False)
        self._known[shard] = further
        return self._news(shard, lost)

    def _news(self, shard: str, lost: Lost | None) -> Lost | None:
        told = self._losing.get(shard)
        if lost is None:
            self._losing.pop(shard, None)
            return None if told is None else told._replace(final=True)
        # One range, as long as more is lost at every look.
        self._losing[shard] = lost if told is None else told._replace(oldest=lost.oldest)
        return lost if told is None else None


def _further(one: Known, other: Known) -> Known:
    sequences = [sequence for sequence in (one.sequence, other.sequence) if sequence is not None]
    moments = [moment for moment in (one.until_ms, other.until_ms) if moment is not None]
    return Known(max(sequences, key=int, default=None), max(moments, default=None))
