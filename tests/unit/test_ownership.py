"""Taking over: the pure rule, and acquiring in virtual time."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.checkpoint.memory import MemoryCheckpoints, MemoryLeases
from isthmus.checkpoint.ownership import Sign, Watch, acquire, next_epoch, source_lease, worker_lease
from isthmus.checkpoint.ports import Holder, Lease, Leases
from isthmus.errors import Fatal, HeldByAnother, OwnershipLost, Refused, TargetDown, Transient
from isthmus.lifecycle import Stopped
from isthmus.stream import StreamIdentity
from tests.fakes.clock import FakeClock, FakeStop

NAME = source_lease("flights")
STREAM = StreamIdentity("arn:aws:kinesis:us-east-1:000000000000:stream/flights", "2013-01-01T00:00:00Z")
ME = Holder("me", "here", "boot", 42, "4711", "")
OLD = Holder("old", "there", "boot", 41, "4710", "2012-12-31T00:00:00.000Z")
START = 1_356_998_400


def held(epoch: int = 7, beat: int = 3, holder: Holder | None = OLD) -> Lease:
    return Lease(NAME, epoch, holder, beat, STREAM, generation=2, watermark="100")


def test_leases_are_named_after_what_is_owned() -> None:
    assert (source_lease("flights"), worker_lease("flights")) == ("source/flights", "worker/flights")


@pytest.mark.parametrize(
    "last, now_ms, epoch",
    [(None, 1_500_999, 1500), (7, 1_500_999, 1500), (1499, 1_500_999, 1500), (1500, 1_500_999, 1501), (9999, 0, 10000)],
)
def test_an_epoch_follows_the_last_one_and_is_at_least_the_seconds_since_1970(
    last: int | None, now_ms: int, epoch: int
) -> None:
    assert next_epoch(last, now_ms) == epoch


class TestWatch:
    def look(self, watch: Watch, lease: Lease, at: float, *, dead: bool | None = None) -> Sign:
        return watch.look(lease, asked=at, answered=at, dead=dead)

    def test_what_was_given_back_is_free_at_once(self) -> None:
        assert self.look(Watch(), held(holder=None), 0) is Sign.GIVEN_BACK

    def test_a_dead_holder_is_replaced_at_once(self) -> None:
        assert self.look(Watch(), held(), 0, dead=True) is Sign.DEAD

    def test_a_holder_that_lives_and_is_silent_is_replaced_after_five_seconds(self) -> None:
        watch = Watch()
        signs = [self.look(watch, held(), at, dead=False) for at in (10.0, 14.9, 15.0)]
        assert signs == [Sign.UNCERTAIN, Sign.UNCERTAIN, Sign.SILENT]

    @pytest.mark.parametrize("moved", [held(beat=4), held(epoch=8), held(epoch=8, beat=2)])
    def test_each_beat_and_each_new_owner_begins_the_wait_anew(self, moved: Lease) -> None:
        watch = Watch()
        assert self.look(watch, held(), 0) is Sign.UNCERTAIN
        assert self.look(watch, moved, 5.0) is Sign.ALIVE
        assert self.look(watch, moved, 9.9) is Sign.UNCERTAIN
        assert self.look(watch, moved, 10.0) is Sign.SILENT

    def test_the_time_that_a_read_takes_is_no_silence(self) -> None:
        watch = Watch()
        assert watch.look(held(), asked=0, answered=4, dead=None) is Sign.UNCERTAIN
        assert watch.look(held(), asked=8.9, answered=20, dead=None) is Sign.UNCERTAIN
        assert watch.look(held(), asked=9.0, answered=9.1, dead=None) is Sign.SILENT

    def test_only_what_is_given_back_dead_or_silent_is_free(self) -> None:
        assert {sign for sign in Sign if sign.free} == {Sign.GIVEN_BACK, Sign.DEAD, Sign.SILENT}

    @given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 2)), max_size=40))
    def test_silence_is_never_seen_before_the_counter_stood_still_for_five_seconds(
        self, looks: list[tuple[float, int]]
    ) -> None:
        watch, now, beat, since = Watch(), 0.0, 0, 0.0
        for passed, more in looks:
            now += passed
            if more:
                beat, since = beat + more, now
            sign = self.look(watch, held(beat=beat), now)
            assert (sign is Sign.SILENT) <= (now - since >= 5.0)


@dataclass
class World:
    """One acquirer, its store and its virtual time."""

    clock: FakeClock = field(default_factory=FakeClock)
    waited_for: list[Holder] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    recoveries: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stop = FakeStop(self.clock)
        self.checkpoints = MemoryCheckpoints(self.clock)

    @property
    def leases(self) -> MemoryLeases:
        return self.checkpoints.leases

    def beats(self, epoch: int, *, until: float) -> None:
        self.clock.every(1.0, lambda: self.leases.beat(NAME, epoch), until=until)

    def acquire(self, *, wait: bool = True, leases: Leases | None = None, **options: Any) -> Lease:
        def failed(error: Transient, _attempt: int) -> None:
            self.failures.append(error.cause)

        return acquire(
            leases or self.leases,
            NAME,
            options.pop("stream", STREAM),
            me=ME,
            clock=self.clock,
            stop=self.stop,
            wait=wait,
            on_wait=self.waited_for.append,
            chance=Half(),
            on_failure=failed,
            on_recovery=self.recoveries.append,
            is_dead=options.pop("is_dead", lambda _: None),
            **options,
        )


class Half:
    def random(self) -> float:
        return 0.5


class Meddling:
    """Leases in which something happens just before a take, or just after it."""

    def __init__(self, leases: MemoryLeases, *, before: Callable[[], object], after: Callable[[], object]) -> None:
        self._leases = leases
        self._before = before
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._leases, name)

    def take(self, lease: Lease, seen: Lease | None, *, replace: bool = False) -> None:
        before, self._before = self._before, nothing
        before()
        self._leases.take(lease, seen, replace=replace)
        after, self._after = self._after, nothing
        after()


def nothing() -> None:
    return None


@pytest.fixture
def world() -> World:
    return World()


def test_what_nobody_held_is_taken_at_once(world: World) -> None:
    lease = world.acquire(wait=False)
    assert (lease.epoch, lease.generation, lease.watermark, lease.stream) == (START, 0, None, STREAM)
    assert lease.holder == replace(ME, since="2013-01-01T00:00:00.000Z")
    assert world.stop.waits == []


def test_what_was_given_back_is_taken_at_once_with_its_watermark(world: World) -> None:
    world.leases.take(held(), None)
    world.leases.give_back(NAME, 7)
    lease = world.acquire(wait=False)
    assert (lease.epoch, lease.generation, lease.watermark) == (START, 2, "100")
    assert world.stop.waits == []


def test_an_epoch_ahead_of_the_clock_is_followed_by_the_next(world: World) -> None:
    world.leases.take(held(START + 100, holder=OLD), None)
    world.leases.give_back(NAME, START + 100)
    assert world.acquire().epoch == START + 101


@pytest.mark.parametrize("wait", [True, False])
def test_a_dead_holder_is_replaced_at_once(world: World, *, wait: bool) -> None:
    world.leases.take(held(), None)
    assert world.acquire(wait=wait, is_dead=lambda holder: holder == OLD).watermark == "100"
    assert (world.stop.waits, world.waited_for) == ([], [])


@pytest.mark.parametrize("wait", [True, False])
def test_a_silent_holder_is_replaced_after_five_seconds(world: World, *, wait: bool) -> None:
    world.leases.take(held(), None)
    assert world.acquire(wait=wait).watermark == "100"
    assert world.clock.monotonic() == 5.0
    assert world.waited_for == [OLD]


def test_the_time_of_a_take_over_is_a_setting(world: World) -> None:
    world.leases.take(held(), None)
    world.acquire(take_over_after=2.0)
    assert world.clock.monotonic() == 2.0


def test_without_wait_a_living_holder_is_named_as_soon_as_it_beats(world: World) -> None:
    world.leases.take(held(), None)
    world.beats(7, until=60)
    with pytest.raises(HeldByAnother, match=r"source/flights is held by old \(host there, process 41") as caught:
        world.acquire(wait=False)
    assert caught.value.hint
    assert world.clock.monotonic() == 1.0
    standing = world.leases.read(NAME)
    assert standing is not None
    assert standing.epoch == 7


def test_with_wait_a_living_holder_is_waited_for_until_it_is_silent(world: World) -> None:
    world.leases.take(held(), None)
    world.beats(7, until=30)
    world.acquire()
    assert world.clock.monotonic() == 35.0
    assert world.waited_for == [OLD]


def test_with_wait_what_is_given_back_is_taken_at_the_next_look(world: World) -> None:
    world.leases.take(held(), None)
    world.beats(7, until=3)
    world.clock.at(3.2, lambda: world.leases.give_back(NAME, 7))
    world.acquire()
    assert world.clock.monotonic() == 3.5


def test_each_holder_that_is_waited_for_is_told_once(world: World) -> None:
    next_one = replace(OLD, name="next")
    world.leases.take(held(), None)
    world.clock.at(3.0, lambda: world.leases.take(held(8, 0, next_one), world.leases.read(NAME)))
    world.acquire()
    assert world.waited_for == [OLD, next_one]
    assert world.clock.monotonic() == 8.0


def test_a_stop_ends_the_wait(world: World) -> None:
    world.leases.take(held(), None)
    world.clock.at(2.0, world.stop.request)
    with pytest.raises(Stopped):
        world.acquire()
    standing = world.leases.read(NAME)
    assert standing is not None
    assert standing.epoch == 7


@pytest.mark.parametrize("holder", [OLD, None])
@pytest.mark.parametrize("other", [replace(STREAM, created="2013-02-01T00:00:00Z"), replace(STREAM, arn="arn:other")])
def test_another_streams_lease_is_refused_and_the_command_is_named(
    world: World, holder: Holder | None, other: StreamIdentity
) -> None:
    world.leases.take(held(), None)
    if holder is None:
        world.leases.give_back(NAME, 7)
    with pytest.raises(Refused, match=r"isthmus setup --new-stream"):
        world.acquire(stream=other)
    standing = world.leases.read(NAME)
    assert standing is not None
    assert standing.epoch == 7


def test_a_lease_whose_stream_was_forgotten_is_taken_with_its_generation(world: World) -> None:
    world.leases.take(held(), None)
    world.checkpoints.stream.forget()
    lease = world.acquire()
    assert (lease.generation, lease.watermark, lease.stream) == (2, None, STREAM)


def test_a_watermark_that_moves_between_read_and_take_is_not_moved_back(world: World) -> None:
    world.leases.take(held(), None)
    meddling = Meddling(world.leases, before=lambda: world.leases.advance(NAME, 7, "200"), after=nothing)
    assert world.acquire(leases=meddling, is_dead=lambda _: True).watermark == "200"
    standing = world.leases.read(NAME)
    assert standing is not None
    assert standing.watermark == "200"


def test_the_old_owner_cannot_advance_any_more(world: World) -> None:
    world.leases.take(held(), None)
    world.acquire(is_dead=lambda _: True)
    with pytest.raises(OwnershipLost):
        world.leases.advance(NAME, 7, "200")


def test_whoever_was_quicker_is_watched_like_anybody(world: World) -> None:
    world.leases.take(held(), None)
    quicker = replace(OLD, name="quicker")
    meddling = Meddling(
        world.leases, before=lambda: world.leases.take(held(8, 0, quicker), world.leases.read(NAME)), after=nothing
    )
    lease = world.acquire(leases=meddling, is_dead=lambda holder: holder == OLD)
    assert lease.epoch == START + 5
    assert world.waited_for == [quicker]
    assert world.clock.monotonic() == 5.5


def test_whoever_takes_it_right_after_us_owns_it_and_we_do_not(world: World) -> None:
    quicker = replace(OLD, name="quicker")
    meddling = Meddling(
        world.leases, before=nothing, after=lambda: world.leases.take(held(2**40, 0, quicker), world.leases.read(NAME))
    )
    world.clock.at(2.0, lambda: world.leases.advance(NAME, 2**40, "300"))
    lease = world.acquire(leases=meddling)
    assert (lease.epoch, lease.watermark) == (2**40 + 1, "300")
    assert world.waited_for == [quicker]


def test_the_same_epoch_with_another_holder_is_not_ours(world: World) -> None:
    quicker = replace(OLD, name="quicker")
    world.checkpoints.fail_next("leases.take")
    world.clock.at(0.01, lambda: world.leases.take(held(START, 0, quicker), None))
    lease = world.acquire()
    assert world.waited_for == [quicker]
    assert lease.epoch > START


@pytest.mark.parametrize("operation", ["leases.read", "leases.take"])
@pytest.mark.parametrize("after", [False, True])
def test_a_store_that_is_away_is_waited_for(world: World, operation: str, *, after: bool) -> None:
    world.leases.take(held(), None)
    for _ in range(3):
        world.checkpoints.fail_next(operation, after=after, error=TargetDown("away"))
    lease = world.acquire(is_dead=lambda holder: holder == OLD)
    assert lease == world.leases.read(NAME)
    assert lease.holder is not None
    assert (lease.holder.name, lease.watermark) == ("me", "100")
    assert world.failures[0] == "down"
    assert world.recoveries == [len(world.failures)]


def test_a_take_whose_answer_was_lost_is_known_again_and_not_repeated(world: World) -> None:
    world.checkpoints.fail_next("leases.take", after=True)
    assert world.acquire(wait=False).epoch == START
    assert world.waited_for == []
    assert world.clock.monotonic() < 0.2


def test_a_failed_read_after_the_take_does_not_lose_it(world: World) -> None:
    meddling = Meddling(world.leases, before=nothing, after=lambda: world.checkpoints.fail_next("leases.read"))
    assert world.acquire(wait=False, leases=meddling).epoch == START
    assert world.waited_for == []


def test_a_take_that_arrives_late_is_known_again(world: World) -> None:
    late: list[Callable[[], None]] = []

    class Delayed(Meddling):
        def take(self, lease: Lease, seen: Lease | None, *, replace: bool = False) -> None:
            if late:
                late.pop()()
            else:
                late.append(lambda: world.leases.take(lease, seen, replace=replace))
                raise Transient("no answer")
            world.leases.take(lease, seen, replace=replace)

    lease = world.acquire(leases=Delayed(world.leases, before=nothing, after=nothing))
    assert lease.holder is not None
    assert lease.holder.name == "me"
    assert world.waited_for == []


def test_what_no_repeat_mends_is_raised(world: World) -> None:
    world.checkpoints.fail_next(error=Fatal("access denied"))
    with pytest.raises(Fatal, match="access denied"):
        world.acquire()
