"""What decides about single changes, put together: for whoever decides batches, and for whoever redrives."""

from collections.abc import Mapping

from isthmus.clock import Clock
from isthmus.consumer.gates import Gatekeeper
from isthmus.consumer.lending import Lending, Patient
from isthmus.consumer.parking import event_bytes
from isthmus.consumer.stores.dynamodb.bodies import Bodies
from isthmus.consumer.stores.dynamodb.gating import Gating
from isthmus.consumer.stores.dynamodb.history import History
from isthmus.consumer.stores.dynamodb.holds import Holds
from isthmus.consumer.stores.dynamodb.lent import LendingByThread
from isthmus.consumer.stores.dynamodb.lot import Lot
from isthmus.consumer.stores.dynamodb.one import OneByOne
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.rows import EntityItems, Marks
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.standing import Looking
from isthmus.consumer.stores.port import Delivered, Entity
from isthmus.payloads import Payloads

_LONGEST_ATTRIBUTE = 1024
"""Bytes of what a foreign event may say of itself besides its names, beside which everything else must fit."""


class Parts:
    """The parts, all on one client."""

    def __init__(
        self,
        requests: Requests,
        settings: DynamoSettings,
        entities: Mapping[str, Entity],
        clock: Clock,
        *,
        history: bool,
        payloads: Payloads | None,
        gates: Gatekeeper | None = None,
        holds: bool = False,
        lending: Lending | None = None,
    ) -> None:
        """Decide by what `gates` say; None: all are open. See `Gating` for `holds`.

        `lending` is these parts' alone, and is closed with them; None: a handler may take as long as it likes.
        """
        self.requests = requests
        self.settings = settings
        self.entities = entities
        self.clock = clock
        self.marks = Marks(settings.prefix)
        items = {
            entity.name: EntityItems(entity, entity.mapping, self.marks)
            for entity in entities.values()
            if entity.mapping is not None
        }
        self.bodies = Bodies(requests, settings.table, payloads, clock)
        self.history = History(requests, settings, clock, kept=history)
        self.looking = Looking(requests, settings, items, self.marks)
        self.lot = Lot(requests, settings, self.marks, self.bodies, self.history)
        self.holds = Holds(requests, settings, self.marks, self.bodies)
        self.gating = Gating(gates, requests, settings, entities, clock, holds=holds)
        self._lending = LendingByThread(lending or Patient())
        self.one = OneByOne(
            requests,
            settings,
            entities,
            looking=self.looking,
            lot=self.lot,
            holds=self.holds,
            gating=self.gating,
            items=items,
            marks=self.marks,
            payloads=payloads,
            clock=clock,
        )
        self.one.lending = self._lending

    def close(self) -> None:
        """End the threads of handlers. Safe to repeat."""
        self._lending.close()


def bounded(delivered: Delivered) -> Delivered:
    """Leave out a row hash or a time that no item has room for. The event itself stays whole."""
    change = delivered.change
    if len(change.rowhash) + len(change.time) <= _LONGEST_ATTRIBUTE:
        return delivered
    raw = delivered.raw if delivered.raw is not None else event_bytes(change)
    return delivered._replace(change=change._replace(rowhash="", time=""), raw=raw)
