"""Every row with the real daemon, in one history: each row's fault strikes at least once, and one oracle judges."""

import random
from collections.abc import Mapping
from typing import Final

from tests.faults.kcl_aws import Aws
from tests.faults.kcl_gates import ENDED_PAUSED, LONG_PAUSES, WATCHED
from tests.faults.kcl_kills import BUNDLE_CUT, CHILD_KILLED, DAEMON_KILLED, HANDLER_RAISES
from tests.faults.kcl_lines import CHECKPOINTS_FAIL, FRONT_OFFICE_SILENT, READS_FAIL, STDOUT_FORGED
from tests.faults.kcl_moves import LEASES_STOLEN, RESHARDS, WORKER_STOPPED
from tests.faults.kcl_refusals import REFUSALS, REFUSED
from tests.faults.kcl_rows import Way
from tests.faults.kcl_strikes import workers_up
from tests.faults.kcl_world import history, in_postgres
from tests.faults.row import Result

TURNS: Final[Mapping[str, tuple[Way, int]]] = {
    "F32": (READS_FAIL, 5),
    "F27": (CHECKPOINTS_FAIL, 4),
    "F28": (STDOUT_FORGED, 1),
    "F57": (LONG_PAUSES, 1),
    "F21": (HANDLER_RAISES, 1),
    "F25": (LEASES_STOLEN, 1),
    "F34": (BUNDLE_CUT, 1),
    "F22": (CHILD_KILLED, 1),
    "F24": (WORKER_STOPPED, 1),
    "F58": (ENDED_PAUSED, 1),
    "F23": (DAEMON_KILLED, 1),
    "F29": (FRONT_OFFICE_SILENT, 1),
    "F26": (RESHARDS, 1),
    "F36": (REFUSALS, len(REFUSED)),
}
"""In this order, so many of each. Those that end a worker come behind those that need two."""

_MORE: Final = f"""{WATCHED}[store.postgres]
connect_timeout = 2.0"""
"""Gates are looked at, and a silence is noticed sooner by those that begin in it."""


def everything(world: Aws, seed: int = 1) -> dict[str, Result]:
    """Give each row's result; what the oracle finds stands in all of them, for all are to blame."""
    results = {name: Result.expecting(way.faults(count, False)) for name, (way, count) in TURNS.items()}
    chance, judged = random.Random(seed), Result()
    with history(world, seed, shards=2, rate=20.0, claims=True, store=_MORE, office=in_postgres) as made:
        workers_up(made)
        for name, (way, count) in TURNS.items():
            try:
                way.struck(made, chance, count, results[name])
            except AssertionError as error:
                results[name].violated(f"I8: {str(error)[:3000]}")
        made.settled(judged)
        made.judge(judged)
    for result in results.values():
        result.violations += judged.violations
        result.counts += judged.counts
    return results
