"""`gate.strict` in DynamoDB: gates are mirrored beside what they guard; each transaction asks whether any changed."""

from contextlib import closing
from typing import Any

import pytest

from isthmus.change import Outcome
from isthmus.checkpoint.gates import Covers, Gate
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.dynamodb.mirrored import COPIES
from isthmus.errors import Transient
from tests.contract.store_redrive_contract import Mended
from tests.fakes.dynamodb_breaking import Breaking
from tests.fakes.dynamodb_desk import Between, Metering, office
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.gate_world import BILLING, GateWorld
from tests.fakes.store_world import APPLIED, PARKED, event, upsert

__all__ = ["office"]

HELD = Outcome.HELD


def test_a_gate_that_is_mirrored_between_the_look_and_the_write_keeps_the_change_back(office: DynamoOffice) -> None:
    shut = Gate(Covers(), closed=True, reason="month's end", since_ms=1, revision=1)
    opened = Gate(Covers(), closed=False, since_ms=2, revision=2)
    for make in (upsert, event):
        with closing(GateWorld(office.fresh(), strict=True)) as world:
            plain = world.without_handlers()
            store = plain.store
            plain.apply(make(1))
            decider: Any = plain.decider
            mirrors = lambda store=store: store.mirror([shut])  # noqa: E731 - done once
            happened = decider._requests._client = Between(decider._requests._client, "transact_write_items", mirrors)
            assert plain.apply(make(2)) == [HELD]
            assert happened.happened
            assert plain.apply(make(3, "b")) == [HELD]
            assert plain.drain() == 0
            store.mirror([opened])  # type: ignore[attr-defined]
            assert plain.apply(make(1, "c")) == [APPLIED]
            assert plain.drain() == 2


def test_a_mirror_that_breaks_off_is_done_again_whatever_stands_there_already(office: DynamoOffice) -> None:
    with closing(GateWorld(office, strict=True)) as world:
        plain = world.without_handlers()
        keys = [f"key-{number}" for number in range(8)]
        assert set(plain.apply(*[upsert(1, key) for key in keys])) == {APPLIED}
        shut = Gate(Covers(), closed=True, since_ms=1, revision=1)
        for at in (0, 1, 2, COPIES // 2, COPIES + 1):
            store: Any = office.store(plain.entities)
            store._client = Breaking(store._client, at, office.outage(), "")
            with pytest.raises(Transient):
                store.mirror([shut])
        assert office.store(plain.entities).mirror([shut]) is None
        assert set(plain.apply(*[upsert(2, key) for key in keys])) == {HELD}


def test_a_redrive_and_a_letter_obey_a_gate_that_is_mirrored_alone(office: DynamoOffice) -> None:
    with closing(GateWorld(office, strict=True)) as world:
        assert world.apply(event(1, note="wrong")) == [PARKED]
        store: Any = world.store
        store.mirror([Gate(BILLING, closed=True, reason="books", since_ms=1, revision=1)])
        with closing(world.gated_redriver(Mended({"k-1"}))) as redriver:
            found = redriver.redrive("k")
            assert found.stopped is not None
            assert found.stopped.message == "process=billing: books"
            assert world.effects() == {}
            store.mirror([Gate(BILLING, closed=False, since_ms=2, revision=2)])
            assert redriver.redrive("k").outcomes == {"applied": 1}


def test_what_a_strict_gate_costs(emulator: Emulator) -> None:
    office = DynamoOffice(emulator.client("dynamodb"))
    with closing(GateWorld(office, strict=True).without_handlers()) as world:
        assert isinstance(world.decider, DynamoDecider)
        meter = world.decider._requests._client = Metering(office.client)
        world.apply(upsert(1))
        assert meter.units["transact_write_items"] == 4
        assert meter.requests["update_item"] == 0
