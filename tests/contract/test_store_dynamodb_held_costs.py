"""What holding in DynamoDB costs, and what is too large for an item."""

import random
from contextlib import closing

from isthmus.change import Outcome
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.dynamodb.draining import DynamoPortions
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.dynamodb_desk import Metering, office
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.gate_world import BILLING, BOARDS, GateWorld
from tests.fakes.store_world import APPLIED, event, upsert

__all__ = ["office"]

HELD = Outcome.HELD


def test_an_event_larger_than_an_item_is_held_whole_outlives_a_pruning_and_drains(
    office: DynamoOffice,
) -> None:
    world = GateWorld(office).without_handlers()
    note = random.Random(1).randbytes(400_000).hex()
    world.gates.close(BOARDS)
    assert world.apply(upsert(1, note=note), upsert(2)) == [HELD, HELD]
    world.store.prune(memory_before_ms=10**15, history_before_ms=0, stop=FakeStop(FakeClock()))
    (large, _) = world.whole_held()
    assert len(large.event) > 800_000
    world.gates.open(BOARDS)
    assert world.drain() == 2
    assert world.parked() == []
    assert [row["size"] for row in office.rows("thing")] == [2]
    assert world.history_of() == {"k-2": "applied", "k-1": "superseded"}
    world.close()


def test_what_holding_costs(emulator: Emulator) -> None:
    office = DynamoOffice(emulator.client("dynamodb"))
    with closing(GateWorld(office).without_handlers()) as world:
        world.history = False
        world.decider.close()
        world.decider = world.elsewhere()
        assert isinstance(world.decider, DynamoDecider)
        meter = world.decider._requests._client = Metering(office.client)
        # Gates that are open, or cover others, cost nothing.
        world.gates.close(BILLING)
        assert world.apply(*[upsert(1, f"k{number}") for number in range(10)]) == [APPLIED] * 10
        assert meter.units.pop("update_item") == 10
        assert "transact_write_items" not in meter.units
        world.gates.close(BOARDS)
        world.apply(upsert(2, "k1"))
        # The change, its name, the line, and the mark.
        assert meter.units.pop("transact_write_items") == 8
        world.apply(upsert(3, "k1"))
        assert meter.units.pop("transact_write_items") == 6
        world.gates.open(BOARDS)
        portions = world.portions(world.store)
        assert isinstance(portions, DynamoPortions)
        with closing(portions):
            meter = portions._requests._client = Metering(office.client)
            assert portions.drain(["k1"], 2) == (2, ["k1"])
            # The entity's item, and the three that lie there no more.
            assert meter.units.pop("transact_write_items") == 16


def test_an_event_asks_of_the_lot_and_of_what_is_held(emulator: Emulator) -> None:
    office = DynamoOffice(emulator.client("dynamodb"))
    with closing(GateWorld(office)) as world:
        world.history = False
        world.decider.close()
        world.decider = world.elsewhere()
        assert isinstance(world.decider, DynamoDecider)
        meter = world.decider._requests._client = Metering(office.client)
        assert world.apply(event(1)) == [APPLIED]
        # The ledger, two conditions, and what its handler writes.
        assert meter.units["transact_write_items"] == 8
