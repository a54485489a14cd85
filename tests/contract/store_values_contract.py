"""What becomes of a value in every front-office store: held exactly as its column's type means it, or parked.

An adapter's test module derives a class from `StoreValuesContract` and provides the fixture `office`.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.change import Change, Kind, Outcome, version_of
from isthmus.codec import bundle, decode, encode
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.store_values import ANY_VALUE, VALUES, same
from tests.fakes.store_world import APPLIED, PARKED, UNCHANGED, FrontOffice, Holds, delivered, upsert

REASON: Final = re.compile(r"[a-z][a-z-]*")
TELLING: Final = 12
"""Characters of a text that nobody writes into a message by chance."""
BATCH: Final = 60

MUST_HOLD: Mapping[Holds, Sequence[Any]] = {
    Holds.ANY: ("", "x", "007", 7, 2**31, 0.1, "1969-07-20"),
    Holds.TEXT: ("", "x", "007", "1.10", "NaN"),
    Holds.NUMBER: (0, 7, -1),
    Holds.TRUTH: (True, False),
    Holds.JSON: ([], {}, [1, [2, [None]]], {"1": "é", "2": None}, "x", 7),
    Holds.MOMENT: ("1969-12-31T23:59:59.999999Z", "2013-01-01T10:00:00.5+05:30", "9999-12-31T23:59:59.999999Z"),
    Holds.DAY: ("1969-07-20", "0044-03-15"),
}
"""A store that parks these is no store for such a column."""


class Desk:
    """A decider of changes whose states are values for the columns of the value table."""

    def __init__(self, office: FrontOffice) -> None:
        self.office = office
        self.table = office.value_table()
        self.columns = list(self.table.columns)
        mapping = TableMapping("value", columns={column: column for column in self.columns})
        entity = Entity("value", Kind.STATE, mapping, None)
        store = office.store([entity])
        self._decider = office.decider(store, {"value": entity}, FakeClock(), Metrics(), history=False)

    def close(self) -> None:
        self._decider.close()

    def change(self, number: int, key: str, column: str | None = None, value: Any = None) -> Change:
        """Give a state in which this column holds the value, and the others nothing."""
        data = {name: value if name == column else None for name in self.columns}
        return upsert(number, key)._replace(entity="value", data=data)

    def apply(self, changes: Sequence[Change]) -> list[Outcome | None]:
        return self._decider.apply([delivered(_from_the_wire(change)) for change in changes])

    def why_parked(self) -> dict[str, tuple[str, str]]:
        """Give reason and message by transaction ID."""
        return {row["txn"]: (row["reason"], row["message"]) for row in self.office.own("parked")}


@pytest.fixture
def desk(office: FrontOffice) -> Iterator[Desk]:
    with closing(Desk(office)) as made:
        yield made


class StoreValuesContract:
    """Values."""

    def test_every_value_in_every_column_is_held_exactly_or_parked_with_a_reason(self, desk: Desk) -> None:
        cases = list(itertools.product(desk.columns, VALUES))
        wrong: list[str] = []
        for begin in range(0, len(cases), BATCH):
            tried = {f"{begin}-{place}": case for place, case in enumerate(cases[begin : begin + BATCH])}
            held: list[Change] = []
            good = [desk.change(1, f"{begin}-before"), desk.change(1, f"{begin}-after")]
            batch = [good[0], *(desk.change(1, key, *case) for key, case in tried.items()), good[1]]
            first, *outcomes, last = desk.apply(batch)
            assert (first, last) == (APPLIED, APPLIED)
            rows, why = desk.table.read(), desk.why_parked()
            for (key, (column, value)), outcome in zip(tried.items(), outcomes, strict=True):
                holds = desk.table.columns[column]
                if outcome is APPLIED:
                    fine = _held(holds, column, value, rows.get(key, {}))
                elif outcome is PARKED:
                    fine = key not in rows and _explained(value, *why[f"{key}-1"]) and not _expected(holds, value)
                else:
                    fine = False
                if outcome is APPLIED:
                    held.append(desk.change(1, key, column, value))
                if not fine:
                    wrong.append(f"{column}: {value!r:.80}: {outcome}, {rows.get(key)!r:.80} {why.get(f'{key}-1')}")
            # What is held exactly is known again, value by value.
            again = desk.apply([_again(change) for change in held])
            wrong += [
                f"{change.key}: {change.data!r:.80}: {outcome} when it is read again"
                for change, outcome in zip(held, again, strict=True)
                if outcome is not UNCHANGED
            ]
        assert wrong == []

    def test_whatever_values_come_one_after_another_each_row_is_the_last_that_was_taken(self, desk: Desk) -> None:
        examples = itertools.count()

        @settings(max_examples=12 if desk.office.few else 80, deadline=None)
        @given(
            st.lists(
                st.tuples(st.sampled_from("abc"), st.sampled_from(desk.columns), ANY_VALUE), min_size=1, max_size=8
            )
        )
        def each_is_taken_or_parked(states: list[tuple[str, str, Any]]) -> None:
            # Keys of its own, so that each example is the same whatever came before it.
            example, rows = f"{next(examples)}/", dict[str, dict[str, Any]]()
            batch = [desk.change(n, example + key, *held) for n, (key, *held) in enumerate(states, start=1)]
            for change, outcome in zip(batch, desk.apply(batch), strict=True):
                assert outcome in {APPLIED, PARKED}
                if outcome is APPLIED:
                    rows[change.key] = change.data
            found = {key: row for key, row in desk.table.read().items() if key.startswith(example)}
            assert found.keys() == rows.keys()
            for key, data in rows.items():
                for column, value in data.items():
                    assert same(desk.table.columns[column], value, found[key][column]), (column, value)

        each_is_taken_or_parked()


def _from_the_wire(change: Change) -> Change:
    """Give the change as the codec reads it. What the wire has no form for, a user's own function may still give."""
    try:
        text = encode(change)
    except ValueError:
        return change
    (read,) = decode(bundle([text]))
    return read if isinstance(read, Change) else change


def _again(change: Change) -> Change:
    return change._replace(id=f"{change.id}-again", version=version_of(1, 1))


def _held(holds: Holds, column: str, value: Any, row: Mapping[str, Any]) -> bool:
    others = [other for name, other in row.items() if name != column]
    return bool(row) and same(holds, value, row[column]) and others == [None] * len(others)


def _expected(holds: Holds, value: Any) -> bool:
    return any(type(value) is type(must) and value == must for must in MUST_HOLD[holds])


def _explained(value: Any, reason: str, message: str) -> bool:
    tells = isinstance(value, str) and len(value) >= TELLING and value in message
    return REASON.fullmatch(reason) is not None and message != "" and not tells
