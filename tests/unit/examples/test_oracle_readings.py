"""How the oracle reads versions and databases, and how it computes its two figures."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from examples.flights.oracle.evidence import Decision, Modification
from examples.flights.oracle.fronts import reading, sqlite_front
from examples.flights.oracle.judge import judge
from examples.flights.oracle.measures import changes_per_s, freshness
from examples.flights.oracle.words import position_of, version_number
from tests.fakes.flight_run import FIRST_LOAD, expected, right_run, version


def applied(position: int, decided_ms: int, outcome: str = "applied") -> Decision:
    return Decision("k", position, outcome, decided_ms)


def test_a_version_is_38_digits_and_its_last_30_are_the_position() -> None:
    number = version_number(version(7, generation=2))
    assert number == 2 * 10**30 + 7
    assert position_of(number) == 7


@pytest.mark.parametrize("text", [None, 7, "7", "", "7" * 39, "\u0667" * 38, "-" + "7" * 37])
def test_anything_else_is_no_version(text: object) -> None:
    assert version_number(text) is None


def test_freshness_is_the_nearest_rank_over_what_took_effect_after_the_first_load() -> None:
    journal = {position: Modification("k", 1000) for position in range(1, 203)}
    history = {str(n): applied(100 + n, 1000 + n) for n in range(1, 101)}
    history["of the first load"] = applied(100, 99_000)
    history["invented"] = applied(999, 99_000)
    history |= {f"stale {n}": applied(201, 99_000, "stale") for n in range(100)}
    assert freshness(journal, history, 100) == (50, 99)


def test_the_freshness_of_one_change_is_its_own() -> None:
    assert freshness({1: Modification("k", 1000)}, {"t": applied(1, 1250)}, 0) == (250, 250)


def test_the_rate_of_the_first_load_counts_what_took_effect_from_the_first_decision_to_the_last() -> None:
    history = {str(n): applied(n, 1000 + 10 * n) for n in range(1, 12)}
    history["stale"] = applied(1, 0, "stale")
    history["live"] = applied(12, 99_000)
    assert changes_per_s(history, 11) == 11 / 0.1


def test_what_is_read_together_is_of_one_moment(tmp_path: Path) -> None:
    _, front = right_run().write(tmp_path)
    with closing(sqlite3.connect(front, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        with reading(front) as db:
            assert db.execute("SELECT count(*) FROM flight").fetchone() == (3,)
            writer.execute("DELETE FROM isthmus_guard")
            assert db.execute("SELECT count(*) FROM isthmus_guard").fetchone() == (3,)


def test_a_database_is_closed_after_reading(tmp_path: Path) -> None:
    _, front = right_run().write(tmp_path)
    with reading(front) as db:
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        db.execute("SELECT 1")


def test_the_databases_are_read_while_a_writer_holds_them_and_are_not_changed(tmp_path: Path) -> None:
    run = right_run()
    back, front = run.write(tmp_path)
    before = back.read_bytes()
    with closing(sqlite3.connect(front, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE flight SET status = 'lost'")
        verdict = judge(
            back_office=back,
            front_office=partial(sqlite_front, front),
            records=run.records(),
            expected=expected(),
            first_load=FIRST_LOAD,
        )
        writer.execute("ROLLBACK")
    assert verdict.ok
    assert back.read_bytes() == before


def test_a_database_that_is_not_there_gets_no_verdict_and_is_not_made(tmp_path: Path) -> None:
    back, front = right_run().write(tmp_path)
    back.unlink()
    with pytest.raises(sqlite3.OperationalError):
        judge(
            back_office=back,
            front_office=partial(sqlite_front, front),
            records=[],
            expected=expected(),
            first_load=FIRST_LOAD,
        )
    assert not back.exists()
