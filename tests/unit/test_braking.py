"""Shards and processes under the park brake: nothing is lost, nothing more is parked, and a stop works as ever."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from isthmus.attempts import Attempts, AttemptsByPart
from isthmus.change import Change, Kind
from isthmus.checkpoint.brakes import BrakeNote, MemoryBrakes, Word
from isthmus.consumer.applier import Applier
from isthmus.consumer.braking import READ_EVERY, Braked, NoBrake, ParkBrake
from isthmus.consumer.feed import Place
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.consumer.runtimes.kcl.states import ChildState
from isthmus.consumer.stores.port import Entity, Parking, TableMapping
from isthmus.errors import Fatal, TargetDown, Transient
from isthmus.lifecycle import Stopped
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.kcl_desk import BATCH, BEGIN, ChildDesk, NotingDecider
from tests.fakes.processor_desk import record
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import event, untranslated, upsert

MOST = 3
REASON = "constraint"


class Office:
    """What stays when a process goes: the front office, the notes, time."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteOffice(folder)
        self.notes = MemoryBrakes()
        self.clock = FakeClock()

    def parked(self) -> list[str]:
        return [row["txn"] for row in self.store.own("parked")]

    def things(self) -> list[str]:
        return [row["key"] for row in self.store.rows("thing")]

    def release(self) -> None:
        standing = self.notes.read_all()[REASON]
        self.notes.let_off(BrakeNote(REASON, standing.number, Word.RELEASED, "", "", 0, 0, "ada", "bad data", 1))


class Process:
    """One process: its shards on virtual time, its notes read and written as its own task does it."""

    def __init__(self, office: Office, *, batch: int = 5, ignores_checks: bool = False) -> None:
        self.office = office
        self.clock = office.clock
        self.stop = FakeStop(self.clock)
        self.metrics = Metrics()
        self.batch = batch
        self.brake = ParkBrake(
            MOST,
            office.notes,
            clock=self.clock,
            chance=random.Random(1),
            metrics=self.metrics,
            watch=Attempts("park_brake", self.metrics, self.clock),
        )
        mapping = TableMapping("thing", "key", "version", {"size": "size", "note": "note"})
        self.entities = {
            "thing": Entity("thing", Kind.STATE, mapping, None),
            "posting": Entity("posting", Kind.EVENT, None, None, (self._handle,)),
        }
        self.ignores_checks = ignores_checks
        self.clock.at(self.clock.monotonic() + 0.01, self.brake.sync)
        self.clock.every(READ_EVERY, self.brake.sync)

    def _handle(self, *_: object) -> None:
        raise ValueError

    def shard(self, name: str = "shard-0") -> ShardProcessor:
        session = self.office.store.store(list(self.entities.values())).session()
        if self.ignores_checks:
            session._shared.connection.execute("PRAGMA ignore_check_constraints = ON")
        applier = Applier(
            session, self.entities, self.clock, self.metrics, history=False, quick=session, brake=self.brake
        )
        return ShardProcessor(
            name,
            applier,
            payloads=None,
            stop=self.stop,
            clock=self.clock,
            chance=random.Random(1),
            metrics=self.metrics,
            attempts=AttemptsByPart(self.metrics, self.clock),
            settings=ProcessorSettings(batch_changes=self.batch),
            brake=self.brake,
        )

    def stops_at(self, seconds: float) -> None:
        self.clock.at(self.clock.monotonic() + seconds, self.stop.request)

    @property
    def is_on(self) -> float | None:
        return self.metrics.registry.get_sample_value("isthmus_park_brake", {"reason": REASON})


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def bad(number: int) -> Change:
    return upsert(number, f"bad/{number:02}", size=-1)


def good(number: int) -> Change:
    return upsert(number, f"good/{number:02}")


def records(changes: Sequence[Change], begin: int = 1) -> list[object]:
    return [record(begin + number, change) for number, change in enumerate(changes)]


def process(shard: ShardProcessor, changes: Sequence[Change], begin: int = 1) -> None:
    shard.process(records(changes, begin))  # type: ignore[arg-type]


BURST = [good(1), bad(2), bad(3), good(4), bad(5), bad(6), good(7), bad(8), bad(9), good(10)]


def test_a_bad_release_parks_no_more_than_is_allowed_and_holds_the_rest(office: Office) -> None:
    life = Process(office)
    shard = life.shard()
    life.stops_at(600)
    with capture_logs() as logs, pytest.raises(Stopped):
        process(shard, BURST)
    assert sorted(office.parked()) == ["bad/02-2", "bad/03-3", "bad/05-5"]
    # What is beside too much poison may have gone the quick way; nothing of that counts as done.
    assert {"good/01", "good/04"} <= set(office.things()) <= {"good/01", "good/04", "good/07", "good/10"}
    assert shard.position() == "5"
    assert life.is_on == 1
    assert [entry["event"] for entry in logs].count("park_brake_on") == 1
    assert office.notes.read_all()[REASON].word is Word.ON


def test_below_the_limit_nobody_notices_it(office: Office) -> None:
    life = Process(office)
    process(life.shard(), BURST[:5])
    assert life.clock.monotonic() < 1
    assert office.notes.read_all() == {}
    assert life.is_on is None


def test_a_release_lets_all_of_it_be_parked(office: Office) -> None:
    life = Process(office)
    life.clock.at(100, office.release)
    with capture_logs() as logs:
        process(life.shard(), BURST)
    assert len(office.parked()) == 6
    assert len(office.things()) == 4
    assert life.is_on == 0
    released = [entry for entry in logs if entry["event"] == "park_brake_released"]
    assert [(entry["how"], entry["who"], entry["why"]) for entry in released] == [("released", "ada", "bad data")]
    assert 100 <= life.clock.monotonic() <= 100 + READ_EVERY + 1


