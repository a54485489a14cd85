"""For tests of the DynamoDB store: deciders of one entity type, an office of plain states, clients that look on."""

from collections import Counter
from collections.abc import Callable
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


class PlainOffice(DynamoOffice):
    """One whose entities of kind `state` have no handlers."""

    def _mine(self, entity: Entity) -> Entity:
        mine = super()._mine(entity)
        return Entity(mine.name, mine.kind, mine.mapping, mine.validate) if mine.kind is Kind.STATE else mine

    def fresh(self) -> "PlainOffice":
        return PlainOffice(self.client, self.payloads, **self._given)


class Metering:
    """A client that counts requests, and adds up the capacity units of each kind."""

    def __init__(self, client: Any) -> None:
        self.units: dict[str, float] = {}
        self.requests: Counter[str] = Counter()
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def send(**wanted: Any) -> Any:
            self.requests[name] += 1
            answer = getattr(self._client, name)(**wanted, ReturnConsumedCapacity="TOTAL")
            # The emulator says nothing of some requests.
            consumed = answer.get("ConsumedCapacity", [])
            for each in consumed if isinstance(consumed, list) else [consumed]:
                self.units[name] = self.units.get(name, 0) + each["CapacityUnits"]
            return answer

        return send


class Between:
    """A client through which something else happens once, just before the first request of this name is sent."""

    def __init__(self, client: Any, name: str, then: Callable[[], object]) -> None:
        self.happened = False
        self._client = client
        self._name = name
        self._then = then

    def __getattr__(self, name: str) -> Any:
        if name == self._name and not self.happened:
            self.happened = True
            self._then()
        return getattr(self._client, name)
