"""The back office as a real process."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from examples.flights.data import read_airports

MODULE = "examples.flights.simulate"
PATIENCE = 60.0


def simulated(*arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return started("-m", MODULE, *arguments)


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What is not flushed must stay unseen, as it would be for any other parent.
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            assert pipe is not None
            pipe.close()


def tell(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdin is not None
    child.stdin.write(f"{word}\n")
    child.stdin.flush()


def hear(child: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """Wait until the child tells of this event."""
    assert child.stdout is not None
    for line in child.stdout:
        told: dict[str, Any] = json.loads(line)
        if told["event"] == event:
            return told
    raise AssertionError(f"it ended without telling of {event}")


def end(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for its end, with stdin open. Give the exit code and what it wrote since."""
    assert child.stdout is not None
    assert child.stderr is not None
    return child.wait(PATIENCE), child.stdout.read(), child.stderr.read()


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Give the database after the first day of 2013, and what the child told."""
    path = tmp_path_factory.mktemp("back-office") / "back-office.db"
    with simulated("--database", str(path), "--days", "1", "--rate", "max") as child:
        told = [hear(child, "schedule")]
        tell(child, "live")
        told += [hear(child, "live"), hear(child, "done")]
        assert child.wait(PATIENCE) == 0
    return path, told


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_it_tells_how_many_modifications_there_are(first_day: tuple[Path, list[dict[str, Any]]]) -> None:
    path, told = first_day
    assert told == [
        {"event": "schedule", "modifications": 842},
        {"event": "live", "planned": 1680},
        {"event": "done", "modifications": 2522},
    ]
    assert query(path, "SELECT COUNT(*) FROM FLTJRN") == [(2522,)]


def test_every_flight_has_lived_to_its_end(first_day: tuple[Path, list[dict[str, Any]]]) -> None:
    path, _ = first_day
    assert query(path, "SELECT STAT, COUNT(*) FROM FLTMST GROUP BY 1") == [("A", 831), ("V", 7), ("X", 4)]
    known = {airport.code for airport in read_airports()}
    assert sum(row[0] not in known for row in query(path, "SELECT DEST FROM FLTMST")) == 26


def test_numbers_follow_each_other_without_a_gap_in_the_order_of_commits(
    first_day: tuple[Path, list[dict[str, Any]]],
) -> None:
    path, _ = first_day
    journal = query(path, "SELECT UPDSEQ, COMMITTED FROM FLTJRN ORDER BY UPDSEQ")
    assert [number for number, _ in journal] == list(range(1, 2523))
    assert [moment for _, moment in journal] == sorted(moment for _, moment in journal)


def test_the_journal_has_each_step_of_each_flight_and_the_row_has_the_last_number(
    first_day: tuple[Path, list[dict[str, Any]]],
) -> None:
    path, _ = first_day
    last = dict.fromkeys(
        query(
            path,
            "SELECT CARR, FLTNO, DEPDT, ORIG, MAX(UPDSEQ), COUNT(*) FROM FLTJRN GROUP BY 1, 2, 3, 4",
        )
    )
    rows = query(
        path,
        "SELECT CARR, FLTNO, DEPDT, ORIG, UPDSEQ, CASE STAT WHEN 'X' THEN 2 ELSE 3 END FROM FLTMST",
    )
    assert last.keys() == set(rows)


def test_the_schedule_comes_first_and_flights_end_in_the_order_of_the_day(
    first_day: tuple[Path, list[dict[str, Any]]],
) -> None:
    path, _ = first_day
    scheduled = query(path, "SELECT COUNT(DISTINCT CARR || FLTNO || ORIG) FROM FLTJRN WHERE UPDSEQ <= 842")
    assert scheduled == [(842,)]
    ends = query(path, "SELECT SDEP + DDLY FROM FLTMST WHERE STAT = 'A' AND DEST = 'BOS' ORDER BY UPDSEQ")
    assert len(ends) > 10
    assert ends[0][0] < 900
    assert ends[-1][0] > 2000


def test_the_end_of_stdin_ends_it_before_it_lives(tmp_path: Path) -> None:
    with simulated("--database", str(tmp_path / "b.db"), "--days", "1") as child:
        hear(child, "schedule")
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(PATIENCE) == 1


def test_the_end_of_stdin_ends_it_while_it_waits_for_the_next_modification(tmp_path: Path) -> None:
    with simulated("--database", str(tmp_path / "b.db"), "--days", "1", "--rate", "0.001") as child:
        hear(child, "schedule")
        tell(child, "live")
        hear(child, "live")
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(PATIENCE) == 1


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("phase", ["schedule", "live"])
def test_a_signal_ends_it_between_two_transactions(
    tmp_path: Path, number: signal.Signals, code: int, phase: str
) -> None:
    path = tmp_path / "b.db"
    with simulated("--database", str(path), "--days", "1", "--rate", "0.001") as child:
        hear(child, "schedule")
        if phase == "live":
            tell(child, "live")
            hear(child, "live")
        child.send_signal(number)
        ended, out, err = end(child)
        assert (ended, err) == (code, "")
        assert "done" not in out
    # Alive, it may have written the first transaction, of one row; for the second it would have waited.
    assert query(path, "SELECT COUNT(*) FROM FLTJRN") in ([(842,)], [(843,)])


DEAF = """
import threading
from examples.flights.parent import Listener, Rate
from isthmus.lifecycle import ThreadStop
stop = ThreadStop()
listener = Listener(stop, Rate(None))
listener.start()
print("listening", flush=True)
if {finished}:
    listener.finish()
else:
    stop.wait(60)
print("deaf", flush=True)
threading.Event().wait()
"""
"""A process that never ends by itself."""


def test_a_second_signal_ends_it_at_once() -> None:
    with started("-c", DEAF.format(finished=False)) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "listening\n"
        child.send_signal(signal.SIGTERM)
        assert child.stdout.readline() == "deaf\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 143


def test_a_parent_that_leaves_once_all_is_done_finds_no_fault() -> None:
    with started("-c", DEAF.format(finished=True)) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert [child.stdout.readline(), child.stdout.readline()] == ["listening\n", "deaf\n"]
        child.stdin.close()
        assert child.wait(PATIENCE) == 0


def test_words_other_than_live_begin_nothing(tmp_path: Path) -> None:
    with simulated("--database", str(tmp_path / "b.db"), "--days", "1", "--rate", "max") as child:
        hear(child, "schedule")
        tell(child, "alive")
        tell(child, "")
        child.send_signal(signal.SIGTERM)
        assert end(child) == (143, "", "")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--days", "0"], "a whole number from 1 to 365"),
        (["--days", "366"], "a whole number from 1 to 365"),
        (["--days", "x"], "a whole number from 1 to 365"),
        (["--rate", "0"], "a number above 0 is allowed, or max"),
        (["--rate", "nan"], "a number above 0 is allowed, or max"),
        (["--rate", "inf"], "a number above 0 is allowed, or max"),
        (["--rate", "fast"], "a number above 0 is allowed, or max"),
    ],
)
def test_wrong_arguments_end_it_with_a_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    path = tmp_path / "b.db"
    with simulated("--database", str(path), *arguments) as child:
        code, _, err = end(child)
        assert code == 2
        assert words in err
    assert not path.exists()


def test_a_database_that_exists_ends_it_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    path.write_bytes(b"precious")
    with simulated("--database", str(path)) as child:
        code, _, err = end(child)
        assert code == 1
        assert "exists already" in err
    assert path.read_bytes() == b"precious"
