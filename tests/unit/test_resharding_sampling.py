"""What advice is measured by: a sample of the stream that stays within its budget, and two looks at metrics."""

import hashlib
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest

from isthmus.change import lane_partition_key
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.codec import bundle, encode
from isthmus.console.dev.standin import free_ports
from isthmus.console.resharding.advising import LaneLoad, Load
from isthmus.console.resharding.application import Reading
from isthmus.console.resharding.cover import cover, even_cuts, lane_place, pieces_of
from isthmus.console.resharding.measuring import Asked, Lateness, Measuring, lateness, newest
from isthmus.console.resharding.sampling import PAGE_BYTES, Sampled, Sampling, Window
from isthmus.console.resharding.scraping import Rates, Told, even_lanes, rates, scrape
from isthmus.console.resharding.telling import Behind
from isthmus.console.serving import serving
from isthmus.consumer.feed import Fetched, IteratorExpired, Record, Shard, Trimmed
from isthmus.errors import IsthmusError, TargetDown, Transient
from isthmus.lifecycle import Stopped
from isthmus.metrics import Metrics
from isthmus.stream import StreamIdentity
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.wire import FLIGHT, MARKER

LANES = 8
STREAM = StreamIdentity("arn", "2013-01-01T00:00:00Z")
MINUTE = Window(60.0, 8 * 1024 * 1024)


