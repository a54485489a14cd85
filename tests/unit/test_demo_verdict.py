"""When a run of the demo is right: the oracle's word alone is not enough."""

import sqlite3
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isthmus.console.demo.episodes import Happened
from isthmus.console.demo.example import sqlite_front
from isthmus.console.demo.plan import Place, Plan
from isthmus.console.demo.run import Facts
from isthmus.console.demo.verdict import judged
from tests.fakes.flight_run import FIRST_LOAD, expected, right_run

FACTS = Facts(
    scheduled=FIRST_LOAD,
    counts={"duplicate": 2},
    expected=expected(),
    records=right_run().records(),
    peak_rss_mb={},
    restarts={},
    faults={"put_500": 3},
    not_fired={},
    shards=[2, 4, 3],
    closed=4,
    drained=4,
    happened=Happened(),
)


def verdict(folder: Path, facts: Facts, *, written: bool = False) -> dict[str, Any]:
    if not written:
        right_run().write(folder)
    front: Any = SimpleNamespace(evidence=lambda: partial(sqlite_front, folder / "front-office.db"))
    summary, _ = judged(Plan(runtime="kcl"), Place(folder), front, facts)
    return summary


def test_a_right_run_that_was_resharded_and_read_to_its_end_is_right(tmp_path: Path) -> None:
    summary = verdict(tmp_path, FACTS)
    assert (summary["ok"], summary["mismatches"], summary["duplicate"]) == (True, 0, 2)
    assert (summary["shards"], summary["reshard"], summary["closed"], summary["drained"]) == (7, [2, 4, 3], 4, 4)
    assert summary["balanced_by"]["modifications"] == "databases"


@pytest.mark.parametrize("facts", [replace(FACTS, drained=3), replace(FACTS, not_fired={"child_killed": 1})])
def test_a_shard_that_was_not_read_to_its_end_or_a_kill_that_met_nobody_is_a_failure(
    tmp_path: Path, facts: Facts
) -> None:
    summary = verdict(tmp_path, facts)
    assert (summary["ok"], summary["mismatches"]) == (False, 0)


def test_an_effect_while_a_gate_was_closed_is_a_failure(tmp_path: Path) -> None:
    right_run().write(tmp_path)
    with sqlite3.connect(tmp_path / "front-office.db") as front:
        (last,) = front.execute("SELECT max(decided) FROM isthmus_history WHERE outcome = 'applied'").fetchone()
    for begin, end, effects in [(last - 1, last, 0), (last, last + 1, 1), (last + 1, last + 9, 0)]:
        gate = {"closed_ms": begin, "opened_ms": end, "held_changes": 3}
        summary = verdict(tmp_path, replace(FACTS, happened=Happened(gate=gate)), written=True)
        assert summary["gate"]["effects"] >= effects
        assert summary["ok"] is (summary["gate"]["effects"] == 0)
