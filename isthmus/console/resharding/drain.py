"""Waiting until the parents are drained: every closed shard is read to its end by the application, and saved as such.

Only looks. Whoever stops looking changes nothing: the application reads on.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from isthmus.clock import Clock
from isthmus.console.resharding.application import Reading, Reads, Unread, age, unread
from isthmus.console.resharding.lives import Life, draining, lives
from isthmus.consumer.feed import Shard
from isthmus.errors import IsthmusError


class Listed(Reads, Protocol):
    """A stream that can be looked into."""

    def shards(self) -> Sequence[Shard]:
        """Give all shards that the stream still lists, parents before children."""
        ...


class Remembering(Protocol):
    """Says how far an application is."""

    def reading(self) -> Reading:
        """Look how far it is."""
        ...


class Left(NamedTuple):
    """A shard that is not drained."""

    shard: str
    seen: Unread | IsthmusError | None
    """How far behind it was when it was looked at last, or why nobody could say; None: not looked at yet."""


class Drain(NamedTuple):
    """How it stands."""

    done: int
    """So many have been drained since the first look."""
    left: Sequence[Left]
    """Parents before children."""
    never: bool
    """The application has never read this stream: there is nothing to wait for."""
    awake: bool
    """Somebody has the right to read."""
    lost: Sequence[str] = ()
    """Shards that were there at the beginning, and that the stream has no more, though not all of them was decided."""

    @property
    def of(self) -> int:
        """How many there were to be drained."""
        return self.done + len(self.left)

    def words(self) -> str:
        """Tell what is waited for."""
        if not self.left:
            return "all parents are drained"
        first = self.left[0]
        waiting = f"waiting for {first.shard}: {age(first.seen)}"
        return waiting if self.awake else f"{waiting}; nobody consumes now: start `isthmus consume`"


class Draining:
    """Follows closed shards to their ends. A look costs one ListShards, one look at what is saved, one small read."""

    def __init__(self, stream: Listed, application: Remembering, clock: Clock, *, known: Collection[str] = ()) -> None:
        """`known` are the shards that were there at the beginning: who is lost of them is told."""
        self._stream = stream
        self._application = application
        self._clock = clock
        self._known = frozenset(known)
        self._met: set[str] = set()
        self._seen: dict[str, Unread | IsthmusError] = {}
        self._turn = 0

    def look(self, *, into_all: bool = False) -> Drain:
        """Look once, and into one of those that are left, by turns, or into all of them.

        Raises as `Feed.shards` and the checkpoints do; what a single shard raises stands in its place.
        """
        reading = self._application.reading()
        if not reading.saved:
            return Drain(0, [], never=True, awake=reading.awake)
        found = lives(self._stream.shards(), reading.saved, by_leases=reading.by_leases)
        left = draining(found)
        self._met.update(left)
        if left:
            self._turn += 1
            for name in left if into_all else [left[self._turn % len(left)]]:
                self._seen[name] = self._into(name, reading)
        seen = [Left(name, self._seen.get(name)) for name in left]
        there = self._known | self._met
        lost = [name for name in sorted(there) if _is_lost(found.get(name), by_leases=reading.by_leases)]
        done = len(self._met) - len(left) - sum(name in self._met for name in lost)
        return Drain(done, seen, never=False, awake=reading.awake, lost=lost)

    def _into(self, name: str, reading: Reading) -> Unread | IsthmusError:
        try:
            return unread(self._stream, name, reading.saved.get(name), self._clock.now_ms(), 1)
        except IsthmusError as error:
            return error


def _is_lost(life: Life | None, *, by_leases: bool) -> bool:
    """Say whether a shard that was there went before it was decided: also one that is neither listed nor remembered.

    The Kinesis Client Library forgets a shard that is done with; our own checkpoints stay.
    """
    return life is Life.LOST or (life is None and not by_leases)
