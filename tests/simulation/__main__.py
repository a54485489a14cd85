"""`python -m tests.simulation`: one seed with its trace, or as many histories as asked for.

--seed S          run this one; print its plan, its trace and the verdict
--histories N     run so many, from --first on
--minutes M       run for so long, from --first on
--first S         the first seed (0)

Ends with 1 when a promise was broken, and with 2 when a fault never struck: its absence proves nothing.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Iterator

from tests.simulation.campaign import Campaign
from tests.simulation.plan import make_plan
from tests.simulation.shrink import report, shrink
from tests.simulation.world import run

_EVERY_STEP = 10_000
"""Histories from which on each fault must have struck at each step; in fewer, each fault somewhere."""


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="The seeded simulation.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int)
    what.add_argument("--histories", type=int)
    what.add_argument("--minutes", type=float)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _one(arguments.seed)
    seeds: Iterable[int] = itertools.count(arguments.first)
    if arguments.histories is not None:
        seeds = itertools.islice(seeds, arguments.histories)
    else:
        seeds = _until(seeds, time.monotonic() + 60 * arguments.minutes)
    return _many(seeds)


def _one(seed: int) -> int:
    verdict = run(make_plan(seed))
    _say("\n".join([*map(str, verdict.plan.faults), *map(str, verdict.plan.modifications), *verdict.trace]))
    if verdict.violations:
        _say(report(shrink(verdict)))
        return 1
    _say(f"seed {seed}: every promise kept; trace {verdict.fingerprint}")
    return 0


def _many(seeds: Iterable[int]) -> int:
    campaign = Campaign()
    begun, used = time.monotonic(), time.process_time()
    kept = campaign.run(seeds)
    seconds, used = time.monotonic() - begun, time.process_time() - used
    _say(campaign.coverage())
    _say(
        f"{campaign.histories} histories, {campaign.virtual_seconds / 3600:.1f} virtual hours, in {seconds:.0f} s: "
        f"{60 * campaign.histories / max(used, 1e-9):.0f} a minute of one core's time"
    )
    if not kept and campaign.failed is not None:
        _say(report(shrink(campaign.failed)))
        return 1
    missing: list[object] = [*campaign.kinds_missing()]
    if campaign.histories >= _EVERY_STEP:
        missing = [*campaign.steps_missing()]
    if missing:
        _say("never struck: " + ", ".join(map(str, missing)))
        return 2
    return 0


def _until(seeds: Iterable[int], end: float) -> Iterator[int]:
    return itertools.takewhile(lambda _seed: time.monotonic() < end, seeds)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
