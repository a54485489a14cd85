"""A stream that can be resharded, in memory and on virtual time: what Kinesis accepts, refuses and loses."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from isthmus.console.resharding.cover import HASH_SPACE, Piece, pieces_of
from isthmus.console.resharding.port import ACTIVE, Objected, StreamState
from isthmus.consumer.feed import Shard
from isthmus.errors import TargetDown, Transient
from tests.fakes.clock import FakeClock

UPDATING_SECONDS: Final = 3.0
BEFORE: Final = "before"
AFTER: Final = "after"
"""When an answer is lost: before the request has an effect, or after."""


class FakeShards:
    """Implements `Reshardable`. A step shows when the stream is active again.

    `tried` tells of each request, `asked` of those that were not refused.
    """

    def __init__(self, clock: FakeClock, cuts: Sequence[int] = ()) -> None:
        self._clock = clock
        self.listed: list[Shard] = []
        self._pending: list[tuple[tuple[str, ...], list[tuple[int, int]]]] = []
        self._active_at = 0.0
        self._made = 0
        self.status = ACTIVE
        self.provisioned = True
        self.may_open: int | None = None
        self.tried: list[str] = []
        self.asked: list[str] = []
        self.lost: deque[str] = deque()
        """Of the next requests, one each: which part is lost."""
        self.late_by = 0.0
        """A request whose answer was lost takes effect so much later."""
        self.shows_by = 0.0
        """So long after its acceptance a step is neither seen in the status nor in the list."""
        self.stale_by = 0.0
        """So long after its acceptance a step has taken effect, and the status and the list do not show it."""
        self._stale: tuple[float, list[Shard]] = (0.0, [])
        self.failing: dict[str, deque[Exception]] = {name: deque() for name in ("state", "shards", "split", "merge")}
        for piece in pieces_of(cuts):
            self._add((), piece.low, piece.high)

    # the port

    def state(self) -> StreamState:
        self._fail("state")
        self._settle()
        busy = self._pending and self._clock.monotonic() >= self._active_at - UPDATING_SECONDS
        return StreamState("UPDATING" if busy else self.status, self.provisioned)

    def shards(self) -> Sequence[Shard]:
        self._fail("shards")
        self._settle()
        until, stale = self._stale
        return list(stale if self._clock.monotonic() < until else self.listed)

    def split(self, shard: str, at: int) -> None:
        self.tried.append(f"split {shard}")
        self._fail("split")
        piece = self._piece(shard)
        if not piece.low < at <= piece.high:
            raise Objected(f"{at} is not inside.")
        self._begin(f"split {shard}", (shard,), [(piece.low, at - 1), (at, piece.high)])

    def merge(self, lower: str, upper: str) -> None:
        self.tried.append(f"merge {lower} {upper}")
        self._fail("merge")
        one, other = self._piece(lower), self._piece(upper)
        if one.high + 1 != other.low:
            raise Objected("They are no neighbours.")
        self._begin(f"merge {lower} {upper}", (lower, upper), [(one.low, other.high)])

    def room(self) -> int | None:
        return self.may_open

    # what others do

    def open(self) -> list[tuple[int, int]]:
        """Give the ranges of the open shards, in their order."""
        return sorted((int(each.first_hash), int(each.last_hash)) for each in self.listed if not each.closed)

    def sized(self) -> list[float]:
        """Give the parts that the open shards take."""
        return [(high - low + 1) / HASH_SPACE for low, high in self.open()]

    def trim(self, shard: str) -> None:
        """Let retention take a shard."""
        self.listed = [each for each in self.listed if each.id != shard]

    # inside

    def _fail(self, operation: str) -> None:
        if self.failing[operation]:
            raise self.failing[operation].popleft()

    def _piece(self, name: str) -> Piece:
        self._settle()
        if self.status != ACTIVE or self._pending:
            raise Transient("The stream is being changed.", cause="in-use")
        for each in self.listed:
            if each.id == name and not each.closed:
                return Piece(int(each.first_hash), int(each.last_hash), name)
        raise Objected(f"{name} has already been split or merged.")

    def _begin(self, what: str, old: tuple[str, ...], new: list[tuple[int, int]]) -> None:
        loss = self.lost.popleft() if self.lost else ""
        self.asked.append(f"{what} {loss}".rstrip())
        if loss != BEFORE and self.stale_by:
            self._stale = (self._clock.monotonic() + self.stale_by, list(self.listed))
            self._pending.append((old, new))
            self._settle()
        elif loss != BEFORE:
            late = self.late_by if loss else self.shows_by
            self._active_at = self._clock.monotonic() + late + UPDATING_SECONDS
            if loss and late:
                self._clock.at(self._clock.monotonic() + late, lambda: self._late(old, new))
            else:
                self._pending.append((old, new))
        if loss:
            raise TargetDown("The connection was lost.", cause="connection-lost")

    def _late(self, old: tuple[str, ...], new: list[tuple[int, int]]) -> None:
        """Take up a request that was long on its way: refused, unheard by anybody, if a repeat came before it."""
        if not self._pending and all(any(each.id == name and not each.closed for each in self.listed) for name in old):
            self._active_at = self._clock.monotonic() + UPDATING_SECONDS
            self._pending.append((old, new))

    def _settle(self) -> None:
        if self._clock.monotonic() >= self._active_at:
            pending, self._pending = self._pending, []
            for old, new in pending:
                self.listed = [each._replace(closed=each.closed or each.id in old) for each in self.listed]
                for low, high in new:
                    self._add(old, low, high)

    def _add(self, parents: tuple[str, ...], low: int, high: int) -> None:
        self.listed.append(Shard(f"shardId-{self._made:012d}", parents, False, str(low), str(high)))
        self._made += 1
