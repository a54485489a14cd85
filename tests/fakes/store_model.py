"""The rules of the stores once more: what the end must be whatever the batches were, and whether it is."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from isthmus.change import Change, Outcome, Verb
from tests.fakes.store_world import APPLIED, DUPLICATE, FENCED, PARKED, STALE, UNCHANGED, World


class Remembered(NamedTuple):
    """What the model keeps of the change that took effect last."""

    version: str
    txn: str
    rowhash: str
    deleted: bool
    at_ms: int


class ByModel:
    """The rules once more, one change after another, in a few lines: what the end must be whatever the batches were."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, str]] = {}
        self.last: dict[str, Remembered] = {}
        self.took: dict[str, tuple[str, int]] = {}
        self.lots: dict[str, dict[str, tuple[str, str]]] = {}
        """Version and row hash by transaction ID, by key."""
        self.settled: set[str] = set()
        self.fences: dict[tuple[str, int], int] = {}
        self.effects: Counter[str] = Counter()
        self.alarms = 0

    @property
    def guards(self) -> dict[str, tuple[str, str]]:
        """Version and transaction ID by key."""
        return {key: (old.version, old.txn) for key, old in self.last.items()}

    @property
    def ledger(self) -> set[str]:
        return set(self.took)

    @property
    def lot(self) -> dict[tuple[str, str], str]:
        """Version by key and transaction ID."""
        return {(key, txn): version for key, lot in self.lots.items() for txn, (version, _) in lot.items()}

    def take(self, change: Change, at_ms: int = 0) -> Outcome | None:
        place = (change.source, change.lane)
        if change.verb is Verb.MARKER:
            self.fences[place] = max(self.fences.get(place, 0), change.epoch)
            return None
        if change.epoch < self.fences.get(place, 0):
            return FENCED
        if change.id in self.settled:
            return DUPLICATE
        return self._known(change) or self._tried(change, at_ms)

    def _known(self, change: Change) -> Outcome | None:
        guard = self.last.get(change.key) if change.entity != "posting" else None
        lot = self.lots.get(change.key, {})
        if change.id in self.took:
            return self._again(change, self.took[change.id][0], DUPLICATE)
        if guard is not None and guard.txn == change.id:
            return self._again(change, guard.rowhash, DUPLICATE)
        if guard is not None and change.version <= guard.version:
            return STALE
        return self._again(change, lot[change.id][1], PARKED) if change.id in lot else None

    def _tried(self, change: Change, at_ms: int) -> Outcome:
        lot, is_event = self.lots.setdefault(change.key, {}), change.entity == "posting"
        if _is_bad(change) or (is_event and lot):
            lot[change.id] = (change.version, change.rowhash)
            return PARKED
        if is_event:
            self.effects[change.id] += 1
            self.took[change.id] = (change.rowhash, at_ms)
            return APPLIED
        deleted = change.verb is Verb.DELETE
        outcome = UNCHANGED if self._is_again(change) else APPLIED
        if outcome is APPLIED:
            self.effects[change.id] += 1
        self.last[change.key] = Remembered(change.version, change.id, change.rowhash, deleted, at_ms)
        self.lots[change.key] = {txn: old for txn, old in lot.items() if old[0] >= change.version}
        self.rows.pop(change.key, None)
        if not deleted:
            self.rows[change.key] = (change.data["size"], change.data["note"])
        return outcome

    def _is_again(self, change: Change) -> bool:
        """Say whether it is another generation of the very row that is there."""
        if change.verb is Verb.DELETE or change.key not in self.rows:
            return False
        row = (change.data["size"], change.data["note"])
        return self.rows[change.key] == row and self.last[change.key].version[:8] != change.version[:8]

    def _again(self, change: Change, rowhash: str, outcome: Outcome) -> Outcome:
        self.alarms += change.rowhash != rowhash
        return outcome

    def prune(self, before_ms: int, still_there: Collection[str] = ()) -> None:
        """Forget the memory of what was decided before this moment. IDs are settled at the moment 0.

        `still_there` are keys with a guard: a store may keep that of a deleted entity while something of it is parked.
        """
        self.last = {
            key: old
            for key, old in self.last.items()
            if not old.deleted or old.at_ms >= before_ms or (key in still_there and self.lots.get(key))
        }
        self.took = {txn: old for txn, old in self.took.items() if old[1] >= before_ms}
        self.settled = self.settled if before_ms <= 0 else set()


def _is_bad(change: Change) -> bool:
    if change.verb is Verb.UNTRANSLATED:
        return True
    return change.data is not None and (change.data["size"] < 0 or change.data["note"] == "wrong")


def agrees(world: World, model: ByModel) -> None:
    """Compare all that decides, and all that took effect, with what the model says."""
    own = world.office.own
    _same({row["key"]: (row["size"], row["note"]) for row in world.office.rows("thing")}, model.rows)
    _same(
        {row["key"]: (row["version"], row["txn"], row["rowhash"], bool(row["deleted"])) for row in own("guard")},
        {key: old[:4] for key, old in model.last.items()},
    )
    _same({row["txn"]: True for row in own("ledger")}, dict.fromkeys(model.ledger, True))
    _same({(row["key"], row["txn"]): row["version"] for row in own("parked")}, model.lot)
    _same({(row["source"], row["lane"]): row["epoch"] for row in own("fence")}, model.fences)
    _same({row["txn"]: True for row in own("settled")}, dict.fromkeys(model.settled, True))
    _same(world.effects(), model.effects)


def _same(found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> None:
    # Only what differs: a comparison of thousands of rows is nothing that anybody reads.
    keys = found.keys() | expected.keys()
    assert {key: (found.get(key), expected.get(key)) for key in keys if found.get(key) != expected.get(key)} == {}
