"""The owner's heart, in virtual time."""

import threading

import pytest

from isthmus.checkpoint.heart import Heart
from isthmus.checkpoint.memory import MemoryCheckpoints
from isthmus.checkpoint.ports import Holder, Lease
from isthmus.clock import SystemClock
from isthmus.errors import Fatal, OwnershipLost, Transient
from isthmus.lifecycle import ThreadStop
from isthmus.stream import StreamIdentity
from tests.fakes.clock import FakeClock, FakeStop

NAME = "source/flights"
ME = Holder("me", "here", "boot", 42, "4711", "2013-01-01T00:00:00.000Z")
LEASE = Lease(NAME, 7, ME, 0, StreamIdentity("arn", "2013-01-01T00:00:00Z"))


class Body:
    """A heart with the lease it beats for."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stop = FakeStop(self.clock)
        self.checkpoints = MemoryCheckpoints(self.clock)
        self.leases = self.checkpoints.leases
        self.leases.take(LEASE, None)
        self.failures: list[int] = []
        self.recoveries: list[int] = []
        self.heart = Heart(
            self.leases,
            LEASE,
            clock=self.clock,
            on_failure=lambda _, attempt: self.failures.append(attempt),
            on_recovery=self.recoveries.append,
        )

    def lost(self) -> bool:
        return self.heart.lost

    def beats(self) -> int:
        standing = self.leases.read(NAME)
        assert standing is not None
        return standing.beat

    def fail(self, times: int) -> None:
        for _ in range(times):
            self.checkpoints.fail_next("leases.beat")

    def taken_over(self) -> None:
        self.leases.take(Lease(NAME, 8, ME, 0, LEASE.stream), self.leases.read(NAME))


@pytest.fixture
def body() -> Body:
    return Body()


def test_it_beats_every_second_and_at_once(body: Body) -> None:
    seen: list[int] = []
    body.clock.at(0.5, lambda: seen.append(body.beats()))
    body.clock.at(9.5, body.stop.request)
    body.heart.run(body.stop)
    assert (seen, body.beats()) == ([1], 10)
    assert (body.lost(), body.heart.reason) == (False, "")


def test_a_stop_before_the_start_is_a_stop(body: Body) -> None:
    body.stop.request()
    body.heart.run(body.stop)
    assert body.beats() == 0


def test_failed_beats_are_told_each_and_the_recovery_once(body: Body) -> None:
    body.fail(3)
    body.clock.at(7.5, body.stop.request)
    body.heart.run(body.stop)
    assert (body.failures, body.recoveries) == ([1, 2, 3], [3])
    assert not body.lost()


def test_failures_are_counted_anew_after_a_recovery(body: Body) -> None:
    for _ in range(2):
        body.fail(1)
        body.heart.beat_once()
        body.heart.beat_once()
    assert (body.failures, body.recoveries) == ([1, 1], [1, 1])


def test_it_is_lost_when_another_took_over(body: Body) -> None:
    body.taken_over()
    with pytest.raises(OwnershipLost):
        body.heart.beat_once()
    assert body.lost()
    assert "8" in body.heart.reason


def test_it_is_lost_when_it_could_not_beat_for_five_seconds(body: Body) -> None:
    body.clock.move(4.9)
    assert not body.lost()
    body.clock.move(0.1)
    assert body.lost()
    assert "5 s" in body.heart.reason
    with pytest.raises(OwnershipLost, match="5 s"):
        body.heart.beat_once()
    assert body.beats() == 0


def test_each_beat_that_succeeds_gives_five_more_seconds(body: Body) -> None:
    body.clock.move(4.0)
    body.heart.beat_once()
    body.clock.move(4.9)
    assert not body.lost()
    body.clock.move(0.1)
    assert body.lost()


def test_a_beat_that_failed_gives_none(body: Body) -> None:
    body.clock.move(4.0)
    body.fail(1)
    body.heart.beat_once()
    body.clock.move(1.0)
    assert body.lost()


def test_the_first_reason_is_the_one_that_is_told(body: Body) -> None:
    body.taken_over()
    body.heart.run(body.stop)
    reason = body.heart.reason
    body.clock.move(60.0)
    assert body.heart.reason == reason


class SlowLeases:
    """Leases whose beat takes some time to be answered."""

    def __init__(self, body: Body, seconds: float) -> None:
        self._body = body
        self._seconds = seconds
        self.lost_meanwhile: list[bool] = []

    def beat(self, name: str, epoch: int) -> None:
        self._body.leases.beat(name, epoch)
        self._body.clock.move(self._seconds)
        self.lost_meanwhile.append(self._body.heart.lost)


def test_the_five_seconds_are_counted_from_when_a_beat_was_sent(body: Body) -> None:
    body.heart._leases = SlowLeases(body, 3.0)  # type: ignore[assignment]
    body.heart.beat_once()
    body.clock.move(2.0)
    assert body.lost()


def test_while_a_beat_hangs_it_is_lost_and_stays_lost(body: Body) -> None:
    slow = SlowLeases(body, 6.0)
    body.heart._leases = slow  # type: ignore[assignment]
    body.heart.beat_once()
    assert slow.lost_meanwhile == [True]
    assert body.lost()
    with pytest.raises(OwnershipLost):
        body.heart.beat_once()


def test_the_loop_ends_when_it_is_lost(body: Body) -> None:
    body.clock.at(3.5, body.taken_over)
    body.heart.run(body.stop)
    assert body.clock.monotonic() == 4.0
    assert body.lost()


def test_the_loop_ends_when_the_store_stays_away(body: Body) -> None:
    body.fail(60)
    body.heart.run(body.stop)
    assert body.clock.monotonic() == 5.0
    assert body.lost()


def test_an_error_that_no_repeat_mends_loses_it(body: Body) -> None:
    body.checkpoints.fail_next("leases.beat", error=Fatal("access denied"))
    body.heart.run(body.stop)
    assert body.clock.monotonic() == 0.0
    assert (body.lost(), body.heart.reason) == (True, "access denied")


def test_it_beats_in_a_thread_and_ends_with_a_stop() -> None:
    clock, stop, beaten = SystemClock(), ThreadStop(), threading.Event()

    class Listening:
        def beat(self, _name: str, _epoch: int) -> None:
            beaten.set()

    def failed(_error: Transient, _attempt: int) -> None:
        raise AssertionError

    heart = Heart(Listening(), LEASE, clock=clock, on_failure=failed, on_recovery=lambda _: None)  # type: ignore[arg-type]
    thread = threading.Thread(target=heart.run, args=(stop,))
    thread.start()
    assert beaten.wait(30)
    stop.request()
    thread.join(30)
    assert not thread.is_alive()
