"""The order-keeping core of the publisher."""

import random

import pytest

from isthmus.errors import Fatal
from isthmus.producer.lanes import Lanes, Limits
from isthmus.producer.sink import Put
from isthmus.retry import Backoff
from tests.fakes.lanes import FREE, THROTTLED, event, lanes_of, ok, sent


def test_a_request_carries_one_bundle_of_each_lane_in_the_order_offered() -> None:
    lanes = lanes_of()
    for number in range(6):
        lanes.offer(number % 2, event(number), number)
    assert sent(lanes.next_request(0.0)) == {0: [0, 2, 4], 1: [1, 3, 5]}


def test_a_lane_on_its_way_sends_nothing_more_until_it_is_acknowledged() -> None:
    lanes = lanes_of()
    lanes.offer(0, b"1", 1)
    first = lanes.next_request(0.0)
    assert first is not None
    lanes.offer(0, b"2", 2)
    assert lanes.next_request(0.0) is None
    assert lanes.ready_at() is None
    assert lanes.answered(first, ok(first), 0.0) == [1]
    assert sent(lanes.next_request(0.0)) == {0: [2]}


def test_a_refused_bundle_goes_again_with_the_same_bytes_after_its_back_off_although_more_was_offered() -> None:
    lanes = lanes_of()
    lanes.offer(0, b"1", 1)
    first = lanes.next_request(0.0)
    assert first is not None
    lanes.offer(0, b"2", 2)
    assert lanes.answered(first, [THROTTLED], 0.0) == []
    assert lanes.ready_at() == 1.0
    assert lanes.next_request(0.99) is None
    again = lanes.next_request(1.0)
    assert again is not None
    assert again.entries == first.entries


def test_what_was_not_answered_goes_again_together_with_the_same_bytes() -> None:
    lanes = Lanes(8, FREE, Backoff(first=1.0), random.Random(1))
    for lane in range(8):
        lanes.offer(lane, event(lane), lane)
    first = lanes.next_request(0.0)
    assert first is not None
    lanes.unanswered(first, 0.0)
    ready_at = lanes.ready_at()
    assert ready_at is not None
    assert ready_at > 0
    again = lanes.next_request(ready_at)
    assert again is not None
    assert again.entries == first.entries


def test_the_back_off_grows_with_each_failure_and_is_forgotten_with_success() -> None:
    lanes = lanes_of(backoff=Backoff(first=1.0, factor=2.0, most=100.0))
    lanes.offer(0, b"1", 1)
    now = 0.0
    for expected in (1.0, 2.0, 4.0):
        request = lanes.next_request(now)
        assert request is not None
        lanes.unanswered(request, now)
        ready_at = lanes.ready_at()
        assert ready_at is not None
        assert ready_at - now == expected
        now = ready_at
    request = lanes.next_request(now)
    assert request is not None
    lanes.answered(request, ok(request), now)
    lanes.offer(0, b"2", 2)
    request = lanes.next_request(now)
    assert request is not None
    lanes.answered(request, [THROTTLED], now)
    assert lanes.ready_at() == now + 1.0


def test_a_lane_that_backs_off_does_not_hold_up_others() -> None:
    lanes = lanes_of()
    lanes.offer(0, b"1", 1)
    lanes.offer(1, b"2", 2)
    first = lanes.next_request(0.0)
    assert first is not None
    lanes.answered(first, [THROTTLED, Put("", "1")], 0.0)
    lanes.offer(1, b"3", 3)
    assert sent(lanes.next_request(0.0)) == {1: [3]}


def test_a_bundle_is_full_at_its_bytes_or_its_events() -> None:
    lanes = lanes_of(limits=Limits(max_bundle_bytes=13, max_bundle_events=3))
    for number in range(10, 20):
        lanes.offer(0, event(number), number)
        lanes.offer(1, event(number, 5), number)
    request = lanes.next_request(0.0)
    assert sent(request) == {0: [10, 11, 12], 1: [10, 11]}
    assert request is not None
    assert len(request.entries[1].data) == 13, "full to the last byte, brackets and comma counted"
    assert request.events == (3, 2)


def test_every_comma_of_a_bundle_is_counted() -> None:
    lanes = lanes_of(limits=Limits(max_bundle_bytes=25))
    for number, size in enumerate((5, 5, 5, 6)):
        lanes.offer(0, event(number, size), number)
    assert sent(lanes.next_request(0.0)) == {0: [0, 1, 2]}, "all four would be 26 bytes"


