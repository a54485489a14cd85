"""Rows of the matrix that run in the seeded simulation: each history has one fault that must strike.

A history counts only when that fault has struck in it. The steps at which it may strike take turns, so that the
coverage is not left to chance; the simulation's own oracle judges (I1 to I6, I8, I9).
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from tests.faults.row import Context, Result
from tests.simulation.office import Fate
from tests.simulation.plan import QUICK, STEPS, Fault, Kind, Modification, Plan, Step, make_plan
from tests.simulation.shrink import report, shrink
from tests.simulation.world import run

Place = tuple[Kind, Step]

_MOST_TRIES: Final = 12
"""So many histories are tried for each that counts: a fault at the third call of a step needs a third call."""
_MOST_SHOWN: Final = 2
_FAR: Final = 4
"""How many calls of a step lie before a fault, at most; half of them strike at one of the first two."""

Upset = Callable[[Plan, random.Random], Plan]


def places(kinds: Sequence[Kind], *, role: str | None = None, calls: Sequence[str] | None = None) -> list[Place]:
    """Give every step at which these faults can strike, of one role or of some calls only."""
    return [
        (kind, step)
        for kind in kinds
        for step in STEPS[kind]
        if (role is None or step[0] == role) and (calls is None or step[1] in calls)
    ]


def under(wanted: Sequence[Place], upset: Upset = lambda plan, _chance: plan) -> Callable[[Context], Result]:
    """Give a row's function: histories in which one of these faults strikes at one of these steps.

    `upset` may change a plan further.
    """
    return partial(_run, tuple(_in_turn(wanted)), upset)


def _in_turn(wanted: Sequence[Place]) -> list[Place]:
    """Put the kinds of faults in turn, so that the first few histories see each of them."""
    seen: Counter[Kind] = Counter()
    turns = []
    for number, place in enumerate(wanted):
        turns.append((seen[place[0]], number, place))
        seen[place[0]] += 1
    return [place for _, _, place in sorted(turns, key=lambda turn: turn[:2])]


def _run(wanted: Sequence[Place], upset: Upset, context: Context) -> Result:
    # In a short form there is not room for each step: then each kind of fault must strike somewhere.
    by_step = context.full or context.goal >= len(wanted)
    result = Result.expecting(_name(place, by_step=by_step) for place in wanted)
    seed = context.first
    while result.counts["histories"] < context.goal and result.counts["tried"] < _MOST_TRIES * (context.goal + 10):
        place = wanted[result.counts["histories"] % len(wanted)]
        chance = random.Random(f"{seed}/{place}")
        verdict = run(upset(targeted(seed, place, chance), chance))
        seed += 1
        result.counts["tried"] += 1
        if verdict.violations:
            result.violated(report(shrink(verdict)) if context.shows else verdict.violations[0])
        if verdict.fired[place]:
            result.counts["histories"] += 1
            result.struck(_name(place, by_step=by_step), verdict.fired[place])
            context.tell(result.counts["histories"], context.goal)
        if len(result.violations) > (_MOST_SHOWN if context.shows else 0):
            break
    return result


def targeted(seed: int, place: Place, chance: random.Random) -> Plan:
    """Give a plan in which this fault is due soon, in every other one among others."""
    plan = make_plan(seed)
    kind, (role, call) = place
    if call in QUICK:
        # It is called in no other histories.
        plan = replace(plan, sizes=replace(plan.sizes, handled=False))
    others = plan.faults if chance.random() < 0.5 else ()
    nth = chance.randint(1, chance.choice([1, 2, _FAR]))
    faults = [Fault(kind, role, call, nth, round(chance.random(), 6))]
    if call == "leases.give_back":
        faults.append(Fault(Kind.TERMINATED, role, "leases.beat", chance.randint(1, 3), 0.5))
    if call == "store.same":
        # What stands there is compared with what comes only where it was read again.
        faults.append(Fault(Kind.RESYNCED, "producer", "source.read", chance.randint(3, 8), 0.5))
    due = {fault[1:4] for fault in faults}
    return replace(plan, faults=(*faults, *(fault for fault in others if fault[1:4] not in due)))


def rows_in_bursts(plan: Plan, chance: random.Random) -> Plan:
    """Let several modifications be committed at one moment: they lie on both sides of a page's and a bundle's edge."""
    size = chance.randint(2, 6)
    found: list[Modification] = []
    for number, modification in enumerate(plan.modifications):
        at = modification.at if number % size == 0 else found[-1].at
        found.append(modification._replace(at=at))
    return replace(plan, modifications=tuple(found))


def restarted(plan: Plan, chance: random.Random) -> Plan:
    """Let the consumer be killed once or twice too, while it reads, decides or saves what a shard's end depends on."""
    calls = chance.sample(["feed.fetch", "feed.shards", "store.commit", "shards.save"], chance.randint(1, 2))
    kills = [
        Fault(chance.choice([Kind.KILLED_BEFORE, Kind.KILLED_AFTER]), "consumer", call, chance.randint(1, 6), 0.5)
        for call in calls
    ]
    due = {fault[1:4] for fault in plan.faults}
    return replace(plan, faults=(*plan.faults, *(kill for kill in kills if kill[1:4] not in due)))


def much_poison(plan: Plan, chance: random.Random) -> Plan:
    """Let more than half of all rows be poison, of every kind that there is."""
    poison = [fate for fate in Fate if fate.is_poison]
    return replace(
        plan,
        modifications=tuple(
            modification._replace(fate=chance.choice(poison)) if chance.random() < 0.6 else modification
            for modification in plan.modifications
        ),
    )


def _name(place: Place, *, by_step: bool) -> str:
    kind, (role, call) = place
    return f"{kind} at {role} {call}" if by_step else kind.value
