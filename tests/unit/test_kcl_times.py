"""Up to which moment a shard is decided, as far as a child of the library's daemon can know."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.consumer.runtimes.kcl.protocol import ProcessRecords
from isthmus.consumer.runtimes.kcl.times import READ_AHEAD, ArrivalTimes
from tests.fakes.kcl_daemon import records_of


def empty(behind_ms: int | None = 0) -> ProcessRecords:
    return ProcessRecords([], behind_ms)


def test_records_tell_when_they_arrived() -> None:
    times = ArrivalTimes()
    times.asked(5_000)
    assert times.decided(ProcessRecords(records_of(1, 1, 1), 0)) == 1_002


def test_an_empty_batch_tells_nothing_until_it_was_surely_read_after_an_older_one_was_given() -> None:
    times, told = ArrivalTimes(), []
    for number in range(READ_AHEAD + 2):
        times.asked(10_000 + number)
        told.append(times.decided(empty(100)))
    assert told == [None] * (READ_AHEAD - 1) + [9_900, 9_901, 9_902]


def test_an_empty_batch_that_does_not_say_how_far_it_reached_tells_nothing() -> None:
    times = ArrivalTimes()
    for _ in range(2 * READ_AHEAD):
        times.asked(10_000)
        assert times.decided(empty(None)) is None


def test_a_record_without_a_time_tells_nothing() -> None:
    times = ArrivalTimes()
    times.asked(5_000)
    (record,) = records_of(1)
    assert times.decided(ProcessRecords([record._replace(arrival_ms=0)], 0)) is None


STEPS = ("wait", "read", "read", "read", "put")


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.sampled_from(["wait", "read", "read", "read", "put"])),
        min_size=60,
        max_size=120,
    ),
    st.integers(1, READ_AHEAD - 1),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_that_is_not_decided_arrived_before_the_moment_however_far_the_library_reads_ahead(
    steps: list[tuple[int, str]], ahead: int
) -> None:
    """A library that reads as far ahead as it can, and a child that decides at once or after a long wait."""
    times, now = ArrivalTimes(), 1_000_000
    arrivals: list[int] = []
    read = 0  # records that were read from the stream
    queue: list[tuple[list[int], int]] = []
    decided = 0

    def fill() -> None:
        nonlocal read
        while len(queue) < ahead:
            queue.append((arrivals[read:], 0))
            read = len(arrivals)

    fill()
    for milliseconds, step in steps:
        now += milliseconds * (1_000 if step == "wait" else 1)
        if step == "put":
            arrivals.append(now)
        elif step == "read":
            fresh, behind = queue.pop(0)
            times.asked(now)
            records = [
                record._replace(arrival_ms=arrival)
                for record, arrival in zip(records_of(*[1] * len(fresh)), fresh, strict=True)
            ]
            decided += len(records)
            until = times.decided(ProcessRecords(records, behind))
            undecided = arrivals[decided:]
            assert until is None or not undecided or undecided[0] >= until
            fill()
