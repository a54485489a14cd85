"""What is parked in SQLite, counted: cheaply, and with the moment of the oldest."""

import sqlite3
from contextlib import closing
from pathlib import Path

from isthmus.consumer.stores.sqlite import reading
from tests.contract.store_redrive_contract import Mended
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import World, event, untranslated


def test_what_is_parked_is_counted_by_the_index_alone_but_for_one_row_of_each_reason(tmp_path: Path) -> None:
    office = SqliteOffice(tmp_path)
    with closing(sqlite3.connect(office.path)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {reading._BY_REASON}")]
    read = [step for step in plan if "isthmus_parked" in step or step.startswith("SEARCH p ")]
    assert read == [
        "SCAN isthmus_parked USING COVERING INDEX isthmus_parked_reason",
        "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)",
    ]


def test_the_oldest_of_a_reason_is_the_one_that_is_there_whatever_became_of_others(tmp_path: Path) -> None:
    world = World(SqliteOffice(tmp_path))
    with closing(world):
        moments = []
        for number in range(1, 4):
            world.clock.move(100)
            world.apply(event(number, f"e{number}", note="wrong"), untranslated(number, "a"))
            moments.append(world.clock.now_ms())
        with closing(world.redriver(Mended())) as redriver:
            redriver.discard("e1", ["e1-1"], who="ada", why="agreed")
            # Poison again, for another reason perhaps: since when it is parked stays.
            redriver.redrive("e2")
        since = {each.reason: each.since_ms for each in world.office.reader().parked_by_reason()}
        assert since == {"contract": moments[1], "no-airport": moments[0]}
