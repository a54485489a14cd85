"""The small parts of the console, without servers and on virtual time."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from isthmus.addresses import sqlite_file
from isthmus.attempts import Attempts
from isthmus.checkpoint.ports import Holder, Lease
from isthmus.console.exits import Exit, exit_of, way_to
from isthmus.console.health import Health
from isthmus.console.housekeeping import Housekeeping
from isthmus.console.owners import Life, owners
from isthmus.console.producing import open_references
from isthmus.console.serving import serving
from isthmus.console.tape import Tape
from isthmus.console.wiring import Wiring
from isthmus.consumer.stores.port import Pruned
from isthmus.consumer.stores.reading import ParkedReason
from isthmus.errors import (
    Fatal,
    HeldByAnother,
    Missing,
    OwnershipLost,
    Refused,
    TargetDown,
    Transient,
    WrongSettings,
)
from isthmus.metrics import Metrics
from isthmus.producer.sink import Entry
from isthmus.producer.sources.references import JoinedReferences
from isthmus.settings import Store, load
from isthmus.stream import StreamIdentity
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.stream import MemoryStream

HOUR, DAY_MS = 3600.0, 24 * 3600 * 1000


@pytest.mark.parametrize(
    "error, code",
    [
        (WrongSettings([]), Exit.SETTINGS),
        (Missing("x"), Exit.MISSING),
        (HeldByAnother("x", "y"), Exit.HELD),
        (OwnershipLost("x"), Exit.HELD),
        (Refused("x"), Exit.FAILED),
        (TargetDown("x"), Exit.FAILED),
        (ValueError("x"), Exit.FAILED),
    ],
)
def test_an_error_has_its_exit_code(error: Exception, code: Exit) -> None:
    assert exit_of(error) is code


def test_the_way_to_an_error_tells_places_and_no_data() -> None:
    def fail() -> None:
        raise ValueError("Ada Lovelace")

    with pytest.raises(ValueError, match="Ada") as raised:
        fail()
    way = way_to(raised.value)
    assert way.endswith(" fail")
    assert Path(__file__).name in way
    assert "Ada" not in way


@pytest.mark.parametrize(
    "url, path",
    [
        ("sqlite:///data/office.db", "data/office.db"),
        ("sqlite:////data/a%20folder/100%25.db", "/data/a folder/100%.db"),
        ("sqlite:////data/a folder/50%.db", "/data/a folder/50%.db"),
        ("sqlite+pysqlite:///file:office.db?mode=ro&uri=true", "office.db"),
        ("sqlite://", ""),
        ("postgresql://host/office", ""),
    ],
)
def test_a_sqlite_address_names_its_file(url: str, path: str) -> None:
    assert sqlite_file(url) == path


# health


def test_only_what_is_away_for_a_minute_makes_a_process_unwell() -> None:
    clock, metrics = FakeClock(), Metrics()
    health = Health(metrics, clock)
    attempts = Attempts("kinesis", metrics, clock)
    attempts.failed(TargetDown("away"))
    assert health.wrong() == ""
    clock.move(59)
    assert health.wrong() == ""
    clock.move(2)
    assert health.wrong() == "kinesis has been away for 61 s"
    attempts.recovered()
    assert health.wrong() == ""
    attempts.failed(TargetDown("away"))
    assert health.wrong() == ""


# housekeeping


class House:
    """A store that is pruned, and a parking lot that is read."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stop = FakeStop(self.clock)
        self.metrics = Metrics()
        self.prunings: list[tuple[float, int, int]] = []
        self.failing: list[Exception] = []
        self.hidden = False
        self.broken = False
        self.on_duty = True
        self.reasons: list[ParkedReason] = []
        self.looks: list[float] = []
        self.look_takes = 0.0

    def prune(self, *, memory_before_ms: int, history_before_ms: int, stop: Any, portion: int = 1000) -> Pruned:
        assert stop is self.stop
        assert portion > 0
        self.prunings.append((self.clock.monotonic(), memory_before_ms, history_before_ms))
        if self.failing:
            raise self.failing.pop()
        return Pruned(1, 0, 0, 0)

    def parked_by_reason(self) -> list[ParkedReason]:
        self.looks.append(self.clock.monotonic())
        self.clock.move(self.look_takes)
        if self.hidden:
            raise TargetDown("away")
        if self.broken:
            raise KeyError
        return self.reasons

    def keep(self, seconds: float) -> "House":
        self.clock.at(self.clock.monotonic() + seconds, self.stop.request)
        settings = Store.model_construct(url=SecretStr("x"), delete_memory_days=30, history_days=7)
        this: Any = self
        Housekeeping(
            this,
            this,
            settings,
            clock=self.clock,
            stop=self.stop,
            metrics=self.metrics,
            on_duty=lambda: self.on_duty,
        ).run()
        return self

    def parked(self, reason: str) -> float | None:
        return self.metrics.registry.get_sample_value("isthmus_parked_keys", {"reason": reason})

    def oldest(self, reason: str) -> float | None:
        return self.metrics.registry.get_sample_value("isthmus_parked_oldest_timestamp_seconds", {"reason": reason})


