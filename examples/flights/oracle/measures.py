"""The two figures of a run that need the journal: how fresh the front office was, and how fast the first load went."""

from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

from .evidence import Decision, Modification
from .words import position_of


class Freshness(NamedTuple):
    """Milliseconds from the commit in the back office to the commit in the front office."""

    p50: int
    p99: int


def freshness(
    journal: Mapping[int, Modification], history: Mapping[str, Decision], first_load: int
) -> Freshness | None:
    """Give the percentiles (nearest rank) over what took effect of the rows after `UPDSEQ` `first_load`.

    None when nothing did.
    """
    delays = sorted(
        decision.decided_ms - journal[position_of(decision.version)].committed_ms
        for decision in history.values()
        if decision.outcome == "applied" and first_load < position_of(decision.version) in journal
    )
    if not delays:
        return None
    return Freshness(_nearest_rank(delays, 50), _nearest_rank(delays, 99))


def changes_per_s(history: Mapping[str, Decision], first_load: int) -> float | None:
    """Give the rate at which the rows up to `UPDSEQ` `first_load` took effect, first to last decision.

    None when they all did within one millisecond, or none did.
    """
    moments = [
        decision.decided_ms
        for decision in history.values()
        if decision.outcome == "applied" and position_of(decision.version) <= first_load
    ]
    if not moments or max(moments) == min(moments):
        return None
    return len(moments) * 1000 / (max(moments) - min(moments))


def _nearest_rank(ordered: list[int], percent: int) -> int:
    return ordered[ceil(len(ordered) * percent / 100) - 1]