def test_an_event_larger_than_a_bundle_goes_alone() -> None:
    lanes = lanes_of(limits=Limits(max_bundle_bytes=100))
    for number, size in enumerate((10, 500, 10)):
        lanes.offer(0, event(number, size), number)
    for expected in (0, 1, 2):
        request = lanes.next_request(0.0)
        assert sent(request) == {0: [expected]}
        assert request is not None
        lanes.answered(request, ok(request), 0.0)


def test_an_event_that_fits_into_no_record_is_refused_and_the_largest_that_fits_is_sent() -> None:
    limits = Limits(max_bundle_bytes=100, max_record_bytes=1000)
    lanes = lanes_of(limits=limits)
    with pytest.raises(ValueError, match="fits into no record"):
        lanes.offer(0, b"1" * 991, 1)
    assert lanes.idle
    lanes.offer(0, b"1" * 990, 1)
    request = lanes.next_request(0.0)
    assert request is not None
    assert len(request.entries[0].data) + len("lane-000") == 1000


def test_a_request_is_full_at_its_entries() -> None:
    lanes = lanes_of(5, Limits(max_entries=3, shard_bytes_per_second=None, shard_records_per_second=None))
    for lane in range(5):
        lanes.offer(lane, b"1", lane)
    assert list(sent(lanes.next_request(0.0))) == [0, 1, 2]
    assert list(sent(lanes.next_request(0.0, most_entries=1))) == [3]
    assert list(sent(lanes.next_request(0.0))) == [4]


def test_a_request_is_full_at_its_bytes_with_partition_keys_and_what_does_not_fit_is_first_next_time() -> None:
    limits = Limits(max_request_bytes=1000, max_record_bytes=1000, max_bundle_bytes=1000)
    lanes = lanes_of(3, limits)
    lanes.offer(0, b"1" * 490, 0)
    lanes.offer(1, b"1" * 491, 1)
    lanes.offer(2, b"1" * 480, 2)
    first = lanes.next_request(0.0)
    assert list(sent(first)) == [0, 2]
    assert first is not None
    lanes.answered(first, ok(first), 0.0)
    lanes.offer(0, b"1" * 480, 3)
    assert list(sent(lanes.next_request(0.0))) == [1, 0]


def test_a_bundle_that_failed_waits_for_a_request_with_room_and_is_not_cut_smaller() -> None:
    limits = Limits(max_request_bytes=1000, max_record_bytes=1000, max_bundle_bytes=1000)
    lanes = lanes_of(2, limits, Backoff(first=0.0))
    for number in range(9):
        lanes.offer(0, event(number, 99), number)
    first = lanes.next_request(0.0)
    assert first is not None
    lanes.offer(1, b"1" * 500, 9)
    lanes.unanswered(first, 0.0)
    second = lanes.next_request(0.0)
    assert list(sent(second)) == [1]
    third = lanes.next_request(0.0)
    assert third is not None
    assert third.entries == first.entries


def test_the_lane_that_waits_longest_goes_first() -> None:
    lanes = lanes_of(3, Limits(max_entries=1, shard_bytes_per_second=None, shard_records_per_second=None))
    order = []
    for lane in (2, 0, 1):
        for number in range(3):
            lanes.offer(lane, event(number), number)
    for _ in range(3):
        request = lanes.next_request(0.0)
        assert request is not None
        order.append(request.entries[0].lane)
        lanes.offer(request.entries[0].lane, b"7", 7)
        lanes.answered(request, ok(request), 0.0)
    assert order == [2, 0, 1]


def test_a_lane_that_was_passed_over_keeps_its_place() -> None:
    lanes = lanes_of(3, Limits(max_entries=1, shard_bytes_per_second=None, shard_records_per_second=None))
    lanes.offer(0, b"1", 0)
    first = lanes.next_request(0.0)
    assert first is not None
    lanes.answered(first, [THROTTLED], 0.0)
    lanes.offer(1, b"1", 1)
    lanes.offer(2, b"1", 2)
    assert list(sent(lanes.next_request(0.5))) == [1]
    assert list(sent(lanes.next_request(1.0))) == [0]
    assert list(sent(lanes.next_request(1.0))) == [2]


