"""Advice from measured loads: which shard is hot, whether a lane or a key is the cause, what count would serve. Pure.

A lane goes to one shard as a whole. So the load of any shards that one may think of is known from the loads of the
lanes, and the count that would serve is found by trying each.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from isthmus.console.resharding.cover import Piece, even_cuts, pieces_of

SHARD_BYTES: Final = 1_000_000.0
SHARD_RECORDS: Final = 1_000.0
"""What a shard takes in a second (Kinesis API, PutRecords)."""
SHARD_READ_BYTES: Final = 2 * 1024 * 1024.0
"""What all polling readers of a shard get in a second, together (Kinesis API, GetRecords)."""
SATURATED: Final = 0.9
"""Beyond this part of a limit what arrives says little about what would arrive: the publisher holds back, and what is
refused is not counted."""
_MOST_OF_A_LANE: Final = 0.5
"""A key with this part of its lane's load is the cause of it."""


class Load(NamedTuple):
    """By the second."""

    bytes: float = 0.0
    """With the partition key, as Kinesis counts."""
    records: float = 0.0
    changes: float = 0.0


class Limits(NamedTuple):
    """What one shard can carry, by the second."""

    bytes: float = SHARD_BYTES
    records: float = SHARD_RECORDS
    changes: float | None = None
    """What the consumers decide of a shard, where that is known to be the limit."""


class KeyLoad(NamedTuple):
    """An entity."""

    key: str
    load: Load


class LaneLoad(NamedTuple):
    """Whatever has one partition key: a lane, or a record of somebody else's."""

    name: str
    place: int
    """Its hash key."""
    load: Load
    keys: Sequence[KeyLoad] = ()
    """The heaviest first; not all of them."""
    own: bool = True
    """It is a lane."""


class ShardLoad(NamedTuple):
    """An open shard."""

    piece: Piece
    load: Load
    fill: float
    """The part of a limit that it takes, of the limit that it comes nearest to; 1.0 is all of it."""
    by: str
    """That limit: `bytes`, `records` or `changes`."""
    hot: bool
    heaviest: LaneLoad | None
    """Its heaviest lane; None where nothing arrived."""


class Verdict(StrEnum):
    """What is to be done."""

    QUIET = "quiet"
    """Nothing arrived: there is nothing to say."""
    FITS = "fits"
    """The shards carry it, and fewer would not."""
    FEWER = "fewer"
    """So would fewer."""
    MORE = "more"
    """A shard is hot; with more of them none is."""
    EVEN = "even"
    """A shard is hot because it is larger than the others; as many of equal size would do."""
    LANE = "lane"
    """A single lane is too much for a shard: no number of shards changes that."""
    KEY = "key"
    """A single key makes that lane what it is."""


class Cut(NamedTuple):
    """A split that relieves one hot shard."""

    shard: str
    at: str
    """The lane with which the second half begins, or else a hash key."""


class Advice(NamedTuple):
    """What the loads say."""

    verdict: Verdict
    shards: Sequence[ShardLoad]
    """In the order of their ranges."""
    equal: int | None
    """The number of equal shards that would serve, or be as good as any; None: nothing arrived."""
    then: float
    """How full the fullest of them would be."""
    cuts: Sequence[Cut]
    """Splits that would serve too, one for each hot shard; none where they would not."""
    lane: LaneLoad | None
    """The heaviest lane, where it is the cause."""
    key: KeyLoad | None
    """The heaviest key, where it is the cause."""
    saturated: bool
    """A shard is at its limit: more may want to arrive than was measured."""


