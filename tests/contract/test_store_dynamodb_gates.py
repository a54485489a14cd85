"""Gates before the DynamoDB store: held in order, drained in order, and never an effect while one is closed."""

import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from isthmus.change import Outcome
from isthmus.consumer.gates import Outdated
from tests.contract.store_gates_contract import StoreGatesContract
from tests.contract.store_gates_machine import run_machine
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.gate_world import BILLING, GateWorld
from tests.fakes.store_world import event


@pytest.fixture(params=["item", "table"])
def office(request: pytest.FixtureRequest, emulator: Emulator) -> DynamoOffice:
    return DynamoOffice(emulator.client("dynamodb"), tombstones=request.param)


class TestGates(StoreGatesContract):
    pass


@pytest.mark.parametrize("plain", [False, True], ids=["with handlers", "by one write"])
def test_any_life_behind_gates_is_as_the_model_says(office: DynamoOffice, *, plain: bool) -> None:
    run_machine(office.fresh, few=office.few, plain=plain)


def test_a_gate_that_flips_in_the_middle_of_a_hundred_batches_lets_no_effect_through_while_it_is_closed(
    office: DynamoOffice,
) -> None:
    world, chance, drained = GateWorld(office), random.Random(55), 0
    gates, effects = world.gates, world.effects

    def flips(when: Callable[[], object]) -> None:
        before = effects()
        gates.at_confirm.append(when)
        with suppress(Outdated):
            world.drain()
        gates.at_confirm.clear()
        assert not gates.closed or effects() == before

    for number in range(1, 101):
        change = event(number, chance.choice("klm"), note="fine")
        gates.at_confirm.append(lambda: gates.close(BILLING))
        with pytest.raises(Outdated):
            world.apply(change)
        assert change.id not in effects()
        assert world.apply(change) == [Outcome.HELD]
        if chance.random() < 0.3:
            gates.open(BILLING)
            flips(lambda: gates.close(BILLING) if chance.random() < 0.5 else None)
            drained += not gates.closed
        gates.open(BILLING)
    world.drain()
    assert drained > 5
    assert len(effects()) == 100
    assert set(effects().values()) == {1}
    world.close()
