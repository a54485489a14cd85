"""The pace of the back office and what it tells its parent, on virtual time."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.flights.backoffice import BackOffice
from examples.flights.data import Flight
from examples.flights.parent import Listener, Pace, Rate, Reporter
from examples.flights.simulate import Simulation
from isthmus.lifecycle import ThreadStop
from tests.fakes.clock import FakeClock, FakeStop

FLIGHTS = [Flight(20130101, "UA", number, None, "EWR", "IAH", 515, 517, 2, 819, 830, 11) for number in range(1, 101)]


def test_modifications_are_due_at_their_rate() -> None:
    clock = FakeClock()
    pace = Pace(Rate(100), clock, FakeStop(clock))
    for done, due in ((0, 0.0), (50, 0.5), (51, 0.51), (300, 3.0)):
        assert not pace.wait(done)
        assert clock.monotonic() == pytest.approx(due)


@given(st.lists(st.floats(min_value=0, max_value=0.2), min_size=1, max_size=50))
def test_work_that_takes_time_does_not_move_what_is_due_later(work: list[float]) -> None:
    clock = FakeClock()
    pace = Pace(Rate(10), clock, FakeStop(clock))
    free = 0.0
    for done, seconds in enumerate(work):
        pace.wait(done)
        assert clock.monotonic() == pytest.approx(max(free, done / 10))
        clock.move(seconds)
        free = clock.monotonic()


def test_a_new_rate_counts_from_its_change_and_is_heard_while_one_waits() -> None:
    clock = FakeClock()
    rate = Rate(1.0)
    pace = Pace(rate, clock, FakeStop(clock))
    clock.at(2.0, lambda: setattr(rate, "value", 100.0))
    assert not pace.wait(50)
    assert clock.monotonic() == pytest.approx(2.0, abs=0.2)
    changed = clock.monotonic()
    assert not pace.wait(150)
    assert clock.monotonic() == pytest.approx(changed + 1.0)


def test_at_a_slow_rate_few_modifications_share_a_transaction_but_one_always_goes() -> None:
    clock = FakeClock()
    rate = Rate(0.1)
    pace = Pace(rate, clock, FakeStop(clock))
    assert pace.portion(20) == 1
    rate.value = 50.0
    assert (pace.portion(20), pace.portion(3)) == (10, 3)
    rate.value = None
    assert pace.portion(20) == 20


@pytest.mark.parametrize(
    "line, heard",
    [
        (b"rate 12.5", 12.5),
        (b"rate max", None),
        (b"rate 0", 7.0),
        (b"rate -1", 7.0),
        (b"rate nan", 7.0),
        (b"rate inf", 7.0),
        (b"rate x", 7.0),
        (b"rate", 7.0),
        (b"", 7.0),
    ],
)
def test_a_rate_that_is_none_is_not_heard(line: bytes, heard: float | None) -> None:
    rate = Rate(7.0)
    Listener(ThreadStop(), rate)._hear(line)
    assert rate.value == heard


def test_without_a_rate_nothing_waits() -> None:
    clock = FakeClock()
    stop = FakeStop(clock)
    pace = Pace(Rate(None), clock, stop)
    assert not pace.wait(1_000_000)
    assert stop.waits == []


@pytest.mark.parametrize("rate", [None, 10.0])
def test_a_stop_ends_the_wait(rate: float | None) -> None:
    clock = FakeClock()
    stop = FakeStop(clock)
    pace = Pace(Rate(rate), clock, stop)
    stop.request()
    assert pace.wait(0)
    assert pace.wait(1000)
    assert clock.monotonic() == 0


def test_progress_is_told_at_most_every_half_second() -> None:
    clock = FakeClock()
    out = io.StringIO()
    reporter = Reporter(out, clock)
    for number in range(100):
        reporter.progress(number)
        clock.move(0.25)
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert told == [{"event": "progress", "modifications": number} for number in range(2, 100, 2)]


def live(tmp_path: Path, clock: FakeClock, stop: FakeStop, rate: float | None) -> list[dict[str, object]]:
    out = io.StringIO()
    office = BackOffice(tmp_path / "back-office.db", [], [], clock)
    try:
        simulation = Simulation(office, Reporter(out, clock), clock, stop)
        simulation.live(simulation.load(FLIGHTS), {"IAH": "America/Chicago"}, Rate(rate))
    finally:
        office.close()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_life_takes_as_long_as_its_rate_says(tmp_path: Path) -> None:
    clock = FakeClock()
    told = live(tmp_path, clock, FakeStop(clock), 100)
    assert told[0] == {"event": "schedule", "modifications": 100}
    assert told[1] == {"event": "live", "planned": 200}
    # The last transaction of the 200 begins when those before it are done, so no more than 20 are still to come.
    assert 1.8 <= clock.monotonic() < 2.0
    assert [event["event"] for event in told[2:]] == ["progress"] * 3


def test_a_stop_while_the_schedule_is_loaded_ends_it_between_two_transactions(tmp_path: Path) -> None:
    clock = FakeClock()
    stop = FakeStop(clock)
    out = io.StringIO()

    def flights() -> Iterator[Flight]:
        for number in range(1, 5001):
            if number == 3000:
                stop.request()
            yield FLIGHTS[0]._replace(number=number)

    office = BackOffice(tmp_path / "back-office.db", [], [], clock)
    try:
        simulation = Simulation(office, Reporter(out, clock), clock, stop)
        assert len(simulation.load(flights())) == 2000
    finally:
        office.close()
    assert simulation.modifications == 2000
    assert out.getvalue() == ""


def test_a_stop_midway_ends_a_life_between_two_transactions(tmp_path: Path) -> None:
    clock = FakeClock()
    stop = FakeStop(clock)
    clock.at(0.9, stop.request)
    told = live(tmp_path, clock, stop, 100)
    assert told[-1]["event"] == "progress"
    assert clock.monotonic() < 1.0
