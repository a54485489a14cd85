"""What becomes of a change: the pure rules. No I/O, no clock.

The order of the questions is part of the promise: settled? -> guard or ledger -> already parked? -> gate closed, or key
held? -> untranslated? -> key parked, or another type's? -> try it. (The fence is asked before all of them, and only
when a record arrives from the stream: see `fenced`.)
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from isthmus.change import Change, Kind, Outcome, Verb, same_generation, settled_row
from isthmus.checkpoint.gates import Gate


class Guard(NamedTuple):
    """What decides for an entity of kind `state`: the last version that took effect."""

    version: str
    txn: str
    rowhash: str
    deleted: bool
    entity: str = ""
    """Its type, where guards of all types lie together: its version says nothing of another's. Empty: of any type."""


@dataclass(slots=True)
class Memory:
    """What the store remembers about the keys and transaction IDs of one batch. It grows while the batch is decided."""

    guards: dict[str, Guard] = field(default_factory=dict)
    ledger: dict[str, str] = field(default_factory=dict)
    """Row hash by transaction ID, for those of the batch that took effect (kind `event`)."""
    settled: set[str] = field(default_factory=set)
    """Of the batch's IDs and rows, those that an operator discarded or edited."""
    parked: dict[tuple[str, str], str] = field(default_factory=dict)
    """Row hash by (key, transaction ID), for those of the batch that lie in the parking lot."""
    newest_parked: dict[str, dict[str, str]] = field(default_factory=dict)
    """The newest parked version by key and entity type: a key that stands here is parked."""
    held: dict[tuple[str, str], str] = field(default_factory=dict)
    """Row hash by (key, transaction ID), for those of the batch that are held."""
    held_keys: set[str] = field(default_factory=set)
    """Of the batch's keys, those of which anything is held."""
    gates: Sequence[Gate] = ()
    """What the store itself knows of gates, where they are mirrored into it."""
    fences: dict[tuple[str, int], int] = field(default_factory=dict)
    """The highest epoch whose marker passed, by source and lane."""


class Decision(NamedTuple):
    """`outcome` is None when the change shall be tried: it takes effect unless it turns out to be poison."""

    outcome: Outcome | None
    reason: str = ""
    fresh: bool = True
    """False for a change that is parked or held and lies there already: nothing is to be written."""
    alarm: bool = False
    """The same transaction ID came with another row hash."""
    message: str = ""
    """What else there is to say of the reason."""


# Looked up for every change: a member by its class's name costs as much as a question.
_STATE, _EVENT, _DELETE, _UNTRANSLATED = Kind.STATE, Kind.EVENT, Verb.DELETE, Verb.UNTRANSLATED

TRY = Decision(None)
BEHIND = "behind"
"""The reason of a change that is no poison itself, but waits behind a parked one of its key; or of one that is held
behind another of its key, gate open or not."""
ANOTHER_TYPE = "key-of-another-type"
"""The reason of a state whose key is that of an entity of another type: no version says which of the two is newer."""

_STALE = Decision(Outcome.STALE)
_DUPLICATE = Decision(Outcome.DUPLICATE)
_DUPLICATE_OTHERWISE = Decision(Outcome.DUPLICATE, alarm=True)
_PARKED_BEFORE = Decision(Outcome.PARKED, fresh=False)
_PARKED_OTHERWISE = Decision(Outcome.PARKED, fresh=False, alarm=True)
_BEHIND = Decision(Outcome.PARKED, BEHIND)
_HELD_BEFORE = Decision(Outcome.HELD, fresh=False)
_HELD_OTHERWISE = Decision(Outcome.HELD, fresh=False, alarm=True)


def fenced(change: Change, fences: dict[tuple[str, int], int]) -> bool:
    """Say whether a change follows, in its lane, the marker of a newer owner of its source.

    The new owner started from the watermark and detects it again, so nothing is lost.
    """
    return change.epoch < fences.get((change.source, change.lane), 0)


def raise_fence(marker: Change, fences: dict[tuple[str, int], int]) -> bool:
    """Take an epoch marker in; say whether it raised the fence. An old marker that comes late lowers nothing."""
    place = (marker.source, marker.lane)
    if marker.epoch <= fences.get(place, 0):
        return False
    fences[place] = marker.epoch
    return True