def test_when_the_cause_is_gone_it_goes_on_by_itself(office: Office) -> None:
    life = Process(office)
    shard = life.shard()
    life.stops_at(60)
    with pytest.raises(Stopped):
        process(shard, BURST)
    # The next release of the code, here of the table.
    life = Process(office, ignores_checks=True)
    with capture_logs() as logs:
        process(life.shard(), BURST[5:], begin=6)
    life.brake.sync()
    assert len(office.parked()) == 3
    assert len(office.things()) == 7
    assert office.notes.read_all()[REASON].word is Word.EASED
    assert [entry["how"] for entry in logs if entry["event"] == "park_brake_released"] == ["eased"]


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
def test_a_restart_lets_no_second_burst_through(office: Office, batch: int) -> None:
    for _ in range(5):
        life = Process(office, batch=batch)
        life.stops_at(120)
        with pytest.raises(Stopped):
            # From the same checkpoint again, as after a kill.
            process(life.shard(), BURST)
    assert len(office.parked()) <= MOST


def test_before_the_notes_could_be_read_nothing_is_decided(office: Office) -> None:
    office.notes.error = TargetDown("away")
    life = Process(office)
    life.stops_at(30)
    with capture_logs() as logs, pytest.raises(Stopped):
        process(life.shard(), BURST[:1])
    assert office.things() == []
    assert [entry["event"] for entry in logs if entry["event"].startswith("park_brake")] == ["park_brake_away"]


@pytest.mark.parametrize("error", [TargetDown("away"), Fatal("not allowed")], ids=repr)
def test_notes_that_are_away_neither_lose_what_is_on_nor_let_it_go(office: Office, error: Exception) -> None:
    life = Process(office)
    life.brake.sync()
    office.notes.error = error
    life.clock.at(50, lambda: setattr(office.notes, "error", None))
    life.clock.at(100, office.release)
    process(life.shard(), BURST)
    assert life.clock.monotonic() > 100
    assert office.notes.read_all()[REASON].who == "ada"


def test_every_shard_of_every_process_holds(office: Office) -> None:
    first, second = Process(office), Process(office)
    first.stops_at(20)
    with pytest.raises(Stopped):
        process(first.shard(), BURST)
    for life in (first, second):
        life.stop = FakeStop(life.clock)
        life.brake.sync()
        life.stops_at(20)
        with pytest.raises(Stopped):
            process(life.shard("shard-1"), [good(50)], begin=900)
    assert "good/50" not in office.things()
    assert second.is_on == 1


def test_the_shard_that_met_it_tries_now_and_then_and_no_other(office: Office) -> None:
    life = Process(office)
    shard = life.shard()
    tried: list[float] = []
    park = life.brake.park

    def noting(parkings: Iterable[Parking]) -> None:
        tried.append(life.clock.monotonic())
        park(parkings)

    life.brake.park = noting  # type: ignore[method-assign]
    life.stops_at(3600)
    with pytest.raises(Stopped):
        process(shard, BURST)
    assert 3600 / 60 <= len(tried) <= 3600 / 30 + 10


def test_a_stop_ends_the_wait_at_once(office: Office) -> None:
    life = Process(office)
    life.stops_at(33.3)
    with pytest.raises(Stopped):
        process(life.shard(), BURST)
    assert life.clock.monotonic() <= 33.3 + 1


def test_under_the_kcl_a_stop_ends_the_wait_and_no_checkpoint_passes_what_is_held(office: Office) -> None:
    desk = ChildDesk([record(1 + number, change) for number, change in enumerate(BURST)])
    places: list[Place] = []
    desk.shard.on_checkpoint = places.append
    office.clock = desk.clock
    life = Process(office)
    life.stop = desk.stop
    desk.decider = cast("NotingDecider", life.shard())
    life.stops_at(300)
    # All of it comes in one question, which is not answered while it is held: so the lease is kept.
    assert desk.run(BEGIN, BATCH) is ChildState.STOPPING
    assert life.clock.monotonic() <= 301
    assert [place.sequence for place in places] == ["5"]
    assert life.is_on == 1


def test_what_waits_behind_a_parked_key_is_no_poison_of_its_own(office: Office) -> None:
    life = Process(office, batch=100)
    process(life.shard(), [event(number, "e") for number in range(1, 20)])
    assert len(office.parked()) == 19
    assert life.is_on is None


def test_a_translators_bad_release_holds_too(office: Office) -> None:
    life = Process(office)
    life.stops_at(10)
    with pytest.raises(Stopped):
        process(life.shard(), [untranslated(number, f"k{number}") for number in range(1, 9)])
    assert list(office.notes.read_all()) == ["no-airport"]
    assert len(office.parked()) <= MOST


@pytest.mark.parametrize("error", [Transient("busy"), TargetDown("away"), ValueError()], ids=repr)
def test_what_else_goes_wrong_passes_through(office: Office, error: Exception) -> None:
    life = Process(office)
    life.brake.sync()

    def action() -> None:
        raise error

    with pytest.raises(type(error)):
        life.brake.hold("shard-0", [], action, stop=life.stop)


def test_no_brake_holds_nothing(office: Office) -> None:
    none = NoBrake()
    none.park([])
    assert none.hold("shard-0", [], lambda: 7, stop=FakeStop(office.clock)) == 7


def test_it_says_where_to_look() -> None:
    assert "isthmus brake status" in str(Braked())
