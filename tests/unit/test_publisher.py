"""The publisher's shell around the lanes."""

import json
from collections.abc import Callable, Sequence
from threading import Event

import pytest
from structlog.testing import capture_logs

from isthmus.clock import SystemClock
from isthmus.errors import Fatal, TargetDown, Transient
from isthmus.lifecycle import ThreadStop
from isthmus.metrics import Metrics
from isthmus.producer.lanes import Lanes, Limits
from isthmus.producer.publisher import UNKNOWN_ERRORS, Publisher
from isthmus.producer.sink import Entry, Put
from isthmus.producer.threads import ThreadExecutor
from isthmus.retry import Backoff
from tests.fakes.clock import FakeClock
from tests.fakes.sending import InlineExecutor, LaterExecutor

FREE = Limits(shard_bytes_per_second=None, shard_records_per_second=None)


class Most:
    def random(self) -> float:
        return 1.0


class ScriptedSink:
    """Takes everything, unless the next step of its script says otherwise."""

    def __init__(self) -> None:
        self.script: list[Exception | Callable[[Sequence[Entry]], list[Put]]] = []
        self.requests: list[list[Entry]] = []

    def put(self, entries: Sequence[Entry]) -> list[Put]:
        self.requests.append(list(entries))
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        return step(entries) if step else [Put("shard-0", "1") for _ in entries]

    @property
    def numbers(self) -> list[int]:
        return [number for request in self.requests for entry in request for number in json.loads(entry.data)]


class Desk:
    """A publisher with everything around it."""

    def __init__(self, *, later: bool = False, lanes: int = 4, limits: Limits = FREE, **options: float) -> None:
        self.clock = FakeClock()
        self.sink = ScriptedSink()
        self.metrics = Metrics()
        self.later = LaterExecutor(self.clock)
        self.inline = InlineExecutor(self.clock)
        self.publisher = Publisher(
            Lanes(lanes, limits, Backoff(first=1.0, most=8.0), Most()),
            self.sink,
            self.later if later else self.inline,
            source="flights",
            clock=self.clock,
            metrics=self.metrics,
            **options,  # type: ignore[arg-type]
        )

    def offer(self, *numbers: int, lane: int = 0) -> None:
        for number in numbers:
            self.publisher.offer(lane, str(number).encode(), number)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def test_what_is_offered_is_sent_by_pump_and_its_tickets_come_back_once() -> None:
    desk = Desk()
    desk.offer(1, 2, 3)
    assert desk.sink.requests == []
    assert desk.publisher.pump(1.0) == [1, 2, 3]
    assert desk.publisher.pump() == []
    assert desk.publisher.idle()
    assert desk.sink.numbers == [1, 2, 3]


def test_an_outage_is_waited_out_with_back_off_and_nothing_is_lost() -> None:
    desk = Desk()
    desk.sink.script = [TargetDown("away"), Transient("slow down", cause="throttled"), TargetDown("away")]
    desk.offer(1)
    tickets = []
    while not desk.publisher.idle():
        tickets += desk.publisher.pump(10.0)
    assert tickets == [1]
    assert desk.clock.monotonic() == pytest.approx(1 + 2 + 4)
    assert desk.value("isthmus_retries_total", part="publisher", cause="down") == 2
    assert desk.value("isthmus_retries_total", part="publisher", cause="throttled") == 1


def test_being_away_is_shown_while_it_lasts() -> None:
    desk = Desk()
    desk.sink.script = [TargetDown("away")]
    desk.offer(1)
    desk.publisher.pump(0.5)
    assert desk.value("isthmus_away", part="kinesis") == 1
    desk.publisher.flush(desk.clock.monotonic() + 10)
    assert desk.value("isthmus_away", part="kinesis") == 0


def test_only_refused_entries_go_again_and_their_cause_is_counted() -> None:
    desk = Desk()
    desk.sink.script = [lambda _: [Put("s", "1"), Put(error="ProvisionedThroughputExceededException")]]
    desk.offer(1, lane=0)
    desk.offer(2, lane=1)
    assert desk.publisher.pump(1.0) == [1]
    assert desk.publisher.flush(desk.clock.monotonic() + 10) == [2]
    assert desk.sink.numbers == [1, 2, 2]
    assert desk.value("isthmus_retries_total", part="publisher", cause="throttled") == 1


