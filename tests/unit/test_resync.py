"""Raising a generation, on virtual time."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from isthmus.checkpoint.memory import MemoryCheckpoints, MemoryLeases
from isthmus.checkpoint.ownership import source_lease
from isthmus.checkpoint.ports import Holder, Lease
from isthmus.checkpoint.resync import HIGHEST_GENERATION, raise_generation
from isthmus.errors import Fatal, OwnershipLost, Refused, TargetDown, Transient
from isthmus.lifecycle import Stopped
from isthmus.stream import StreamIdentity
from tests.fakes.clock import FakeClock, FakeStop

NAME = source_lease("flights")
STREAM = StreamIdentity("arn:aws:kinesis:us-east-1:000000000000:stream/flights", "2013-01-01T00:00:00Z")
OWNER = Holder("owner", "there", "boot", 41, "4710", "2012-12-31T00:00:00.000Z")
START = 1_356_998_400
"""The seconds since 1970 at the start of virtual time."""


def held(epoch: int = 7, holder: Holder | None = OWNER) -> Lease:
    return Lease(NAME, epoch, holder, 3, STREAM, generation=2, watermark="100")


class Half:
    def random(self) -> float:
        return 0.5


@dataclass
class Desk:
    """Leases, and an operator who raises a generation."""

    clock: FakeClock = field(default_factory=FakeClock)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stop = FakeStop(self.clock)
        self.checkpoints = MemoryCheckpoints(self.clock)

    @property
    def leases(self) -> MemoryLeases:
        return self.checkpoints.leases

    def raise_generation(self, leases: Any = None, **options: Any) -> Lease:
        def failed(error: Transient, _attempt: int) -> None:
            self.failures.append(error.cause)

        return raise_generation(
            leases or self.leases,
            NAME,
            options.pop("stream", STREAM),
            clock=self.clock,
            stop=self.stop,
            chance=Half(),
            on_failure=failed,
            **options,
        )

    def standing(self) -> Lease:
        lease = self.leases.read(NAME)
        assert lease is not None
        return lease


class Meddling:
    """Leases in which something happens instead of the first take."""

    def __init__(self, leases: MemoryLeases, instead: Callable[[Lease, Lease | None], object]) -> None:
        self._leases = leases
        self._instead: Callable[[Lease, Lease | None], object] | None = instead
        self.writes = 0

    def read(self, name: str) -> Lease | None:
        return self._leases.read(name)

    def take(self, lease: Lease, seen: Lease | None, *, replace: bool = False) -> None:
        self.writes += 1
        instead, self._instead = self._instead, None
        if instead is not None:
            instead(lease, seen)
        self._leases.take(lease, seen, replace=replace)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_generation_epoch_watermark_and_holder_change_in_one_write(desk: Desk) -> None:
    desk.leases.take(held(), None)
    leases = Meddling(desk.leases, lambda *_: None)
    raised = desk.raise_generation(leases)
    assert replace(desk.standing(), updated="") == raised
    assert (raised.generation, raised.epoch, raised.watermark, raised.holder) == (3, START, None, None)
    assert leases.writes == 1
    assert desk.stop.waits == []


def test_the_epoch_follows_the_last_one_also_ahead_of_the_clock(desk: Desk) -> None:
    desk.leases.take(held(START + 100), None)
    assert desk.raise_generation().epoch == START + 101


def test_the_owner_has_lost_it_and_its_late_save_changes_nothing(desk: Desk) -> None:
    desk.leases.take(held(), None)
    raised = desk.raise_generation()
    for write in (lambda: desk.leases.beat(NAME, 7), lambda: desk.leases.advance(NAME, 7, "101")):
        with pytest.raises(OwnershipLost, match="of generation 3, which nobody holds now"):
            write()
    assert replace(desk.standing(), updated="") == raised


def test_what_nobody_ever_held_begins_with_the_first_generation(desk: Desk) -> None:
    raised = desk.raise_generation()
    assert (raised.generation, raised.epoch, raised.watermark, raised.holder) == (1, START, None, None)


@pytest.mark.parametrize("least, generation", [(0, 3), (3, 3), (9, 9), (1, 3)])
def test_it_is_the_next_generation_or_the_least_that_was_asked_for(desk: Desk, least: int, generation: int) -> None:
    desk.leases.take(held(), None)
    assert desk.raise_generation(least=least).generation == generation


def test_a_beat_in_between_lets_it_try_again(desk: Desk) -> None:
    desk.leases.take(held(), None)
    raised = desk.raise_generation(Meddling(desk.leases, lambda *_: desk.leases.beat(NAME, 7)))
    assert (raised.generation, raised.epoch) == (3, START)


def test_a_watermark_that_moves_in_between_is_cleared_too(desk: Desk) -> None:
    desk.leases.take(held(), None)
    desk.raise_generation(Meddling(desk.leases, lambda *_: desk.leases.advance(NAME, 7, "200")))
    assert desk.standing().watermark is None


def test_what_another_raises_in_between_serves_both(desk: Desk) -> None:
    desk.leases.take(held(), None)
    leases = Meddling(desk.leases, lambda *_: desk.raise_generation())
    assert desk.raise_generation(leases).generation == 3
    assert (desk.standing().generation, leases.writes) == (3, 1)


@pytest.mark.parametrize("operation", ["leases.read", "leases.take"])
@pytest.mark.parametrize("after", [False, True])
def test_a_store_that_is_away_is_waited_for_and_the_generation_rises_once(
    desk: Desk, operation: str, *, after: bool
) -> None:
    desk.leases.take(held(), None)
    for _ in range(3):
        desk.checkpoints.fail_next(operation, after=after, error=TargetDown("away"))
    assert desk.raise_generation().generation == 3
    assert desk.failures
    assert desk.standing().generation == 3


def test_a_write_that_arrives_late_raises_it_once(desk: Desk) -> None:
    desk.leases.take(held(), None)
    late: list[tuple[Lease, Lease | None]] = []

    def lose(lease: Lease, seen: Lease | None) -> None:
        late.append((lease, seen))
        raise Transient("no answer")

    desk.clock.at(0.01, lambda: desk.leases.take(*late[0], replace=True))
    leases = Meddling(desk.leases, lose)
    assert desk.raise_generation(leases).generation == 3
    assert (desk.standing().generation, leases.writes) == (3, 1)


def test_an_owner_that_comes_after_a_lost_answer_keeps_what_it_took(desk: Desk) -> None:
    desk.leases.take(held(), None)

    def raise_and_take(lease: Lease, seen: Lease | None) -> None:
        desk.leases.take(lease, seen, replace=True)
        desk.leases.take(replace(lease, epoch=lease.epoch + 1, holder=OWNER), lease)
        raise Transient("no answer")

    raised = desk.raise_generation(Meddling(desk.leases, raise_and_take))
    assert (raised.generation, raised.holder, raised.epoch) == (3, OWNER, START + 1)


def test_another_streams_lease_is_refused_and_stays(desk: Desk) -> None:
    desk.leases.take(held(), None)
    with pytest.raises(Refused, match=r"isthmus setup --new-stream"):
        desk.raise_generation(stream=replace(STREAM, created="2013-02-01T00:00:00Z"))
    assert desk.standing().epoch == 7


def test_a_lease_whose_stream_was_forgotten_is_raised_from_its_generation(desk: Desk) -> None:
    desk.leases.take(held(), None)
    desk.checkpoints.stream.forget()
    raised = desk.raise_generation()
    assert (raised.generation, raised.stream) == (3, STREAM)


def test_the_last_generation_is_followed_by_none(desk: Desk) -> None:
    desk.leases.take(replace(held(), generation=HIGHEST_GENERATION - 1), None)
    assert desk.raise_generation().generation == HIGHEST_GENERATION == 99_999_999
    with pytest.raises(Refused, match="no further one"):
        desk.raise_generation()


def test_a_stop_ends_the_wait(desk: Desk) -> None:
    desk.leases.take(held(), None)
    desk.clock.at(0.0, desk.stop.request)
    with pytest.raises(Stopped):
        desk.raise_generation(Meddling(desk.leases, lambda *_: desk.leases.beat(NAME, 7)))


def test_what_no_repeat_mends_is_raised(desk: Desk) -> None:
    desk.checkpoints.fail_next(error=Fatal("access denied"))
    with pytest.raises(Fatal, match="access denied"):
        desk.raise_generation()
