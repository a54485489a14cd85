"""What a worker publishes of the park brake's notes, and what a shard's process makes of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.checkpoint.brakecounts import BrakeCount, MemoryBrakeCounts
from isthmus.checkpoint.brakes import BrakeNote, MemoryBrakes, Word
from isthmus.checkpoint.tries import TriesInMemory
from isthmus.console.kcl.brakefile import FILE, LateCounts, LateTries, PublishedBrakes, keep_published, publish
from isthmus.errors import TargetDown
from tests.fakes.clock import FakeClock, FakeStop

ON = BrakeNote("constraint", 1, Word.ON, "shard-0", "41", 1000, since_ms=1_000)


def nobody() -> MemoryBrakes:
    raise AssertionError("no client of AWS is needed for looking")


def test_a_shards_process_reads_what_its_worker_publishes(tmp_path: Path) -> None:
    notes = MemoryBrakes()
    publish(notes, tmp_path)
    published = PublishedBrakes(tmp_path, nobody)
    assert published.read_all() == {}
    notes.put_on(ON)
    notes.let_off(replace(ON, word=Word.RELEASED, who="ada", until_ms=5))
    publish(notes, tmp_path)
    assert published.read_all() == notes.read_all()


def test_who_puts_it_on_or_takes_it_off_writes_it_itself(tmp_path: Path) -> None:
    notes = MemoryBrakes()
    publish(notes, tmp_path)
    published = PublishedBrakes(tmp_path, lambda: notes)
    assert published.put_on(ON) == ON
    assert published.let_off(replace(ON, word=Word.EASED)).word is Word.EASED
    assert notes.read_all()["constraint"].word is Word.EASED


def test_where_nobody_publishes_the_notes_themselves_are_read(tmp_path: Path) -> None:
    notes = MemoryBrakes()
    notes.put_on(ON)
    assert PublishedBrakes(tmp_path, lambda: notes).read_all() == {"constraint": ON}


def test_what_is_away_stays_as_it_was_last_known(tmp_path: Path) -> None:
    notes, clock = MemoryBrakes(), FakeClock()
    notes.put_on(ON)
    publish(notes, tmp_path)
    notes.error = TargetDown("away")
    stop = FakeStop(clock)
    clock.at(10, stop.request)
    keep_published(notes, tmp_path, stop)
    assert PublishedBrakes(tmp_path, nobody).read_all() == {"constraint": ON}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    with pytest.raises(TargetDown):
        publish(notes, tmp_path)


def test_counts_are_opened_when_the_first_keys_are_told() -> None:
    opened: list[MemoryBrakeCounts] = []
    counts = MemoryBrakeCounts()

    def direct() -> MemoryBrakeCounts:
        opened.append(counts)
        return counts

    late = LateCounts(direct)
    assert not opened
    assert late.tell("constraint", "one", BrakeCount({1: 2})) == {}
    assert counts.tell("constraint", "other", BrakeCount()) == {"one": BrakeCount({1: 2})}


def test_tries_are_opened_when_the_first_change_fails() -> None:
    opened: list[TriesInMemory] = []
    tries = TriesInMemory()

    def direct() -> TriesInMemory:
        opened.append(tries)
        return tries

    late = LateTries(direct)
    assert not opened
    assert late.failed("t") == 1
    late.settled("t")
    assert tries.counts == {}
