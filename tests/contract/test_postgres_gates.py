"""Gates in PostgreSQL: whoever mirrors a closed gate waits for those who found it open."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from isthmus.change import Outcome
from isthmus.checkpoint.gates import Gate
from isthmus.consumer.stores.postgres.store import PostgresStore
from tests.fakes.gate_world import BOARDS, GateWorld
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.shop import until
from tests.fakes.store_world import upsert

SHUT = Gate(BOARDS, closed=True, since_ms=1, revision=1)
WAITING = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def office(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.mark.parametrize("quick", [False, True])
def test_a_gate_is_mirrored_when_whoever_found_it_open_has_ended(office: PostgresOffice, *, quick: bool) -> None:
    world = GateWorld(office, strict=True)
    if quick:
        world.without_handlers()
    store = office.store(world.entities)
    assert isinstance(store, PostgresStore)
    with ThreadPoolExecutor(1) as pool:
        mirrored: list[Future[None]] = []

        def mirror_meanwhile() -> None:
            mirrored.append(pool.submit(store.mirror, [SHUT]))
            until(lambda: office.run(WAITING), "the mirror waits")

        # Right before the commit, when everything was found open.
        world.gates.at_confirm.append(mirror_meanwhile)
        assert world.apply(upsert(1)) == [Outcome.APPLIED]
        mirrored[0].result(10)
    assert world.apply(upsert(2)) == [Outcome.HELD]
    assert office.rows("thing") == [{"key": "k", "size": 1, "note": "fine", "version": upsert(1).version}]
    world.close()
