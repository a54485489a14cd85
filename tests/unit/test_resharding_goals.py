"""What an operator may ask for, and what is refused, in words that say what is possible."""

import pytest

from isthmus.change import lane_of
from isthmus.console.resharding.cover import HASH_SPACE, Piece, cover, cuts_of, even_cuts, lane_place, pieces_of
from isthmus.console.resharding.goals import NoSuchShard, even_goal, idle, merge_goal, place_of, split_goal
from isthmus.consumer.feed import Shard
from isthmus.errors import Refused

LANES = 16
QUARTER = HASH_SPACE // 4


def stream() -> list[Shard]:
    """Give a closed shard, `old`, and four open ones, `a` to `d`."""
    pieces = [piece._replace(id=name) for name, piece in zip("abcd", pieces_of(even_cuts(4)), strict=True)]
    old = Shard("old", (), True, "0", str(2 * QUARTER - 1))
    return [old, *(Shard(each.id, ("old",) if each.id in "ab" else (), False, *ends(each)) for each in pieces)]


def ends(piece: Piece) -> tuple[str, str]:
    return str(piece.low), str(piece.high)


def split(shard: str, at: int | None = None, lanes: int = LANES) -> tuple[int, ...]:
    place = None if at is None else place_of(str(at), lanes)
    return split_goal(stream(), cover(stream()), shard, place, lanes)


def merge(one: str, other: str) -> tuple[int, ...]:
    return merge_goal(stream(), cover(stream()), one, other)


def test_a_shard_is_split_in_its_middle_unless_a_place_is_named() -> None:
    assert split("b") == (QUARTER, QUARTER + QUARTER // 2, 2 * QUARTER, 3 * QUARTER)
    assert split("b", QUARTER + 7) == (QUARTER, QUARTER + 7, 2 * QUARTER, 3 * QUARTER)


def test_neighbours_are_merged_in_whatever_order_they_are_named() -> None:
    assert merge("b", "c") == merge("c", "b") == (QUARTER, 3 * QUARTER)


@pytest.mark.parametrize(
    "one, other, sentence",
    [
        ("a", "c", "a and c are no neighbours.*beside a: b; beside c: b and d"),
        ("b", "b", "not merged with itself.*beside b: a and c"),
        ("old", "a", "old is closed: a and b came after it.*Open are a, b, c, d"),
    ],
)
def test_what_cannot_be_merged_is_refused_with_those_that_can(one: str, other: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        merge(one, other)


@pytest.mark.parametrize("ask", [lambda: split("x"), lambda: merge("a", "x"), lambda: merge("x", "a")])
def test_a_shard_that_does_not_exist_is_named_beside_those_that_do(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(NoSuchShard, match=r"no shard x.*Open are a, b, c, d"):
        ask()


@pytest.mark.parametrize(
    "shard, at, lanes, sentence",
    [
        ("old", None, LANES, "old is closed: a and b came after it"),
        ("b", QUARTER, LANES, "first half would be empty.*for example at lane-005"),
        ("b", QUARTER, 4, "first half would be empty. Split it later.$"),
        ("b", 0, LANES, "and not hash key 0.*Of the lanes it has lane-004 to lane-007"),
        ("b", 0, 4, "Of the lanes it has lane-001.$"),
        ("b", 0, 1, "Of the lanes it has none"),
    ],
)
def test_a_place_where_a_shard_cannot_be_split_is_refused(
    shard: str, at: int | None, lanes: int, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        split(shard, at, lanes)


def test_a_shard_with_a_single_hash_key_cannot_be_split() -> None:
    listed = [Shard("one", (), False, "0", "0"), Shard("rest", (), False, "1", str(HASH_SPACE - 1))]
    with pytest.raises(Refused, match="first half would be empty"):
        split_goal(listed, cover(listed), "one", None, 1)


def test_a_place_is_a_hash_key_a_lane_or_the_lane_of_a_key() -> None:
    lane = lane_of("customer/7", LANES)
    assert place_of("4711", LANES) == (4711, "hash key 4711")
    assert place_of("lane-005", LANES) == (lane_place(5, LANES), "lane-005")
    assert place_of("customer/7", LANES) == (lane_place(lane, LANES), f"lane-{lane:03d}, the lane of customer/7")
    beyond = lane_of("lane-016", LANES)
    assert place_of("lane-016", LANES)[0] == lane_place(beyond, LANES), "a lane that is none is a key"


def test_counts_from_one_to_the_number_of_lanes_may_be_asked_for() -> None:
    assert even_goal(1, LANES) == ()
    assert even_goal(LANES, LANES) == tuple(lane_place(lane, LANES) for lane in range(1, LANES))
    with pytest.raises(Refused, match=r"16 lanes.*of 17 shards at least 1 would get nothing.*at most 16"):
        even_goal(17, LANES)
    with pytest.raises(Refused, match="at least one shard, not 0"):
        even_goal(0, LANES)


def test_a_shard_to_which_no_lane_goes_is_found() -> None:
    pieces = cover(stream())
    assert idle(pieces, LANES) == []
    assert idle(pieces, 2) == [pieces[1], pieces[3]]
    assert cuts_of(pieces) == even_cuts(4)
