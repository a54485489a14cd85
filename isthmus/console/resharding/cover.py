"""The hash space, and how the open shards of a stream share it. Pure.

Whatever is written has a hash key, a number below 2^128, and goes to the open shard whose range holds it. Between two
neighbours lies a cut: the number at which the upper one begins. So the open shards are as good as told by their cuts.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from isthmus.change import lane_hash_key
from isthmus.consumer.feed import Shard
from isthmus.errors import Transient

HASH_SPACE: Final = 1 << 128


class Piece(NamedTuple):
    """A range of hash keys, both ends in it, and the open shard that takes it."""

    low: int
    high: int
    id: str = ""

    @property
    def share(self) -> float:
        """Its part of the hash space, from 0 to 1."""
        return (self.high - self.low + 1) / HASH_SPACE

    def holds(self, place: int) -> bool:
        """Say whether a hash key goes here."""
        return self.low <= place <= self.high


def piece_of(shard: Shard) -> Piece:
    """Give the range of a shard, open or closed. Raises ValueError where the stream did not tell it."""
    return Piece(int(shard.first_hash), int(shard.last_hash), shard.id)


def cover(shards: Sequence[Shard]) -> list[Piece]:
    """Give the open shards in the order of their ranges.

    Raises `Transient` where they leave a gap or overlap: the stream was looked at in the middle of a reshard.
    """
    pieces = sorted(piece_of(shard) for shard in shards if not shard.closed)
    ends = [-1, *(piece.high for piece in pieces)]
    begins = [*(piece.low for piece in pieces), HASH_SPACE]
    if any(end + 1 != begin for end, begin in zip(ends, begins, strict=True)):
        raise Transient("The open shards do not make up the whole yet: a reshard is under way.", cause="between")
    return pieces


def cuts_of(pieces: Sequence[Piece]) -> tuple[int, ...]:
    """Give the cuts of a cover."""
    return tuple(piece.low for piece in pieces[1:])


def pieces_of(cuts: Sequence[int]) -> list[Piece]:
    """Give the pieces between cuts, which are in their order. Nobody has made shards of them yet."""
    lows = [0, *cuts]
    return [Piece(low, after - 1) for low, after in zip(lows, [*cuts, HASH_SPACE], strict=True)]


def even_cuts(count: int) -> tuple[int, ...]:
    """Give the cuts of so many shards of equal size; sizes differ by 1 where they cannot be equal."""
    return tuple(number * HASH_SPACE // count for number in range(1, count))


def lane_place(lane: int, lanes: int) -> int:
    """Give the hash key of a lane."""
    return int(lane_hash_key(lane, lanes))


def lanes_in(piece: Piece, lanes: int) -> list[int]:
    """Give the lanes that a range takes."""
    # The first lane at or after a place: that whose hash key, lane * 2^128 / lanes rounded down, is not below it.
    first, beyond = (-(-place * lanes // HASH_SPACE) for place in (piece.low, piece.high + 1))
    return list(range(first, beyond))
