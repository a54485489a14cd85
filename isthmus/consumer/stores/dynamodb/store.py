"""The DynamoDB store: setting up, checking and pruning. What decides is `DynamoDecider`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.chance import Chance, system_chance
from isthmus.change import Kind
from isthmus.checkpoint.gates import Gate
from isthmus.clock import SystemClock
from isthmus.consumer.stores.dynamodb import mirrored, schema
from isthmus.consumer.stores.dynamodb.bodies import Bodies
from isthmus.consumer.stores.dynamodb.checks import check_entity
from isthmus.consumer.stores.dynamodb.holding import HoldingReader
from isthmus.consumer.stores.dynamodb.outbox import DynamoOutbox
from isthmus.consumer.stores.dynamodb.pruning import Pruning
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.rows import EntityItems, Marks
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.held import HeldHead
from isthmus.consumer.stores.port import Entity, Pruned
from isthmus.lifecycle import Stop, ThreadStop
from isthmus.payloads import Payloads

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class DynamoStore:
    """A front office in DynamoDB. It never makes a table of the user's.

    The client is made by `isthmus.aws.client`, and belongs to who made it.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        settings: DynamoSettings,
        entities: Sequence[Entity],
        *,
        stop: Stop | None = None,
        chance: Chance | None = None,
    ) -> None:
        self._client = client
        self._settings = settings
        self._entities = entities
        self._stop = stop or ThreadStop()
        self._chance = chance or system_chance()

    def prepare(self, *, dry_run: bool = False) -> list[str]:
        """Make our own table where it is not there; give what is made, in words. Safe to repeat."""
        if not dry_run:
            schema.prepare(self._client, self._settings, stop=self._stop)
        return schema.description(self._settings)

    def versions(self) -> tuple[int | None, int]:
        """Give the schema version of the table that is there, and the one that `prepare` makes."""
        return schema.version(self._client, self._settings.table), schema.SCHEMA_VERSION

    def check(self, entities: Sequence[Entity]) -> None:
        """Compare mappings with the real tables' keys and indexes. Changes nothing."""
        schema.check(self._client, self._settings)
        for entity in entities:
            if entity.mapping is not None:
                check_entity(self._client, self._settings, entity, entity.mapping)

    def prune(self, *, memory_before_ms: int, history_before_ms: int, stop: Stop, portion: int = 1000) -> Pruned:
        """Forget what was decided before these moments; see `Store`."""
        marks = Marks(self._settings.prefix)
        tables = [
            EntityItems(entity, entity.mapping, marks)
            for entity in self._entities
            if entity.mapping is not None and entity.kind is Kind.STATE
        ]
        requests = self._requests(stop)
        pruning = Pruning(requests, self._settings, marks, stop, portion)
        return pruning.run(tables, memory_before_ms=memory_before_ms, history_before_ms=history_before_ms)

    def held_heads(self, *, after: str = "", most: int = 100) -> list[HeldHead]:
        """Give the first held change of each key behind `after`; see `Holding`."""
        return HoldingReader(self._requests(self._stop), self._settings.table).heads(after=after, most=most)

    def mirror(self, gates: Sequence[Gate]) -> None:
        """Write gates beside what they guard; see `Holding`, and `mirrored`. Cut off, it is to be called again."""
        mirrored.mirror(self._requests(self._stop), self._settings.table, gates)

    def outbox(self, payloads: Payloads | None = None, *, stop: Stop | None = None) -> DynamoOutbox:
        """Give what waits for the dead-letter queue."""
        requests = self._requests(stop or self._stop)
        bodies = Bodies(requests, self._settings.table, payloads, SystemClock())
        return DynamoOutbox(requests, self._settings.table, bodies, holds_payloads=payloads is not None)

    def _requests(self, stop: Stop) -> Requests:
        return Requests(self._client, self._settings, stop=stop, chance=self._chance)
