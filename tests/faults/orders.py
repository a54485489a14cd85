"""Rows of the matrix about what comes out of order, again, or cannot be applied: the real applier on the real store."""

import itertools
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from isthmus.change import Change, Verb
from isthmus.consumer.feed import Record
from isthmus.errors import Poison
from tests.fakes.store_world import delete, event, untranslated, upsert
from tests.faults.cases import judge, random_cut, random_states
from tests.faults.front import Front, front, model_of, records_of
from tests.faults.offices import AnyFront, front_in
from tests.faults.row import Context, Result

_MOST_STALL: Final = 1.0
"""Seconds a record (the matrix, F47)."""


def newest_wins(context: Context) -> Result:
    """F33: the versions of some entities come in any order, some twice, as a foreign producer would send them."""
    result = Result.expecting(["a version behind a newer one", "poison among them"])
    with front() as office:
        for seed in range(context.first, context.first + context.goal):
            chance = random.Random(seed)
            changes = random_states(chance, deleted=0.15)
            office.batch_changes = chance.randint(1, 8)
            office.handled = chance.random() < 0.5
            office.reset()
            office.processor.process(records_of(random_cut(chance, changes)))
            order = [change.version for change in changes if change.key == "k"]
            result.struck("a version behind a newer one", int(order != sorted(order)))
            result.struck("poison among them", int(any((change.data or {}).get("size", 0) < 0 for change in changes)))
            judge(office, changes, result, f"seed {seed}", unit="orders")
            context.tell(seed - context.first + 1, context.goal)
    return result


def no_resurrection(context: Context) -> Result:
    """F44: an update older than the delete comes after it: in the same batch, in a later one, in a later life."""
    return _no_resurrection(front(), context)


def no_resurrection_in(store: str) -> Callable[[Context], Result]:
    """Give a row's function: the same in another store."""
    return lambda context: _no_resurrection(front_in(store), context)


def _no_resurrection(place: AbstractContextManager[Front | AnyFront], context: Context) -> Result:
    result = Result.expecting(["a late update in the same batch", "a late update in a later life"])
    with place as office:
        for seed in range(context.first, context.first + context.goal):
            chance = random.Random(seed)
            before = random_states(chance, deleted=0.0)
            newest = max(int(change.version) for change in before)
            late = [*chance.sample(before, 2), upsert(newest + 5)._replace(id="late")]
            changes = [*before, delete(newest + 9), *late]
            same = chance.random() < 0.5
            office.batch_changes = 100 if same else chance.randint(1, 4)
            if isinstance(office, Front):
                office.handled = chance.random() < 0.5
            office.reset()
            if same:
                office.processor.process(records_of([changes]))
                result.struck("a late update in the same batch")
            else:
                records = records_of([changes[:-3], *([change] for change in late)])
                office.processor.process(records[:1])
                office.life().process(records[1:])
                result.struck("a late update in a later life")
            judge(office, changes, result, f"seed {seed}", unit="deletes")
            context.tell(seed - context.first + 1, context.goal)
    return result


