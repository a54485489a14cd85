"""The order-keeping core of the publisher."""

import json
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Fatal
from isthmus.producer.lanes import Lanes, Limits, Request
from isthmus.producer.sink import Entry, Put
from isthmus.retry import Backoff

FREE = Limits(shard_bytes_per_second=None, shard_records_per_second=None)
THROTTLED = Put(error="ProvisionedThroughputExceededException")


class Most:
    """The chance by which every back-off is as long as it can be."""

    def random(self) -> float:
        return 1.0


def lanes_of(count: int = 4, limits: Limits = FREE, backoff: Backoff | None = None) -> Lanes:
    return Lanes(count, limits, backoff or Backoff(first=1.0), Most())


def ok(request: Request, shard: str = "") -> list[Put]:
    return [Put(shard, "1") for _ in request.entries]


def sent(request: Request | None) -> dict[int, list[object]]:
    assert request is not None
    return {entry.lane: json.loads(entry.data) for entry in request.entries}


def event(number: int, size: int = 0) -> bytes:
    return str(number).encode().rjust(size) if size else str(number).encode()


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


MODEL_LIMITS = Limits(
    max_entries=3,
    max_request_bytes=70,
    max_record_bytes=40,
    max_bundle_bytes=25,
    max_bundle_events=4,
    shard_bytes_per_second=None,
    shard_records_per_second=None,
)


class World:
    """A stream that takes any part of a request, loses answers, and delivers what seemed lost after its repeat."""

    def __init__(self, limits: Limits, dice: random.Random) -> None:
        self.limits = limits
        self.dice = dice
        self.lanes = Lanes(4, limits, Backoff(first=0.5, most=4.0), dice)
        self.records: list[Entry] = []
        self.delayed: list[Entry] = []
        self.under_way: list[Request] = []
        self.offered: dict[int, list[int]] = {lane: [] for lane in range(4)}
        self.acknowledged: list[int] = []
        self.offers = 0
        self.now = 0.0

    def offer(self) -> None:
        lane = self.dice.randrange(4)
        self.lanes.offer(lane, event(self.offers, self.dice.choice([0, 0, 9, 30])), self.offers)
        self.offered[lane].append(self.offers)
        self.offers += 1

    def send(self) -> None:
        request = self.lanes.next_request(self.now)
        if request is None:
            return
        lanes = {entry.lane for entry in request.entries}
        busy = {entry.lane for other in self.under_way for entry in other.entries}
        assert lanes.isdisjoint(busy), "two bundles of one lane"
        assert len(lanes) == len(request.entries) <= self.limits.max_entries
        assert sum(len(entry.data) + 8 for entry in request.entries) <= self.limits.max_request_bytes
        self.under_way.append(request)

    def whole(self) -> None:
        if request := self._any():
            self.records += self.dice.sample(request.entries, len(request.entries))
            self._answer(request, [Put(f"shard-{entry.lane % 2}", "1") for entry in request.entries])

    def part(self) -> None:
        """Take some, and say of some of these that they were refused."""
        if request := self._any():
            taken = [entry for entry in request.entries if self.dice.random() < 0.5]
            self.records += self.dice.sample(taken, len(taken))
            accepted = Put(f"shard-{self.dice.randrange(3)}", "1")
            self._answer(
                request,
                [accepted if entry in taken and self.dice.random() < 0.8 else THROTTLED for entry in request.entries],
            )

    def lost(self) -> None:
        """Take each now, or much later, or never, and tell nothing."""
        if request := self._any():
            for entry in request.entries:
                self.dice.choice([self.records, self.delayed, []]).append(entry)
            self.lanes.unanswered(request, self.now)

    def deliver(self) -> None:
        if self.delayed:
            self.records.append(self.delayed.pop(self.dice.randrange(len(self.delayed))))

    def time(self) -> None:
        self.now += self.dice.random()

    def finish(self) -> None:
        while not self.lanes.idle:
            if not self.under_way:
                ready_at = self.lanes.ready_at()
                assert ready_at is not None
                self.now = max(self.now, ready_at)
                self.send()
                assert self.under_way, "what is ready can be sent"
            self.whole()
        self.records += self.delayed

    def _any(self) -> Request | None:
        return self.under_way.pop(self.dice.randrange(len(self.under_way))) if self.under_way else None

    def _answer(self, request: Request, puts: list[Put]) -> None:
        self.acknowledged += self.lanes.answered(request, puts, self.now)


STEPS = st.lists(
    st.sampled_from([World.offer] * 4 + [World.send] * 3)
    | st.sampled_from([World.whole, World.part, World.lost, World.deliver, World.time]),
    max_size=80,
)
PACED = replace(MODEL_LIMITS, shard_bytes_per_second=400.0, shard_records_per_second=20.0)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, dice=st.randoms(use_true_random=False), limits=st.sampled_from([MODEL_LIMITS, PACED]))
def test_whatever_fails_first_occurrences_per_lane_are_in_order_and_nothing_is_missing(
    steps: list[Callable[[World], None]], dice: random.Random, limits: Limits
) -> None:
    world = World(limits, dice)
    for step in steps:
        step(world)
    world.finish()
    assert sorted(world.acknowledged) == list(range(world.offers)), "each ticket once"
    assert world.lanes.unacknowledged_bytes == 0
    for lane, numbers in world.offered.items():
        seen = [number for entry in world.records if entry.lane == lane for number in json.loads(entry.data)]
        assert list(dict.fromkeys(seen)) == numbers
