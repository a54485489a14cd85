"""A front office in DynamoDB, with ways to look into it and to break it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import EndpointConnectionError

from isthmus.chance import seeded_chance, unique_name
from isthmus.change import Kind
from isthmus.checkpoint.tries import Tries
from isthmus.clock import Clock
from isthmus.consumer.braking import Braking
from isthmus.consumer.draining import Drainer
from isthmus.consumer.gates import Gatekeeper
from isthmus.consumer.lending import Lending
from isthmus.consumer.redrive import Redriver, Remake
from isthmus.consumer.stores.dynamodb.auditing import MADE
from isthmus.consumer.stores.dynamodb.bodies import Bodies
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.dynamodb.draining import DynamoPortions
from isthmus.consumer.stores.dynamodb.heldlines import HELD, LINES, NAME
from isthmus.consumer.stores.dynamodb.items import (
    AUDIT,
    BYTES,
    FENCE,
    GUARD,
    HISTORY,
    LEDGER,
    LISTED,
    OUTBOX,
    PARKED,
    PARTITION_KEY,
    SETTLED,
    SHARED,
    SORT_KEY,
    TURN,
    guard_of,
)
from isthmus.consumer.stores.dynamodb.letters import DynamoLetters
from isthmus.consumer.stores.dynamodb.reading import DynamoReader
from isthmus.consumer.stores.dynamodb.redriving import DynamoRedriver
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.rows import EntityItems, Marks
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.settled import Settling
from isthmus.consumer.stores.dynamodb.store import DynamoStore
from isthmus.consumer.stores.dynamodb.values import row_of, text
from isthmus.consumer.stores.port import Decider, Entity, Store, TableMapping
from isthmus.consumer.unheld import Unheld
from isthmus.errors import Poison
from isthmus.lifecycle import ThreadStop
from isthmus.metrics import Metrics
from isthmus.payloads import Payloads
from isthmus.pipeline import Transaction
from isthmus.retry import Backoff
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb_breaking import Breaking
from tests.fakes.store_world import Holds, ValueTable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_KEYS = {"thing": "key", "effect": "txn", "value": "key"}
_NOT_OF_THE_END = {
    PARTITION_KEY,
    SORT_KEY,
    "decided",
    "expires",
    "first_at",
    "last_at",
    "written",
    "arrived",
    "shard",
    "sequence",
    "at",
    TURN,
    BYTES,
}
_FOREVER_MS = 100 * 365 * 24 * 3_600_000
"""The test's clock stands in 2013, and TTL looks at the real one."""


