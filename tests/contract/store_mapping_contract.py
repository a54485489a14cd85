"""What every front-office store does with a mapping of the user's: key templates, and rows by a function.

An adapter's test module derives a class from `StoreMappingContract`, and provides the fixture `office`: a
`FrontOffice`, fresh and prepared. Everything lies in its table `thing`.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from isthmus.change import Change, Kind, Outcome
from isthmus.consumer.stores.port import Decider, Entity, TableMapping
from isthmus.metrics import Metrics
from isthmus.pipeline import MAPPING, Row, RowFunction, Transaction
from tests.fakes.clock import FakeClock
from tests.fakes.store_world import APPLIED, DUPLICATE, PARKED, FrontOffice, delete, delivered, upsert

FIELDS = {"size": "size", "note": "note"}


class Desk(NamedTuple):
    """A decider for one entity type `thing`, and what its handler was told."""

    decider: Decider
    previous: list[Row | None]

    def apply(self, *changes: Change) -> list[Outcome | None]:
        return self.decider.apply([delivered(change) for change in changes])


@contextmanager
def desk(office: FrontOffice, mapping: TableMapping) -> Iterator[Desk]:
    heard: list[Row | None] = []

    def listen(_: Transaction, __: Change, previous: Row | None) -> None:
        heard.append(previous)

    entity = Entity("thing", Kind.STATE, mapping, None, (listen,))
    store = office.store([entity])
    store.check([entity])
    with closing(office.decider(store, {"thing": entity}, FakeClock(), Metrics(), history=True)) as decider:
        yield Desk(decider, heard)


def shown(office: FrontOffice) -> list[tuple[Any, ...]]:
    return [(row["key"], row["size"], row["note"]) for row in office.rows("thing")]


def reasons(office: FrontOffice) -> list[tuple[str, str]]:
    return [(row["txn"], row["reason"]) for row in office.own("parked")]


class StoreMappingContract:
    """Mapping."""

    def test_a_part_of_the_key_names_the_row_from_the_first_write_to_the_delete(self, office: FrontOffice) -> None:
        mapping = TableMapping("thing", "key", "version", FIELDS, key_columns={"key": "no-{2}"})
        with desk(office, mapping) as made:
            assert made.apply(upsert(1, "thing/a"), upsert(1, "thing/b"), upsert(2, "thing/a")) == [APPLIED] * 3
            assert shown(office) == [("no-a", 2, "fine"), ("no-b", 1, "fine")]
            assert made.apply(delete(3, "thing/a"), upsert(2, "thing/a")) == [APPLIED, Outcome.STALE]
            assert shown(office) == [("no-b", 1, "fine")]
            assert [row and row["size"] for row in made.previous] == [None, None, 1, 2]

    def test_a_key_of_another_shape_is_parked_and_its_neighbours_are_not(self, office: FrontOffice) -> None:
        mapping = TableMapping("thing", "key", "version", FIELDS, key_columns={"key": "{2}"})
        changes = [
            upsert(1, "thing/a"),
            upsert(1, "thing"),
            delete(1, "thing/b/c"),
            upsert(1, "hotel/b"),
            upsert(1, "thing/b"),
        ]
        with desk(office, mapping) as made:
            assert made.apply(*changes) == [APPLIED, PARKED, PARKED, PARKED, APPLIED]
            assert shown(office) == [("a", 1, "fine"), ("b", 1, "fine")]
            assert {reason for _, reason in reasons(office)} == {"key-shape"}

    def test_a_row_function_makes_the_row(self, office: FrontOffice) -> None:
        row = RowFunction(("note", "size"), lambda state: {"size": state["size"] * 10, "note": f"{state['note']}!"})
        mapping = TableMapping("thing", "key", "version", {"note": "note", "size": "size"}, values=row.row)
        with desk(office, mapping) as made:
            assert made.apply(upsert(1), upsert(1, "b"), upsert(2), upsert(2)) == [APPLIED, APPLIED, APPLIED, DUPLICATE]
            assert shown(office) == [("b", 10, "fine!"), ("k", 20, "fine!")]
            assert made.apply(delete(3)) == [APPLIED]
            assert shown(office) == [("b", 10, "fine!")]

    def test_what_a_row_function_raises_parks_that_change_alone(self, office: FrontOffice) -> None:
        row = RowFunction(("size",), lambda state: {"size": 12 // state["size"]})
        mapping = TableMapping("thing", "key", "version", {"size": "size"}, values=row.row)
        with desk(office, mapping) as made:
            batch = (upsert(1, "a", size=3), upsert(1, "b", size=0), upsert(1, "c", size=4))
            assert made.apply(*batch) == [APPLIED, PARKED, APPLIED]
            assert reasons(office) == [("b-1", MAPPING)]
            assert [(row["key"], row["size"]) for row in office.rows("thing")] == [("a", 4), ("c", 3)]
            assert made.apply(upsert(2, "b", size=6)) == [APPLIED]
            assert reasons(office) == []
