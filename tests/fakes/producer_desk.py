"""The producer of one source with everything around it, on virtual time."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from isthmus.checkpoint.memory import MemoryCheckpoints
from isthmus.checkpoint.ports import Holder, Lease
from isthmus.metrics import Metrics
from isthmus.producer.lanes import Lanes, Limits
from isthmus.producer.publisher import Executor, Publisher
from isthmus.producer.service import Producer, ProducerSettings
from isthmus.producer.sink import Entry, OwnedSink, Put
from isthmus.producer.sources.port import Page, SourceRow
from isthmus.producer.translator import Encoded
from isthmus.retry import Backoff
from isthmus.stream import StreamIdentity
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.sending import InlineExecutor, LaterExecutor
from tests.fakes.stream import MemoryStream

NAME = "source/shop"
LANES = 4
ME = Holder("me", "here", "boot", 42, "4711", "2013-01-01T00:00:00.000Z")
STREAM = StreamIdentity("arn", "2013-01-01T00:00:00Z")
FREE = Limits(shard_bytes_per_second=None, shard_records_per_second=None)
SHOP = "/shop/customers"


class Shop:
    """A source. `hook` is called at each read and start; `failing` holds what the next of them raise."""

    def __init__(self, rows: list[dict[str, Any]], start: str | None = None) -> None:
        self.rows = rows
        self.begin = start
        self.reads: list[str | None] = []
        self.starts = 0
        self.failing: list[Exception] = []
        self.hook: Callable[[], object] = lambda: None
        self.ready_at = 0.0
        self.clock: FakeClock | None = None

    def ready_in(self) -> float:
        return 0.0 if self.clock is None else max(0.0, self.ready_at - self.clock.monotonic())

    def start(self) -> str | None:
        self.starts += 1
        self._call()
        return self.begin

    def read(self, after: str | None, limit: int) -> Page:
        self.reads.append(after)
        self._call()
        place = -1 if after is None else int(json.loads(after)[0])
        found = [
            SourceRow(values, number, f'[{number},"secret"]', f'["{number}"]')
            for number, values in enumerate(self.rows)
            if number > place
        ]
        return Page(found[:limit], len(self.rows) - 1 if self.rows else None, more=len(found) > limit)

    def count(self, after: str | None, bound: int) -> int:
        place = -1 if after is None else self.position(after)
        return sum(place < number <= bound for number in range(len(self.rows)))

    def position(self, watermark: str) -> int:
        return int(json.loads(watermark)[0])

    def close(self) -> None:
        """Nothing to close."""

    def _call(self) -> None:
        self.hook()
        if self.failing:
            raise self.failing.pop(0)


class Plainly:
    """A translator: `lanes` of the row say where its changes go."""

    def __init__(self) -> None:
        self.failing: list[Exception] = []
        self.hook: Callable[[], object] = lambda: None

    def translate(self, row: SourceRow, epoch: int) -> list[Encoded]:
        self.hook()
        if self.failing:
            raise self.failing.pop(0)
        event = json.dumps({"n": row.position, "epoch": epoch, "pad": row.values.get("pad", "")}).encode()
        return [Encoded(lane, event, f"{row.position}/{lane}", "key") for lane in row.values["lanes"]]

    def refresh(self) -> None:
        """Nothing to load."""


class Desk:
    """A producer with everything around it.

    Each saved watermark is compared with the stream at that moment: what it covers must lie there.
    """

    def __init__(
        self,
        rows: list[dict[str, Any]],
        *,
        start: str | None = None,
        later: bool = False,
        most_bytes: int = 1_000_000,
        page_size: int = 10,
        poll_interval: float = 0.2,
    ) -> None:
        self.clock = FakeClock()
        self.stop = FakeStop(self.clock)
        self.stream = MemoryStream(self.clock, lanes=LANES)
        self.checkpoints = MemoryCheckpoints(self.clock)
        self.lease = Lease(NAME, 7, ME, 0, STREAM)
        self.checkpoints.leases.take(self.lease, None)
        self.source = Shop(rows, start)
        self.translator: Any = Plainly()
        self.metrics = Metrics()
        self.later = LaterExecutor(self.clock)
        self.inline = InlineExecutor(self.clock)
        self.executor: Executor = self.later if later else self.inline
        self.most_bytes = most_bytes
        self.page_size = page_size
        self.poll_interval = poll_interval
        self.is_lost = False
        self.puts: list[list[Entry]] = []
        self.put_hook: Callable[[], object] = lambda: None
        self.saved: list[tuple[float, str]] = []
        self.steps: list[int] = []
        """Of every attempt to save a watermark."""

    # a sink and leases of its own

    def put(self, entries: Sequence[Entry]) -> list[Put]:
        self.puts.append(list(entries))
        self.put_hook()
        return self.stream.put(entries)

    def advance(self, name: str, epoch: int, watermark: str, *, step: int = 0) -> None:
        self.steps.append(step)
        self.checkpoints.leases.advance(name, epoch, watermark, step=step)
        assert not self.is_lost, "nothing may be remembered after the loss"
        self.saved.append((self.clock.monotonic(), watermark))
        mark = int(json.loads(watermark)[0])
        wanted = {(n, lane) for n, row in enumerate(self.source.rows[: mark + 1]) for lane in row.get("lanes", [])}
        assert wanted <= {(event["n"], lane) for lane, event in self.events()} or self.source.begin is not None

    # for tests

    def run(self, seconds: float = 10.0) -> "Desk":
        """Run until a stop is requested after so long."""
        self.clock.at(self.clock.monotonic() + seconds, self.stop.request)
        self.producer().run()
        return self

    def producer(self) -> Producer:
        leases: Any = self
        return Producer(
            self.lease,
            source=self.source,
            translator=self.translator,
            publisher=Publisher(
                Lanes(LANES, FREE, Backoff(first=0.1, most=1.0), random.Random(1)),
                OwnedSink(self, lambda: self.is_lost),
                self.executor,
                source="shop",
                clock=self.clock,
                metrics=self.metrics,
                max_unacknowledged_bytes=self.most_bytes,
            ),
            leases=leases,
            lost=lambda: self.is_lost,
            clock=self.clock,
            stop=self.stop,
            chance=random.Random(1),
            metrics=self.metrics,
            settings=ProducerSettings(
                source=SHOP, name="shop", poll_interval=self.poll_interval, page_size=self.page_size
            ),
            position_of=lambda watermark: int(json.loads(watermark)[0]),
        )

    def answer(self) -> None:
        """Let every request that was submitted later happen now."""
        while self.later.pending:
            self.later.run()

    def answer_markers(self) -> None:
        """Let the markers' requests happen, and none of those after the first read."""

        def answer() -> None:
            if not self.source.reads:
                self.answer()

        self.clock.every(0.05, answer, until=9)

    def lose(self) -> None:
        self.is_lost = True

    def lanes_in_order(self) -> list[tuple[int, list[Any]]]:
        """Give lane and events of each record, in the order in which the stream took them."""
        shard = self.stream.open_shards()[0]
        return [
            (int(record.partition_key.removeprefix("lane-")), json.loads(record.data))
            for record in self.stream.records(shard)
        ]

    def events(self) -> list[tuple[int, dict[str, Any]]]:
        """Give lane and event of each change that is no marker."""
        return [(lane, event) for lane, events in self.lanes_in_order() for event in events if "n" in event]

    def numbers(self) -> list[int]:
        return sorted({event["n"] for _, event in self.events()})

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    @property
    def watermark(self) -> str | None:
        lease = self.checkpoints.leases.read(NAME)
        assert lease is not None
        return lease.watermark


def row(*lanes: int, pad: int = 0) -> dict[str, Any]:
    return {"lanes": lanes or (0,), "pad": "x" * pad}


FILTERED = {"lanes": ()}