def test_what_is_old_is_forgotten_a_minute_after_the_start_and_every_hour() -> None:
    house = House().keep(2.5 * HOUR)
    assert [at for at, _, _ in house.prunings] == [60, 60 + HOUR, 60 + 2 * HOUR]
    at, memory, history = house.prunings[0]
    now = FakeClock().now_ms() + round(at * 1000)
    assert (memory, history) == (now - 30 * DAY_MS, now - 7 * DAY_MS)


def test_a_pruning_that_fails_is_logged_and_made_again_an_hour_later() -> None:
    house = House()
    house.failing = [TargetDown("no disk")]
    with structlog.testing.capture_logs() as logs:
        house.keep(1.5 * HOUR)
    assert len(house.prunings) == 2
    assert [line["event"] for line in logs] == ["pruning_failed", "pruned"]


def test_an_error_that_nobody_expected_does_not_end_housekeeping() -> None:
    house = House()
    house.failing = [ZeroDivisionError("a value of a row")]
    with structlog.testing.capture_logs() as logs:
        house.keep(1.5 * HOUR)
    assert [(line["event"], line.get("why")) for line in logs] == [
        ("pruning_failed", "ZeroDivisionError"),
        ("pruned", None),
    ]


def test_a_count_that_fails_unexpectedly_is_said_once_and_pruning_goes_on() -> None:
    house = House()
    house.broken = True
    with structlog.testing.capture_logs() as logs:
        house.keep(0.5 * HOUR)
    assert [line["event"] for line in logs] == ["parked_not_counted", "pruned"]


def test_a_parking_lot_that_is_away_keeps_its_last_numbers() -> None:
    house = House()
    house.reasons = [ParkedReason("contract", 2, 3, 1_500)]

    def hide() -> None:
        house.hidden = True

    house.clock.at(7, hide)
    assert house.keep(12).parked("contract") == 2


def test_what_is_parked_is_shown_by_reason_and_leaves_when_it_is_gone() -> None:
    house = House()
    house.reasons = [ParkedReason("contract", 2, 3, 1_500)]
    house.keep(1)
    assert (house.parked("contract"), house.oldest("contract")) == (2, 1.5)
    again = House()
    again.reasons = [ParkedReason("contract", 2, 3, 1_500)]
    again.clock.at(7, again.reasons.clear)
    again.keep(12)
    assert (again.parked("contract"), again.oldest("contract")) == (None, None)


@pytest.mark.parametrize("takes, looks", [(0.1, [0, 5.1, 10.2]), (1.0, [0, 21, 42]), (30.0, [0, 90, 180])])
def test_a_lot_that_takes_long_to_count_is_counted_less_often(takes: float, looks: list[float]) -> None:
    house = House()
    house.look_takes = takes
    house.keep(looks[-1] + 0.5)
    assert house.looks == pytest.approx(looks)


def test_a_worker_that_is_not_on_duty_prunes_nothing_and_tells_nothing_of_what_is_parked() -> None:
    house = House()
    house.reasons = [ParkedReason("contract", 2, 3, 1_500)]

    def relieve() -> None:
        house.on_duty = False

    house.clock.at(30, relieve)
    house.keep(3 * HOUR)
    assert house.prunings == []
    assert (house.parked("contract"), house.oldest("contract")) == (None, None)


def test_a_worker_that_comes_on_duty_does_what_is_due() -> None:
    house = House()
    house.on_duty = False
    house.reasons = [ParkedReason("contract", 2, 3, 1_500)]

    def take_over() -> None:
        house.on_duty = True

    house.clock.at(2 * HOUR + 1, take_over)
    house.keep(2.5 * HOUR)
    assert [at for at, _, _ in house.prunings] == [2 * HOUR + 5]
    assert house.parked("contract") == 2


# owners

HOLDER = Holder("me", "elsewhere", "boot", 42, "4711", "2013-01-01T00:00:00.000Z")
LEASE = Lease("source/flights", 7, HOLDER, 5, StreamIdentity("arn", "now"))


