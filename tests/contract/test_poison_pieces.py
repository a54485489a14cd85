"""What a batch full of poison costs: pieces become smaller as long as they fail, and larger again."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from isthmus.change import Change, Kind, Outcome
from isthmus.clock import SystemClock
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Delivered, Entity, TableMapping
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.consumer.stores.sqlite.unit import SqliteUnit
from isthmus.metrics import Metrics
from tests.fakes.store_world import delivered, upsert

SIZE = 200
THING = Entity("thing", Kind.STATE, TableMapping("thing", "key", "version", {"size": "size"}), None)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give how many rows each attempt wrote."""
    sizes: list[int] = []
    write = SqliteUnit.write

    def counted(self: SqliteUnit, entity: Entity, changes: Sequence[Change]) -> None:
        sizes.append(len(changes))
        write(self, entity, changes)

    monkeypatch.setattr(SqliteUnit, "write", counted)
    return sizes


def decided(folder: Path, batch: Sequence[Delivered]) -> list[Outcome | None]:
    path = folder / "front.db"
    with closing(sqlite3.connect(path)) as front, front:
        front.execute("CREATE TABLE thing (key TEXT PRIMARY KEY, version TEXT, size INTEGER CHECK (size > 0))")
    store = SqliteStore(path, [THING])
    store.prepare()
    applier = Applier(store.session(), {"thing": THING}, SystemClock(), Metrics(), history=False)
    return list(applier.apply(batch))


def batch_of(*poison: int) -> list[Delivered]:
    return [
        delivered(upsert(number + 1, f"thing/{number}", size=0 if number in poison else 1)) for number in range(SIZE)
    ]


@pytest.mark.parametrize(
    "poison, most_rows, most_attempts",
    [
        # In halves: SQLite does not say which row of many it was.
        ([100], 3 * SIZE, 20),
        (range(SIZE), 4 * SIZE, SIZE + 30),
        (range(0, SIZE, 2), 5 * SIZE, 2 * SIZE),
        (range(SIZE // 2), 5 * SIZE, SIZE),
    ],
    ids=["one", "all", "every other", "the first half"],
)
def test_what_is_poison_is_parked_at_the_cost_of_few_attempts(
    tmp_path: Path, written: list[int], poison: Sequence[int], most_rows: int, most_attempts: int
) -> None:
    outcomes = decided(tmp_path, batch_of(*poison))
    assert [place for place, outcome in enumerate(outcomes) if outcome is Outcome.PARKED] == list(poison)
    assert outcomes.count(Outcome.APPLIED) == SIZE - len(poison)
    assert sum(written) <= most_rows
    assert len(written) <= most_attempts
