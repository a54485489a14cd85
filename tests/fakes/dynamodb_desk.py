"""A decider of one entity type on DynamoDB, of whatever kind and shape."""

from typing import Any

import pytest

from isthmus.change import Change, Kind
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.store_world import (
    delivered,
)


@pytest.fixture
def office(emulator: Emulator) -> DynamoOffice:
    """Give a front office of its own on the embedded emulator."""
    return DynamoOffice(emulator.client("dynamodb"))


class Desk:
    """A decider of one entity type, of whatever kind and shape."""

    def __init__(self, office: DynamoOffice, entity: Entity, clock: FakeClock | None = None) -> None:
        self.office = office
        self.clock = clock or FakeClock()
        self.metrics = Metrics()
        self.decider = DynamoDecider(
            office.client,
            office.settings,
            {entity.name: entity},
            self.clock,
            self.metrics,
            history=False,
            payloads=office.payloads,
        )

    def apply(self, *changes: Change) -> list[Any]:
        return self.decider.apply([delivered(change) for change in changes])

    def close(self) -> None:
        self.decider.close()

    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.office.own("parked")]


def thing(office: DynamoOffice, *handlers: Any, kind: Kind = Kind.STATE, **mapping: Any) -> Entity:
    given = {"columns": {"size": "size", "note": "note"}, "key_column": "key", **mapping}
    return Entity("thing", kind, TableMapping(given.pop("table", office.table("thing")), **given), None, handlers)


def posting(*handlers: Any) -> Entity:
    return Entity("posting", Kind.EVENT, None, None, handlers)
