"""Processes that share the limit of the park brake: what all of them together park, and what it costs them."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from isthmus.attempts import Attempts
from isthmus.checkpoint.brakecounts import MemoryBrakeCounts
from isthmus.checkpoint.brakes import MemoryBrakes, Word
from isthmus.consumer.brake import WINDOW, State
from isthmus.consumer.braking import READ_EVERY, Braked, ParkBrake
from isthmus.consumer.sharing import WAIT
from isthmus.consumer.stores.port import Parking
from isthmus.errors import TargetDown
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.store_world import delivered, upsert

MOST = 6
REASON = "constraint"


class Application:
    """What processes share."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.notes, self.counts = MemoryBrakes(), MemoryBrakeCounts()

    def process(self, most: int = MOST, *, beside: Callable[[Callable[[], None]], object] | None = None) -> "Process":
        return Process(self, most, beside or (lambda work: work()))

    def release(self) -> None:
        standing = self.notes.read_all()[REASON]
        self.notes.let_off(replace(standing, word=Word.RELEASED, who="ada", until_ms=1))


class Process:
    """One of them, with a shard of its own. Its answers come at once."""

    def __init__(self, application: Application, most: int, beside: Callable[[Callable[[], None]], object]) -> None:
        clock, metrics = application.clock, Metrics()
        self.stop = FakeStop(clock)
        self.clock = clock
        self.brake = ParkBrake(
            most,
            application.notes,
            clock=clock,
            chance=random.Random(1),
            metrics=metrics,
            watch=Attempts("park_brake", metrics, clock),
            counts=application.counts,
            beside=beside,
        )
        self.brake.sync()

    def parks(self, *keys: str) -> bool:
        """Say whether a batch of poison is parked; the brake's own pauses are not waited for."""
        held: list[bool] = []

        def action() -> None:
            found = [parking(key) for key in keys]
            try:
                self.brake.park(found)
            except Braked:
                held.append(True)

        if self.is_on:
            return False
        self.brake.hold("shard", (), action, stop=self.stop)
        return not held

    @property
    def is_on(self) -> bool:
        return State.ON in self.brake._brake.states().values()


def parking(key: str) -> Parking:
    return Parking(delivered(upsert(1, key)), REASON, "", "store", b"")


@pytest.fixture
def application() -> Application:
    return Application()


def named(prefix: str, count: int) -> list[str]:
    return [f"{prefix}/{number}" for number in range(count)]


def test_two_processes_have_one_limit(application: Application) -> None:
    one, other = application.process(), application.process()
    assert one.parks(*named("a", 4))
    # A batch goes by what was known before it.
    assert other.parks(*named("b", 4))
    assert not other.parks("b/one more")
    assert one.parks("a/one more")
    assert not one.parks("a/and another one")
    other.brake.sync()
    one.brake.sync()
    assert application.notes.read_all()[REASON].keys == 8


def test_what_is_parked_already_is_no_more_than_it_was(application: Application) -> None:
    one, other = application.process(), application.process()
    assert one.parks(*named("a", 4))
    assert other.parks(*named("b", 4))
    for _ in range(10):
        assert other.parks(*named("b", 4))


def test_a_batch_that_parks_nothing_new_asks_nobody(application: Application) -> None:
    process = application.process()
    process.parks(*named("a", 2))
    assert application.counts.asked == 1
    for _ in range(10):
        process.parks()
        process.parks(*named("a", 2))
    assert application.counts.asked == 1
    # What counts for longer now others are told when the notes are read.
    process.brake.sync()
    assert application.counts.asked == 2
    process.brake.sync()
    assert application.counts.asked == 2


def test_up_to_a_hundredth_of_the_limit_nobody_is_told(application: Application) -> None:
    process = application.process(1000)
    for number in range(10):
        assert process.parks(f"odd/{number}")
        process.brake.sync()
    assert application.counts.asked == 0
    process.parks("one more")
    (told,) = application.counts._told[REASON].values()
    assert sum(told.keys.values()) == 11


def test_a_process_that_was_killed_leaves_what_it_parked(application: Application) -> None:
    assert application.process().parks(*named("a", 5))
    again = application.process()
    assert again.parks("b/1")
    assert not again.parks("b/2")


