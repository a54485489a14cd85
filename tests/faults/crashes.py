"""Rows of the matrix about deciding that is cut short: the real processor and applier on the real SQLite store."""

import itertools
import random
from collections.abc import Sequence
from typing import Final

from isthmus.consumer.feed import Record
from tests.fakes.store_world import delete
from tests.faults.cases import MIXED, STATES, judge, random_bundles, random_changes, random_cut
from tests.faults.front import Front, cuts, front, records_of, rest_after
from tests.faults.row import Context, Result

KILLED: Final = "killed between two statements"
_HANDLED: Final = (True, False)
"""Entities of kind `state` with a handler, and those without one, which may go the quick way."""
ANSWER_LOST: Final = "the answer of a commit was lost"


def several_changes_over_an_edge(context: Context) -> Result:
    """F12: up to six changes of one source transaction, cut into bundles and batches in every way, killed anywhere."""
    result = Result.expecting(["the edge of a batch", KILLED])
    most = 6 if context.full else 4
    with front() as office:
        for size in range(2, most + 1):
            changes = [*MIXED[: size - 1], delete(9, "z")]
            for bundles in cuts(changes):
                for batch, at, handled in itertools.product(range(1, size + 1), range(len(bundles)), _HANDLED):
                    office.batch_changes, office.handled = batch, handled
                    office.reset()
                    _one_kill_at_commit(office, records_of(bundles), at, result)
                    result.struck("the edge of a batch", int(batch < size))
                    where = f"{size} changes, {len(bundles)} bundles, batches of {batch}, handled {handled}"
                    judge(office, changes, result, where)
            context.tell(size, most)
    return result


def _one_kill_at_commit(office: Front, records: Sequence[Record], at: int, result: Result) -> None:
    processor = office.processor
    struck = office.killed_at(at, records, after=True, only="COMMIT")
    result.struck(KILLED, int(struck))
    # The checkpoint of the first life was not saved, or it was saved late: both come to the same.
    begin = processor.position() if at % 2 else None
    office.processor.process(rest_after(records, begin))


def cut_by_a_crash(context: Context) -> Result:
    """F34: a bundle of which a part was decided comes again whole; no position is ever one that did not come."""
    result = Result.expecting([KILLED])
    with front() as office:
        for seed in itertools.count(context.first):
            if result.counts["bundles"] >= context.goal:
                break
            chance = random.Random(seed)
            office.handled, office.history = chance.random() < 0.5, chance.random() < 0.5
            if office.handled:
                changes = random_changes(chance, 12)
                bundles = chance.choice([[changes], [changes[:7], changes[7:]], random_cut(chance, changes)])
            else:
                bundles = random_bundles(chance, 4)
                changes = list(itertools.chain(*bundles))
            records = records_of(bundles)
            office.batch_changes = chance.randint(1, 12)
            office.reset()
            processor = office.processor
            struck = office.killed_at(chance.randint(0, 60), records, after=chance.random() < 0.5)
            result.struck(KILLED, int(struck))
            _check_position(processor.position(), records, result)
            office.processor.process(rest_after(records, processor.position()))
            _check_position(office.processor.position(), records, result)
            if (office.processor.position() or processor.position()) != records[-1].sequence:
                result.violated(f"I5: seed {seed} ends at {office.processor.position()}")
            judge(office, changes, result, f"seed {seed}", unit="bundles" if struck else "not cut")
            context.tell(result.counts["bundles"], context.goal)
    return result


def _check_position(position: str | None, records: Sequence[Record], result: Result) -> None:
    if position is not None and position not in {one.sequence for one in records}:
        result.violated(f"I5: the position {position} was invented")


def crash_anywhere(context: Context) -> Result:
    """F37: a kill before and after every statement that deciding runs, in every size of batch."""
    result = Result.expecting([KILLED, "killed after the effect and before what decides"])
    sizes = range(1, len(MIXED) + 1) if context.full else (1, len(MIXED))
    with front() as office:
        for batch, after, handled in itertools.product(sizes, (False, True), _HANDLED):
            for statement in itertools.count():
                # On the quick way the rows of the history are written before what decides.
                office.batch_changes, office.handled, office.history = batch, handled, not handled
                office.reset()
                changes = MIXED if handled else STATES
                records = records_of([MIXED[:3], MIXED[3:]] if handled else [STATES[:3], STATES[3:6], STATES[6:]])
                times = len(office.told.previous)
                if not office.killed_at(statement, records, after=after):
                    break
                result.struck(KILLED)
                if len(office.told.previous) > times:
                    result.struck("killed after the effect and before what decides")
                office.processor.process(records)
                where = f"batches of {batch}, handled {handled}, statement {statement}"
                judge(office, changes, result, where, unit="points")
            context.tell(batch, len(MIXED))
    return result


def answer_lost(context: Context) -> Result:
    """F38: a commit takes effect and raises; the same batch is decided again in place."""
    result = Result.expecting([ANSWER_LOST])
    with front() as office:
        for seed in itertools.count(context.first):
            if result.counts["commits"] >= context.goal:
                break
            chance = random.Random(seed)
            office.handled, office.history = chance.random() < 0.5, chance.random() < 0.5
            bundles = random_cut(chance, random_changes(chance, 10)) if office.handled else random_bundles(chance, 4)
            changes = list(itertools.chain(*bundles))
            records = records_of(bundles)
            office.batch_changes = chance.randint(1, 6)
            office.reset()
            assert office.session is not None
            happened = office.office.break_at(
                office.session, chance.randint(0, 2), office.office.outage(), only="COMMIT", after=True
            )
            office.processor.process(records)
            result.struck(ANSWER_LOST, int(happened()))
            judge(office, changes, result, f"seed {seed}", unit="commits" if happened() else "not struck")
            context.tell(result.counts["commits"], context.goal)
    return result


def every_order_of_calls(context: Context) -> Result:
    """F35: up to six calls in every order: a page, an empty page, a life that ends in between, all of it again."""
    result = Result.expecting(["an empty batch", "killed", "begun again at the checkpoint", "begun again at the start"])
    most = 6 if context.full else 3
    records = records_of([[change] for change in MIXED])
    with front() as office:
        for size in range(1, most + 1):
            for number, calls in enumerate(itertools.product("pexrs", repeat=size)):
                office.handled = number % 2 == 0
                office.reset()
                _play(office, calls, records, result)
                context.tell(result.counts["orders"], sum(5**n for n in range(1, most + 1)))
    return result


def _play(office: Front, calls: Sequence[str], records: Sequence[Record], result: Result) -> None:
    reading, saved, furthest = 0, 0, 0
    for call in calls:
        match call:
            case "p":
                office.processor.process(records[reading : reading + 2])
                reading = min(reading + 2, len(records))
                furthest = max(furthest, reading)
            case "e":
                office.processor.process([])
                result.struck("an empty batch")
            case "x":
                office.life()
                reading = saved
                result.struck("killed")
            case "r":
                saved = reading = int(office.processor.position() or saved)
                office.life()
                result.struck("begun again at the checkpoint")
            case "s":
                office.life()
                reading = 0
                result.struck("begun again at the start")
        if office.processor.position() not in {None, str(reading)}:
            result.violated(f"I5: {''.join(calls)}: the position is {office.processor.position()}, not {reading}")
    judge(office, MIXED[:furthest], result, "".join(calls), unit="orders")
