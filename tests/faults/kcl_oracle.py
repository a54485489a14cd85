"""What must stand in a front office that has decided all that was fed, and whether it does."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from isthmus.change import Kind, Verb, position_of
from tests.faults.kcl_feed import Fed
from tests.faults.kcl_office import Fate

_SHOWN: Final = 3
SHARD_END: Final = "SHARD_END"
FORGOTTEN: Final = "FORGOTTEN"
"""In the place of a sequence number: the lease was taken away on purpose, and its checkpoint may go back."""


class Effect(NamedTuple):
    """One effect that was counted: the how-many-th of its key it was."""

    txn: str
    key: str
    version: str
    nth: int


class Office(Protocol):
    """A front office, read from outside."""

    def count(self) -> int:
        """Say how many were decided, more or less. From any thread."""
        ...

    def effects(self) -> list[Effect]: ...
    def parked(self) -> dict[str, str]:
        """Give what lies in the parking lot: reason by transaction ID."""
        ...

    def rows(self) -> dict[str, tuple[str, int, str]]:
        """Give version, size and fate of each row of the business table, by key."""
        ...

    def fell(self) -> list[tuple[str, str, str]]:
        """Give every fall of a version: key, before, after."""
        ...

    def decided(self) -> Callable[[str, str], bool]:
        """Give what says of a transaction ID and a snapshot whether it had taken effect, or was parked, by then."""
        ...


@dataclass
class Model:
    """What must become of what was fed, in this order."""

    applied: dict[str, Fed] = field(default_factory=dict)
    parked: dict[str, Fed] = field(default_factory=dict)
    superseded: dict[str, str] = field(default_factory=dict)
    """What was freed from the parking lot, and by which change."""
    rows: dict[str, Fed] = field(default_factory=dict)

    @classmethod
    def of(cls, fed: Iterable[Fed]) -> "Model":
        """Decide all of it, in order."""
        model = cls()
        waiting: dict[str, list[Fed]] = defaultdict(list)
        for each in fed:
            lot = waiting[each.key]
            if each.fate is not Fate.FINE or (each.kind is Kind.EVENT and lot):
                lot.append(each)
                model.parked[each.txn] = each
                continue
            model.applied[each.txn] = each
            if each.kind is Kind.STATE:
                model.superseded.update({model.parked.pop(old.txn).txn: each.txn for old in lot})
                lot.clear()
                model._state(each)
        return model

    def _state(self, each: Fed) -> None:
        if each.verb is Verb.DELETE:
            self.rows.pop(each.key, None)
        else:
            self.rows[each.key] = each


def is_settled(office: Office, fed: Sequence[Fed]) -> bool:
    """Say whether everything that was fed has taken effect, or lies in the parking lot, or was freed from it."""
    model = Model.of(fed)
    return (
        model.applied.keys() <= {effect.txn for effect in office.effects()}
        and model.parked.keys() <= office.parked().keys()
    )


def wrong(office: Office, fed: Sequence[Fed]) -> list[str]:
    """Compare what stands there with what must; each sentence begins with the invariant."""
    model = Model.of(fed)
    effects = office.effects()
    return [
        *_nothing_lost(model, {effect.txn for effect in effects}, office.parked().keys()),
        *_once(model, effects),
        *_never_falling(model, office),
        *_in_order(effects, {each.txn: each for each in fed}),
    ]


def _nothing_lost(model: Model, applied: Collection[str], parked: Collection[str]) -> list[str]:
    found = []
    if lost := [each for txn, each in model.applied.items() if txn not in applied and txn not in parked]:
        found.append(f"I1: {len(lost)} are lost: neither applied nor parked: {_names(lost)}")
    if wrongly := [each for txn, each in model.applied.items() if txn not in applied and txn in parked]:
        found.append(f"I9: {len(wrongly)} are parked although nothing is wrong with them: {_names(wrongly)}")
    if missing := [each for txn, each in model.parked.items() if txn not in parked]:
        found.append(f"I1: {len(missing)} poison changes are not in the parking lot: {_names(missing)}")
    return found


def _once(model: Model, effects: Sequence[Effect]) -> list[str]:
    times = Counter(effect.txn for effect in effects)
    found = [f"I2: {key} took effect {count} times" for key, count in times.items() if count > 1]
    if surplus := [effect.key for effect in effects if effect.txn not in model.applied]:
        found.append(f"I1: {len(surplus)} took effect that must not: {surplus[:_SHOWN]}")
    tallies = {effect.key: 0 for effect in effects}
    for effect in effects:
        tallies[effect.key] = max(tallies[effect.key], effect.nth)
    by_key = Counter(each.key for each in model.applied.values())
    found += [
        f"I2: {key} was counted {tallies.get(key, 0)} times, and must be {count} times"
        for key, count in by_key.items()
        if tallies.get(key, 0) != count
    ]
    return _few(found)


def _never_falling(model: Model, office: Office) -> list[str]:
    found = [
        f"I3: {key} fell from {position_of(before)} to {position_of(after)}" for key, before, after in office.fell()
    ]
    rows = office.rows()
    must = {key: (each.version, position_of(each.version), each.fate.value) for key, each in model.rows.items()}
    found += [
        f"I3: {key} stands at {_row(rows.get(key))}, and must stand at {_row(must.get(key))}"
        for key in sorted(rows.keys() | must.keys())
        if rows.get(key) != must.get(key)
    ]
    return _few(found)


def _in_order(effects: Sequence[Effect], fed: Mapping[str, Fed]) -> list[str]:
    newest: dict[str, Effect] = {}
    found = []
    for effect in sorted(effects, key=lambda effect: (effect.key, effect.nth)):
        before = newest.get(effect.key)
        if effect.txn in fed and before is not None and effect.version <= before.version:
            older, newer = position_of(effect.version), position_of(before.version)
            found.append(f"I4: {effect.key}: version {older} took effect after {newer}")
        newest[effect.key] = effect
    return _few(found)


class Saved(NamedTuple):
    """One checkpoint, as it was written into the lease table, and what the front office had decided just before."""

    shard: str
    sequence: str
    sub_sequence: int
    snapshot: str


Records = Mapping[str, Sequence[tuple[str, Collection[str]]]]
"""Each shard's records in order: sequence number, and the transaction IDs in it."""