def poison_anywhere(context: Context) -> Result:
    """F47: every set of bad places in a batch, up to all of it, refused at each stage, in several sizes of batch."""
    result = Result.expecting(["poison in a batch", "a batch of nothing but poison", *_STAGES])
    size = 8 if context.full else 4
    with front() as office:
        cases = itertools.product(range(1 << size), _STAGES, (1, 3, size), (True, False))
        for bits, stage, batch, office.handled in cases:
            changes = [_STAGES[stage](place, bad=bool(bits >> place & 1)) for place in range(size)]
            office.told.raises = {one.id: [Poison("unhandled") for _ in range(50)] for one in changes if _refused(one)}
            office.batch_changes = batch
            office.reset()
            records = records_of([changes[: size // 2], changes[size // 2 :]])
            office.processor.process(records)
            if office.processor.position() != records[-1].sequence:
                result.violated(f"I5: bits {bits:b} stand in the way")
            result.struck("poison in a batch", int(bits > 0))
            result.struck(stage, int(bits > 0))
            result.struck("a batch of nothing but poison", int(bits + 1 == 1 << size))
            where = f"bits {bits:b}, {stage}, batches of {batch}, handled {office.handled}"
            judge(office, changes, result, where, unit="sets")
            context.tell(bits, 1 << size)
    office.told.raises = {}
    return result


def _bad_contract(place: int, *, bad: bool) -> Change:
    return upsert(place + 1, f"k{place % 3}", note="wrong" if bad else "fine")


def _bad_row(place: int, *, bad: bool) -> Change:
    return upsert(place + 1, f"k{place % 3}", size=-1 if bad else 1)


def _bad_event(place: int, *, bad: bool) -> Change:
    return event(place + 1, f"k{place % 3}", size=-1 if bad else 1)


_STAGES: Final = {
    "refused by the contract": _bad_contract,
    "refused by the store": _bad_row,
    "refused by the handler, after its effect": _bad_event,
}


def _refused(change: Change) -> bool:
    """Say whether the handler refuses it: an event writes no table that could."""
    return change.verb is Verb.EVENT and change.data["size"] < 0


def stall(context: Context) -> Result:
    """F47: records of nothing but poison among good ones: how long the worst one keeps its shard. Full form only."""
    result = Result.expecting(["a record of poison"])
    with front(batch_changes=500) as office:
        longest = 0.0
        for number in range(context.goal):
            chance = random.Random(number)
            kinds = [chance.choice([upsert, event]) for _ in range(50)]
            changes = [make(number, f"{make.__name__}{place}", note="wrong") for place, make in enumerate(kinds)]
            good = upsert(number, "good")
            begun = time.monotonic()
            office.processor.process([one._replace(sequence=str(number + 1)) for one in records_of([[*changes, good]])])
            longest = max(longest, time.monotonic() - begun)
            if office.processor.position() != str(number + 1):
                result.violated("I5: poison stands in the way")
            result.struck("a record of poison")
            result.counts["poison records"] += 1
            context.tell(number + 1, context.goal)
        result.counts["longest stall, ms"] = round(1000 * longest)
        if context.full and longest > _MOST_STALL:
            result.violated(f"a record kept its shard for {longest:.2f} s")
    return result


def replayed_three_times(context: Context) -> Result:
    """F30: a whole stream is read three more times from its beginning: nothing changes."""
    result = Result.expecting(["replays from the beginning"])
    chance = random.Random(context.first)
    keys = [f"k{number}" for number in range(max(10, context.goal // 50))]
    versions = dict.fromkeys(keys, 0)
    records: list[Record] = []
    with front(batch_changes=500) as office:
        model = model_of([])
        for number in range(context.goal):
            key = chance.choice(keys)
            versions[key] += 1
            make = event if int(key[1:]) % 3 == 0 else upsert
            bad = chance.random() < 0.01
            change = make(versions[key], key, note="wrong" if bad else "fine")
            if chance.random() < 0.05 and make is upsert:
                change = delete(versions[key], key)
            model.take(change)
            records += [one._replace(sequence=str(number + 1)) for one in records_of([[change]])]
        for again in range(4):
            office.life()
            for begin in range(0, len(records), 5000):
                office.processor.process(records[begin : begin + 5000])
                context.tell(again * context.goal + begin, 4 * context.goal)
            for sentence in office.wrong(model):
                result.violated(f"reading {again + 1}: {sentence[:300]}")
            result.struck("replays from the beginning", int(again > 0))
        result.counts["records"] = len(records)
    return result


def other_hash(context: Context) -> Result:
    """F42: the same transaction ID comes with another row hash, applied, in the ledger, or parked: an alarm each."""
    result = Result.expecting(["the same ID with another hash"])
    with front() as office:
        for seed in range(context.first, context.first + context.goal):
            chance = random.Random(seed)
            first = chance.choice([upsert(1), event(1), upsert(1, size=-1), untranslated(1)])
            other = first._replace(rowhash=f"hash-{chance.randint(100, 999)}", data={"size": 77, "note": "other"})
            changes = [first, other]
            office.handled = chance.random() < 0.5
            office.reset()
            alarms = office.metrics.hash_alarms._value.get()
            if chance.random() < 0.5:
                office.processor.process(records_of([changes]))
            else:
                office.processor.process(records_of([[first]]))
                office.life().process(records_of([[other]]))
            raised = office.metrics.hash_alarms._value.get() - alarms
            result.struck("the same ID with another hash")
            if raised != 1:
                result.violated(f"seed {seed}: {raised:g} alarms for one other hash")
            judge(office, [first], result, f"seed {seed}", unit="pairs")
            context.tell(seed - context.first + 1, context.goal)
    return result
