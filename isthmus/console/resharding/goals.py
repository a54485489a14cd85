"""What an operator asks for, as the cuts that are wanted; and what is refused. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from isthmus.change import lane_of, lane_partition_key
from isthmus.console.resharding.cover import Piece, cuts_of, even_cuts, lane_place, lanes_in
from isthmus.consumer.feed import Shard
from isthmus.errors import Refused


class NoSuchShard(Refused):
    """The stream lists no such shard."""


class Place(NamedTuple):
    """Where a shard is to be split."""

    hash_key: int
    """The first of the second half."""
    words: str


def even_goal(count: int, lanes: int) -> tuple[int, ...]:
    """Give the cuts of so many shards of equal size. Raises `Refused` for a number that makes no sense."""
    if count < 1:
        raise Refused(f"A stream has at least one shard, not {count}.")
    if count > lanes:
        raise Refused(
            f"The stream has {lanes} lanes, and a lane is never divided: of {count} shards at least {count - lanes} "
            "would get nothing.",
            hint=f"Ask for at most {lanes}.",
        )
    return even_cuts(count)


def split_goal(
    shards: Sequence[Shard], pieces: Sequence[Piece], shard: str, at: Place | None, lanes: int
) -> tuple[int, ...]:
    """Give the present cuts and one more: at a place, or in the middle of the shard.

    Raises `NoSuchShard`, and `Refused` for a closed shard and for a place that is not inside.
    """
    piece = _open(shards, pieces, shard)
    place, words = at or Place((piece.low + piece.high + 1) // 2, "the middle")
    if not piece.low < place <= piece.high:
        taken = lanes_in(piece, lanes)
        if place == piece.low:
            after = f", for example at {lane_partition_key(taken[1])}" if len(taken) > 1 else ""
            raise Refused(f"{shard} begins at {words}: the first half would be empty.", hint=f"Split it later{after}.")
        raise Refused(
            f"{shard} takes the hash keys {piece.low} to {piece.high}, and not {words}.",
            hint=f"Of the lanes it has {_names(taken)}.",
        )
    return tuple(sorted({*cuts_of(pieces), place}))


def merge_goal(shards: Sequence[Shard], pieces: Sequence[Piece], one: str, other: str) -> tuple[int, ...]:
    """Give the present cuts without the one between two shards.

    Raises `NoSuchShard`, and `Refused` for a closed shard and for two that are no neighbours.
    """
    lower, upper = sorted((_open(shards, pieces, one), _open(shards, pieces, other)))
    if lower.high + 1 != upper.low:
        neighbours = "; ".join(f"beside {piece.id}: {_beside(pieces, piece)}" for piece in (lower, upper))
        only = "A shard is not merged with itself" if one == other else f"{lower.id} and {upper.id} are no neighbours"
        raise Refused(f"{only}, and only neighbours can be merged.", hint=f"Open {neighbours}.")
    return tuple(cut for cut in cuts_of(pieces) if cut != upper.low)


def place_of(asked: str, lanes: int) -> Place:
    """Give the place that `--at` means.

    Digits are a hash key, and the name of a lane is where it begins; everything else is the key of an entity, and means
    where its lane begins.
    """
    if asked.isascii() and asked.isdecimal():
        return Place(int(asked), f"hash key {asked}")
    named = {lane_partition_key(lane): lane for lane in range(lanes)}
    if asked in named:
        return Place(lane_place(named[asked], lanes), asked)
    lane = lane_of(asked, lanes)
    return Place(lane_place(lane, lanes), f"{lane_partition_key(lane)}, the lane of {asked}")


def idle(pieces: Sequence[Piece], lanes: int) -> list[Piece]:
    """Give the ranges that no lane goes to: shards that would get nothing."""
    return [piece for piece in pieces if not lanes_in(piece, lanes)]


def children_of(shards: Sequence[Shard]) -> Mapping[str, list[str]]:
    """Give the listed children of each shard, listed or not."""
    found: dict[str, list[str]] = {shard.id: [] for shard in shards}
    for shard in shards:
        for parent in shard.parents:
            found.setdefault(parent, []).append(shard.id)
    return found


def _open(shards: Sequence[Shard], pieces: Sequence[Piece], name: str) -> Piece:
    for piece in pieces:
        if piece.id == name:
            return piece
    open_ones = ", ".join(piece.id for piece in pieces)
    if name in {shard.id for shard in shards}:
        children = " and ".join(children_of(shards)[name]) or "others"
        raise Refused(f"{name} is closed: {children} came after it.", hint=f"Open are {open_ones}.")
    raise NoSuchShard(f"The stream has no shard {name}.", hint=f"Open are {open_ones}.")


def _names(lanes: Sequence[int]) -> str:
    first, *more = [lane_partition_key(lane) for lane in lanes] or ["none"]
    return f"{first} to {more[-1]}" if more else first


def _beside(pieces: Sequence[Piece], piece: Piece) -> str:
    number = pieces.index(piece)
    return " and ".join(found.id for found in pieces[max(0, number - 1) : number + 2] if found != piece) or "nobody"
