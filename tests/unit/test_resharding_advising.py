"""Advice: from the loads of lanes to the shard that is hot, the cause, and the count that would serve."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.change import lane_partition_key
from isthmus.console.resharding.advising import (
    SATURATED,
    SHARD_BYTES,
    Advice,
    KeyLoad,
    LaneLoad,
    Limits,
    Load,
    Verdict,
    advise,
    filled,
    together,
)
from isthmus.console.resharding.cover import HASH_SPACE, Piece, cuts_of, even_cuts, lane_place, pieces_of
from isthmus.console.resharding.plan import plan
from isthmus.console.resharding.telling import Behind, commands, sentences

LANES = 16
FILL = 0.7
LIMITS = Limits()


def named(cuts: tuple[int, ...] | list[int]) -> list[Piece]:
    return [piece._replace(id=f"shard-{number}") for number, piece in enumerate(pieces_of(cuts))]


def lane(number: int, part: float, *keys: tuple[str, float], lanes: int = LANES) -> LaneLoad:
    """Give a lane with so much of a shard's bytes, and keys with so much of it."""
    load = Load(part * SHARD_BYTES, 10.0 * part, 100.0 * part)
    heavy = [KeyLoad(key, Load(share * load.bytes, 0.0, share * load.changes)) for key, share in keys]
    return LaneLoad(lane_partition_key(number), lane_place(number, lanes), load, heavy)


def even(part: float) -> list[LaneLoad]:
    return [lane(number, part) for number in range(LANES)]


def advice(shards: int, lanes: list[LaneLoad], **limits: Any) -> Advice:
    return advise(named(even_cuts(shards)), lanes, Limits(**limits), FILL, LANES)


def test_nothing_is_advised_where_nothing_arrived() -> None:
    for nothing in ([], [LaneLoad("lane-000", 0, Load())]):
        found = advice(2, nothing)
        assert (found.verdict, found.equal, commands(found)) == (Verdict.QUIET, None, [])
        assert sentences(found, LIMITS, None, []) == ["Nothing arrived in this time: there is nothing to advise."]


def test_shards_that_carry_it_and_no_fewer_of_them_would_are_left_as_they_are() -> None:
    found = advice(2, even(0.08))
    assert (found.verdict, found.equal, commands(found)) == (Verdict.FITS, 2, [])
    assert sentences(found, LIMITS, None, []) == ["The 2 shards carry it: the fullest is 64 % full."]


def test_fewer_shards_are_advised_where_they_would_carry_it_with_the_margin() -> None:
    found = advice(8, even(0.04))
    assert (found.verdict, found.equal) == (Verdict.FEWER, 1)
    assert [(each.line, each.steps) for each in commands(found)] == [("isthmus shards scale 1", 7)]
    assert found.then == pytest.approx(0.64)


def test_more_shards_are_advised_where_all_lanes_are_busy() -> None:
    found = advice(2, even(0.12))
    assert [shard.hot for shard in found.shards] == [True, True]
    assert (found.verdict, found.equal) == (Verdict.MORE, 4)
    assert [(each.line, each.steps) for each in commands(found)] == [("isthmus shards scale 4", 2)]


def test_a_split_of_each_hot_shard_is_advised_where_that_takes_fewer_steps() -> None:
    found = advice(2, even(0.1))
    assert (found.verdict, found.equal) == (Verdict.MORE, 3)
    assert [(each.line, each.steps) for each in commands(found)] == [
        ("isthmus shards split shard-0 --at lane-004 && isthmus shards split shard-1 --at lane-012", 2),
        ("isthmus shards scale 3", 3),
    ]


def test_one_hot_shard_is_split_between_its_heavy_lanes_rather_than_all_resharded() -> None:
    loads = even(0.01)
    loads[5], loads[6] = lane(5, 0.5), lane(6, 0.5)
    found = advice(4, loads)
    assert [shard.piece.id for shard in found.shards if shard.hot] == ["shard-1"]
    assert [cut.at for cut in found.cuts] == ["lane-006"]
    assert commands(found)[0].line == "isthmus shards split shard-1 --at lane-006"
    assert "shard-1 is hot: 102 % of its bytes. Its heaviest lane is lane-005." in sentences(found, LIMITS, None, [])