def test_a_stream_that_answers_but_takes_nothing_is_away_until_it_takes_one() -> None:
    desk = Desk()
    throttled = Put(error="ProvisionedThroughputExceededException")
    desk.sink.script = [lambda _: [throttled, throttled], TargetDown("away"), lambda _: [throttled, Put("s", "1")]]
    desk.offer(1, lane=0)
    desk.offer(2, lane=1)
    seen = []
    with capture_logs() as logs:
        while not desk.publisher.idle():
            desk.publisher.pump(1.0)
            seen.append(desk.value("isthmus_away", part="kinesis"))
    assert [(line["event"], line.get("cause")) for line in logs] == [
        ("kinesis_away", "throttled"),
        ("kinesis_back", None),
    ]
    assert (seen[0], seen[-1]) == (1, 0)


def test_fatal_gets_out_at_once() -> None:
    desk = Desk()
    desk.sink.script = [Fatal("access denied")]
    desk.offer(1)
    with pytest.raises(Fatal, match="access denied"):
        desk.publisher.pump(1.0)


def test_an_unknown_error_is_tried_again_a_few_times_and_is_fatal_then() -> None:
    desk = Desk()
    desk.sink.script = [RuntimeError("odd") for _ in range(UNKNOWN_ERRORS)]
    desk.offer(1)
    with pytest.raises(Fatal, match="RuntimeError"):
        desk.publisher.flush(desk.clock.monotonic() + 1000)
    assert len(desk.sink.requests) == UNKNOWN_ERRORS


def test_unknown_errors_are_counted_from_the_last_success_on() -> None:
    desk = Desk()
    for number in range(3):
        desk.sink.script = [RuntimeError("odd") for _ in range(UNKNOWN_ERRORS - 1)]
        desk.offer(number)
        assert desk.publisher.flush(desk.clock.monotonic() + 1000) == [number]


def test_requests_in_flight_carry_different_lanes_and_are_no_more_than_allowed() -> None:
    desk = Desk(later=True, lanes=100, requests_in_flight=2)
    for lane in range(100):
        desk.offer(lane, lane=lane)
    desk.publisher.pump()
    assert len(desk.later.pending) == 2
    desk.offer(*range(100, 110))
    desk.publisher.pump()
    assert len(desk.later.pending) == 2
    desk.later.run(1)
    desk.later.run(0)
    assert len(desk.publisher.pump()) == 100
    first, second = desk.sink.requests
    assert {entry.lane for entry in first}.isdisjoint(entry.lane for entry in second)
    assert len(first) == len(second) == 50


def test_few_lanes_are_not_spread_over_several_requests() -> None:
    desk = Desk(later=True, requests_in_flight=2)
    for lane in range(4):
        desk.offer(lane, lane=lane)
    desk.publisher.pump()
    assert len(desk.later.pending) == 1


def test_there_is_no_room_once_too_many_bytes_are_unacknowledged() -> None:
    desk = Desk(max_unacknowledged_bytes=10)
    desk.offer(10_000, 10_000 - 1)
    assert desk.publisher.room()
    desk.offer(1)
    assert not desk.publisher.room()
    desk.publisher.pump(1.0)
    assert desk.publisher.room()


def test_pump_waits_no_longer_than_it_was_told() -> None:
    desk = Desk(later=True)
    desk.offer(1)
    desk.publisher.pump(0.3)
    assert desk.clock.monotonic() == pytest.approx(0.3)
    desk.later.run()
    assert desk.publisher.pump(0.3) == [1]
    assert desk.clock.monotonic() == pytest.approx(0.3), "what is there already is not waited for"


def test_pump_waits_the_whole_time_when_nothing_was_offered() -> None:
    desk = Desk()
    assert desk.publisher.pump(0.7) == []
    assert desk.clock.monotonic() == pytest.approx(0.7)


