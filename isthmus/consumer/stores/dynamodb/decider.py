"""Decides the batches of one shard in DynamoDB: key by key in order, many keys at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from isthmus.chance import Chance, system_chance
from isthmus.change import Change, Outcome, settled_row
from isthmus.clock import Clock
from isthmus.consumer.braking import Braking
from isthmus.consumer.deciding import fenced, raise_fence
from isthmus.consumer.gates import Gatekeeper
from isthmus.consumer.lending import Lending
from isthmus.consumer.stores.dynamodb.cancelled import Unmet
from isthmus.consumer.stores.dynamodb.decided import Decided
from isthmus.consumer.stores.dynamodb.history import Tell
from isthmus.consumer.stores.dynamodb.items import (
    FENCE,
    SETTLED,
    SHARED,
    SORT_KEY,
    fence_item,
    fence_key,
    fence_of,
)
from isthmus.consumer.stores.dynamodb.parts import Parts, bounded
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.settled import SettledMemory
from isthmus.consumer.stores.dynamodb.spread import Pool, Width, chains, segments
from isthmus.consumer.stores.dynamodb.values import number
from isthmus.consumer.stores.dynamodb.writes import Expression, Place, update
from isthmus.consumer.stores.port import Delivered, Entity
from isthmus.lifecycle import Stop, ThreadStop
from isthmus.metrics import Metrics
from isthmus.payloads import Payloads

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from isthmus.consumer.stores.dynamodb.values import Item

Fences = dict[tuple[str, int], int]


@dataclass(slots=True)
class _AtHand:
    """One batch while it is decided."""

    batch: Sequence[Delivered]
    fences: Fences
    outcomes: list[Outcome | None]
    settled: set[str] = field(default_factory=set)
    tells: list[Tell] = field(default_factory=list)


class DynamoDecider:
    """`Decider` on DynamoDB. Each change is atomic, and the batch is not."""

    def __init__(
        self,
        client: "DynamoDBClient",
        settings: DynamoSettings,
        entities: Mapping[str, Entity],
        clock: Clock,
        metrics: Metrics,
        *,
        history: bool,
        payloads: Payloads | None = None,
        stop: Stop | None = None,
        chance: Chance | None = None,
        brake: Braking | None = None,
        gates: Gatekeeper | None = None,
        lending: Lending | None = None,
    ) -> None:
        """Tell `brake` before anything is parked; it may raise `Braked`.

        By what `gates` say a change is held; before each write they are asked whether that still counts, and while they
        make the shards wait: then `apply` raises `Outdated`. `lending` is this decider's alone, and is closed with it;
        None: a handler may take as long as it likes.
        """
        self._settings = settings
        self._metrics = metrics
        self._width = Width(settings.parallel)
        self._pool = Pool(self._width, settings.parallel)
        requests = Requests(
            client,
            settings,
            stop=stop or ThreadStop(),
            chance=chance or system_chance(),
            on_throttled=self._width.throttled,
        )
        self._requests = requests
        self._parts = parts = Parts(
            requests,
            settings,
            entities,
            clock,
            history=history,
            payloads=payloads,
            gates=gates,
            holds=True,
            lending=lending,
        )
        self._history = parts.history
        self._one = parts.one
        if brake is not None:
            self._one.before_parking = lambda parking: brake.park((parking,))
        self._settled = SettledMemory(requests, settings.table)

    def apply(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        """Decide every change of the batch; see `Decider`."""
        self._parts.gating.begin()
        at_hand = self._at_hand(batch)
        for segment in segments(batch):
            self._pool.run([partial(self._chain, at_hand, chain) for chain in chains(batch, segment.changes)])
            self._history.tell(at_hand.tells)
            at_hand.tells.clear()
            for place in segment.markers:
                # Only now: a fence that is durable before what precedes its marker would lose that.
                self._raise_fence(batch[place].change, at_hand.fences)
        return at_hand.outcomes

    def probe(self) -> None:
        """Ask for what every batch begins with."""
        self._at_hand(())

    def close(self) -> None:
        """End the threads. Safe to repeat. The client belongs to who made it."""
        self._pool.close()
        self._parts.close()

    def _chain(self, at_hand: "_AtHand", chain: Sequence[int]) -> None:
        told: Sequence[Tell] = ()
        for place in chain:
            # Before the next change of the key: when that one has replaced it, nobody can say any more that this one
            # took effect.
            self._history.tell(told)
            decided = self._decide(at_hand.batch[place], at_hand)
            at_hand.outcomes[place], told = decided.outcome, decided.tells
            self._width.succeeded()
        at_hand.tells.extend(told)

    def _decide(self, delivered: Delivered, at_hand: "_AtHand") -> Decided:
        delivered = bounded(delivered)
        if fenced(delivered.change, at_hand.fences):
            return Decided(Outcome.FENCED, [Tell(delivered, Outcome.FENCED, new=False)])
        decided = self._one.decide(delivered, at_hand.settled)
        if decided.parked:
            self._metrics.parked.labels(decided.parked).inc()
        if decided.alarm:
            self._metrics.hash_alarms.inc()
        return decided

    def _at_hand(self, batch: Sequence[Delivered]) -> "_AtHand":
        """Begin a batch with the fences, and what of it is settled: one request, as long as none is."""
        fences: Fences = {}
        marker: Item | None = None
        for item in self._requests.query(self._settings.table, SHARED, "", {}):
            if item[SORT_KEY]["S"].startswith(FENCE):
                place, epoch = fence_of(item)
                fences[place] = epoch
            elif item[SORT_KEY]["S"] == SETTLED:
                marker = item
        self._settled.read(marker)
        settled: set[str] = set()
        if self._settled:
            changes = [delivered.change for delivered in batch]
            rows = filter(None, map(settled_row, changes))
            settled = self._settled.settled([*(change.id for change in changes), *rows])
        return _AtHand(batch, fences, [None] * len(batch), settled)

    def _raise_fence(self, marker: Change, fences: Fences) -> None:
        if not raise_fence(marker, fences):
            return
        # A fence is no effect, and rises behind a closed gate; while the shards stand, nothing is written.
        self._parts.gating.begin()
        item = fence_item(marker.source, marker.lane, marker.epoch)
        key = fence_key(marker.source, marker.lane)
        expression = Expression()
        epoch = expression.name("epoch")
        condition = f"{expression.absent('epoch')} OR {epoch} < {expression.value(number(marker.epoch))}"
        sets = {name: value for name, value in item.items() if name not in key}
        try:
            self._requests.write(update(Place(self._settings.table, key), sets, [], expression, condition))
        except Unmet as unmet:
            # Another one knows of a newer owner still.
            place, standing = fence_of(unmet.item)
            fences[place] = max(standing, fences[place])
