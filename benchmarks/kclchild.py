"""From a daemon's line to records with their bytes and back to a status, beside the stock loop of amazon_kclpy."""

import io
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import orjson

from benchmarks.rows import Measured, Prepared, Row, against, interleaved
from isthmus.attempts import AttemptsByPart
from isthmus.chance import system_chance
from isthmus.clock import SystemClock
from isthmus.consumer.feed import Place, Record
from isthmus.consumer.runtimes.kcl.child import Child
from isthmus.lifecycle import ThreadStop
from isthmus.log import configure
from isthmus.metrics import Metrics
from tests.fakes import kcl_sample

LINES = 20
RECORDS = 500
BYTES = 1_000
"""Of one record. Base64 of large records costs both sides the same; small ones show what a record costs."""


def rows(rounds: int) -> list[Row]:
    """Measure records per second. Both sides decode every record's bytes, and answer every batch."""
    configure(level="warning")
    talk = b"".join(line + b"\n" for line in (_initialize(), *(_batch(number) for number in range(LINES))))
    name = f"KCL child, records of {BYTES:,} bytes, decoded only, against amazon_kclpy's own loop"
    ours: dict[str, Prepared] = {"ours": lambda: lambda: _ours(talk)}
    stock = _stock()
    if stock is None:
        rate = interleaved(rounds, ours)["ours"]
        return [Row(name, round(rate, 1), 0.0, 0.0, "records/s", 2.0, f"no baseline: {kcl_sample.unavailable()}")]
    rates = interleaved(rounds, {**ours, "stock": lambda: stock(talk)})
    return [against(name, rates["ours"], rates["stock"], "records/s", wanted=2.0)]


class _Lines:
    """The line to a daemon that only talks."""

    def __init__(self, talk: bytes) -> None:
        self._talk = io.BytesIO(talk)

    def read_line(self) -> bytes | None:
        return self._talk.readline() or None

    def write_line(self, line: bytes) -> None:
        pass


class _Counting:
    """Decides by looking at every record's bytes."""

    def __init__(self) -> None:
        self.bytes = 0
        self.records = 0
        self._place: Place | None = None

    def process(self, records: Sequence[Record]) -> None:
        for record in records:
            self.bytes += len(record.data)
        self.records += len(records)
        self._place = records[-1].place

    def place(self) -> Place | None:
        return self._place


def _ours(talk: bytes) -> int:
    counting, clock, metrics = _Counting(), SystemClock(), Metrics()
    child = Child(
        _Lines(talk),
        lambda _shard, _begin: counting,
        stop=ThreadStop(),
        clock=clock,
        chance=system_chance(),
        metrics=metrics,
        attempts=AttemptsByPart(metrics, clock),
    )
    child.run()
    return _whole(counting.records, counting.bytes)


def _stock() -> Callable[[bytes], Measured] | None:
    """Give what prepares a run of the stock loop over some lines, or None where it is not to be had."""
    if kcl_sample.unavailable():
        return None
    sys.path.append(str(kcl_sample.folder()))
    kcl = import_module("amazon_kclpy.kcl")
    processor: Any = import_module("amazon_kclpy.v3.processor")

    class Counting(processor.RecordProcessorBase):  # type: ignore[misc]  # an optional package without types
        bytes = 0
        records = 0

        def initialize(self, initialize_input: Any) -> None:
            pass

        def process_records(self, process_records_input: Any) -> None:
            for record in process_records_input.records:
                self.bytes += len(record.binary_data)
            self.records += len(process_records_input.records)

        def lease_lost(self, lease_lost_input: Any) -> None:
            pass

        def shard_ended(self, shard_ended_input: Any) -> None:
            pass

    def prepare(talk: bytes) -> Measured:
        counting = Counting()
        # Text over bytes, as its stdin is.
        stdin = io.TextIOWrapper(io.BytesIO(talk), encoding="utf-8")
        loop = kcl.KCLProcess(counting, stdin, io.StringIO(), io.StringIO())

        def run() -> int:
            loop.run()
            return _whole(counting.records, counting.bytes)

        return run

    return prepare


def _whole(records: int, size: int) -> int:
    if records != LINES * RECORDS or size != records * BYTES:
        raise RuntimeError(f"{records} records with {size} bytes were decoded")
    return records


def _initialize() -> bytes:
    return orjson.dumps(
        {"action": "initialize", "shardId": "shardId-0", "sequenceNumber": "TRIM_HORIZON", "subSequenceNumber": 0}
    )


def _batch(number: int) -> bytes:
    first = 49590338271490256608559692538361571095921575989136588898 + number * RECORDS
    records = [
        {
            "action": "record",
            "data": b64encode(bytes((first + each + place) % 251 for place in range(BYTES))).decode(),
            "partitionKey": f"lane-{each % 64:03}",
            "sequenceNumber": str(first + each),
            "approximateArrivalTimestamp": 1_795_000_000_000 + each,
            "subSequenceNumber": 0,
        }
        for each in range(RECORDS)
    ]
    return orjson.dumps({"action": "processRecords", "records": records, "millisBehindLatest": 0})
