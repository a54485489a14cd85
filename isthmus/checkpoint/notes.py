"""What is noted of a shard beside its checkpoint: up to when it was read, and what became of its changes.

Nobody reads a shard by its note, and no promise rests on it: it says whether retention may have taken something while
nobody read, and, where the Kinesis Client Library keeps the checkpoints, what `isthmus status` counts.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from isthmus.stream import StreamIdentity

MOST_TELLERS: Final = 8
"""Of so many, the last ones, it is remembered what they told. A telling is repeated within seconds of its failure, and
until then at most one other worker takes the shard."""


@dataclass(frozen=True, slots=True)
class Note:
    """What stands of one shard."""

    shard: str
    stream: StreamIdentity
    decided_until_ms: int | None = None
    """Everything that arrived before this moment is decided; milliseconds since 1970. None while that is not known."""
    sequence: str | None = None
    """A checkpoint of about that moment, never a later one; None while nothing of the shard was decided."""
    ended: bool = False
    """The shard is closed, and all of it was decided."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Outcomes by name, of what the tellers told: at least that many."""
    tellers: tuple[tuple[str, int], ...] = ()
    """Who told last, the newest at the end, and the number of what each told last."""
    updated: str = ""
    """RFC 3339: when it was written. The adapter sets it."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What one process has to add. Told again as it is, number and all, until it is known to be written."""

    shard: str
    stream: StreamIdentity
    teller: str
    """The process, by a name that no other one ever has."""
    number: int
    """Counted up by the teller, for each shard from 1."""
    decided_until_ms: int | None = None
    sequence: str | None = None
    ended: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was counted since the telling before."""


class Notes(Protocol):
    """Where notes lie. Methods raise `Transient` or `TargetDown` where nothing is known of the answer; safe to repeat.

    A note of another stream is as good as none.
    """

    def read_all(self) -> dict[str, Note]:
        """Give every shard's note, by shard ID (a consistent read)."""
        ...

    def tell(self, telling: Telling) -> None:
        """Add to a shard's note: its counts once, however often it is told; its moment unless a later one stands there.

        Raises `Transient` too when others were quicker several times in a row.
        """
        ...


def merged(standing: Note | None, telling: Telling) -> Note | None:
    """Give the note with what is told; None where all of it stands there already. Pure."""
    if standing is None or standing.stream != telling.stream:
        standing = Note(telling.shard, telling.stream)
    known = dict(standing.tellers)
    if telling.number <= known.pop(telling.teller, 0):
        return None
    before, now = standing.decided_until_ms, telling.decided_until_ms
    later = now is not None and (before is None or now > before)
    if not (later or telling.counts or (telling.ended and not standing.ended)):
        return None
    return replace(
        standing,
        decided_until_ms=now if later else before,
        sequence=telling.sequence if later else standing.sequence,
        ended=standing.ended or telling.ended,
        counts=dict(Counter(standing.counts) + Counter(telling.counts)),
        tellers=(*[*known.items()][1 - MOST_TELLERS :], (telling.teller, telling.number)),
    )
