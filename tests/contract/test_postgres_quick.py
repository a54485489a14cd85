"""The quick way of the PostgreSQL store, as every store's, and where it is special."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from isthmus.change import Change, Kind, Outcome, settled_row
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.errors import Transient
from isthmus.metrics import Metrics
from tests.contract.store_quick_contract import THING, StoreQuickContract, steps_aside
from tests.fakes.clock import FakeClock
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    PARKED,
    delivered,
    marker,
    upsert,
)


@pytest.fixture(scope="module")
def databases(postgres: PostgresServer) -> Iterator[list[PostgresOffice]]:
    made = [PostgresOffice(postgres), PostgresOffice(postgres)]
    yield made
    for each in made:
        each.close()


@pytest.fixture
def office(databases: list[PostgresOffice]) -> PostgresOffice:
    return databases[0].fresh()


@pytest.fixture
def pair(databases: list[PostgresOffice]) -> list[PostgresOffice]:
    return databases


class TestQuick(StoreQuickContract):
    pass


def test_it_steps_aside_for_a_fence_of_its_source_in_another_lane(office: PostgresOffice) -> None:
    steps_aside(office, lambda world: world.apply(marker(2, lane=3)))


def test_once_a_row_is_settled_it_asks_for_rows_and_goes_on(office: PostgresOffice) -> None:
    row = upsert(1, "row")._replace(sourcekey="[1]")
    office.settle(settled_row(row))
    with closing(office.store([THING]).session()) as session:
        applier = Applier(session, {"thing": THING}, FakeClock(), Metrics(), history=True)

        def quick(*changes: Change) -> bool:
            return session.take([delivered(each) for each in changes], [THING] * len(changes), 1, history=True).done

        # Nobody knows yet which rows to ask for.
        assert not quick(upsert(1, "a"))
        assert applier.apply([delivered(upsert(1, "a"))]) == [APPLIED]
        assert quick(upsert(2, "a"), upsert(1, "b")._replace(sourcekey="[1]", source="others"))
        assert not quick(upsert(3, "a"), row)
        assert applier.apply([delivered(upsert(3, "a")), delivered(row)]) == [APPLIED, DUPLICATE]
        office.run("DELETE FROM isthmus.settled")
        assert applier.apply([delivered(upsert(4, "a")), delivered(row)]) == [APPLIED] * 2
        assert quick(upsert(5, "a"), upsert(2, "row"))


# guesses


@pytest.mark.parametrize("bad", ["last", "b"])
def test_a_wrong_guess_whose_fault_it_was_does_no_harm(office: PostgresOffice, bad: str) -> None:
    office.run("DROP TABLE IF EXISTS odd; DROP TABLE IF EXISTS room; CREATE TABLE room (number text PRIMARY KEY)")
    columns = "note text CHECK (note <> 'a'), room text REFERENCES room, size text UNIQUE, key text PRIMARY KEY"
    office.run(f"CREATE TABLE odd ({columns})")
    office.run("INSERT INTO room VALUES ('there'); INSERT INTO odd VALUES ('x', NULL, 'c, d', 'zero')")
    entity = Entity(
        "odd", Kind.STATE, TableMapping("odd", columns={"note": "note", "room": "room", "size": "size"}), None
    )
    ways = {"note": "a", "room": "c", "size": "c, d"}
    with closing(office.store([entity]).session()) as session:
        applier = Applier(session, {"odd": entity}, FakeClock(), Metrics(), history=False, quick=session)
        for round_, (field, value) in enumerate(ways.items(), start=1):
            # Each value looks like keys of others in the batch.
            batch = [
                upsert(round_, key)._replace(
                    entity="odd",
                    data={"note": key + "!", "room": None, "size": f"{key}{round_}"}
                    | ({field: value} if key == bad else {}),
                )
                for key in ("a", "b", "c", "d", "c, d", "last")
            ]
            for _ in range(2):
                outcomes = applier.apply([delivered(change) for change in batch])
                assert (outcomes[["a", "b", "c", "d", "c, d", "last"].index(bad)]) is PARKED
                assert outcomes.count(PARKED) == 1
    assert {row["key"] for row in office.own("parked")} == {bad}


# two at once


def test_two_workers_on_the_same_keys_in_opposite_order_never_stand_in_a_ring(office: PostgresOffice) -> None:
    keys = [f"k{n}" for n in range(40)]
    both = threading.Barrier(2)
    troubles: list[str] = []
    outcomes: list[Outcome | None] = []

    def work(order: list[str]) -> None:
        with closing(office.store([THING]).session()) as session:
            applier = Applier(session, {"thing": THING}, FakeClock(), Metrics(), history=True, quick=session)
            both.wait()
            for n in range(1, 26):
                try:
                    outcomes.extend(applier.apply([delivered(upsert(n, key)) for key in order]))
                except Transient as error:
                    troubles.append(error.cause)

    threads = [threading.Thread(target=work, args=(order,)) for order in (keys, keys[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert {row["size"] for row in office.rows("thing")} == {25}
    assert len(outcomes) == 2 * 25 * len(keys)
    assert outcomes.count(APPLIED) == len(office.own("history"))


@pytest.mark.parametrize("is_quick", [True, False])
def test_rows_are_written_in_the_order_of_the_stream_so_that_one_may_leave_room_for_the_next(
    office: PostgresOffice, *, is_quick: bool
) -> None:
    office.run("CREATE TABLE IF NOT EXISTS seat (key text PRIMARY KEY, note text UNIQUE)")
    entity = Entity("seat", Kind.STATE, TableMapping("seat", columns={"note": "note"}), None)
    with closing(office.store([entity]).session()) as session:
        quick = session if is_quick else None
        applier = Applier(session, {"seat": entity}, FakeClock(), Metrics(), history=False, quick=quick)
        for n, batch in enumerate(([("z", "1A")], [("z", "1B"), ("a", "1A")], [("a", "1C"), ("z", "1A")]), start=1):
            changes = [upsert(n, key, note=note)._replace(entity="seat") for key, note in batch]
            assert set(applier.apply([delivered(change) for change in changes])) == {APPLIED}
