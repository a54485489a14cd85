"""Owning something while a block runs."""

import random
from typing import Any

import pytest
import structlog

from isthmus.checkpoint.memory import MemoryCheckpoints
from isthmus.checkpoint.ports import Lease
from isthmus.console.hearts import owning
from isthmus.console.wiring import Wiring
from isthmus.errors import OwnershipLost, TargetDown
from isthmus.stream import StreamIdentity
from tests.fakes.clock import FakeClock

NAME = "source/flights"
STREAM = StreamIdentity("arn", "2013-01-01T00:00:00Z")


class Place:
    """Checkpoints in memory and what a process wires them with."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        settings: Any = None
        self.wiring = Wiring(settings, clock=self.clock, chance=random.Random(1))
        self.checkpoints: Any = MemoryCheckpoints(self.clock)
        self.attempts = self.wiring.attempts.watch("lease", NAME)

    def own(self) -> Any:
        return owning(self.wiring, self.checkpoints, NAME, STREAM, self.attempts, wait=False)

    @property
    def lease(self) -> Lease:
        found: Lease = self.checkpoints.leases.read(NAME)
        return found


def test_a_lease_is_held_while_the_block_runs_and_given_back_at_its_end() -> None:
    place = Place()
    with place.own() as (lease, heart):
        assert place.lease.holder is not None
        assert (lease.epoch, heart.lost) == (place.lease.epoch, False)
    assert place.lease.holder is None


def test_a_lease_that_was_lost_in_an_outage_is_taken_again_without_waiting() -> None:
    place = Place()
    with structlog.testing.capture_logs() as logs:
        first = lose(place)
        assert place.lease.holder is not None
        before = place.clock.monotonic()
        with place.own() as (second, _):
            assert second.epoch > first
            assert place.clock.monotonic() == before
    assert [line["event"] for line in logs] == ["lease_away", "lease_back"]


def lose(place: Place) -> int:
    """Own it, lose it to an outage, and give the epoch that was lost."""
    epochs: list[int] = []

    def work() -> None:
        with place.own() as (lease, heart):
            epochs.append(lease.epoch)
            place.attempts.failed(TargetDown("away"))
            place.clock.move(6)
            assert heart.lost
            raise OwnershipLost("something else")

    with pytest.raises(OwnershipLost, match="no beat succeeded for 5 s"):
        work()
    return epochs[0]
