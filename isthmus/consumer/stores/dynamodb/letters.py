"""Dead letters, decided in DynamoDB: each change that becomes of a letter is atomic, as it is from the stream.

A crash between two of them, or before the message is deleted, lets the letter come again: what took effect is a
duplicate then, and what was parked waits.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isthmus.chance import Chance, system_chance
from isthmus.change import Outcome, settled_row
from isthmus.clock import Clock
from isthmus.consumer.deadletters.redriving import Decided, deliveries, kept_back, remade
from isthmus.consumer.deciding import count
from isthmus.consumer.gates import Gatekeeper, OpenGates
from isthmus.consumer.lending import Lending
from isthmus.consumer.redrive import Remake, StillPoison
from isthmus.consumer.stores.dynamodb.items import parked_key, settled_key
from isthmus.consumer.stores.dynamodb.leaving import Candidate
from isthmus.consumer.stores.dynamodb.line import Line
from isthmus.consumer.stores.dynamodb.parts import Parts, bounded
from isthmus.consumer.stores.dynamodb.rehearsing import Rehearsal
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.writes import Place
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.port import Delivered, Entity
from isthmus.errors import HandlerHangs
from isthmus.lifecycle import Stop, ThreadStop
from isthmus.payloads import Payloads

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class DynamoLetters:
    """`LetterDecider` on DynamoDB. The client belongs to who made it."""

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
        """Decide what no gate keeps back; `gates` None: all are open.

        `lending` is this one's alone, and is closed with it; None: a handler may take as long as it likes.
        """
        self._gates = gates or OpenGates()
        requests = Requests(client, settings, stop=stop or ThreadStop(), chance=chance or system_chance())
        self._requests = requests
        self._table = settings.table
        self._remake = remake
        self._parts = Parts(
            requests, settings, entities, clock, history=history, payloads=payloads, gates=gates, lending=lending
        )

    def decide(self, letter: Waiting, *, rehearse: bool = False) -> Decided:
        """Decide a letter; see `rehearsing` for what a rehearsal cannot see."""
        if self.waits(letter):
            return Decided(waits=True)
        made = [bounded(each) for each in deliveries(letter, remade(self._remake, letter))]
        settled = self._settled(letter, made)
        if letter.txn in settled:
            return Decided({str(Outcome.DUPLICATE): 1})
        closed = self._closed(made)
        if closed:
            return Decided(closed=closed)
        try:
            return self._rehearsed(letter, made) if rehearse else self._decided(letter, made, settled)
        except HandlerHangs as hangs:
            return Decided(hangs=hangs.message)

    def _decided(self, letter: Waiting, made: Sequence[Delivered], settled: set[str]) -> Decided:
        outcomes, stopped = list[Outcome](), None
        for delivered in made:
            # It asks the gates again, and confirms before each write: one that closes meanwhile is `Outdated`.
            decided = self._parts.one.decide(delivered, settled)
            self._parts.history.tell(decided.tells)
            outcomes.append(decided.outcome)
            if decided.parked and stopped is None:
                stopped = StillPoison(delivered.change.id, decided.parked, "", "")
        if not stopped and Outcome.PARKED in outcomes and self.waits(letter):
            # It came over the stream meanwhile.
            return Decided(waits=True)
        return Decided(count(outcomes) or {str(Outcome.FILTERED): 1}, stopped=stopped)

    def waits(self, letter: Waiting) -> bool:
        """Say whether the letter's change waits in the parking lot."""
        place = Place(self._table, parked_key(letter.key, letter.version, letter.txn))
        return self._requests.get(place) is not None

    def close(self) -> None:
        """End the threads of handlers. The client belongs to who made it. Safe to repeat."""
        self._parts.close()

    def _closed(self, made: Sequence[Delivered]) -> str:
        """Say what gate keeps back any of the changes, those that are mirrored among them, and why it is closed."""
        closed = kept_back(self._gates.view(), made, self._parts.entities)
        if closed or not self._gates.strict:
            return closed
        closings = (self._parts.gating.closing(each.change) for each in made)
        closing = next(filter(None, closings), None)
        return "" if closing is None else f"{closing.name}: {closing.reason}"

    def _settled(self, letter: Waiting, made: list[Delivered]) -> set[str]:
        # Its own name too: what could not be read has another one now, and was settled under this one.
        changes = [delivered.change for delivered in made]
        rows = filter(None, map(settled_row, changes))
        names = {letter.txn, *(change.id for change in changes), *rows}
        found = self._requests.get_many(self._table, [settled_key(name) for name in sorted(names)])
        return {item["txn"]["S"] for item in found}

    def _rehearsed(self, letter: Waiting, made: list[Delivered]) -> Decided:
        # It waits under no key: a rehearsal would take it for the first of its own, with nothing before it.
        nowhere = Candidate(Line("", iter(()), 0, 0), {}, letter._replace(key=""), made)
        outcomes = Rehearsal(self._parts).take(nowhere).outcomes
        stopped = None
        if Outcome.PARKED in outcomes:
            stopped = StillPoison(letter.txn, letter.reason, "", "")
        return Decided(count(outcomes), stopped=stopped)