def decide(change: Change, kind: Kind | None, memory: Memory, gate: str = "") -> Decision:  # noqa: PLR0911 - one for each question
    """Say what becomes of a change that passed the fence, from what is remembered.

    `kind` is None for an entity type that nobody knows here: whatever is remembered of it counts then. `gate` is the
    name of the closed gate that covers it, if there is one.
    """
    if memory.settled and (change.id in memory.settled or settled_row(change) in memory.settled):
        return _DUPLICATE
    # The ledger is asked for every kind: a type that is gone from the settings took effect all the same.
    known = _by_ledger(change, memory) or (None if kind is _EVENT else _by_guard(change, memory))
    if known is not None:
        return known
    rowhash = memory.parked.get((change.key, change.id))
    if rowhash is not None:
        return _PARKED_OTHERWISE if _differs(change, rowhash) else _PARKED_BEFORE
    # Before the lot and before any effect: what is held of a key came first, and nothing of the key overtakes it.
    if gate or change.key in memory.held_keys:
        return _held(change, memory, gate or BEHIND)
    if change.verb is _UNTRANSLATED:
        return Decision(Outcome.PARKED, _untranslated_reason(change))
    if kind is _EVENT and change.key in memory.newest_parked:
        return _BEHIND
    return _by_type(change, memory) if kind is _STATE else TRY


def read_again(change: Change, guard: Guard | None) -> bool:
    """Say whether a state was read again, and only its generation is known to be newer than what stands there."""
    return (
        guard is not None
        and not guard.deleted
        and change.verb is not _DELETE
        and not same_generation(guard.version, change.version)
    )


def applied(change: Change, kind: Kind, memory: Memory) -> bool:
    """Remember that a change took effect.

    Say whether it may free something parked: what is older, of its own entity type, of kind `state`.
    """
    if kind is _EVENT:
        memory.ledger[change.id] = change.rowhash
        return False
    deleted = change.verb is _DELETE
    memory.guards[change.key] = Guard(change.version, change.id, change.rowhash, deleted, change.entity)
    lot = memory.newest_parked.get(change.key)
    newest = lot.get(change.entity) if lot is not None else None
    if lot is None or newest is None:
        return False
    # Only what is older goes: freeing something newer would lose it.
    if newest < change.version:
        del lot[change.entity]
        if not lot:
            del memory.newest_parked[change.key]
    return True


def parked(change: Change, memory: Memory) -> None:
    """Remember that a change lies in the parking lot."""
    memory.parked[change.key, change.id] = change.rowhash
    lot = memory.newest_parked.setdefault(change.key, {})
    lot[change.entity] = max(change.version, lot.get(change.entity, ""))


def held(change: Change, memory: Memory) -> None:
    """Remember that a change is held."""
    memory.held[change.key, change.id] = change.rowhash
    memory.held_keys.add(change.key)


def drained(key: str, memory: Memory) -> None:
    """Forget that anything is held of a key: its changes are being decided in their order."""
    memory.held_keys.discard(key)
    for place in [place for place in memory.held if place[0] == key]:
        del memory.held[place]


def _held(change: Change, memory: Memory, why: str) -> Decision:
    rowhash = memory.held.get((change.key, change.id))
    if rowhash is None:
        return Decision(Outcome.HELD, why)
    return _HELD_OTHERWISE if _differs(change, rowhash) else _HELD_BEFORE


def _by_ledger(change: Change, memory: Memory) -> Decision | None:
    rowhash = memory.ledger.get(change.id)
    if rowhash is None:
        return None
    return _DUPLICATE_OTHERWISE if _differs(change, rowhash) else _DUPLICATE


def _by_guard(change: Change, memory: Memory) -> Decision | None:
    guard = memory.guards.get(change.key)
    if guard is None:
        return None
    if change.id == guard.txn:
        return _DUPLICATE_OTHERWISE if _differs(change, guard.rowhash) else _DUPLICATE
    # An older version of another type is not stale: nothing newer of it took effect.
    return _STALE if change.version <= guard.version and not _of_another_type(change, guard) else None


def _by_type(change: Change, memory: Memory) -> Decision:
    guard = memory.guards.get(change.key)
    if guard is None or not _of_another_type(change, guard):
        return TRY
    return Decision(Outcome.PARKED, ANOTHER_TYPE, message=f"the key is that of an entity of type {guard.entity!r}")


def _of_another_type(change: Change, guard: Guard) -> bool:
    return guard.entity not in (change.entity, "")


def _differs(change: Change, rowhash: str) -> bool:
    return bool(change.rowhash and rowhash and change.rowhash != rowhash)


def _untranslated_reason(change: Change) -> str:
    reason = change.data.get("reason") if isinstance(change.data, dict) else None
    return reason if isinstance(reason, str) and reason else "untranslated"


def count(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Count outcomes by name."""
    return {str(outcome): number for outcome, number in Counter(outcomes).items()}
