"""DynamoDB behind gates: nothing is held there, so whatever is closed lets everything stand."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from isthmus.consumer.gated import GatedRedriver
from isthmus.consumer.gates import Outdated
from isthmus.consumer.redrive import GATE_CLOSED
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from tests.contract.store_redrive_contract import Mended
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.gate_world import BILLING, BOARDS, FakeGates
from tests.fakes.store_world import APPLIED, DUPLICATE, PARKED, World, delivered, event, marker, untranslated, upsert


@pytest.fixture
def office(emulator: Emulator) -> DynamoOffice:
    return DynamoOffice(emulator.client("dynamodb"))


@pytest.fixture
def gates() -> FakeGates:
    return FakeGates()


@pytest.fixture
def world(office: DynamoOffice, gates: FakeGates) -> Iterator[World]:
    made = World(office)
    made.decider.close()
    made.decider = DynamoDecider(
        office.client,
        office.settings,
        {entity.name: office._mine(entity) for entity in made.entities},
        made.clock,
        made.metrics,
        history=True,
        gates=gates,
    )
    yield made
    made.close()


def test_while_the_shards_stand_nothing_is_written_and_everything_takes_effect_once_afterwards(
    world: World, gates: FakeGates
) -> None:
    batch = (upsert(1), event(1, "e"), untranslated(1, "b"), marker(2))
    before = world.state()
    for close in (lambda: gates.stand(waits=True), lambda: gates.close(BOARDS)):
        close()
        with pytest.raises(Outdated):
            world.apply(*batch)
        assert world.state() == before
    gates.stand(waits=False)
    gates.open(BOARDS)
    assert world.apply(*batch) == [APPLIED, APPLIED, PARKED, None]
    assert world.effects() == {"k-1": 1, "e-1": 1}


def test_a_gate_that_closes_inside_of_a_batch_stops_the_changes_that_come_after(world: World, gates: FakeGates) -> None:
    world.told.meanwhile["e-2"] = [lambda: gates.stand(waits=True)]
    with pytest.raises(Outdated):
        world.apply(event(1, "e"), event(2, "e"), event(3, "e"))
    assert world.effects() == {"e-1": 1}
    gates.stand(waits=False)
    assert world.apply(event(1, "e"), event(2, "e"), event(3, "e")) == [DUPLICATE, APPLIED, APPLIED]
    assert world.effects() == {"e-1": 1, "e-2": 1, "e-3": 1}


def test_a_redrive_applies_nothing_that_a_gate_keeps_back(world: World, gates: FakeGates, office: DynamoOffice) -> None:
    world.decider.apply([delivered(each) for each in (event(1, note="wrong"), event(2), untranslated(1, "b"))])
    processes = {"thing": "boards", "posting": "billing"}
    entities = {entity.name: replace(entity, process=processes[entity.name]) for entity in world.entities}
    with closing(GatedRedriver(world.redriver(Mended({"k-1", "b-1"})), office.lot(), entities, gates)) as redriver:
        gates.close(BILLING)
        found = redriver.redrive("k")
        assert found.stopped is not None
        assert (found.stopped.txn, found.stopped.reason) == ("k-1", GATE_CLOSED)
        assert redriver.redrive("b").outcomes == {"applied": 1}
        assert world.effects() == {"b-1": 1}
        gates.open(BILLING)
        while redriver.redrive("k").left:
            pass
    assert world.effects() == {"b-1": 1, "k-1": 1, "k-2": 1}
