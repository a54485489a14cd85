"""The short form of the fault matrix, and the proof that its oracle would notice."""

import pytest

from tests.faults import baselines
from tests.faults.row import Context, How, Part, Result, Row, run_part, wrong_with
from tests.faults.table import ROWS
from tests.simulation.ground import quiet
from tests.simulation.mutants import MUTANTS, planted

MOST_HISTORIES = 120
"""Within so many, a planted bug must be caught in the simulation."""
PARTS = [
    (row, part)
    for row in ROWS
    for part in row.parts
    # Real processes take their time: here they run only for the rows that have nothing else, for one row that needs
    # the proxy, for those that need nothing but a server, and for the outage, which is to last a minute here.
    # Those with the real daemon share one history: see test_kcl.py.
    if part.how not in {How.PROCESSES, How.KCL}
    or (part.how is How.PROCESSES and (len(row.parts) == 1 or row.id in {"F13", "F38", "F39", "F51", "F61"}))
]


@pytest.mark.parametrize("row, part", PARTS, ids=[f"{row.id}-{part.how}-{part.unit}" for row, part in PARTS])
def test_a_row_keeps_every_promise_in_its_short_form_and_its_faults_strike(row: Row, part: Part) -> None:
    with quiet():
        result = run_part(part, Context(part.short, full=False))

    assert wrong_with(result, part.unit, part.short) == [], row.fault


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_a_naive_baseline_fails_where_the_real_thing_does_not(name: str) -> None:
    found = baselines.BASELINES[name]()

    assert found.broken.startswith(("I1", "I2", "I3", "I4"))
    assert found.history
    assert found.ours == ()


def test_a_fault_that_never_struck_fails_its_row() -> None:
    result = Result.expecting(["one that strikes", "one that does not"])
    result.struck("one that strikes")
    result.counts["cases"] = 5

    assert wrong_with(result, "cases", 5) == ["never struck: one that does not"]


def test_a_row_that_missed_its_number_or_names_no_fault_fails() -> None:
    assert wrong_with(Result(), "cases", 5) == ["no fault was declared", "0 cases of 5"]


def test_a_broken_promise_fails_its_row() -> None:
    result = Result.expecting(["fault"])
    result.struck("fault")
    result.counts["cases"] = 1
    result.violated("I2: twice")

    assert wrong_with(result, "cases", 1) == ["I2: twice"]


CAUGHT = [
    ("F12", How.UNIT, "guard and effect are two transactions"),
    ("F33", How.UNIT, "the guard is dropped"),
    ("F34", How.UNIT, "a checkpoint lies at the newest"),
    ("F35", How.UNIT, "the ledger is not asked"),
    ("F37", How.UNIT, "guard and effect are two transactions"),
    ("F38", How.UNIT, "the ledger is not asked"),
    ("F44", How.UNIT, "a delete is forgotten"),
    ("F47", How.UNIT, "poison is not undone"),
    ("F47", How.UNIT, "a parked event is overtaken"),
    ("F47", How.UNIT, "poison is dropped"),
    ("F48", How.UNIT, "poison is dropped"),
    ("F49", How.UNIT, "poison is dropped"),
    ("F52", How.UNIT, "a parked event is overtaken"),
    ("F55", How.UNIT, "a parked event is overtaken"),
    ("F10", How.SIMULATED, "the epoch is not in the watermark's condition"),
    ("F13", How.SIMULATED, "failed entries are sent again after later ones"),
    ("F13", How.SIMULATED, "a refused entry counts as acknowledged"),
    ("F14", How.SIMULATED, "an unanswered request counts as acknowledged"),
    ("F09", How.SIMULATED, "the fence is forgotten"),
    ("F18", How.SIMULATED, "children start before their parent's end"),
]


@pytest.mark.parametrize("name, how, bug", CAUGHT, ids=[f"{name}-{bug}" for name, _, bug in CAUGHT])
def test_a_planted_bug_fails_the_row_that_is_about_it(name: str, how: How, bug: str) -> None:
    part = next(part for row in ROWS if row.id == name for part in row.parts if part.how is how)
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == bug]
    with quiet(), planted(mutant):
        result = run_part(part, Context(part.short if how is How.UNIT else MOST_HISTORIES, full=False, shows=False))

    assert result.violations


def test_every_row_of_this_delivery_is_there() -> None:
    asked = (
        "02 06 08 09 10 12 13 14 16 18 20 21 22 23 24 25 26 27 28 29 30 32 33 34 35 36 37 38 39 40 42 43 44 45 46 47 "
        "48 49 50 51 52 53 54 55 56 57 58 61 62"
    )

    assert [row.id for row in ROWS] == [f"F{number}" for number in asked.split()]
