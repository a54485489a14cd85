"""What comes to a front office in the rows about deciding, and how it is judged."""

import itertools
import random
from collections.abc import Sequence
from typing import Final

from isthmus.change import Change
from tests.fakes.store_world import delete, event, marker, untranslated, upsert
from tests.faults.front import Front, model_of
from tests.faults.offices import AnyFront
from tests.faults.row import Result

MIXED: Final = (
    upsert(1),
    event(1, "e"),
    upsert(2, "b", size=-1),
    delete(2),
    event(2, "e", note="wrong"),
    upsert(3, "b"),
    untranslated(3),
    event(3, "e"),
)
"""States, events, a delete, poison of every stage, and what waits behind it."""


STATES: Final = (
    upsert(1),
    upsert(1, "b"),
    delete(1, "c"),
    upsert(2),
    upsert(2, "b", size=-1),
    upsert(2, "c"),
    delete(3),
    upsert(3, "b"),
    upsert(3, "d"),
)
"""Three bundles of which each entity has one change: what may take effect at once, a delete, and poison among them."""


def judge(office: Front | AnyFront, changes: Sequence[Change], result: Result, where: str, unit: str = "cases") -> None:
    result.counts[unit] += 1
    for sentence in office.wrong(model_of(changes)):
        result.violated(f"{where}: {sentence}")


def random_changes(chance: random.Random, size: int) -> list[Change]:
    found: list[Change] = []
    for number in range(1, size + 1):
        key = chance.choice("abc")
        made = chance.choice([upsert, upsert, event, untranslated, None])
        change = delete(number, key) if made is None else made(number, key if made is not event else f"e{key}")
        if chance.random() < 0.2 and made in {upsert, event}:
            change = change._replace(data={"size": 1, "note": "wrong"})
        found.append(change)
    if chance.random() < 0.3:
        found.insert(chance.randint(0, size), marker(2))
    return found


def random_bundles(chance: random.Random, number: int) -> list[list[Change]]:
    """Give bundles of states in which no entity comes twice; some of them are bad, some come again."""
    found: list[list[Change]] = []
    for version in range(1, number + 1):
        keys = chance.sample("abcdefgh", chance.randint(1, 5))
        bundle = [upsert(version, key, size=-1 if chance.random() < 0.1 else version) for key in keys]
        found.append([delete(version, one.key) if chance.random() < 0.15 else one for one in bundle])
    return [*found, *chance.sample(found, 1)]


def random_states(chance: random.Random, *, deleted: float) -> list[Change]:
    numbers = chance.sample(range(1, 30), 8)
    changes = []
    for number in numbers:
        change = upsert(number, chance.choice("kkj"), size=-1 if chance.random() < 0.2 else number)
        changes.append(delete(number, change.key) if chance.random() < deleted else change)
    return changes + chance.sample(changes, 3)


def random_cut(chance: random.Random, changes: Sequence[Change]) -> list[list[Change]]:
    edges = sorted({0, len(changes), *(chance.randint(0, len(changes)) for _ in range(3))})
    return [list(changes[low:high]) for low, high in itertools.pairwise(edges)]
