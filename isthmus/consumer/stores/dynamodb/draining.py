"""Out of what is held in DynamoDB: one change at a time, each in one transaction with its leave. See `holds`.

That transaction holds the effect, the guard or the ledger, the end of the held change, its key's line, and what the
history tells. A crash, or an answer that was lost, leaves whole changes behind: what has left the line is decided, and
the rest is still held. A change that is drained needs up to seven of a transaction's 100 actions for itself, three more
than from the stream.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

from isthmus.chance import Chance, system_chance
from isthmus.change import Change, Outcome, Verb
from isthmus.checkpoint.tries import Tries
from isthmus.clock import Clock
from isthmus.consumer.braking import Braking
from isthmus.consumer.deciding import TRY, Decision, decide
from isthmus.consumer.gates import Gatekeeper
from isthmus.consumer.lending import Lending
from isthmus.consumer.limits import Suspects
from isthmus.consumer.refusals import UNKNOWN_ENTITY, refusal_by, refusal_of
from isthmus.consumer.stores.dynamodb.cancelled import Unmet
from isthmus.consumer.stores.dynamodb.decided import Refused, answered
from isthmus.consumer.stores.dynamodb.handling import Again, Handling
from isthmus.consumer.stores.dynamodb.heads import DECIDING
from isthmus.consumer.stores.dynamodb.heldlines import HELD, held_key, held_of, line_key, line_of, place_of
from isthmus.consumer.stores.dynamodb.items import SORT_KEY, of_key
from isthmus.consumer.stores.dynamodb.parts import Parts, bounded
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.spread import Pool, Width
from isthmus.consumer.stores.dynamodb.standing import Standing
from isthmus.consumer.stores.dynamodb.writes import Action, Expression, Place, as_seen, delete
from isthmus.consumer.stores.port import Delivered, Entity, Refusal
from isthmus.consumer.unheld import Unheld, named
from isthmus.errors import Poison, Transient
from isthmus.lifecycle import Stop, ThreadStop
from isthmus.metrics import Metrics
from isthmus.payloads import Payloads

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from isthmus.consumer.stores.dynamodb.values import Item

_LAST = f"{HELD}~"
"""Behind every place."""


class _Ends(Exception):  # noqa: N818 - an answer, not an error
    """Nothing more of the key drains now: a gate keeps its first change back, or another one drains it."""


class DynamoPortions:
    """`Portions` on DynamoDB: many keys at once, and each key's changes one after another. See `holds`.

    The client belongs to who made it.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        settings: DynamoSettings,
        entities: Mapping[str, Entity],
        gates: Gatekeeper | None,
        unheld: Unheld,
        *,
        clock: Clock,
        metrics: Metrics,
        history: bool,
        payloads: Payloads | None = None,
        lending: Lending | None = None,
        brake: Braking | None = None,
        tries: Tries | None = None,
        stop: Stop | None = None,
        chance: Chance | None = None,
    ) -> None:
        """Decide by what `gates` say; None: all are open. `brake` is told before anything is parked.

        With `tries` errors that may come only so often at a change are counted, as of a change from the stream.
        """
        self._suspects = Suspects(tries) if tries is not None else None
        self._width = Width(settings.parallel)
        self._pool = Pool(self._width, settings.parallel)
        self._requests = Requests(
            client,
            settings,
            stop=stop or ThreadStop(),
            chance=chance or system_chance(),
            on_throttled=self._width.throttled,
        )
        self._parts = Parts(
            self._requests,
            settings,
            entities,
            clock,
            history=history,
            payloads=payloads,
            gates=gates,
            lending=lending,
        )
        self._one = self._parts.one
        if brake is not None:
            self._one.before_parking = lambda parking: brake.park((parking,))
        self._table = settings.table
        self._unheld = unheld
        self._unheld_lock = Lock()
        self._metrics = metrics

    def drain(self, keys: Sequence[str], each: int) -> tuple[int, list[str]]:
        """Decide the first held changes of these keys; see `Portions`. Cut off, it may have decided some of them."""
        done = dict.fromkeys(keys, 0)
        more = set[str]()
        failures = list[Transient]()

        def of(key: str) -> None:
            for _ in range(each):
                try:
                    if not self._first(key):
                        return
                except Transient as error:
                    if error.attempts is None:
                        raise
                    # It is this change's: other keys do not wait for it.
                    failures.append(error)
                    return
                done[key] += 1
            more.add(key)

        self._pool.run([partial(of, key) for key in keys])
        if failures:
            raise failures[0]
        return sum(done.values()), [key for key in keys if key in more]

    def close(self) -> None:
        """End the threads. Safe to repeat."""
        self._pool.close()
        self._parts.close()

    def _first(self, key: str) -> bool:
        """Decide the first held change of a key. Say whether there was one, and it was decided here."""
        self._parts.gating.begin()
        rows = list(self._rows(key, 2))
        if not rows:
            self._end(key)
            return False
        row, following = rows[0], rows[1] if len(rows) > 1 else None
        delivered = self._made(row)
        entity = self._parts.entities.get(delivered.change.entity)
        handling = self._one.handling(entity, delivered.change)

        def tried(delivered: Delivered) -> bool:
            try:
                self._patiently(delivered, lambda: self._try(row, following, delivered, entity, handling))
            except _Ends:
                return False
            return True

        return self._limited(delivered, tried)

    def _limited(self, delivered: Delivered, tried: Callable[[Delivered], bool]) -> bool:
        """Try a change, and take what failed so often that it may not fail again for poison."""
        try:
            done = tried(delivered)
        except Transient as error:
            if self._suspects is None or error.attempts is None:
                raise
            done = tried(delivered._replace(refused=self._suspects.failed(delivered.change.id, error)))
        if done and self._suspects is not None:
            self._suspects.settle(delivered.change.id)
        return done

    def _patiently(self, delivered: Delivered, action: Callable[[], Outcome]) -> None:
        attempt = 0
        while True:
            try:
                outcome = action()
            except (Unmet, Again):
                attempt += 1
                self._parts.gating.unmet(delivered.change)
                if attempt > 1:
                    self._requests.step_aside(attempt)
                continue
            self._metrics.drained.labels(str(outcome)).inc()
            self._width.succeeded()
            return

    def _try(
        self,
        row: "Item",
        following: "Item | None",
        delivered: Delivered,
        entity: Entity | None,
        handling: Handling | None,
    ) -> Outcome:
        change, parts = delivered.change, self._parts
        if parts.gating.closing(change) is not None:
            raise _Ends
        standing, leave = self._looked(row, following, change, entity)
        decision = decide(change, entity.kind if entity is not None else None, standing.memory(change))
        if decision is not TRY:
            if decision.outcome is Outcome.PARKED and decision.fresh:
                return self._parked(standing, delivered, refusal_by(decision, delivered), leave)
            return self._decided_before(standing, delivered, decision, leave)
        refusal = refusal_of(entity, delivered)
        if refusal is not None or entity is None:
            return self._parked(standing, delivered, refusal or Refusal(Poison(UNKNOWN_ENTITY), "decode"), leave)

        def besides(same: bool) -> list[Action]:  # noqa: FBT001 - the one thing that it is told
            return [*leave, *parts.history.actions(delivered, _outcome(same=same))]

        try:
            same = self._one.take_effect(standing, entity, change, handling, besides)
        except Refused as refused:
            return self._parked(standing, delivered, refused.refusal, leave)
        self._one.free_after(standing, entity, change)
        return _outcome(same=same)

    def _looked(
        self, row: "Item", following: "Item | None", change: Change, entity: Entity | None
    ) -> tuple[Standing, list[Action]]:
        """Give what stands there, and the writes by which the change leaves its line. Raises `_Ends` and `Unmet`."""
        standing = self._parts.looking.standing(change, entity, row=True)
        line = line_of(standing.line.item)
        if line is None or line.first != place_of(row):
            raise _Ends
        if following is None and line.rows > 1:
            # It came meanwhile. What comes after this question changes the turn, which is a condition.
            following = next(self._rows(change.key, 1, behind=place_of(row)), None)
        if self._one.free(standing, entity, change):
            raise Unmet({})
        return standing, self._parts.holds.leaving(standing, row, following)

    def _decided_before(
        self, standing: Standing, delivered: Delivered, decision: Decision, leave: Sequence[Action]
    ) -> Outcome:
        found = answered(delivered, decision, settled=standing.is_settled)
        # Before it leaves: after a crash it is told again.
        self._parts.history.tell(found.tells)
        self._requests.transact([*leave, *self._parts.holds.unmarking(standing)])
        if found.alarm:
            self._metrics.hash_alarms.inc()
        return found.outcome

    def _parked(self, standing: Standing, delivered: Delivered, refusal: Refusal, leave: Sequence[Action]) -> Outcome:
        found = self._one.park(standing, delivered, refusal, besides=leave)
        self._metrics.parked.labels(found.parked).inc()
        return found.outcome

    def _made(self, row: "Item") -> Delivered:
        try:
            event = self._parts.bodies.event(row)
        except Poison as poison:
            held = held_of(row, b"")
            place = (held.shard, held.sequence, held.arrived_ms)
            return bounded(Delivered(named(held, Verb.UPSERT), *place, b"", Refusal(poison, "decode")))
        # What watches the payloads is for one task at a time.
        with self._unheld_lock:
            return bounded(self._unheld.made(held_of(row, event)))

    def _rows(self, key: str, most: int, *, behind: int = -1) -> "Iterator[Item]":
        """Give the items of the first changes of a key, whole, in their order."""
        bounds = {":first": held_key(key, behind + 1)[SORT_KEY], ":last": {"S": _LAST}}
        found = self._requests.query(self._table, of_key(key), " AND sk BETWEEN :first AND :last", bounds, Limit=most)
        return islice(found, most)

    def _end(self, key: str) -> None:
        """End a line of which somebody deleted the changes by hand: nothing else would ever free its key."""
        place = Place(self._table, line_key(key))
        place = place._replace(item=self._requests.get(place))
        if place.item is None or next(self._rows(key, 1), None) is not None:
            return
        expression = Expression()
        try:
            self._requests.write(delete(place, expression, as_seen(expression, place, DECIDING)))
        except Unmet:
            # Something is held again.
            return


def _outcome(*, same: bool) -> Outcome:
    return Outcome.UNCHANGED if same else Outcome.APPLIED
