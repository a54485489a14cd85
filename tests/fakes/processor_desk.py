"""A shard processor with an applier that only notes what it is asked to decide."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from isthmus.attempts import AttemptsByPart
from isthmus.change import Change, Outcome, Verb, version_of
from isthmus.codec import bundle, encode
from isthmus.consumer.applier import Applier
from isthmus.consumer.feed import Record
from isthmus.consumer.gates import Gatekeeper
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.consumer.stores.port import Delivered
from isthmus.errors import Poison
from isthmus.metrics import Metrics
from isthmus.payloads import Folder, Payloads
from tests.fakes.clock import FakeClock, FakeStop


def change(n: int, key: str = "k", **other: object) -> Change:
    made = Change(
        f"{key}-{n}", "flights", "thing", Verb.UPSERT, key, version_of(0, n), 1, 1, "2013-01-01T00:00:00Z", {"n": n}
    )
    return made._replace(**other)  # type: ignore[arg-type]


def record(sequence: object, *changes: Change | bytes) -> Record:
    """Give a record that holds a bundle."""
    events = [event if isinstance(event, bytes) else encode(event) for event in changes]
    return raw_record(sequence, bundle(events))


def raw_record(sequence: object, data: bytes) -> Record:
    return Record(str(sequence), data, "lane-001", 7)


class NotingApplier:
    """Notes what is durable; fails first with the errors that are planned, one for each call."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.batches: list[list[Delivered]] = []
        self.after: Callable[[], None] = lambda: None

    def apply(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append(list(batch))
        self.after()
        outcomes: list[Outcome | None] = []
        for delivered in batch:
            parked = delivered.refused is not None or delivered.change.verb is Verb.UNTRANSLATED
            applied = None if delivered.change.verb is Verb.MARKER else Outcome.APPLIED
            outcomes.append(Outcome.PARKED if parked else applied)
        return outcomes


class NotingPayloads:
    """The port of payloads: what lies in it, and errors that are planned."""

    def __init__(self, content: Mapping[str, bytes]) -> None:
        self.content = content
        self.errors: list[Exception] = []

    def put(self, content: bytes, folder: Folder = Folder.STREAM) -> str:
        raise NotImplementedError

    def get(self, reference: str) -> bytes:
        if self.errors:
            raise self.errors.pop(0)
        if reference not in self.content:
            raise Poison("payload-missing", "It is not there.")
        return self.content[reference]


class ProcessorDesk:
    """Everything that a processor needs, on virtual time."""

    def __init__(
        self,
        *,
        batch_changes: int = 3,
        payload_bytes: int = ProcessorSettings().batch_payload_bytes,
        payloads: Payloads | None = None,
        shard: str = "shard-0",
        gates: Gatekeeper | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.stop = FakeStop(self.clock)
        self.metrics = Metrics()
        self.applier = NotingApplier()
        self.processor = ShardProcessor(
            shard,
            cast("Applier", self.applier),
            payloads=payloads,
            stop=self.stop,
            clock=self.clock,
            chance=random.Random(1),
            metrics=self.metrics,
            attempts=AttemptsByPart(self.metrics, self.clock),
            settings=ProcessorSettings(batch_changes=batch_changes, batch_payload_bytes=payload_bytes),
            counts={"stale": 4},
            gates=gates,
        )

    def process(self, *records: Record) -> None:
        self.processor.process(records)

    def delivered(self) -> list[Delivered]:
        return [delivered for batch in self.applier.batches for delivered in batch]

    def only(self) -> Delivered:
        (delivered,) = self.delivered()
        return delivered