def test_splits_are_advised_only_where_they_relieve_every_hot_shard() -> None:
    loads = [lane(number, 0.6 if number < 8 else 0.08) for number in range(LANES)]
    loads[8] = lane(8, 0.5)
    found = advice(2, loads)
    assert [shard.hot for shard in found.shards] == [True, True]
    assert found.cuts == ()
    assert [command.line for command in commands(found)] == ["isthmus shards scale 16"]


def test_as_many_shards_of_equal_size_are_advised_where_one_is_larger() -> None:
    pieces = named([HASH_SPACE // 16 * lane for lane in (12, 13, 14, 15)])
    found = advise(pieces, even(0.1), LIMITS, FILL, LANES)
    assert (found.verdict, found.equal) == (Verdict.EVEN, 5), "3 would do, but not while one is hot"
    assert "the shards are not equal now" in " ".join(sentences(found, LIMITS, None, []))


def test_a_lane_that_is_too_much_for_a_shard_is_the_cause_and_no_count_is_the_cure() -> None:
    loads = even(0.01)
    loads[3] = lane(3, 0.85, ("customer/1", 0.2), ("customer/2", 0.1))
    found = advice(2, loads)
    assert (found.verdict, found.key, commands(found)) == (Verdict.LANE, None, [])
    assert found.lane is not None
    assert found.lane.name == "lane-003"
    words = " ".join(sentences(found, LIMITS, None, []))
    assert "lane-003 alone takes 85 % of a shard's bytes" in words
    assert "no number of shards changes that" in words
    assert "its heaviest are customer/1 (20 % of its bytes), customer/2 (10 % of its bytes)" in words
    assert found.equal == 12, "so that it has a shard for itself"
    assert "For the other lanes 12 shards of equal size, the fullest 85 % full, would be best." in words


def test_a_key_that_makes_most_of_such_a_lane_is_named() -> None:
    loads = even(0.01)
    loads[3] = lane(3, 0.85, ("customer/1", 0.9))
    found = advice(2, loads)
    assert found.verdict is Verdict.KEY
    assert found.key is not None
    assert found.key.key == "customer/1"
    assert "Most of it is one key, customer/1: 76.5 changes and 765,000 bytes a second." in " ".join(
        sentences(found, LIMITS, None, [])
    )


def test_a_key_in_the_changes_is_looked_for_where_records_or_changes_are_the_limit() -> None:
    busy = LaneLoad(
        "lane-003", lane_place(3, LANES), Load(1.0, 900.0, 9000.0), [KeyLoad("customer/1", Load(0.0, 0.0, 8000.0))]
    )
    found = advice(2, [busy])
    assert (found.verdict, found.shards[0].by) == (Verdict.KEY, "records")


def test_what_consumers_decide_of_a_shard_is_a_limit_where_they_fall_behind() -> None:
    found = advice(2, even(0.01), changes=10.0)
    assert (found.verdict, found.equal) == (Verdict.MORE, 3)
    assert found.shards[0].by == "changes"
    assert "of its changes that its consumer decides" in sentences(found, Limits(changes=10.0), None, [])[0]


def test_a_full_shard_hides_how_much_wants_to_arrive() -> None:
    found = advice(2, even(0.12))
    assert found.saturated
    words = " ".join(sentences(found, LIMITS, 2.5, []))
    assert "more may want to arrive than was measured. Kinesis refused 2.5 bundles a second." in words
    calm = advice(2, even(0.05))
    assert not calm.saturated
    assert "more may want to arrive" not in " ".join(sentences(calm, LIMITS, 0.0, []))
    assert "more may want to arrive" in " ".join(sentences(calm, LIMITS, 0.1, []))


def test_a_shard_that_is_behind_and_not_full_is_told_and_not_the_hot_ones_again() -> None:
    found = advise(named(even_cuts(2)), [lane(0, 0.65), lane(1, 0.2), lane(9, 0.3)], LIMITS, FILL, LANES)
    assert [shard.hot for shard in found.shards] == [True, False]
    words = sentences(found, LIMITS, None, [Behind("shard-0", 99.0), Behind("shard-1", 1234.0)])
    assert any("Behind, though not full: shard-1 (1,234 s)." in each for each in words)


def test_foreign_records_count_where_their_hash_puts_them() -> None:
    foreign = LaneLoad("somebody", HASH_SPACE - 1, Load(0.75 * SHARD_BYTES, 1.0, 1.0))
    found = advice(4, [foreign])
    assert [shard.hot for shard in found.shards] == [False, False, False, True]
    assert found.verdict is Verdict.LANE


def test_a_lane_and_a_foreign_record_that_no_count_parts_are_told_as_they_are() -> None:
    beside = LaneLoad("somebody", lane_place(15, LANES) + 1, Load(0.5 * SHARD_BYTES, 1.0, 1.0), own=False)
    found = advice(2, [lane(15, 0.5), beside])
    assert found.verdict is Verdict.EVEN
    assert found.then == pytest.approx(1.0), "the best that there is"
    assert [cut.at for cut in found.cuts] == [str(beside.place)], "a split parts them, at a hash key"


def test_no_more_shards_than_lanes_are_advised_though_there_are_more() -> None:
    cuts = [HASH_SPACE // 8 * 7 + number for number in range(5)]
    busy = [lane(number, 0.3, lanes=4) for number in range(4)]
    found = advise(named(cuts), busy, LIMITS, FILL, 4)
    assert (found.verdict, found.equal) == (Verdict.EVEN, 2)


def test_fewer_shards_are_not_advised_where_they_would_be_hot() -> None:
    beside = LaneLoad("somebody", lane_place(15, LANES) + 1, Load(0.5 * SHARD_BYTES, 1.0, 1.0), own=False)
    found = advise(named([beside.place]), [lane(15, 0.5), beside], LIMITS, FILL, LANES)
    assert (found.verdict, found.equal) == (Verdict.FITS, 2)
    assert found.then == pytest.approx(0.5)


loads = st.lists(st.floats(0, 1.2).map(lambda part: round(part, 3)), min_size=LANES, max_size=LANES).map(
    lambda parts: [lane(number, part) for number, part in enumerate(parts)]
)
shares = st.sets(st.integers(1, 63), max_size=12).map(lambda cuts: sorted(cut * HASH_SPACE // 64 for cut in cuts))


@settings(deadline=None, max_examples=60)
@given(shares, loads)
def test_what_is_advised_serves_and_nothing_smaller_does(cuts: list[int], busy: list[LaneLoad]) -> None:
    pieces = named(cuts)
    found = advise(pieces, busy, LIMITS, FILL, LANES)

    def fullest(shards: list[Piece]) -> float:
        return max(
            filled(together([each.load for each in busy if piece.holds(each.place)]), LIMITS)[0] for piece in shards
        )

    alone = max(filled(each.load, LIMITS)[0] for each in busy)
    assert sum(shard.load.bytes for shard in found.shards) == pytest.approx(sum(each.load.bytes for each in busy))
    assert [shard.hot for shard in found.shards] == [fullest_of(piece, busy) > FILL for piece in pieces]
    assert found.saturated == (fullest(pieces) >= SATURATED and alone > 0)
    match found.verdict:
        case Verdict.QUIET:
            assert alone == 0
        case Verdict.LANE | Verdict.KEY:
            assert alone > FILL
            assert found.equal is not None
            assert fullest(pieces_of(even_cuts(found.equal))) == found.then == pytest.approx(alone)
        case Verdict.FITS:
            assert fullest(pieces) <= FILL
            assert all(fullest(pieces_of(even_cuts(count))) > FILL for count in range(1, len(pieces)))
        case Verdict.FEWER | Verdict.MORE | Verdict.EVEN:
            assert found.equal is not None
            assert fullest(pieces_of(even_cuts(found.equal))) <= FILL
            assert (fullest(pieces) <= FILL) == (found.verdict is Verdict.FEWER)
            assert (found.equal > len(pieces)) == (found.verdict is Verdict.MORE)
    by_cuts = [*cuts, *(each.place for cut in found.cuts for each in busy if each.name == cut.at)]
    if found.cuts:
        assert fullest(pieces_of(sorted(by_cuts))) <= FILL
    for command in commands(found):
        assert command.steps > 0
        if command.then is not None:
            assert found.equal is not None
            assert command.steps == len(plan(cuts_of(pieces), even_cuts(found.equal)))


def fullest_of(piece: Piece, busy: list[LaneLoad]) -> float:
    return filled(together([each.load for each in busy if piece.holds(each.place)]), LIMITS)[0]
