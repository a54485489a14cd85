"""Rows about processes that end: children at each of their steps, daemons, whatever a handler raises."""

import random
import signal
from collections.abc import Sequence
from typing import Final

from tests.faults import kcl_deeds as deeds
from tests.faults.kcl_feed import wait_for
from tests.faults.kcl_rows import Way
from tests.faults.kcl_strikes import (
    are_done,
    kill,
    move_any,
    must,
    reading,
    reshard,
    seconds_until_gone,
    workers_up,
)
from tests.faults.kcl_world import History
from tests.faults.row import Result

_NUDGE_SECONDS: Final = 6.0
"""What must come about for a deed is brought about again after so long: a lease may have gone back meanwhile."""
_STRUCK_SECONDS: Final = 300.0
GONE_SECONDS: Final = 2.0
"""Within which nothing of a dead daemon may act (the matrix)."""
_STOPPED_EVERY: Final = 4


def strike_at(history: History, chance: random.Random, row: str, place: str, what: str) -> None:
    """Let a child meet a deed, and bring about what it is met in. Raises AssertionError when nobody meets it."""
    number = history.deeds.arm(row, place, what)
    tries = int(_STRUCK_SECONDS / _NUDGE_SECONDS)
    for _ in range(tries):
        _nudge(history, chance, place.partition(".")[0])
        if wait_for(lambda: history.deeds.has_struck(number), _NUDGE_SECONDS):
            return
    raise AssertionError(f"nobody came to {place} within {_STRUCK_SECONDS:g} s\n{history.told()}")


def _nudge(history: History, chance: random.Random, callback: str) -> None:
    """Bring a callback about that does not come by itself."""
    workers_up(history)
    if callback == "shutdownRequested":
        _end_softly(history, chance)
    elif callback in {"leaseLost", "initialize"}:
        move_any(history, chance, softly=False)
    elif callback == "shardEnded" and are_done(history, history.closing):
        reshard(history, chance)


def _end_softly(history: History, chance: random.Random) -> None:
    """Ask a daemon to end. Whoever looks after it starts another one."""
    workers = reading(history)
    daemon = chance.choice(workers).daemon() if workers else None
    if daemon is not None:
        kill(daemon, signal.SIGTERM)


def _child_killed(history: History, chance: random.Random, result: Result) -> None:
    every = deeds.steps()
    step = every[result.counts["children killed"] % len(every)]
    strike_at(history, chance, "F22", step, deeds.KILL)
    result.counts["children killed"] += 1
    result.struck(f"killed at {step}" if f"killed at {step}" in result.fired else "a child killed (-9)")


def _every_step(goal: int, full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    every = [f"killed at {step}" for step in deeds.steps()]
    return every if full and goal >= len(every) else ["a child killed (-9)"]


CHILD_KILLED: Final = Way("children killed", _child_killed, _every_step, 20, {})


PLACES_OF_RAISING: Final = (
    deeds.HANDLER,
    deeds.AFTER_EFFECT,
    *(f"{callback}.asked" for callback in deeds.CALLBACKS),
)


def raised() -> list[tuple[str, str]]:
    """Give everything that is raised, at every place, so that the first few are all different."""
    kinds = [*deeds.RAISED, deeds.EXIT]
    return [
        (PLACES_OF_RAISING[at], kinds[(at + turn) % len(kinds)])
        for turn in range(len(kinds))
        for at in range(len(PLACES_OF_RAISING))
    ]


def _handler_raises(history: History, chance: random.Random, result: Result) -> None:
    every = raised()
    place, what = every[result.counts["raised"] % len(every)]
    strike_at(history, chance, "F21", place, what)
    result.counts["raised"] += 1
    result.struck(f"{what} at {place}" if f"{what} at {place}" in result.fired else "something was raised")


def _everything(goal: int, full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    every = [f"{what} at {place}" for place, what in raised()]
    return every if full and goal >= len(every) else ["something was raised"]


HANDLER_RAISES: Final = Way("raised", _handler_raises, _everything, 20, {})

_PLAIN, _WITH_A_STOPPED_CHILD = "a daemon killed (-9)", "a daemon killed (-9) while a child of it stands still"


def _daemon_killed(history: History, chance: random.Random, result: Result) -> None:
    must(lambda: reading(history), history, "a worker reads")
    worker = chance.choice(reading(history))
    daemon, children = worker.daemon(), worker.children()
    if daemon is None or not children:
        return
    stopped = result.counts["daemons killed"] % _STOPPED_EVERY == _STOPPED_EVERY - 1
    if stopped:
        kill(chance.choice(children), signal.SIGSTOP)
    kill(daemon)
    _gone(history, children, stopped=stopped, result=result)
    result.counts["daemons killed"] += 1
    result.struck(_WITH_A_STOPPED_CHILD if stopped else _PLAIN)


def _gone(history: History, children: Sequence[int], *, stopped: bool, result: Result) -> None:
    took = seconds_until_gone(children)
    if took is None:
        result.violated(f"a child outlived its daemon\n{history.told()}")
        return
    if took > GONE_SECONDS and not stopped:
        result.violated(f"a child outlived its daemon by {took:.1f} s\n{history.told()}")
    # One that stands still cannot see it: whoever looks after the daemon gives it two seconds, and ends it then.
    name = "longest life of a stopped child, ms" if stopped else "longest life of a child, ms"
    result.counts[name] = max(result.counts[name], round(1000 * took))


def _daemon_faults(goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    return [_PLAIN, _WITH_A_STOPPED_CHILD] if goal >= _STOPPED_EVERY else [_PLAIN]


DAEMON_KILLED: Final = Way("daemons killed", _daemon_killed, _daemon_faults, 20, {})


def _bundle_cut(history: History, chance: random.Random, result: Result) -> None:
    strike_at(history, chance, "F34", deeds.AFTER_PART, deeds.KILL)
    result.counts["bundles cut"] += 1
    result.struck("killed between two parts of a bundle")


def _cut(_goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    return ["killed between two parts of a bundle"]


BUNDLE_CUT: Final = Way("bundles cut", _bundle_cut, _cut, 20, {"claims": True})
