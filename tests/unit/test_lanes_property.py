"""The order of each lane, whatever a stream does to its requests."""

import json
import random
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.producer.lanes import Lanes, Limits, Request
from isthmus.producer.sink import Entry, Put
from isthmus.retry import Backoff
from tests.fakes.lanes import THROTTLED, event

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
        self.lanes.offer(lane, event(self.offers, self.dice.choice([0, 0, 1, 2, 9, 30])), self.offers)
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
    for entry in world.records:
        assert len(entry.data) <= limits.max_bundle_bytes or len(json.loads(entry.data)) == 1
    for lane, numbers in world.offered.items():
        seen = [number for entry in world.records if entry.lane == lane for number in json.loads(entry.data)]
        assert list(dict.fromkeys(seen)) == numbers
