"""Lanes to test with, what is offered to them, and what a stream answers."""

import json

from isthmus.producer.lanes import Lanes, Limits, Request
from isthmus.producer.sink import Put
from isthmus.retry import Backoff

FREE = Limits(shard_bytes_per_second=None, shard_records_per_second=None)
THROTTLED = Put(error="ProvisionedThroughputExceededException")


class Most:
    """The chance by which every back-off is as long as it can be."""

    def random(self) -> float:
        return 1.0


def lanes_of(count: int = 4, limits: Limits = FREE, backoff: Backoff | None = None) -> Lanes:
    return Lanes(count, limits, backoff or Backoff(first=1.0), Most())


def ok(request: Request, shard: str = "") -> list[Put]:
    return [Put(shard, "1") for _ in request.entries]


def sent(request: Request | None) -> dict[int, list[object]]:
    assert request is not None
    return {entry.lane: json.loads(entry.data) for entry in request.entries}


def event(number: int, size: int = 0) -> bytes:
    return str(number).encode().rjust(size) if size else str(number).encode()
