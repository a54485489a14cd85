"""The planner: splits and merges from any shards to any others."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.console.resharding.cover import (
    HASH_SPACE,
    Piece,
    cover,
    cuts_of,
    even_cuts,
    lane_place,
    lanes_in,
    pieces_of,
)
from isthmus.console.resharding.plan import NEAR, Merge, Split, Step, after, differences, most_open, plan
from isthmus.consumer.feed import Shard
from isthmus.errors import Transient

MOST = 24
tried = settings(deadline=None, max_examples=60)


@st.composite
def covers(draw: st.DrawFn) -> list[int]:
    """Give the cuts of shards as they come of random splits and merges, and of streams made by others."""
    even = st.integers(1, MOST).map(even_cuts)
    rounded = st.integers(1, MOST).map(lambda count: tuple(i * (HASH_SPACE // count) for i in range(1, count)))
    cuts = list(draw(even | rounded))
    for _ in range(draw(st.integers(0, 16))):
        if cuts and draw(st.booleans()):
            cuts.remove(draw(st.sampled_from(cuts)))
            continue
        piece = draw(st.sampled_from(pieces_of(sorted(cuts))))
        if piece.low < piece.high:
            near = st.integers(piece.low + 1, min(piece.high, piece.low + 3))
            cuts.append(draw(near | st.integers(piece.low + 1, piece.high)))
    return sorted(set(cuts))


counts = st.integers(1, MOST)


def walk(cuts: list[int], steps: list[Step]) -> list[list[int]]:
    """Take the steps as Kinesis would, which refuses what is not legal; give the cuts after each."""
    found = [cuts]
    for step in steps:
        shards = {(piece.low, piece.high) for piece in pieces_of(found[-1])}
        if isinstance(step, Split):
            assert step.low < step.at <= step.high
            assert (step.low, step.high) in shards
        else:
            assert {(step.low, step.at - 1), (step.at, step.high)} <= shards
        found.append(after(found[-1], step))
    return found


@tried
@given(covers(), counts)
def test_from_any_shards_any_count_of_equal_ones_is_reached_by_legal_steps(cuts: list[int], count: int) -> None:
    end = pieces_of(walk(cuts, plan(cuts, even_cuts(count)))[-1])
    assert len(end) == count
    assert end[0].low == 0
    assert end[-1].high == HASH_SPACE - 1
    assert all(one.high + 1 == other.low for one, other in pairwise(end))
    sizes = [piece.high - piece.low + 1 for piece in end]
    assert max(sizes) - min(sizes) <= 2 * NEAR


@tried
@given(st.sets(st.integers(1, HASH_SPACE // NEAR - 1), max_size=12), counts)
def test_sizes_differ_by_one_where_no_cut_was_nearly_right(places: set[int], count: int) -> None:
    wanted = even_cuts(count)
    cuts = sorted(place * NEAR for place in places if not any(cut - NEAR <= place * NEAR < cut for cut in wanted))
    end = pieces_of(walk(cuts, plan(cuts, wanted))[-1])
    sizes = {piece.high - piece.low + 1 for piece in end}
    assert max(sizes) - min(sizes) <= 1


@tried
@given(covers(), counts)
def test_each_cut_that_is_wrong_is_touched_once_and_no_other(cuts: list[int], count: int) -> None:
    wrong, missing = differences(cuts, even_cuts(count))
    steps = plan(cuts, even_cuts(count))
    assert sorted(step.at for step in steps if isinstance(step, Merge)) == sorted(wrong)
    assert sorted(step.at for step in steps if isinstance(step, Split)) == sorted(missing)


@tried
@given(covers(), counts, st.data())
def test_broken_off_anywhere_the_rest_of_the_plan_is_the_plan_that_is_made_then(
    cuts: list[int], count: int, data: st.DataObject
) -> None:
    goal = even_cuts(count)
    steps = plan(cuts, goal)
    taken = data.draw(st.integers(0, len(steps)))
    assert plan(walk(cuts, steps)[taken], goal) == steps[taken:]


@tried
@given(covers(), counts)
def test_no_shard_on_the_way_takes_more_than_one_did_before_or_will_in_the_end(cuts: list[int], count: int) -> None:
    way = walk(cuts, plan(cuts, even_cuts(count)))
    ends = [*pieces_of(way[0]), *pieces_of(way[-1])]
    for stand in way:
        for piece in pieces_of(stand):
            assert any(end.low <= piece.low and piece.high <= end.high for end in ends)


@tried
@given(covers(), counts)
def test_the_most_open_shards_are_counted_at_every_step(cuts: list[int], count: int) -> None:
    steps = plan(cuts, even_cuts(count))
    assert most_open(cuts, steps) == max(len(stand) + 1 for stand in walk(cuts, steps))


@pytest.mark.parametrize(
    "before, count, steps, most",
    [(1, 8, 7, 8), (8, 1, 7, 8), (4, 8, 4, 8), (8, 4, 4, 8), (3, 4, 5, 5), (7, 7, 0, 7), (100, 101, 199, 102)],
)
def test_a_plan_is_as_short_as_it_can_be_and_the_shards_stay_few(
    before: int, count: int, steps: int, most: int
) -> None:
    made = plan(even_cuts(before), even_cuts(count))
    assert len(made) == steps
    assert most_open(even_cuts(before), made) == most


@pytest.mark.parametrize("before, count", [(1, 64), (64, 1)])
def test_many_steps_of_one_kind_make_few_generations(before: int, count: int) -> None:
    """A child is read when its parents are: a chain of 64 would be read one after the other."""
    cuts = list(even_cuts(before))
    age = dict.fromkeys([(piece.low, piece.high) for piece in pieces_of(cuts)], 0)
    for step in plan(cuts, even_cuts(count)):
        halves, whole = [(step.low, step.at - 1), (step.at, step.high)], (step.low, step.high)
        if isinstance(step, Split):
            age |= dict.fromkeys(halves, age[whole] + 1)
        else:
            age[whole] = max(age[half] for half in halves) + 1
    assert max(age.values()) == 6


def test_even_shards_of_kinesis_which_rounds_their_size_down_stay_as_they_are() -> None:
    for count in range(1, 257):
        rounded = [number * (HASH_SPACE // count) for number in range(1, count)]
        assert plan(rounded, even_cuts(count)) == []


def test_a_cut_above_its_place_is_wrong_however_near_for_a_lane_may_lie_between() -> None:
    half = HASH_SPACE // 2
    assert plan([half - 1], [half]) == []
    assert plan([half + 1], [half]) == [Split(0, half, half), Merge(half, half + 1, HASH_SPACE - 1)]


@tried
@given(st.integers(1, 256), st.data())
def test_equal_shards_take_as_many_lanes_each_give_or_take_one(lanes: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, lanes))
    taken = [lanes_in(piece, lanes) for piece in pieces_of(even_cuts(count))]
    assert [lane for each in taken for lane in each] == list(range(lanes))
    assert {len(each) for each in taken} <= {lanes // count, -(-lanes // count)}


@tried
@given(st.integers(1, 256), covers())
def test_the_lanes_of_a_range_are_those_whose_hash_keys_lie_in_it(lanes: int, cuts: list[int]) -> None:
    places = [lane_place(lane, lanes) for lane in range(lanes)]
    for piece in pieces_of(cuts):
        assert lanes_in(piece, lanes) == [lane for lane, place in enumerate(places) if piece.holds(place)]


def shard(name: str, low: int, high: int, *, closed: bool = False) -> Shard:
    return Shard(name, (), closed, str(low), str(high))


def test_the_cover_is_made_of_the_open_shards_in_the_order_of_their_ranges() -> None:
    half = HASH_SPACE // 2
    listed = [
        shard("c", half, HASH_SPACE - 1),
        shard("a", 0, HASH_SPACE - 1, closed=True),
        shard("b", 0, half - 1),
    ]
    assert cover(listed) == [Piece(0, half - 1, "b"), Piece(half, HASH_SPACE - 1, "c")]
    assert cuts_of(cover(listed)) == (half,)


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [shard("a", 0, 9)],
        [shard("a", 1, HASH_SPACE - 1)],
        [shard("a", 0, 9), shard("b", 11, HASH_SPACE - 1)],
        [shard("a", 0, 9), shard("b", 9, HASH_SPACE - 1)],
    ],
)
def test_open_shards_with_a_gap_or_an_overlap_are_a_reshard_under_way(listed: list[Shard]) -> None:
    with pytest.raises(Transient, match="under way"):
        cover(listed)
