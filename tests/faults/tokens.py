"""A row of the matrix about DynamoDB's client tokens: requests that come again when nobody knows their tokens."""

import random
import threading
import uuid
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError, ReadTimeoutError

from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from tests.fakes.clock import FakeClock, FakeStop
from tests.faults.cases import random_changes, random_cut
from tests.faults.front import records_of
from tests.faults.offices import AnyFront, dynamodb_office, judged
from tests.faults.row import Context, Result

TOKEN_SECONDS: Final = 600.0
"""How long DynamoDB knows a client request token (API Reference, "TransactWriteItems", "ClientRequestToken")."""
LOST: Final = "an answer was lost, and it was sent again after ten minutes"
LATE: Final = "a request was lost, and sent again after ten minutes"
AGAIN: Final = "an old request came once more, its token forgotten"
REFUSED: Final = "its conditions refused it"


class _Sent(NamedTuple):
    operation: str
    wanted: Mapping[str, Any]
    token: str
    at: float


class _Network:
    """A client that loses answers and requests, and sends requests again, behind which a server may know tokens."""

    def __init__(self, client: Any, clock: FakeClock, chance: random.Random, *, remembers: bool) -> None:
        self._client = client
        self._clock = clock
        self._chance = chance
        self._remembers = remembers
        self._known: dict[str, float] = {}
        self._sent: list[_Sent] = []
        self._lock = threading.Lock()
        self.fired: dict[str, int] = {}
        self.tokens: set[str] = set()

    def transact_write_items(self, **wanted: Any) -> Any:
        if "ClientRequestToken" in wanted:
            self.tokens.add(wanted["ClientRequestToken"])
        return self._send("transact_write_items", wanted)

    def update_item(self, **wanted: Any) -> Any:
        return self._send("update_item", wanted)

    def put_item(self, **wanted: Any) -> Any:
        return self._send("put_item", wanted)

    def again(self) -> None:
        """Let something arrive once more, or for the first time, that was sent longer ago than a token lives."""
        old = [sent for sent in self._sent if self._clock.monotonic() - sent.at > TOKEN_SECONDS]
        for sent in self._chance.sample(old, min(len(old), 4)):
            try:
                self._arrive(sent)
            except ClientError as refused:
                code = refused.response["Error"]["Code"]
                assert code in {"TransactionCanceledException", "ConditionalCheckFailedException"}, code
                self._struck(REFUSED)
            self._struck(AGAIN)

    def _send(self, operation: str, wanted: Mapping[str, Any]) -> Any:
        with self._lock:
            # As botocore makes one for each call that brings none.
            sent = _Sent(
                operation, wanted, wanted.get("ClientRequestToken", str(uuid.uuid4())), self._clock.monotonic()
            )
            self._sent.append(sent)
            luck = self._chance.random()
        if luck < 0.1:
            self._late(LATE)
        answer = self._arrive(sent)
        if luck > 0.8:
            self._late(LOST)
        return answer

    def _late(self, fault: str) -> None:
        with self._lock:
            self._struck(fault)
            self._clock.move(TOKEN_SECONDS * (1 + self._chance.random()))
        raise ReadTimeoutError(endpoint_url="http://nowhere")

    def _arrive(self, sent: _Sent) -> Any:
        if sent.operation == "transact_write_items":
            known = self._known.get(sent.token)
            if self._remembers and known is not None and self._clock.monotonic() - known <= TOKEN_SECONDS:
                return {}
        # The emulator behind this has a real clock, and must not know the token.
        wanted = {name: value for name, value in sent.wanted.items() if name != "ClientRequestToken"}
        answer = getattr(self._client, sent.operation)(**wanted)
        self._known[sent.token] = self._clock.monotonic()
        return answer

    def _struck(self, fault: str) -> None:
        self.fired[fault] = self.fired.get(fault, 0) + 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def tokens_forgotten(context: Context) -> Result:
    """F40: requests come again later than their tokens live; half of the histories have a server that knows none."""
    result = Result.expecting([LOST, LATE, AGAIN, REFUSED])
    with dynamodb_office() as office:
        clock = FakeClock()
        front = AnyFront(office, clock=clock, stop=FakeStop(clock))
        try:
            for seed in range(context.first, context.first + context.goal):
                _history(front, clock, seed, result)
                result.counts["histories"] += 1
                context.tell(result.counts["histories"], context.goal)
        finally:
            front.end()
    return result


def _history(front: AnyFront, clock: FakeClock, seed: int, result: Result) -> None:
    chance = random.Random(seed)
    changes = random_changes(chance, 8)
    front.batch_changes = chance.randint(1, 5)
    front.reset()
    assert isinstance(front.decider, DynamoDecider)
    requests = front.decider._requests
    network = _Network(requests._client, clock, chance, remembers=seed % 2 == 0)
    requests._client = network
    for record in records_of([part for part in random_cut(chance, changes) if part]):
        front.process([record])
        clock.move(TOKEN_SECONDS * chance.random() * 2)
        network.again()
    clock.move(2 * TOKEN_SECONDS)
    network.again()
    for fault, times in network.fired.items():
        result.struck(fault, times)
    if network.tokens:
        result.violated(f"seed {seed}: it relies on tokens of its own")
    for sentence in judged(front, changes):
        result.violated(f"seed {seed}: {sentence}")