def looking(*looks: Sequence[Lease], dead: bool | None = None) -> dict[str, Any]:
    left = list(looks)
    clock = FakeClock()
    stop = FakeStop(clock)
    found = owners(lambda: left.pop(0) if len(left) > 1 else left[0], stop, is_dead=lambda _: dead)
    return {name: owner.life for name, owner in found.items()} | {"seconds": clock.monotonic()}


def test_a_holder_whose_counter_moves_is_alive_and_no_look_follows() -> None:
    seen = looking([LEASE], [LEASE], [replace(LEASE, beat=6)])
    assert seen["source/flights"] is Life.ALIVE
    assert seen["seconds"] < 1


def test_a_holder_whose_counter_stands_still_is_silent() -> None:
    seen = looking([LEASE])
    assert seen == {"source/flights": Life.SILENT, "seconds": pytest.approx(2.5)}


def test_a_holder_whose_process_is_gone_is_dead_and_nobody_waits() -> None:
    assert looking([LEASE], dead=True) == {"source/flights": Life.DEAD, "seconds": 0}


def test_what_was_given_back_has_no_owner() -> None:
    assert looking([replace(LEASE, holder=None)]) == {"seconds": 0}


# the tape


@pytest.fixture
def stream() -> MemoryStream:
    made = MemoryStream(FakeClock(), shards=2, lanes=4)
    made.put([Entry(lane, b"%d" % lane) for lane in range(4)])
    return made


def test_a_tape_reads_each_record_once_and_goes_on_where_it_was(stream: MemoryStream) -> None:
    tape = Tape(stream)
    assert tape.read() == 4
    stream.put([Entry(0, b"later")])
    stream.expire_iterators()
    assert tape.read() == 1
    assert tape.records[-1] == b"later"


def test_a_throttled_tape_waits_and_an_outage_is_told(stream: MemoryStream) -> None:
    stop = FakeStop(FakeClock())
    tape = Tape(stream, pause=stop)
    stream.throttle(3)
    assert tape.read() == 4
    assert len(stop.waits) == 3
    stream.fail("fetch", lambda: TargetDown("away"))
    with pytest.raises(TargetDown):
        tape.read()
    stream.throttle(1000)
    with pytest.raises(Transient):
        tape.read()


# serving


def test_an_address_that_cannot_be_had_is_refused() -> None:
    with pytest.raises(Refused, match="Set another address"), serving(Metrics(), "192.0.2.1", 0, str):
        raise AssertionError("nothing is served there")


# references

SETTINGS = """
application = "shop"
[stream]
name = "shop"
[sources.shop]
pipeline = "pipelines:shop"
url = "sqlite:///one 100%.db"
table = "T"
key = "CODE"
cursor = "SEQ"
order = "commit"
[sources.shop.references.a]
table = "T"
key = "CODE"
reload_interval = 60
[sources.shop.references.b]
table = "T"
key = "CODE"
reload_interval = 60
url = "sqlite:///two.db"
[sources.shop.references.c]
table = "T"
key = "CODE"
reload_interval = 5
[entities.thing]
table = "thing"
[store]
url = "sqlite:///front-office.db"
"""


def test_reference_tables_lie_where_the_settings_say_and_are_reloaded_when_they_say(tmp_path: Path) -> None:
    folder = tmp_path / "what? 50 %20"
    folder.mkdir()
    for name in ("one 100%", "two"):
        with closing(sqlite3.connect(folder / f"{name}.db")) as connection, connection:
            connection.execute("CREATE TABLE T (CODE TEXT, NAME TEXT)")
            connection.execute("INSERT INTO T VALUES ('X', ?)", (name,))
    (folder / "isthmus.toml").write_text(SETTINGS)
    settings, clock = load(folder / "isthmus.toml"), FakeClock()
    joined = open_references(Wiring(settings, clock=clock), settings.sources["shop"])
    assert isinstance(joined, JoinedReferences)
    tables = "abc"
    try:
        joined.refresh_if_due()
        assert {name: joined.table(name)["X"]["NAME"] for name in tables} == {
            "a": "one 100%",
            "b": "two",
            "c": "one 100%",
        }
        before = {name: joined.table(name) for name in tables}
        clock.move(6)
        joined.refresh_if_due()
        assert {name for name in tables if joined.table(name) is not before[name]} == {"c"}
        with pytest.raises(Fatal, match="no reference table 'd'"):
            joined.table("d")
    finally:
        joined.close()