class DynamoOffice:
    """Implements the contract's `FrontOffice`. `settings` differ from the usual ones; `key_of` gives other keys."""

    transactional = False
    guards_apart = True
    few = True

    def __init__(self, client: "DynamoDBClient", payloads: Payloads | None = None, **settings: Any) -> None:
        self.client = client
        self.payloads = payloads
        self._given = settings
        self.name = f"office-{unique_name()}"
        self.settings = DynamoSettings(
            table=f"{self.name}-isthmus",
            backoff=Backoff(first=0.005, most=0.1),
            memory_ms=_FOREVER_MS,
            history_ms=_FOREVER_MS,
            **{"parallel": 4, **settings},
        )
        self.entities: Sequence[Entity] = [
            Entity("thing", Kind.STATE, self.mapping("thing", {"size": "size", "note": "note"}), None)
        ]
        for table in ("thing", "effect"):
            make_table(client, self.table(table), _KEYS[table])
        self.store([]).prepare()

    def table(self, name: str) -> str:
        """Give the real name of one of the test's tables."""
        return f"{self.name}-{name}"

    def mapping(self, table: str, columns: Mapping[str, str]) -> TableMapping:
        if table == "thing":
            return TableMapping(self.table(table), _KEYS[table], "version", columns, values=_row)
        return TableMapping(self.table(table), _KEYS[table], columns=columns)

    def effect(self, _tx: Transaction, txn: str) -> object:
        return [
            {
                "Update": {
                    "TableName": self.table("effect"),
                    "Key": {"txn": txn},
                    "UpdateExpression": "ADD times :one",
                    "ExpressionAttributeValues": {":one": 1},
                }
            }
        ]

    def store(self, entities: Sequence[Entity]) -> DynamoStore:
        mine = [self._mine(entity) for entity in entities]
        return _Store(self.client, self.settings, mine, chance=seeded_chance("store"))

    def decider(
        self,
        store: Store,
        entities: Mapping[str, Entity],
        clock: Clock,
        metrics: Metrics,
        *,
        history: bool,
        gates: Gatekeeper | None = None,
        lending: Lending | None = None,
    ) -> DynamoDecider:
        assert isinstance(store, DynamoStore)
        return DynamoDecider(
            self.client,
            self.settings,
            {name: self._mine(entity) for name, entity in entities.items()},
            clock,
            metrics,
            history=history,
            payloads=self.payloads,
            gates=gates,
            lending=lending,
        )

    def portions(
        self,
        entities: Mapping[str, Entity],
        gates: Gatekeeper | None,
        unheld: Unheld,
        clock: Clock,
        metrics: Metrics,
        *,
        history: bool,
        brake: Braking | None = None,
        tries: Tries | None = None,
        lending: Lending | None = None,
    ) -> DynamoPortions:
        """Give what decides what is held."""
        return DynamoPortions(
            self.client,
            self.settings,
            {name: self._mine(entity) for name, entity in entities.items()},
            gates,
            unheld,
            clock=clock,
            metrics=metrics,
            history=history,
            payloads=self.payloads,
            brake=brake,
            tries=tries,
            lending=lending,
            chance=seeded_chance("portions"),
        )

    def redriver(
        self,
        store: Store,
        entities: Mapping[str, Entity],
        remake: Remake,
        clock: Clock,
        *,
        history: bool,
        gates: Gatekeeper | None = None,
        lending: Lending | None = None,
    ) -> DynamoRedriver:
        assert isinstance(store, DynamoStore)
        return DynamoRedriver(
            self.client,
            self.settings,
            {name: self._mine(entity) for name, entity in entities.items()},
            remake,
            clock,
            history=history,
            payloads=self.payloads,
            gates=gates,
            lending=lending,
        )

    def reader(self) -> DynamoReader:
        return DynamoReader(self.client, self.settings, self.entities, payloads=self.payloads)

    def lot(self) -> DynamoReader:
        return self.reader()

    def fresh(self) -> "DynamoOffice":
        return DynamoOffice(self.client, self.payloads, **self._given)

    def damage(self, key: str) -> None:
        self.client.update_item(
            TableName=self.table("thing"),
            Key={"key": text(key)},
            UpdateExpression="SET note = :note",
            ExpressionAttributeValues={":note": text("damaged")},
        )

    def settle(self, txn: str) -> None:
        requests = self._requests()
        requests.transact(Settling(requests, self.settings.table).actions([txn], 0))

    def value_table(self) -> ValueTable:
        with suppress(self.client.exceptions.ResourceInUseException):
            make_table(self.client, self.table("value"), _KEYS["value"])
        return ValueTable({"any": Holds.ANY}, lambda: {row.pop("key"): row for row in self.rows("value")})

    def outage(self) -> EndpointConnectionError:
        return EndpointConnectionError(endpoint_url="http://nowhere")

    def break_at(
        self,
        decider: Decider | Redriver | DynamoLetters | Drainer,
        at: int,
        error: BaseException,
        *,
        only: str = "",
        after: bool = False,
    ) -> Callable[[], bool]:
        if isinstance(decider, Drainer):
            assert isinstance(decider._portions, DynamoPortions)
            requests = decider._portions._requests
        else:
            assert isinstance(decider, DynamoDecider | DynamoRedriver | DynamoLetters)
            requests = decider._requests
        breaking = Breaking(requests._client, at, error, only, after=after)
        requests._client = breaking
        return breaking.happened

    def rows(self, table: str) -> list[dict[str, Any]]:
        marks = Marks(self.settings.prefix)
        items = [item for item in self.items(self.table(table)) if marks.deleted not in item]
        rows = [row_of(marks.stripped(item)) for item in items]
        return sorted(rows, key=lambda row: str(row[_KEYS[table]]))

    def own(self, name: str) -> list[dict[str, Any]]:
        if name == "guard":
            return self._guards()
        wanted: Callable[[str, str], bool] = {
            "ledger": lambda _, sk: sk == LEDGER,
            "settled": lambda pk, sk: sk == SETTLED and pk != SHARED,
            "parked": lambda _, sk: sk.startswith(PARKED),
            "outbox": lambda pk, _: pk == OUTBOX,
            "fence": lambda _, sk: sk.startswith(FENCE),
            "history": lambda _, sk: sk.startswith(HISTORY),
            "audit": lambda _, sk: sk.startswith(AUDIT),
            "held": lambda _, sk: sk.startswith((HELD, NAME)),
        }[name]
        items = [item for item in self._own_items() if wanted(item["pk"]["S"], item["sk"]["S"])]
        if name == "outbox":
            # Those of one batch come in the order in which its threads ran.
            items.sort(key=lambda item: (item["key"]["S"], item["txn"]["S"]))
        else:
            items.sort(key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
        return [self._row(item) for item in items]

    def told(self) -> list[tuple[str, str]]:
        items = [item for item in self._own_items() if item["sk"]["S"].startswith(HISTORY)]
        items.sort(key=lambda item: (int(item["decided"]["N"]), item["pk"]["S"], item["sk"]["S"]))
        return [(item["txn"]["S"], item["outcome"]["S"]) for item in items]

    def items(self, table: str) -> list[Any]:
        return list(self._requests().scan(table))

    def _own_items(self) -> list[Any]:
        """Give the items of our own table, but for the lists of keys, of which sort keys may be any text."""
        found = self.items(self.settings.table)
        return [item for item in found if item["pk"]["S"] != LISTED and not item["pk"]["S"].startswith(LINES)]

    def _requests(self) -> Requests:
        return Requests(self.client, self.settings, stop=ThreadStop(), chance=seeded_chance("look"))

    def _row(self, item: Any) -> dict[str, Any]:
        row = {name: value for name, value in row_of(item).items() if name not in _NOT_OF_THE_END}
        bodies = Bodies(self._requests(), self.settings.table, self.payloads, FakeClock())
        if "reason" in row:
            row["event"] = bodies.event(item)
        if "deed" in row:
            made = any(name.startswith(MADE) for name in row)
            row["made"] = bodies.event(item, MADE) if made else None
        return row

    def _guards(self) -> list[dict[str, Any]]:
        (entity,) = self.entities
        assert entity.mapping is not None
        items = EntityItems(entity, entity.mapping, Marks(self.settings.prefix))
        found = [(items.entity_key(item), item) for item in self.items(self.table("thing"))]
        aside = [item for item in self._own_items() if item["sk"]["S"].startswith(GUARD)]
        found += [(item["pk"]["S"].removeprefix("k#"), item) for item in aside]
        rows = []
        for key, item in found:
            guard = guard_of(item, self.settings.prefix)
            if guard is not None:
                rows.append({"key": key, **guard._asdict()})
        return sorted(rows, key=lambda row: str(row["key"]))

    def _mine(self, entity: Entity) -> Entity:
        if entity.mapping is None or entity.mapping.table not in _KEYS:
            return entity
        return replace(entity, mapping=self.mapping(entity.mapping.table, entity.mapping.columns))


class _Store(DynamoStore):
    """Checks the office's tables, by whatever name the contract's tests know them."""

    def check(self, entities: Sequence[Entity]) -> None:
        names = {entity.name for entity in entities}
        super().check([entity for entity in self._entities if entity.name in names])


def _row(data: Any) -> Sequence[Any]:
    """Play the constraint that other stores' tables have."""
    if data["size"] < 0:
        raise Poison("constraint", "size must not be negative")
    return data["size"], data["note"]


def make_table(client: "DynamoDBClient", name: str, *keys: str, kinds: str = "SS") -> None:
    """Make a table with these key attributes."""
    client.create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": key, "KeyType": kind}  # type: ignore[typeddict-item]
            for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
        ],
        AttributeDefinitions=[
            {"AttributeName": key, "AttributeType": kind}  # type: ignore[typeddict-item]
            for key, kind in zip(keys, kinds, strict=False)
        ],
        BillingMode="PAY_PER_REQUEST",
    )