def wrong_checkpoints(office: Office, fed: Sequence[Fed], saved: Sequence[Saved], records: Records) -> list[str]:
    """I5: whatever lies at or before a checkpoint was decided when it was written."""
    found = []
    was_decided, freed_by = office.decided(), Model.of(fed).superseded
    # So many records of a shard are at or before a checkpoint that was looked at.
    seen: dict[str, int] = defaultdict(int)
    for each in saved:
        of_shard = records.get(each.shard, [])
        if each.sequence == FORGOTTEN:
            seen[each.shard] = 0
            continue
        if each.sequence == SHARD_END:
            passed = len(of_shard)
        elif each.sequence.isdecimal():
            passed = sum(int(sequence) <= int(each.sequence) for sequence, _ in of_shard)
            if each.sequence not in {sequence for sequence, _ in of_shard}:
                found.append(f"I5: {each.shard} has no record {each.sequence}, and a checkpoint lies there")
        else:
            continue
        if each.sub_sequence:
            found.append(f"I5: a checkpoint of {each.shard} has the sub-sequence {each.sub_sequence}")
        if passed < seen[each.shard]:
            found.append(f"I5: the checkpoint of {each.shard} went back")
        fresh = (txn for _, txns in of_shard[seen[each.shard] : passed] for txn in txns)
        # What is parked and freed in one transaction leaves no trace of its own.
        undecided = [
            txn
            for txn in fresh
            if not was_decided(txn, each.snapshot) and not was_decided(freed_by.get(txn, txn), each.snapshot)
        ]
        if undecided:
            found.append(f"I5: a checkpoint of {each.shard} passes {len(undecided)} that nobody had decided")
        seen[each.shard] = max(passed, seen[each.shard])
    return _few(found)


def _names(changes: Sequence[Fed]) -> str:
    shown = ", ".join(f"{each.key} version {position_of(each.version)}" for each in changes[:_SHOWN])
    return shown + (" ..." if len(changes) > _SHOWN else "")


def _row(row: tuple[str, int, str] | None) -> str:
    return "nothing" if row is None else f"version {position_of(row[0])}"


def _few(found: list[str]) -> list[str]:
    return [*found[:_SHOWN], *([f"{found[0][:2]}: {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])]