def test_a_first_event_lingers_for_others_but_no_longer_than_allowed() -> None:
    desk = Desk(linger=0.5)
    desk.offer(1)
    desk.publisher.pump()
    desk.clock.move(0.4)
    desk.offer(2)
    desk.publisher.pump()
    assert desk.sink.requests == []
    assert desk.publisher.pump(5.0) == []
    assert desk.clock.monotonic() == pytest.approx(0.5)
    assert desk.publisher.pump(5.0) == [1, 2]
    assert len(desk.sink.requests) == 1


def test_nothing_lingers_without_room_or_in_a_flush() -> None:
    desk = Desk(linger=60.0, max_unacknowledged_bytes=3)
    desk.offer(1)
    desk.publisher.pump()
    assert desk.sink.requests == []
    desk.offer(2, 3)
    assert desk.publisher.pump(1.0) == [1, 2, 3]
    desk.offer(4)
    assert desk.publisher.flush(desk.clock.monotonic() + 1) == [4]


def test_a_retry_does_not_linger() -> None:
    desk = Desk(linger=60.0)
    desk.sink.script = [TargetDown("away")]
    desk.offer(1)
    assert desk.publisher.flush(desk.clock.monotonic() + 0.5) == []
    desk.offer(2, lane=1)
    desk.clock.move(0.5)
    assert sorted(desk.publisher.pump(30.0)) == [1, 2]


def test_flush_ends_at_its_deadline_and_idle_says_that_something_is_left() -> None:
    desk = Desk()
    desk.sink.script = [TargetDown("away")] * 50
    desk.offer(1)
    assert desk.publisher.flush(desk.clock.monotonic() + 20) == []
    assert desk.clock.monotonic() == pytest.approx(20)
    assert not desk.publisher.idle()


def test_what_was_published_is_counted_with_the_sizes_of_its_bundles() -> None:
    desk = Desk()
    desk.offer(1, 2, 3)
    desk.offer(4, lane=1)
    desk.publisher.pump(1.0)
    assert desk.value("isthmus_changes_published_total", source="flights") == 4
    assert desk.value("isthmus_bundles_published_total", source="flights") == 2
    assert desk.value("isthmus_bundle_changes_sum") == 4
    assert desk.value("isthmus_bundle_bytes_sum") == len("[1,2,3][4]")
    assert desk.value("isthmus_unacknowledged_bytes") == 0


def test_threads_send_while_the_publisher_goes_on_and_waiting_ends_with_the_first_answer() -> None:
    clock, stop = SystemClock(), ThreadStop()
    executor = ThreadExecutor(2, stop, clock)
    go = Event()
    try:
        slow = executor.submit(lambda: [Put("s", str(go.wait(30)))])
        executor.wait([slow], 0.0)
        assert not slow.done()
        quick = executor.submit(lambda: [Put("s", "2")])
        executor.wait([slow, quick], 30.0)
        assert quick.done()
        assert quick.result() == [Put("s", "2")]
        assert not slow.done()
        go.set()
        executor.wait([slow], 30.0)
        assert slow.result() == [Put("s", "True")]
    finally:
        go.set()
        executor.close()
        executor.close()


def test_a_stop_ends_the_waiting_of_threads_but_a_wait_begun_after_it_is_meant() -> None:
    clock, stop = SystemClock(), ThreadStop()
    executor = ThreadExecutor(1, stop, clock)
    go = Event()
    try:
        job = executor.submit(lambda: [Put("s", str(go.wait(30)))])
        asked = Requesting(stop)
        ThreadExecutor.wait(executor, [asked, job], 30.0)
        assert not job.done(), "the stop, requested while it waited, ended it"
        go.set()
        executor.wait([job], 30.0)
        assert job.done()
    finally:
        go.set()
        executor.close()


class Requesting:
    """A handle that asks for a stop when it is looked at, and is never done."""

    def __init__(self, stop: ThreadStop) -> None:
        self._stop = stop

    def done(self) -> bool:
        self._stop.request()
        return False

    def result(self) -> list[Put]:
        return []
