"""Asks the oracle, and joins its verdict with what the demo measured."""

from typing import Final

from isthmus.console.demo.example import effects_between, judge
from isthmus.console.demo.fronts import Front
from isthmus.console.demo.plan import Place, Plan
from isthmus.console.demo.run import Facts
from isthmus.console.demo.summary import Summary

_BALANCED_BY: Final = {
    "local": {"modifications": "databases", "shards": "checkpoints", "repeats": "checkpoints"},
    "kcl": {"modifications": "databases", "shards": "leases", "repeats": "what workers told, at least"},
}
"""What the sums rest on: journal, history and parking lot as they lie in the databases, and who says the rest."""


def judged(plan: Plan, place: Place, front: Front, facts: Facts) -> tuple[Summary, list[str]]:
    """Give the summary (but for `elapsed_s`) and the first mismatches in words."""
    verdict = judge(
        back_office=place.back_office,
        front_office=front.evidence(),
        records=facts.records,
        expected=facts.expected,
        first_load=facts.scheduled,
    )
    freshness, gate = verdict.freshness_ms, facts.happened.gate
    if gate is not None:
        gate["effects"] = effects_between(front.evidence(), gate["closed_ms"], gate["opened_ms"])
    summary: Summary = {
        "ok": verdict.ok and not facts.not_fired and facts.drained == facts.closed and not (gate or {}).get("effects"),
        "modifications": verdict.modifications,
        "published": verdict.published,
        "records": verdict.records,
        "applied": verdict.applied,
        "duplicate": facts.counts.get("duplicate", 0),
        "stale": facts.counts.get("stale", 0),
        "fenced": facts.counts.get("fenced", 0),
        "superseded": verdict.superseded,
        "filtered": verdict.filtered,
        "parked_keys": verdict.parked_keys,
        "parked_changes": verdict.parked_changes,
        "entities": verdict.entities,
        "mismatches": verdict.mismatches,
        "freshness_ms": {
            "p50": freshness.p50 if freshness is not None else None,
            "p99": freshness.p99 if freshness is not None else None,
        },
        # What the defect kept back of the first load came long after it.
        "changes_per_s": round(verdict.changes_per_s or 0.0) if facts.happened.poison is None else None,
        "runtime": plan.runtime,
        "seed": plan.seed,
        "shards": facts.shards[-1] + facts.closed,
        "reshard": facts.shards if len(facts.shards) > 1 else [],
        "closed": facts.closed,
        "drained": facts.drained,
        "balanced_by": _BALANCED_BY[plan.runtime],
        "restarts": facts.restarts,
        "faults": facts.faults,
        "outage": facts.happened.outage,
        "gate": gate,
        "poison": facts.happened.poison,
        "peak_rss_mb": facts.peak_rss_mb,
    }
    halted = [f"the fault {name} was to happen {number} times more" for name, number in facts.not_fired.items()]
    return summary, [*halted, *verdict.samples]
