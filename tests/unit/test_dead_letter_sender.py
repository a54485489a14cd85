"""Whatever becomes of the queue: nothing is forgotten before it was taken, and the sender goes on."""

from collections.abc import Callable, Sequence

import pytest

from isthmus.attempts import Attempts
from isthmus.chance import seeded_chance
from isthmus.consumer.deadletters.port import Copy, Letter
from isthmus.consumer.deadletters.sender import Sender
from isthmus.errors import UNKNOWN, Fatal, IsthmusError, TargetDown, Transient
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.payloads import MemoryPayloads

UNHEARD_OF = Transient("an error that no table names", cause=UNKNOWN)


class MemoryOutbox:
    """Rows by place."""

    def __init__(self, *events: bytes) -> None:
        self.rows = {
            str(place): Copy(str(place), f"k{place}", f"t{place}", "flights", "contract", "s", "1", event, 1000 + place)
            for place, event in enumerate(events)
        }
        self.failing: IsthmusError | None = None
        self.closed = 0

    def pending(self, most: int, most_bytes: int) -> list[Copy]:
        if self.failing is not None:
            raise self.failing
        assert most_bytes > 0
        return list(self.rows.values())[:most]

    def sent(self, copies: Sequence[Copy]) -> None:
        if self.failing is not None:
            raise self.failing
        for copy in copies:
            self.rows.pop(copy.place, None)

    def close(self) -> None:
        self.closed += 1


class MemoryQueue:
    """Takes letters, but for the IDs that it refuses; does what is on its agenda first."""

    def __init__(self) -> None:
        self.taken: list[Letter] = []
        self.refused: set[str] = set()
        self.agenda: list[Exception | Callable[[], object]] = []

    def send(self, letters: Sequence[Letter]) -> list[bool]:
        if self.agenda:
            next_one = self.agenda.pop(0)
            if isinstance(next_one, Exception):
                raise next_one
            next_one()
        answers = [letter.attributes["id"] not in self.refused for letter in letters]
        self.taken += [letter for letter, is_taken in zip(letters, answers, strict=True) if is_taken]
        return answers

    @property
    def ids(self) -> list[str]:
        return [letter.attributes["id"] for letter in self.taken]


class Desk:
    def __init__(self, *events: bytes, limit: int = 1000, on_duty: bool = True) -> None:
        self.on_duty = on_duty
        self.outbox, self.queue, self.payloads = MemoryOutbox(*events), MemoryQueue(), MemoryPayloads()
        self.clock, self.metrics = FakeClock(), Metrics()
        self.stop = FakeStop(self.clock)
        self.sender = Sender(
            self.outbox,
            self.queue,
            self.payloads,
            stop=self.stop,
            chance=seeded_chance("1"),
            metrics=self.metrics,
            attempts=Attempts("dead_letters", self.metrics, self.clock),
            limit=limit,
            on_duty=lambda: self.on_duty,
        )

    def run_for(self, seconds: float) -> None:
        self.clock.at(seconds, self.stop.request)
        self.sender.run()

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def test_what_waits_is_sent_in_order_and_forgotten() -> None:
    desk = Desk(*[b"{}"] * 25)
    desk.run_for(1)
    assert desk.queue.ids == [f"t{place}" for place in range(25)]
    assert desk.outbox.rows == {}
    assert desk.value("isthmus_dead_letters_sent_total", reason="contract") == 25
    assert desk.value("isthmus_outbox_oldest_timestamp_seconds") == 0


@pytest.mark.parametrize(
    "trouble",
    [TargetDown("away"), Transient("throttled"), UNHEARD_OF, Fatal("denied"), ValueError("a defect")],
    ids=repr,
)
def test_while_the_queue_is_away_everything_stays_and_the_metric_says_since_when(trouble: Exception) -> None:
    desk = Desk(b"{}", b"{}")
    seen: list[float] = []

    def look() -> None:
        seen.append(desk.value("isthmus_away", part="dead_letters"))
        seen.append(desk.value("isthmus_outbox_oldest_timestamp_seconds"))

    desk.queue.agenda = [trouble] * 8
    desk.clock.at(0.3, look)
    desk.run_for(600)
    assert seen == [1, 1.0]
    assert desk.queue.ids == ["t0", "t1"]
    assert desk.value("isthmus_away", part="dead_letters") == 0


def test_what_the_queue_did_not_take_is_sent_again_and_keeps_nothing_back() -> None:
    desk = Desk(*[b"{}"] * 12)
    desk.queue.refused = {"t0", "t11"}
    desk.run_for(10)
    assert list(desk.outbox.rows) == ["0", "11"]
    assert sorted(desk.queue.ids) == sorted(f"t{place}" for place in range(1, 11))
    desk.queue.refused = set()
    desk.stop._requested = False
    desk.run_for(200)
    assert desk.outbox.rows == {}


def test_a_letter_comes_twice_where_forgetting_it_failed_and_is_never_lost() -> None:
    desk = Desk(b"{}")

    def lose_the_store() -> None:
        desk.outbox.failing = TargetDown("away")
        desk.clock.at(desk.clock.monotonic() + 5, lambda: setattr(desk.outbox, "failing", None))

    desk.queue.agenda = [lose_the_store]
    desk.run_for(60)
    assert desk.queue.ids == ["t0", "t0"]
    assert desk.outbox.rows == {}


def test_a_large_event_goes_to_where_nothing_expires() -> None:
    desk = Desk(b"x" * 2000)
    desk.run_for(1)
    (reference,) = desk.payloads.objects
    assert "parked/" in reference
    assert desk.queue.taken[0].attributes["dataref"] == reference


def test_who_is_not_on_duty_sends_nothing_and_tells_of_nothing_that_waits() -> None:
    desk = Desk(b"{}", on_duty=False)
    seen: list[float] = []

    def take_over() -> None:
        seen.append(desk.value("isthmus_outbox_oldest_timestamp_seconds"))
        desk.on_duty = True

    desk.metrics.outbox_oldest.set(7)
    desk.clock.at(10.5, take_over)
    desk.run_for(10)
    assert desk.queue.ids == []
    assert len(desk.outbox.rows) == 1
    desk.stop._requested = False
    desk.run_for(20)
    assert seen == [0]
    assert desk.queue.ids == ["t0"]


def test_a_sender_that_ends_gives_its_connections_back() -> None:
    desk = Desk(b"{}")
    desk.run_for(1)
    assert desk.outbox.closed == 1