def advise(pieces: Sequence[Piece], lanes: Sequence[LaneLoad], limits: Limits, fill: float, most: int) -> Advice:
    """Give advice. `fill` is the part of a limit that may be used, `most` the highest count to think of."""
    shards = [_shard(piece, lanes, limits, fill) for piece in pieces]
    saturated = any(shard.fill >= SATURATED for shard in shards)
    heaviest = _heaviest(lanes, limits)
    if heaviest is None:
        return Advice(Verdict.QUIET, shards, None, 0.0, (), None, None, saturated=False)
    alone, by = filled(heaviest.load, limits)
    full = {count: _worst(pieces_of(even_cuts(count)), lanes, limits) for count in range(1, most + 1)}
    here, count = len(pieces), _smallest(full, fill)
    if alone > fill:
        # At best such a lane has a shard for itself; the others shall be served all the same.
        key = _culprit(heaviest, by)
        verdict = Verdict.LANE if key is None else Verdict.KEY
        return Advice(verdict, shards, count, full[count], (), heaviest, key, saturated)
    hot = [shard for shard in shards if shard.hot]
    if not hot:
        fewer = count < here and full[count] <= fill
        told = count if fewer else here
        worst = full[told] if fewer else max(shard.fill for shard in shards)
        return Advice(Verdict.FEWER if fewer else Verdict.FITS, shards, told, worst, (), None, None, saturated)
    if here <= most and full[here] <= fill:
        count = here
    cuts = [_relief(shard.piece, lanes, limits, fill) for shard in hot]
    relief = [cut for cut in cuts if cut is not None]
    verdict = Verdict.MORE if count > here else Verdict.EVEN
    return Advice(verdict, shards, count, full[count], relief if len(relief) == len(hot) else (), None, None, saturated)


def filled(load: Load, limits: Limits) -> tuple[float, str]:
    """Give the part of a limit that a load takes, and which one: of the limit that it comes nearest to."""
    parts = {"bytes": load.bytes / limits.bytes, "records": load.records / limits.records}
    if limits.changes is not None:
        parts["changes"] = load.changes / limits.changes
    by = max(parts, key=lambda name: parts[name])
    return parts[by], by


def together(loads: Sequence[Load]) -> Load:
    """Give the sum of loads."""
    return Load(*(sum(each) for each in zip(*loads, strict=True))) if loads else Load()


def _inside(piece: Piece, lanes: Sequence[LaneLoad]) -> list[LaneLoad]:
    return [lane for lane in lanes if piece.holds(lane.place)]


def _shard(piece: Piece, lanes: Sequence[LaneLoad], limits: Limits, fill: float) -> ShardLoad:
    inside = _inside(piece, lanes)
    load = together([lane.load for lane in inside])
    part, by = filled(load, limits)
    return ShardLoad(piece, load, part, by, part > fill, _heaviest(inside, limits))


def _heaviest(lanes: Sequence[LaneLoad], limits: Limits) -> LaneLoad | None:
    found = max(lanes, key=lambda lane: filled(lane.load, limits)[0], default=None)
    return found if found is not None and any(found.load) else None


def _worst(pieces: Sequence[Piece], lanes: Sequence[LaneLoad], limits: Limits) -> float:
    """Give how full the fullest of these shards would be: they are in their order, and every lane goes to one."""
    lows = [piece.low for piece in pieces]
    shares: dict[int, list[Load]] = {}
    for lane in lanes:
        shares.setdefault(bisect_right(lows, lane.place), []).append(lane.load)
    return max(filled(together(loads), limits)[0] for loads in shares.values())


def _smallest(full: Mapping[int, float], bearable: float) -> int:
    """Give the smallest count under which no shard is fuller than is bearable; else the best there is."""
    serving = (count for count, part in full.items() if part <= bearable)
    return next(serving, min(full, key=lambda count: full[count]))


def _relief(piece: Piece, lanes: Sequence[LaneLoad], limits: Limits, fill: float) -> Cut | None:
    """Give the split of a hot shard that leaves the fuller half as empty as can be, if neither is hot then."""
    inside = sorted(_inside(piece, lanes), key=lambda lane: lane.place)
    # A half that begins where the shard does is the whole of it, hot still: it is never the one that is given.
    halves = {
        lane.name if lane.own else str(lane.place): _worst(
            [Piece(piece.low, lane.place - 1), Piece(lane.place, piece.high)], inside, limits
        )
        for lane in inside
    }
    best = min(halves, key=lambda name: halves[name], default=None)
    return Cut(piece.id, best) if best is not None and halves[best] <= fill else None


def _culprit(lane: LaneLoad, by: str) -> KeyLoad | None:
    """Give the key that makes most of a lane's load, if one does."""

    def weight(load: Load) -> float:
        # A record is a bundle of many keys: the changes say whose they are.
        return load.bytes if by == "bytes" else load.changes

    heaviest = max(lane.keys, key=lambda key: weight(key.load), default=None)
    if heaviest is None or weight(heaviest.load) < _MOST_OF_A_LANE * weight(lane.load):
        return None
    return heaviest
