"""Rows about what lies between a worker and its tables, its stream and its front office, and what it is told."""

import random
import time
from typing import Final

from tests.faults import kcl_deeds as deeds
from tests.faults.kcl_between import CHECKPOINT_FAULTS, LEASE_FAULTS, READ_FAULTS
from tests.faults.kcl_feed import wait_for
from tests.faults.kcl_offices import PostgresOffice
from tests.faults.kcl_rows import Way
from tests.faults.kcl_strikes import both_read, kill, must, reading, workers_up
from tests.faults.kcl_world import History, in_postgres
from tests.faults.row import Result

_STORM_SECONDS: Final = 6.0
"""Twice the failover time: leases are lost in it, and cannot be taken either."""
_STORM_EVERY: Final = 50


def _checkpoints_fail(history: History, _chance: random.Random, result: Result) -> None:
    both_read(history)
    before = history.between.fired.copy()
    _order_in_turn(history, CHECKPOINT_FAULTS)
    if result.counts["requests struck"] % _STORM_EVERY < len(CHECKPOINT_FAULTS):
        history.between.order(storm=LEASE_FAULTS[0], seconds=_STORM_SECONDS)
    must(lambda: _struck(history, CHECKPOINT_FAULTS, before) >= len(CHECKPOINT_FAULTS), history, "checkpoints fail")
    _count(history, (*CHECKPOINT_FAULTS, *LEASE_FAULTS), before, result)


def _reads_fail(history: History, _chance: random.Random, result: Result) -> None:
    both_read(history)
    before = history.between.fired.copy()
    _order_in_turn(history, READ_FAULTS)
    must(lambda: _struck(history, READ_FAULTS, before) >= len(READ_FAULTS), history, "reads fail")
    _count(history, READ_FAULTS, before, result)


def _order_in_turn(history: History, faults: tuple[str, ...]) -> None:
    for fault in faults:
        history.between.order(arm=fault, times=1)


def _struck(history: History, faults: tuple[str, ...], before: dict[str, int]) -> int:
    return sum(history.between.fired[fault] - before.get(fault, 0) for fault in faults)


def _count(history: History, faults: tuple[str, ...], before: dict[str, int], result: Result) -> None:
    for fault in faults:
        times = history.between.fired[fault] - before.get(fault, 0)
        if times:
            result.struck(fault if fault in result.fired else "a request struck", times)
            result.counts["requests struck"] += times


def _faults_of(faults: tuple[str, ...]) -> object:
    def named(goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
        return list(faults) if goal >= 2 * len(faults) else ["a request struck"]

    return named


CHECKPOINTS_FAIL: Final = Way(
    "requests struck",
    _checkpoints_fail,
    _faults_of((*CHECKPOINT_FAULTS, *LEASE_FAULTS)),  # type: ignore[arg-type]
    50,
    {},
)
READS_FAIL: Final = Way("requests struck", _reads_fail, _faults_of(READ_FAULTS), 50, {})  # type: ignore[arg-type]

_FORGED: Final = "lines forged on stdout"


def _stdout_forged(history: History, _chance: random.Random, result: Result) -> None:
    both_read(history)
    deaths = _deaths(history)
    number = history.deeds.arm("F28", deeds.HANDLER, deeds.FORGE)
    must(lambda: history.deeds.has_struck(number), history, "lines are forged")
    result.counts["lines"] += deeds.FORGED_LINES
    result.struck(_FORGED, deeds.FORGED_LINES)
    if _deaths(history) > deaths:
        result.violated(f"a daemon died of what was printed\n{history.told()}")


def _deaths(history: History) -> int:
    return sum(len(worker.events("kcl_died")) for worker in history.workers)


def _forging(_goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    return [_FORGED]


STDOUT_FORGED: Final = Way("lines", _stdout_forged, _forging, 5_000, {})

NOTICED_SECONDS: Final = 60.0
"""The matrix."""
_SILENT: Final = (
    "a front office that takes everything and says nothing: children that begin in its silence",
    "a front office that takes everything and says nothing: children in the middle of their work",
)
_MOST_SECONDS: Final = 120.0


def _front_office_silent(history: History, chance: random.Random, result: Result) -> None:
    office = history.office
    assert isinstance(office, PostgresOffice)
    workers_up(history)
    both_read(history)
    what = _SILENT[result.counts["silences"] % len(_SILENT)]
    away, standing = _aways(history), sum(len(worker.children()) for worker in reading(history))
    office.line.fall_silent()
    try:
        if what == _SILENT[0]:
            standing = 1
            _begin_again(history)
        begun = time.monotonic()
        if not wait_for(lambda: _aways(history) >= away + standing, _MOST_SECONDS):
            result.violated(f"I8: nobody noticed the silence within {_MOST_SECONDS:g} s\n{history.told()}")
            return
        took = round(time.monotonic() - begun)
        result.counts["longest until noticed, s"] = max(result.counts["longest until noticed, s"], took)
        if took > NOTICED_SECONDS:
            result.violated(f"the silence was noticed after {took} s")
        wait_for(lambda: False, chance.random() * 5.0)
    finally:
        office.line.speak()
    effects = len(office.effects())
    must(lambda: len(office.effects()) > effects, history, "it goes on")
    result.counts["silences"] += 1
    result.struck(what if what in result.fired else "a silent front office")


def _begin_again(history: History) -> None:
    """Kill the daemons, so that new children begin; wait for the first."""
    children = {child for worker in reading(history) for child in worker.children()}
    for worker in reading(history):
        daemon = worker.daemon()
        if daemon is not None:
            kill(daemon)
    must(
        lambda: {child for worker in reading(history) for child in worker.children()} - children,
        history,
        "a new child begins",
    )


def _aways(history: History) -> int:
    return sum(len(worker.events("front_office_away")) for worker in history.workers)


def _silence(goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    return list(_SILENT) if goal >= len(_SILENT) else ["a silent front office"]


FRONT_OFFICE_SILENT: Final = Way("silences", _front_office_silent, _silence, 5, {"office": in_postgres})
