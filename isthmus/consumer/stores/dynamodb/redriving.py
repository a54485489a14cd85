"""Out of the parking lot in DynamoDB: one change at a time, each in one transaction with its leave.

That transaction holds the effect, the guard or the ledger, the end of the parked change, the lot's head, and what the
history tells. Its conditions are that the lot is as it was read, and with it that the change is there, unedited, and
the first of its key. So live traffic, another redrive and an operator come before it or after it. A crash, or an answer
that was lost, leaves whole changes behind: what has left the lot took effect, and the rest still waits.

A change that is redriven needs up to eight of a transaction's 100 actions for itself, three more than from the stream.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from isthmus.chance import Chance, system_chance
from isthmus.change import Change, Outcome
from isthmus.clock import Clock
from isthmus.consumer.gates import Gatekeeper, Outdated
from isthmus.consumer.lending import Lending
from isthmus.consumer.redrive import GATE_CLOSED, Redriven, Remake, StillPoison, hanging
from isthmus.consumer.stores.dynamodb.deeds import Deeds
from isthmus.consumer.stores.dynamodb.leaving import Candidate, Leaver
from isthmus.consumer.stores.dynamodb.line import Lines, Moved
from isthmus.consumer.stores.dynamodb.parts import Parts, bounded
from isthmus.consumer.stores.dynamodb.rehearsing import Rehearsal
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.settled import Settling
from isthmus.consumer.stores.dynamodb.spread import Pool, Width
from isthmus.consumer.stores.dynamodb.waiting import deliveries, waiting_of
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.port import Delivered, Entity, Refusal
from isthmus.errors import HandlerHangs, Poison, TargetDown, Transient
from isthmus.lifecycle import Stop, ThreadStop
from isthmus.payloads import Payloads

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from isthmus.consumer.stores.dynamodb.values import Item


class DynamoRedriver:
    """`Redriver` on DynamoDB. What its methods do is atomic for each change, and not for all that they are given.

    The client belongs to who made it. `payloads` keeps events that are too large for an item, as it does for whoever
    parks them.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        settings: DynamoSettings,
        entities: Mapping[str, Entity],
        remake: Remake,
        clock: Clock,
        *,
        history: bool,
        payloads: Payloads | None = None,
        stop: Stop | None = None,
        chance: Chance | None = None,
        gates: Gatekeeper | None = None,
        lending: Lending | None = None,
    ) -> None:
        """Redrive what no gate keeps back; `gates` None: all are open.

        `lending` is this redriver's alone, and is closed with it; None: a handler may take as long as it likes.
        """
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
        self._remake = remake
        self._remake_lock = Lock()
        self._parts = Parts(
            requests, settings, entities, clock, history=history, payloads=payloads, gates=gates, lending=lending
        )
        self._lines = Lines(self._parts)
        settling = Settling(requests, settings.table)
        self._leaver = Leaver(self._parts, self._lines, settling)
        self._deeds = Deeds(self._parts, self._lines, settling)

    def redrive(self, key: str, *, most: int = 500, rehearse: bool = False) -> Redriven:
        """Try the first changes of a key, one after another; see `Redriver`, and `rehearsing` for a rehearsal."""
        # What a key before this one was decided by says nothing of this one.
        self._parts.gating.end()
        line = self._lines.of(key, most)
        take = Rehearsal(self._parts).take if rehearse else self._leaver.take
        outcomes, tried, size = Counter[str](), 0, 0
        for row in line.rows:
            # Remade just before it is tried: a translator may take its time, and nothing is locked meanwhile.
            waiting, made = self._remade(row)
            size += len(waiting.event)
            changes = [bounded(each) for each in deliveries(waiting, made)]
            stopped = self._kept_back(waiting, changes)
            if stopped is not None:
                outcomes[str(Outcome.PARKED)] += 1
                return Redriven(dict(outcomes), stopped, size=size)
            try:
                found = take(Candidate(line, row, waiting, changes))
            except Moved:
                return Redriven(dict(outcomes), left=True, size=size)
            except HandlerHangs as hangs:
                # Whether that is of the moment nobody knows: it waits as it is.
                outcomes[str(Outcome.PARKED)] += 1
                return Redriven(dict(outcomes), hanging(waiting, hangs), size=size)
            tried += 1
            outcomes.update(str(outcome) for outcome in found.outcomes)
            if found.stopped is not None:
                return Redriven(dict(outcomes), found.stopped, size=size)
        if not tried and line.waiting and not rehearse:
            self._lines.end(line)
        return Redriven(dict(outcomes), left=tried > 0 and line.waiting > 0, size=size)

    def redrive_all(self, keys: Sequence[str], *, each: int, rehearse: bool = False) -> dict[str, Redriven]:
        """Try the first changes of several keys: many at once, and each key's one after another."""
        found = dict[str, Redriven]()
        failures = dict[str, Transient | TargetDown]()

        def of(key: str) -> None:
            try:
                found[key] = self.redrive(key, most=each, rehearse=rehearse)
            except (Transient, TargetDown) as error:
                # What becomes of the other keys is not to be lost for it: whoever asks comes again.
                failures[key] = error
            else:
                self._width.succeeded()

        self._pool.run([partial(of, key) for key in keys])
        if keys and keys[0] in failures:
            raise failures[keys[0]]
        return {key: found[key] for key in keys if key in found}

    def discard(self, key: str, txns: Sequence[str], *, who: str, why: str) -> int:
        """Take changes out for good; see `Redriver`. Cut off, it may have taken out some of them."""
        self._parts.gating.end()
        return self._deeds.discard(key, txns, who, why)

    def edit(self, key: str, old: Waiting, event: bytes, *, who: str, why: str) -> bool:
        """Put another event in a change's place; see `Redriver`."""
        self._parts.gating.end()
        return self._deeds.edit(key, old, event, who, why)

    def close(self) -> None:
        """End the threads. The client belongs to who made it. Safe to repeat."""
        self._pool.close()
        self._parts.close()

    def _kept_back(self, waiting: Waiting, made: Sequence[Delivered]) -> StillPoison | None:
        """Say what gate keeps back a change, or anything that was made of it."""
        try:
            found = (self._parts.gating.closing(each.change) for each in made)
            closing = next(filter(None, found), None)
        except Outdated:
            closing = self._parts.gating.standing()
        if closing is None:
            return None
        return StillPoison(waiting.txn, GATE_CLOSED, f"{closing.name}: {closing.reason}", "gate")

    def _remade(self, row: "Item") -> "tuple[Waiting, Sequence[Change] | Refusal]":
        try:
            waiting = waiting_of(row, self._parts.bodies.event(row))
        except Poison as poison:
            return waiting_of(row, b""), Refusal(poison, "decode")
        try:
            # The user's code, and a connection to his back office: neither knows of threads.
            with self._remake_lock:
                return waiting, self._remake(waiting)
        except Poison as poison:
            return waiting, Refusal(poison, "translate" if waiting.decodable else "decode")
