"""The short form of the simulation, and the proof that it would notice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.campaign import Campaign
from tests.simulation.mutants import MUTANTS, Mutant, planted
from tests.simulation.plan import make_plan
from tests.simulation.shrink import report, shrink
from tests.simulation.world import Verdict, run

HISTORIES = 300
MOST_SEEDS = 600
"""Within so many every planted bug must be caught. Most are within ten."""
_ROOT = Path(__file__).parents[2]


def test_every_promise_is_kept_in_every_history_and_every_fault_strikes() -> None:
    campaign = Campaign()
    campaign.run(range(HISTORIES))

    assert campaign.failed is None, report(shrink(campaign.failed))
    assert campaign.kinds_missing() == []


def test_a_seed_replays_the_same_trace() -> None:
    assert [run(make_plan(seed)).trace for seed in range(8)] == [run(make_plan(seed)).trace for seed in range(8)]


def test_a_seed_replays_the_same_trace_in_another_process() -> None:
    program = "from tests.simulation.test_simulation import fingerprints; print(fingerprints())"
    other = subprocess.run(
        [sys.executable, "-c", program],
        cwd=_ROOT,
        env=os.environ | {"PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert other.stdout.strip() == fingerprints()


def fingerprints() -> str:
    return " ".join(run(make_plan(seed)).fingerprint for seed in range(20))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    verdict = _caught(mutant)

    assert any(sentence.startswith(mutant.caught_by) for sentence in verdict.violations), verdict.violations


def test_a_failing_history_is_shown_with_a_smaller_plan_and_the_end_of_its_trace() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "two bundles of a lane are in flight")
    found = _caught(mutant)
    with planted(mutant):
        smaller = shrink(found)
    text = report(smaller)

    assert smaller.violations
    assert len(smaller.plan.faults) + len(smaller.plan.modifications) < 0.7 * (
        len(found.plan.faults) + len(found.plan.modifications)
    )
    assert f"seed {found.plan.seed}" in text
    assert smaller.violations[0] in text
    assert smaller.trace[-1] in text


def _caught(mutant: Mutant) -> Verdict:
    with planted(mutant):
        for seed in range(MOST_SEEDS):
            verdict = run(make_plan(seed))
            if verdict.violations:
                return verdict
    pytest.fail(f"{MOST_SEEDS} histories did not notice")
