"""Dead letters before the park brake: what is poison still is not parked by the thousand, and stays in its queue."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.checkpoint.brakes import BrakeNote, MemoryBrakes, Word
from isthmus.console.dlq.braking import PARK_BRAKE, LetterBrake
from isthmus.consumer.brake import WINDOW
from isthmus.consumer.braking import READ_EVERY
from isthmus.errors import Missing, TargetDown
from tests.fakes.clock import FakeClock
from tests.fakes.letters_desk import Desk, letters_of
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import untranslated, upsert

ON = BrakeNote("constraint", 1, Word.ON, "shard-0", "41", 1000, since_ms=1_000)
MOST = 3


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(SqliteOffice(tmp_path))
    yield made
    made.world.close()


@pytest.fixture
def notes(desk: Desk) -> MemoryBrakes:
    made = MemoryBrakes()
    desk.brake = LetterBrake(MOST, made.read_all, desk.clock)
    return made


def queue(desk: Desk, count: int) -> None:
    """Put so many letters into the queue that are poison still, and lose the lot."""
    desk.world.apply(*[untranslated(1, f"k{number}") for number in range(count)])
    desk.lose_the_lot()


def test_while_the_brake_is_on_nothing_is_tried_that_is_not_in_the_lot(desk: Desk, notes: MemoryBrakes) -> None:
    queue(desk, 2)
    notes.put_on(ON)
    told = desk.run().as_json()
    assert told["letters"] == {"chosen": 2, "done": 0, "parked": 2, "lost": 0, "old": 0}
    (stopped,) = told["stopped"]
    assert (stopped["reason"], stopped["letters"]) == (PARK_BRAKE, 2)
    assert stopped["message"] == "The park brake is on for constraint: see `isthmus brake status`."
    assert desk.world.parked() == []
    assert desk.mailbox.size() == 2
    assert notes.read_all() == {"constraint": ON}


def test_what_waits_in_the_lot_is_redriven_there_brake_or_not(desk: Desk, notes: MemoryBrakes) -> None:
    notes.put_on(ON)
    desk.world.apply(upsert(1, size=-1))
    desk.mailbox.put(*letters_of(desk.world))
    assert desk.run().as_json()["stopped"][0]["reason"] == "constraint"
    assert [txn for txn, _ in desk.world.parked()] == ["k-1"]


def test_a_run_parks_no_more_than_the_limit_and_puts_no_brake_on(desk: Desk, notes: MemoryBrakes) -> None:
    queue(desk, 10)
    told = desk.run().as_json()
    assert len(desk.world.parked()) == MOST
    assert {each["reason"]: each["letters"] for each in told["stopped"]} == {"no-airport": MOST, PARK_BRAKE: 10 - MOST}
    assert desk.mailbox.size() == 10 - MOST
    assert notes.read_all() == {}


def test_a_dry_run_asks_no_brake(desk: Desk, notes: MemoryBrakes) -> None:
    queue(desk, 5)
    notes.put_on(ON)
    told = desk.run(rehearse=True).as_json()
    assert [each["reason"] for each in told["stopped"]] == ["no-airport"]
    assert told["stopped"][0]["letters"] == 5


def test_notes_that_are_away_for_a_moment_are_waited_for(desk: Desk, notes: MemoryBrakes) -> None:
    queue(desk, 1)
    notes.error = TargetDown("away")
    desk.clock.at(desk.clock.monotonic() + 5, lambda: setattr(notes, "error", None))
    assert desk.run().as_json()["letters"]["parked"] == 1
    assert len(desk.world.parked()) == 1


def test_where_the_table_was_lost_with_all_else_there_is_no_brake(desk: Desk, notes: MemoryBrakes) -> None:
    queue(desk, 1)
    notes.error = Missing("no table")
    assert desk.run().as_json()["stopped"][0]["reason"] == "no-airport"


def test_a_release_is_seen_and_the_notes_are_not_asked_for_each_letter() -> None:
    clock, notes, asked = FakeClock(), MemoryBrakes(), list[float]()
    notes.put_on(ON)

    def read() -> dict[str, BrakeNote]:
        asked.append(clock.monotonic())
        return notes.read_all()

    brake = LetterBrake(MOST, read, clock)
    for _ in range(100):
        assert "is on for constraint" in brake.why()
    assert len(asked) == 1
    notes.let_off(replace(ON, word=Word.RELEASED, who="ada", until_ms=5))
    clock.move(READ_EVERY)
    assert brake.why() == ""


def test_keys_count_once_by_reason_and_for_a_minute() -> None:
    clock = FakeClock()
    brake = LetterBrake(MOST, dict, clock)
    for _ in range(9):
        brake.parked("constraint", "k")
    for reason in ("constraint", "value"):
        for number in range(MOST - 1):
            brake.parked(reason, f"k{number}" if reason == "value" else "k")
    assert brake.why() == ""
    clock.move(WINDOW)
    brake.parked("value", "later")
    assert brake.why() == ""
    for number in range(MOST - 1):
        brake.parked("value", f"later/{number}")
    assert brake.why() == "3 keys were parked again for value within a minute: mend that first."
    clock.move(WINDOW)
    assert brake.why() != ""