class Tape:
    """Shards with records by arrival. Notes every read."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.shards: dict[str, list[Record]] = {}
        self.reads: list[tuple[float, str, int]] = []
        self.failing: dict[str, deque[IsthmusError]] = {"iterator": deque(), "fetch": deque()}
        self.trimmed: set[str] = set()

    def put(self, shard: str, seconds_ago: float, data: bytes, key: str = "lane-001") -> None:
        """Let a record arrive; in the order in which they are put."""
        held = self.shards.setdefault(shard, [])
        held.append(Record(str(len(held)), data, key, self.clock.now_ms() - round(1000 * seconds_ago)))

    def iterator_at(self, shard: str, moment_ms: int) -> str:
        if shard in self.trimmed:
            raise Trimmed("It is gone.")
        if self.failing["iterator"]:
            raise self.failing["iterator"].popleft()
        return f"{shard}|{bisect_left(self.shards[shard], moment_ms, key=lambda record: record.arrival_ms)}"

    def iterator(self, shard: str, after: str | None) -> str:
        return f"{shard}|{0 if after is None else int(after) + 1}"

    def fetch(self, iterator: str, limit: int) -> Fetched:
        shard, place = iterator.split("|")
        self.reads.append((self.clock.monotonic(), shard, limit))
        if self.failing["fetch"]:
            raise self.failing["fetch"].popleft()
        held = self.shards[shard]
        end = min(len(held), int(place) + limit)
        behind = self.clock.now_ms() - held[end].arrival_ms if end < len(held) else 0
        return Fetched(held[int(place) : end], f"{shard}|{end}", max(0, behind))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tape(clock: FakeClock) -> Tape:
    return Tape(clock)


def sample(tape: Tape, *shards: str, window: Window = MINUTE) -> Sampled:
    sampling = Sampling(tape, window, clock=tape.clock, stop=FakeStop(tape.clock))
    return sampling.run(shards or list(tape.shards), LANES)


def of(keys: dict[str, int]) -> bytes:
    """Give a bundle with so many changes of each key."""
    return bundle([encode(FLIGHT._replace(key=key)) for key, count in keys.items() for _ in range(count)])


def test_what_arrived_in_the_window_is_counted_by_lane_and_key(tape: Tape) -> None:
    tape.put("a", 61.0, of({"old": 5}))
    record = of({"one": 3, "two": 1})
    for seconds in (50.0, 40.0, 30.0):
        tape.put("a", seconds, record, "lane-002")
    tape.put("a", 20.0, of({"three": 1}), "lane-003")
    found = sample(tape)
    two, three = found.lanes
    assert (two.name, two.place, two.own) == ("lane-002", lane_place(2, LANES), True)
    assert two.load == pytest.approx(Load(3 * (len(record) + len("lane-002")) / 60, 3 / 60, 12 / 60))
    one = len(encode(FLIGHT._replace(key="one")))
    assert [(key.key, key.load) for key in two.keys] == [
        ("one", pytest.approx(Load(9 * one / 60, 0.0, 9 / 60))),
        ("two", pytest.approx(Load(3 * one / 60, 0.0, 3 / 60))),
    ]
    assert three.keys[0].key == "three"
    assert (found.shards, found.records, found.cut) == (1, 4, [])


def test_markers_and_what_is_no_change_count_as_load_and_not_as_keys(tape: Tape) -> None:
    tape.put("a", 30.0, bundle([encode(MARKER), encode(FLIGHT)]))
    tape.put("a", 20.0, b"what?")
    (lane,) = sample(tape).lanes
    assert lane.load.changes == pytest.approx(3 / 60)
    assert [key.key for key in lane.keys] == [FLIGHT.key]


def test_a_record_of_somebody_else_lies_where_its_partition_key_is_hashed_to(tape: Tape) -> None:
    tape.put("a", 30.0, b"{}", "somebody")
    tape.put("a", 30.0, b"{}", lane_partition_key(LANES))
    for lane in sample(tape).lanes:
        assert lane.place == int(hashlib.md5(lane.name.encode(), usedforsecurity=False).hexdigest(), 16)
        assert not lane.own


def test_what_a_parent_and_its_child_hold_of_a_lane_is_one(tape: Tape) -> None:
    tape.put("parent", 50.0, of({"one": 3}), "lane-002")
    tape.put("child", 10.0, of({"one": 2, "two": 7}), "lane-002")
    (lane,) = sample(tape).lanes
    assert lane.load.changes == pytest.approx(12 / 60)
    assert [(key.key, key.load.changes) for key in lane.keys] == [
        ("two", pytest.approx(7 / 60)),
        ("one", pytest.approx(5 / 60)),
    ]


def test_a_shard_is_read_once_a_second_and_about_a_mebibyte_at_a_time(tape: Tape) -> None:
    for number in range(400):
        for shard in ("a", "b"):
            tape.put(shard, 60.0 - number / 10, bytes(20_000))
    found = sample(tape)
    assert found.bytes == 2 * 400 * 20_000
    for shard in ("a", "b"):
        moments = [moment for moment, name, _ in tape.reads if name == shard]
        assert all(later - earlier >= 1.0 for earlier, later in pairwise(moments))
    assert {limit for _, _, limit in tape.reads} == {50, PAGE_BYTES // 20_000}


def test_beyond_its_budget_a_shard_is_not_read_and_what_was_covered_is_what_counts(tape: Tape) -> None:
    for number in range(600):
        tape.put("busy", 60.0 - number / 10, bytes(100_000))
    tape.put("calm", 30.0, bytes(100_000))
    found = sample(tape, window=Window(60.0, 2 * 1024 * 1024))
    assert found.cut == ["busy"]
    assert found.bytes < 10_000_000
    busy = found.lanes[0].load.bytes - 100_008 / 60
    assert busy == pytest.approx(1_000_000, rel=0.03)


def test_what_arrives_while_it_is_read_does_not_make_it_endless(tape: Tape, clock: FakeClock) -> None:
    for number in range(100):
        tape.put("a", 60.0 - number / 2, bytes(10))
    clock.every(0.1, lambda: tape.put("a", 0.0, bytes(10)))
    assert sample(tape).records == 100


def test_many_keys_of_a_lane_do_not_fill_the_memory_and_the_heavy_one_stays(tape: Tape) -> None:
    for number in range(60):
        tape.put("a", 50.0, of({f"light/{number}/{each}": 1 for each in range(100)} | {"heavy": 100}))
    (lane,) = sample(tape).lanes
    assert lane.keys[0].key == "heavy"
    assert lane.keys[0].load.changes == pytest.approx(6000 / 60)


def test_a_shard_that_is_trimmed_is_left_out(tape: Tape) -> None:
    tape.put("a", 30.0, bytes(10))
    tape.trimmed = {"b"}
    assert sample(tape, "a", "b").shards == 1


@pytest.mark.parametrize("operation", ["iterator", "fetch"])
@pytest.mark.parametrize("error", [Transient("slow", cause="throttled"), TargetDown("away")])
def test_what_passes_is_waited_for_and_what_lasts_half_a_minute_is_told(
    tape: Tape, operation: str, error: Transient
) -> None:
    tape.put("a", 30.0, bytes(10))
    tape.failing[operation].extend([error] * 20)
    assert sample(tape).records == 1
    tape.failing[operation].extend([error] * 100)
    began = tape.clock.monotonic()
    with pytest.raises(type(error), match=error.message):
        sample(tape)
    assert tape.clock.monotonic() - began == pytest.approx(30.0)


def test_where_a_page_does_not_come_through_a_smaller_one_is_asked_for(tape: Tape) -> None:
    tape.put("a", 30.0, bytes(10))
    tape.failing["fetch"].extend([TargetDown("slow", cause="timeout")] * 7)
    sample(tape)
    assert [limit for _, _, limit in tape.reads] == [50, 25, 12, 6, 3, 1, 1, 1]


def test_an_iterator_that_expired_is_made_anew(tape: Tape) -> None:
    for number in range(120):
        tape.put("a", 60.0 - number / 2, bytes(10))
    real = tape.fetch
    tape.fetch = expiring(real)  # type: ignore[method-assign]
    assert sample(tape).records >= 120


def expiring(real: object) -> object:
    calls = iter([False, True, False, True, False, False])

    def fetch(iterator: str, limit: int) -> Fetched:
        if next(calls):
            raise IteratorExpired("It expired.")
        assert callable(real)
        answer: Fetched = real(iterator, limit)
        return answer

    return fetch


def test_a_stop_ends_it(tape: Tape) -> None:
    tape.put("a", 30.0, bytes(10))
    tape.failing["fetch"].extend([Transient("slow", cause="throttled")] * 10)
    stop = FakeStop(tape.clock)
    tape.clock.at(3.0, stop.request)
    with pytest.raises(Stopped):
        Sampling(tape, MINUTE, clock=tape.clock, stop=stop).run(["a"], LANES)


# metrics


@pytest.fixture
def served() -> Iterator[tuple[list[Metrics], list[str]]]:
    """Give the metrics of a producer and a consumer, and where they are served."""
    every, ports = [Metrics(), Metrics()], free_ports(2)
    with ExitStack() as stack:
        for metrics, port in zip(every, ports, strict=True):
            stack.enter_context(serving(metrics, "127.0.0.1", port, str))
        yield every, [f"http://127.0.0.1:{port}/metrics" for port in ports]


def count(producer: Metrics, consumer: Metrics, times: int) -> None:
    producer.retries.labels("publisher", "throttled").inc(times)
    producer.retries.labels("publisher", "internal").inc(99)
    consumer.retries.labels("stream", "throttled").inc(99)
    for _ in range(times):
        producer.bundle_bytes.observe(3000)
    for metrics in (producer, consumer):
        metrics.records.labels("a").inc(times)
        metrics.outcomes.labels("a", "applied").inc(10 * times)
        metrics.outcomes.labels("a", "stale").inc(times)


def test_metrics_of_several_processes_are_read_as_one(served: tuple[list[Metrics], list[str]]) -> None:
    every, urls = served
    count(*every, times=5)
    assert scrape(urls) == (Told(5.0, 5.0, 15_000.0, {"a": 10.0}, {"a": 110.0}), [])


def test_a_proxy_of_the_environment_does_not_stand_in_between(
    served: tuple[list[Metrics], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.delenv("no_proxy", raising=False)
    every, urls = served
    count(*every, times=5)
    assert scrape(urls)[1] == []


def test_an_address_without_metrics_is_told_and_the_others_are_read(served: tuple[list[Metrics], list[str]]) -> None:
    every, urls = served
    count(*every, times=5)
    silent = f"http://127.0.0.1:{free_ports(1)[0]}/metrics"
    other = urls[1].replace("/metrics", "/nothing")
    found, troubles = scrape([urls[0], silent, other, "no address"])
    assert found.records == {"a": 5.0}
    assert [trouble.partition(" does not")[0] for trouble in troubles] == [silent, other, "no address"]


def test_rates_are_those_of_what_was_counted_between_two_looks() -> None:
    before = Told(10.0, 100.0, 1e6, {"a": 10.0, "again": 500.0}, {"a": 100.0, "again": 500.0})
    after = Told(30.0, 200.0, 3e6, {"a": 30.0, "again": 5.0, "new": 99.0}, {"a": 140.0, "again": 5.0, "new": 99.0})
    assert rates(before, after, 10.0) == Rates(2.0, 15_000.0, {"a": 2.0, "again": 0.0}, {"a": 4.0, "again": 0.0})
    assert rates(Told(), Told(), 1.0).bundle_bytes is None


def test_without_a_sample_the_lanes_of_a_shard_are_taken_to_be_alike() -> None:
    pieces = [piece._replace(id=name) for name, piece in zip("ab", pieces_of(even_cuts(2)), strict=True)]
    found = even_lanes(Rates(0.0, 1000.0, {"a": 8.0}, {"a": 80.0, "gone": 7.0}), pieces, 8)
    assert [lane.place for lane in found] == [lane_place(lane, 8) for lane in range(8)]
    assert [lane.load for lane in found] == [Load(2000.0, 2.0, 20.0)] * 4 + [Load(0.0, 0.0, 0.0)] * 4


# measuring


def family() -> list[Shard]:
    """Give two shards, of which one has a parent and a grandparent."""
    low, high = ((str(piece.low), str(piece.high)) for piece in pieces_of(even_cuts(2)))
    return [
        Shard("grandparent", (), True, *low),
        Shard("parent", ("grandparent",), True, *low),
        Shard("child", ("parent",), False, *low),
        Shard("other", ("gone",), False, *high),
    ]


def measure(tape: Tape, urls: list[str], *, sampled: bool) -> tuple[list[LaneLoad], Rates | None, list[str]]:
    for shard in family():
        tape.shards.setdefault(shard.id, [])
    asked = Asked(Window(20.0, 1024 * 1024), urls, sample=sampled)
    measuring = Measuring(tape, asked, clock=tape.clock, stop=FakeStop(tape.clock))
    found = measuring.run(family(), cover(family()), LANES, lambda *_: None)
    return list(found.lanes), found.told, list(found.troubles)


def test_open_shards_and_their_parents_are_sampled() -> None:
    assert newest(family(), cover(family())) == ["parent", "child", "other"]


def test_metrics_are_looked_at_twice_beside_a_sample(
    tape: Tape, clock: FakeClock, served: tuple[list[Metrics], list[str]]
) -> None:
    every, urls = served
    count(*every, times=5)
    clock.at(4.0, lambda: count(*every, times=10))
    tape.put("child", 10.0, of({"one": 40}))
    lanes, told, troubles = measure(tape, urls, sampled=True)
    assert lanes[0].load.changes == pytest.approx(2.0)
    assert told is not None
    assert (told.throttled, told.records) == (2.0, {"a": 4.0}), "in five seconds"
    assert troubles == []


def test_without_a_sample_nothing_is_read_and_metrics_are_a_window_apart(
    tape: Tape, clock: FakeClock, served: tuple[list[Metrics], list[str]]
) -> None:
    every, urls = served
    every[1].records.labels("child").inc(7)
    clock.at(19.0, lambda: every[1].records.labels("child").inc(40))
    lanes, _, _ = measure(tape, urls, sampled=False)
    assert tape.reads == []
    assert sum(lane.load.records for lane in lanes) == pytest.approx(2.0)


def test_a_sample_needs_no_metrics_and_who_has_neither_is_told(tape: Tape) -> None:
    silent = f"http://127.0.0.1:{free_ports(1)[0]}/metrics"
    tape.put("child", 10.0, of({"one": 40}))
    lanes, told, troubles = measure(tape, [silent], sampled=True)
    assert (len(lanes), told, len(troubles)) == (1, None, 1)
    with pytest.raises(TargetDown, match=r"does not answer with metrics.*--metrics"):
        measure(tape, [silent], sampled=False)
    with pytest.raises(TargetDown, match="No metrics are served"):
        measure(tape, [], sampled=False)


class Saved:
    """An application that is so far."""

    def __init__(self, **saved: str | None) -> None:
        self._saved = {name: ShardCheckpoint(name, STREAM, sequence) for name, sequence in saved.items()}

    def reading(self) -> Reading:
        return Reading(self._saved, {}, by_leases=False, awake=True)


class Silent:
    """An application whose checkpoints are away."""

    def reading(self) -> Reading:
        raise TargetDown("Nobody answers.")


def test_how_far_behind_the_application_is_in_open_shards_comes_from_its_checkpoints(tape: Tape) -> None:
    for shard in family():
        for seconds in (90.0, 60.0, 5.0):
            tape.put(shard.id, seconds, b"")
    found = lateness(tape, family(), Saved(child="0", other="1", parent=None), tape.clock)
    assert found.behind == [Behind("child", 60.0), Behind("other", 5.0)]
    assert found.draining == ["grandparent", "parent"]
    assert found.late() == [Behind("child", 60.0)]
    assert found.decided(Rates(0.0, None, {}, {"child": 33.0, "other": 7.0})) == 33.0
    assert found.decided(Rates(0.0, None, {}, {"child": 0.0, "other": 7.0})) is None
    assert found.decided(None) is None


def test_an_application_that_never_read_or_does_not_say_is_behind_in_nothing(tape: Tape) -> None:
    assert lateness(tape, family(), Saved(), tape.clock) == Lateness()
    assert lateness(tape, family(), Silent(), tape.clock) == Lateness()
    tape.failing["fetch"].extend([TargetDown("Nobody answers.")] * 9)
    tape.shards = {shard.id: [] for shard in family()}
    assert lateness(tape, family(), Saved(child="0"), tape.clock).behind == []
