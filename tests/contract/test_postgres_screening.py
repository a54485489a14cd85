"""Whom PostgreSQL would refuse of many, asked before they are written: as the table itself says it, or not at all."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import Any

import pytest

from isthmus.change import Change, Kind
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, QuickSession, TableMapping
from isthmus.metrics import Metrics
from tests.contract.store_quick_contract import Tries
from tests.fakes.clock import FakeClock
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import APPLIED, PARKED, delivered, upsert

FIELDS = ("size", "note", "made", "tags")
ODD = {"size": 'si"ze', "note": "100 %", "made": "number", "tags": "place"}
"""Names that a statement might trip over."""
TYPES = {"size": "integer", "note": "varchar(20)", "made": "date", "tags": "text[]"}
NUMBERS = count(1)
FINE: dict[str, Any] = {"size": 3, "note": "fine", "made": "2020-02-29", "tags": ["a"]}


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres, 'CREATE TABLE "other one" (a integer, b text, PRIMARY KEY (a, b))')
    yield made
    made.close()


class Thing:
    """A table with some condition, and who writes into it."""

    def __init__(self, office: PostgresOffice, condition: str, columns: dict[str, str], *, also: str = "") -> None:
        self.office = office
        office.run("DROP TABLE IF EXISTS odd")
        quoted = {name: '"' + column.replace('"', '""') + '"' for name, column in columns.items()}
        types = ", ".join(f"{quoted[name]} {TYPES[name]}" for name in FIELDS)
        office.run(f"CREATE TABLE odd (key text PRIMARY KEY, {types}{also}, {condition.format(**quoted)})")
        self.entity = Entity("odd", Kind.STATE, TableMapping("odd", "key", None, columns), None)

    def screened(self, *rows: dict[str, Any]) -> list[int]:
        """Give the places of those that would be refused, asked as the quick way asks."""
        batch = [delivered(self.change(row)) for row in rows]
        with closing(self.office.store([self.entity]).session()) as session:
            session._wary = 1
            taken = session.take(batch, [self.entity] * len(batch), 1, history=False)
        assert taken.done == (not taken.suspects)
        return list(taken.suspects)

    def change(self, row: dict[str, Any]) -> Change:
        """Give a change of a key of its own."""
        return upsert(1, f"k{next(NUMBERS)}", entity="odd", data={**FINE, **row})


@pytest.mark.parametrize("columns", [{name: name for name in FIELDS}, ODD], ids=["plain", "odd"])
@pytest.mark.parametrize(
    "condition, wrong, fine",
    [
        ("CHECK ({size} > 0)", {"size": 0}, {"size": None}),
        ("CHECK ({note} LIKE 'f%%' OR {size} > 5)", {"note": "bad"}, {"note": "bad", "size": 9}),
        ("CHECK ({made} < DATE '2021-01-01' AND {tags}[1] <> 'x')", {"tags": ["x"]}, {"tags": []}),
        ("CONSTRAINT must CHECK ({note} IS NOT NULL)", {"note": None}, {"size": None}),
        ('FOREIGN KEY ({size}, {note}) REFERENCES "other one"', {"size": 4}, {"size": 4, "note": None}),
    ],
)  # fmt: skip
def test_those_are_found_that_the_table_would_refuse(
    database: PostgresOffice, condition: str, wrong: dict[str, Any], fine: dict[str, Any], columns: dict[str, str]
) -> None:

    thing = Thing(database, condition.replace("%%", "%"), columns)
    database.run("INSERT INTO \"other one\" VALUES (3, 'fine') ON CONFLICT DO NOTHING")
    assert thing.screened({}, wrong, fine, wrong, {}) == [1, 3]
    assert thing.screened({}, fine) == []


def test_a_column_that_must_not_be_null_is_seen(database: PostgresOffice) -> None:
    thing = Thing(database, "CHECK (true)", {name: name for name in FIELDS})
    database.run("ALTER TABLE odd ALTER made SET NOT NULL")
    assert thing.screened({}, {"made": None}) == [1]


def test_a_value_that_no_column_holds_is_seen_on_the_way(database: PostgresOffice) -> None:
    thing = Thing(database, "CHECK (size > 0)", {name: name for name in FIELDS})
    assert thing.screened({}, {"note": "n" * 21}, {}) == [1]


def test_a_condition_on_what_is_not_written_is_left_to_the_table(database: PostgresOffice) -> None:
    thing = Thing(database, "CHECK (size > least)", {name: name for name in FIELDS}, also=", least integer DEFAULT 0")
    with closing(database.store([thing.entity]).session()) as session:
        session._wary = 1
        batch = [delivered(thing.change({"size": size})) for size in (1, 0, 1)]
        taken = session.take(batch, [thing.entity] * 3, 1, history=False)
    # By its own words, once it has refused it.
    assert (taken.done, list(taken.suspects)) == (False, [1])


def test_a_condition_that_fails_itself_says_nothing(database: PostgresOffice) -> None:
    thing = Thing(database, "CHECK (10 / size > 1)", {name: name for name in FIELDS})
    assert thing.screened({"size": 1}, {"size": 2}) == []
    with closing(database.store([thing.entity]).session()) as session:
        session._wary = 1
        applier = Applier(session, {"odd": thing.entity}, FakeClock(), Metrics(), history=False, quick=session)
        batch = [delivered(thing.change({"size": size})) for size in (1, 0, 20)]
        assert applier.apply(batch) == [APPLIED, PARKED, PARKED]


def test_poison_here_and_there_costs_one_attempt_and_then_none(database: PostgresOffice) -> None:
    thing = Thing(database, "CHECK (size > 0)", {name: name for name in FIELDS})
    with closing(database.store([thing.entity]).session()) as session:
        assert isinstance(session, QuickSession)
        tries = Tries(session)
        applier = Applier(session, {"odd": thing.entity}, FakeClock(), Metrics(), history=False, quick=tries)
        for _ in range(3):
            rows = [thing.change({"size": int(number % 20 > 0)}) for number in range(100)]
            outcomes = applier.apply([delivered(change) for change in rows])
            assert [place for place, outcome in enumerate(outcomes) if outcome is PARKED] == list(range(0, 100, 20))
            assert outcomes.count(APPLIED) == 95
        # Refused and screened, or screened at once; then written.
        assert tries.done == [False, True] * 3


def test_after_some_batches_without_poison_none_is_screened(database: PostgresOffice) -> None:
    thing = Thing(database, "CHECK (size > 0)", {name: name for name in FIELDS})
    with closing(database.store([thing.entity]).session()) as session:
        applier = Applier(session, {"odd": thing.entity}, FakeClock(), Metrics(), history=False, quick=session)
        applier.apply([delivered(thing.change({"size": number % 9})) for number in range(40)])
        assert session._wary > 0
        for _ in range(19):
            applier.apply([delivered(thing.change({})) for _ in range(3)])
        assert session._wary == 0
