"""The oracle of the rows with the real daemon: whatever breaks a promise, it says so."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from isthmus.change import Verb, version_of
from isthmus.errors import Fatal
from tests.faults import kcl_deeds
from tests.faults.kcl_deeds import Deeds
from tests.faults.kcl_feed import Fed
from tests.faults.kcl_office import Fate
from tests.faults.kcl_offices import is_seen
from tests.faults.kcl_oracle import FORGOTTEN, SHARD_END, Effect, Model, Saved, is_settled, wrong, wrong_checkpoints

BAD = Fate.UNHANDLED


def fed(number: int, key: str, verb: Verb = Verb.UPSERT, fate: Fate = Fate.FINE) -> Fed:
    return Fed(f"t{number}", key, version_of(0, number), verb, fate)


FED = [
    fed(1, "thing/a"),
    fed(2, "move/m", Verb.EVENT),
    fed(3, "thing/a", fate=BAD),
    fed(4, "thing/a"),
    fed(5, "move/m", Verb.EVENT, BAD),
    fed(6, "move/m", Verb.EVENT),
    fed(7, "thing/b"),
    fed(8, "thing/b", Verb.DELETE),
]


@dataclass
class FakeOffice:
    """A front office that has decided all of it, until a test damages it."""

    told: list[Effect] = field(default_factory=list)
    lot: dict[str, str] = field(default_factory=lambda: {"t5": "unhandled", "t6": "behind"})
    table: dict[str, tuple[str, int, str]] = field(default_factory=lambda: {"thing/a": (version_of(0, 4), 4, "fine")})
    fallen: list[tuple[str, str, str]] = field(default_factory=list)
    late: set[str] = field(default_factory=set)
    """What had not been decided at any snapshot."""

    def __post_init__(self) -> None:
        nth: dict[str, int] = {}
        for each in (FED[0], FED[1], FED[3], FED[6], FED[7]):
            nth[each.key] = nth.get(each.key, 0) + 1
            self.told.append(Effect(each.txn, each.key, each.version, nth[each.key]))

    def count(self) -> int:
        return len(self.told) + len(self.lot)

    def effects(self) -> list[Effect]:
        return self.told

    def parked(self) -> dict[str, str]:
        return self.lot

    def rows(self) -> dict[str, tuple[str, int, str]]:
        return self.table

    def fell(self) -> list[tuple[str, str, str]]:
        return self.fallen

    def decided(self) -> Callable[[str, str], bool]:
        there = {effect.txn for effect in self.told} | self.lot.keys()
        return lambda txn, _snapshot: txn in there and txn not in self.late


def without(txn: str) -> Callable[[FakeOffice], Any]:
    def damage(office: FakeOffice) -> None:
        office.told = [effect for effect in office.told if effect.txn != txn]

    return damage


def once_more(office: FakeOffice) -> None:
    again = next(effect for effect in office.told if effect.txn == "t2")
    office.told.append(again._replace(nth=2))


def turned(office: FakeOffice) -> None:
    office.told = [effect._replace(nth=3 - effect.nth) if effect.key == "thing/b" else effect for effect in office.told]


DAMAGES: list[tuple[str, Callable[[FakeOffice], Any], str]] = [
    ("an effect is missing", without("t7"), "I1"),
    ("what is parked is lost", lambda office: office.lot.pop("t5"), "I1"),
    ("what waits behind poison is lost", lambda office: office.lot.pop("t6"), "I1"),
    ("a healthy change is parked", lambda office: (without("t1")(office), office.lot.update(t1="x")), "I9"),
    ("an effect happened twice", once_more, "I2"),
    ("poison took effect", lambda office: office.told.append(Effect("t5", "move/m", version_of(0, 5), 2)), "I1"),
    ("a row is stale", lambda office: office.table.update({"thing/a": (version_of(0, 1), 1, "fine")}), "I3"),
    ("a deleted row is back", lambda office: office.table.update({"thing/b": (version_of(0, 7), 7, "fine")}), "I3"),
    ("a version fell", lambda office: office.fallen.append(("thing/a", version_of(0, 4), version_of(0, 1))), "I3"),
    ("effects came in another order", turned, "I4"),
]


def test_a_front_office_as_it_must_be_is_right() -> None:
    assert wrong(FakeOffice(), FED) == []
    assert is_settled(FakeOffice(), FED)


def test_a_poison_state_is_freed_by_the_next_valid_one_and_a_poison_event_is_not() -> None:
    model = Model.of(FED)

    assert model.superseded == {"t3": "t4"}
    assert list(model.parked) == ["t5", "t6"]
    assert list(model.applied) == ["t1", "t2", "t4", "t7", "t8"]
    assert list(model.rows) == ["thing/a"]


@pytest.mark.parametrize("name, damage, invariant", DAMAGES, ids=[name for name, _, _ in DAMAGES])
def test_every_damage_is_found(name: str, damage: Callable[[FakeOffice], Any], invariant: str) -> None:
    del name
    office = FakeOffice()
    damage(office)

    assert invariant in {sentence[:2] for sentence in wrong(office, FED)}


RECORDS = {"s": [("10", ["t1", "t2"]), ("11", ["t3", "t4"]), ("12", ["t5", "t6", "t7", "t8"])]}


def at(sequence: str, sub_sequence: int = 0) -> Saved:
    return Saved("s", sequence, sub_sequence, "")


@pytest.mark.parametrize(
    "saved, late, says",
    [
        ([at("10"), at("11"), at(SHARD_END)], [], ""),
        # Freed in the transaction that decided the one after it.
        ([at("TRIM_HORIZON"), at("11")], ["t3"], ""),
        ([at("11"), at(FORGOTTEN), at("10")], [], ""),
        ([at("11")], ["t4"], "passes"),
        ([at(SHARD_END)], ["t8"], "passes"),
        ([at("9" * 56)], [], "no record"),
        ([at("11"), at("10")], [], "went back"),
        ([at("11", 1)], [], "sub-sequence"),
    ],
)
def test_a_checkpoint_passes_only_what_was_decided(saved: list[Saved], late: list[str], says: str) -> None:
    found = wrong_checkpoints(FakeOffice(late=set(late)), FED, saved, RECORDS)

    assert (not found) if not says else any(says in sentence for sentence in found)


@pytest.mark.parametrize("xid, seen", [(9, True), (10, False), (11, True), (12, False), (13, False)])
def test_a_snapshot_tells_which_transactions_it_has_seen(xid: int, seen: bool) -> None:  # noqa: FBT001 - a row
    assert is_seen(xid, "10:13:10,12") is seen


def test_a_deed_is_done_by_one_alone_and_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deeds = Deeds(tmp_path)
    monkeypatch.setattr(kcl_deeds._Here, "folders", kcl_deeds._folders(tmp_path))
    number = deeds.arm("F21", "handler", "Fatal")
    kcl_deeds.meet("store.commit.after")
    assert not deeds.has_struck(number)

    with pytest.raises(Fatal, match="by the plan"):
        kcl_deeds.meet("handler")
    kcl_deeds.meet("handler")
    assert deeds.has_struck(number)
    assert [(each.row, each.place, each.what) for each in deeds.struck()] == [("F21", "handler", "Fatal")]
