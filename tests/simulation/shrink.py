"""From a plan that fails to a small one that still fails, for somebody who has to understand it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from tests.simulation.plan import Plan
from tests.simulation.world import Verdict, run

T = TypeVar("T")

TRACE_LINES: Final = 60
_MOST_RUNS: Final = 400


def shrink(verdict: Verdict) -> Verdict:
    """Give the verdict on a smaller plan that breaks the same invariant, as far as leaving things out leads there."""
    best, runs = verdict, 0
    invariant = _invariant(verdict)

    def still_fails(plan: Plan) -> bool:
        nonlocal best, runs
        runs += 1
        if runs > _MOST_RUNS:
            return False
        found = run(plan)
        if _invariant(found) != invariant:
            return False
        best = found
        return True

    size = len(verdict.plan.faults) + len(verdict.plan.modifications) + 1
    # Again as long as it helps: what was needed beside something that is gone may not be needed alone.
    while (left := len(best.plan.faults) + len(best.plan.modifications)) < size:
        size = left
        _without(best.plan.faults, lambda faults: still_fails(replace(best.plan, faults=faults)))
        _without(best.plan.modifications, lambda rows: still_fails(replace(best.plan, modifications=rows)))
    return best


def report(verdict: Verdict) -> str:
    """Tell of a failed history: what was broken, what was planned, how it ended."""
    plan = verdict.plan
    return "\n".join(
        [
            f"seed {plan.seed}: {len(verdict.violations)} promises broken",
            *(f"  {sentence}" for sentence in verdict.violations[:10]),
            f"the smallest plan found: {plan.sizes}",
            *(f"  {fault}" for fault in plan.faults),
            *(f"  {modification}" for modification in plan.modifications),
            f"the last of {len(verdict.trace)} lines of its trace ({verdict.fingerprint}):",
            *(f"  {line}" for line in verdict.trace[-TRACE_LINES:]),
        ]
    )


def _invariant(verdict: Verdict) -> str:
    """Give the first word of what is said first: another failure would be another story."""
    return verdict.violations[0].split(":")[0].split(" ")[0] if verdict.violations else ""


def _without(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> None:
    """Leave out larger parts first, then smaller ones (delta debugging, Zeller and Hildebrandt, 2002)."""
    left = list(items)
    size = len(left)
    while size:
        place = 0
        while place < len(left):
            fewer = left[:place] + left[place + size :]
            if fails(tuple(fewer)):
                left = fewer
            else:
                place += size
        size //= 2