def test_a_minute_later_there_is_room_again_for_all(application: Application) -> None:
    one, other = application.process(), application.process()
    one.parks(*named("a", 4))
    other.parks(*named("b", 2))
    application.clock.move(WINDOW + 10)
    assert other.parks(*named("c", MOST))


def test_while_the_table_is_away_each_counts_for_itself_and_nobody_waits(application: Application) -> None:
    one, other = application.process(), application.process()
    application.counts.error = TargetDown("away")
    assert one.parks(*named("a", 3))
    assert other.parks(*named("b", 3))
    asked, begun = application.counts.asked, application.clock.monotonic()
    assert other.parks(*named("c", 3))
    assert not other.parks("d")
    assert application.counts.asked == asked
    assert application.clock.monotonic() == begun
    # What was parked meanwhile is told as soon as it is back.
    application.counts.error = None
    one.brake.sync()
    (told,) = application.counts._told[REASON].values()
    assert sum(told.keys.values()) == 3
    assert one.parks(*named("e", 1))
    other.brake.sync()
    assert not one.parks(*named("f", 3))


def test_an_answer_that_does_not_come_is_waited_for_once_and_not_for_long(application: Application) -> None:
    asked: list[Callable[[], None]] = []
    process = application.process(beside=asked.append)
    assert process.parks("a/1")
    begun = application.clock.monotonic()
    assert process.parks("a/2")
    assert WAIT <= application.clock.monotonic() - begun < WAIT + 0.1
    assert process.parks("a/3")
    assert application.clock.monotonic() - begun < WAIT + 0.1
    # It came after all: from now on it is waited for again, and it told all of it.
    asked.pop()()
    (told,) = application.counts._told[REASON].values()
    assert sum(told.keys.values()) == 3
    assert process.parks("a/4")
    assert len(asked) == 1


def test_a_stop_ends_the_wait_for_an_answer(application: Application) -> None:
    process = application.process(beside=lambda _work: None)
    process.parks("a/1")
    application.clock.at(0.5, process.stop.request)
    process.brake._sharing.wait(process.stop)  # type: ignore[union-attr]
    assert application.clock.monotonic() == pytest.approx(0.5, abs=0.01)


def test_what_comes_while_others_are_told_they_are_told_too(application: Application) -> None:
    process = application.process()
    tell, late = application.counts.tell, ["a/2"]

    def telling(*given: object) -> object:
        if late:
            process.brake.park([parking(late.pop())])
        return tell(*given)  # type: ignore[arg-type]

    application.counts.tell = telling  # type: ignore[assignment,method-assign]
    assert process.parks("a/1")
    (told,) = application.counts._told[REASON].values()
    assert sum(told.keys.values()) == 2


def test_a_release_counts_for_a_process_that_is_new(application: Application) -> None:
    one = application.process()
    assert one.parks(*named("a", MOST))
    assert not one.parks("a/more")
    one.brake.sync()
    application.release()
    one.brake.sync()
    assert one.parks(*named("b", 50))
    one.brake.sync()
    # It did not see the release: only that it was, and that another one goes by it.
    new = application.process()
    for number in range(10):
        assert new.parks(*named(f"c{number}", 3))
    assert not new.is_on


def test_what_was_released_elsewhere_puts_nothing_on_here(application: Application) -> None:
    one, other = application.process(), application.process()
    assert one.parks(*named("a", MOST))
    assert not one.parks("a/more")
    one.brake.sync()
    application.release()
    for each in (one, other):
        each.brake.sync()
    assert one.parks(*named("b", 50))
    one.brake.sync()
    for number in range(10):
        application.clock.move(READ_EVERY)
        assert other.parks(*named(f"c{number}", 3))
        other.brake.sync()


def test_after_a_release_the_limit_counts_again_once_a_minute_was_quiet(application: Application) -> None:
    one, other = application.process(), application.process()
    one.parks(*named("a", MOST + 1))
    one.brake.sync()
    application.release()
    for each in (one, other):
        each.brake.sync()
    assert one.parks(*named("b", 50))
    application.clock.move(2 * WINDOW)
    assert one.parks("quiet")
    application.clock.move(2 * WINDOW)
    assert one.parks(*named("c", 4))
    assert other.parks("quiet too")
    application.clock.move(2 * WINDOW)
    assert other.parks("still")
    assert one.parks(*named("d", 4))
    assert other.parks(*named("e", 2))
    assert not (other.parks(*named("f", 3)) and one.parks(*named("g", 3)))