def test_a_shard_is_paced_by_bytes_once_an_answer_has_told_which_it_is() -> None:
    limits = Limits(shard_bytes_per_second=1000, shard_records_per_second=None, burst_seconds=1.0)
    lanes = lanes_of(2, limits)
    for lane in range(2):
        lanes.offer(lane, b"1" * 790, lane)
    first = lanes.next_request(0.0)
    assert list(sent(first)) == [0, 1], "until then each lane has a shard for itself"
    assert first is not None
    lanes.answered(first, ok(first, "shard-a"), 0.0)
    for lane in range(2):
        lanes.offer(lane, b"1" * 790, lane)
    assert lanes.next_request(0.0) is None, "what the shard took before it was known counts"
    ready_at = lanes.ready_at()
    assert ready_at == pytest.approx(0.6)
    assert ready_at is not None
    assert list(sent(lanes.next_request(ready_at))) == [0], "the first lane uses up what there is"


def test_a_shard_is_paced_by_records() -> None:
    limits = Limits(shard_bytes_per_second=None, shard_records_per_second=10, burst_seconds=0.1)
    lanes = lanes_of(4, limits)
    for lane in range(4):
        lanes.offer(lane, b"1", lane)
    first = lanes.next_request(0.0)
    assert first is not None
    assert len(first.entries) == 4
    lanes.answered(first, ok(first, "shard-a"), 0.0)
    lanes.offer(0, b"1", 0)
    assert lanes.ready_at() == pytest.approx(0.3)


def test_a_full_shard_does_not_hold_up_another() -> None:
    limits = Limits(shard_bytes_per_second=1000, shard_records_per_second=None, burst_seconds=0.1)
    lanes = lanes_of(2, limits)
    lanes.offer(0, b"1" * 990, 0)
    lanes.offer(1, b"1", 1)
    first = lanes.next_request(0.0)
    assert first is not None
    lanes.answered(first, [Put("shard-a", "1"), Put("shard-b", "1")], 0.0)
    lanes.offer(0, b"1", 2)
    lanes.offer(1, b"2", 3)
    assert sent(lanes.next_request(0.0)) == {1: [2]}


def test_a_lane_that_moved_is_paced_by_its_new_shard_and_nothing_is_kept_of_the_old_one() -> None:
    limits = Limits(shard_bytes_per_second=1000, shard_records_per_second=None, burst_seconds=0.0)
    lanes = lanes_of(2, limits)
    now = 0.0
    for shard in ("parent", "child"):
        for lane in range(2):
            lanes.offer(lane, b"1" * 90, lane)
        while not lanes.idle:
            ready_at = lanes.ready_at()
            assert ready_at is not None
            now = max(now, ready_at)
            request = lanes.next_request(now)
            assert request is not None
            lanes.answered(request, ok(request, shard), now)
    assert set(lanes._paces) == {"child"}


def test_unacknowledged_bytes_are_those_of_the_events_offered_until_they_are_acknowledged() -> None:
    lanes = lanes_of()
    for number in range(10):
        lanes.offer(number % 3, event(number, 7), number)
    assert lanes.unacknowledged_bytes == 70
    request = lanes.next_request(0.0)
    assert request is not None
    assert lanes.unacknowledged_bytes == 70
    lanes.unanswered(request, 0.0)
    assert lanes.unacknowledged_bytes == 70
    request = lanes.next_request(1.0)
    assert request is not None
    assert sorted(lanes.answered(request, ok(request), 1.0)) == list(range(10))
    assert lanes.unacknowledged_bytes == 0
    assert lanes.idle


def test_an_answer_that_does_not_fit_its_request_is_fatal_and_acknowledges_nothing() -> None:
    lanes = lanes_of()
    lanes.offer(0, b"1", 1)
    request = lanes.next_request(0.0)
    assert request is not None
    with pytest.raises(Fatal, match="2 answers for 1"):
        lanes.answered(request, [Put("s", "1"), Put("s", "2")], 0.0)
    assert not lanes.idle


def test_a_request_is_answered_only_once() -> None:
    lanes = lanes_of()
    lanes.offer(0, b"1", 1)
    request = lanes.next_request(0.0)
    assert request is not None
    lanes.answered(request, ok(request), 0.0)
    with pytest.raises(KeyError):
        lanes.answered(request, ok(request), 0.0)
    with pytest.raises(KeyError):
        lanes.unanswered(request, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_entries": 501},
        {"max_entries": 0},
        {"max_bundle_events": 0},
        {"max_bundle_bytes": 0},
        {"max_bundle_bytes": 10, "max_record_bytes": 9},
        {"max_record_bytes": 10_000, "max_request_bytes": 9_999, "max_bundle_bytes": 10},
    ],
)
def test_limits_that_contradict_each_other_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="max_"):
        Limits(**wrong)  # type: ignore[arg-type]
