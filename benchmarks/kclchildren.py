"""What a child of the Kinesis Client Library's daemon leaves and takes: `python -m benchmarks.kclchildren`.

The product's own program, settings and store, with the daemon's side of the protocol played. First one child
decides a million changes, and its memory is looked at on the way; then children are killed (-9), each in the middle of
its work, and what they left over is counted.
"""

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import orjson
import psycopg

from isthmus.change import Change, Verb, lane_of, transaction_id, version_of
from isthmus.clock import SystemClock
from isthmus.codec import bundle, encode
from isthmus.console.embedded_postgres import EmbeddedPostgres
from isthmus.console.kcl.brakefile import FILE
from isthmus.console.kcl.folder import CHILD, Folder
from isthmus.console.kcl.metricfiles import MetricFiles
from isthmus.console.kcl.processes import children_of
from isthmus.consumer.stores.postgres.connection import PostgresAddress
from isthmus.consumer.stores.postgres.store import PostgresStore
from isthmus.consumer.stores.sqlite.store import SqliteStore
from tests.faults.kcl_workers import ROOT
from tests.simulation.ground import folder

LANES, KEYS, CHANGES, RECORDS = 16, 20_000, 80, 25
"""Changes of one record, and records of one batch: what a full stream gives."""
_SETTINGS = """
application = "bench"
[aws]
region = "us-east-1"
[stream]
name = "bench"
lanes = {lanes}
[sources.things]
pipeline = "benchmarks.kclpipeline:things"
url = "sqlite:///back.db"
table = "THING"
key = "ID"
cursor = "N"
order = "commit"
[entities.thing]
table = "thing"
version_column = "version"
[store]
url = "{store}"
[consumer]
runtime = "kcl"
checkpoint_interval = 1.0
[log]
format = "json"
level = "error"
"""


def main() -> None:
    """Measure, and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kclchildren", description=__doc__)
    parser.add_argument("--changes", type=int, default=1_000_000, help="changes that one child decides (1000000)")
    parser.add_argument("--restarts", type=int, default=1_000, help="children that are killed (1000)")
    parser.add_argument("--postgres", action="store_true", help="with PostgreSQL: the first half alone")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        place = stack.enter_context(folder())
        if arguments.postgres:
            _long_life(_made_in_postgres(place, stack), arguments.changes)
            return
        settings = _made(place)
        _long_life(settings, arguments.changes)
        _short_lives(settings, arguments.restarts)


_TABLE = "CREATE TABLE thing (key TEXT PRIMARY KEY, version TEXT, size INTEGER, note TEXT)"


def _made(place: Path) -> Path:
    with closing(sqlite3.connect(place / "front.db")) as front:
        front.execute(_TABLE)
    SqliteStore(place / "front.db", [], application="bench").prepare()
    return _settings(place, "sqlite:///front.db")


def _made_in_postgres(place: Path, stack: ExitStack) -> Path:
    server = stack.enter_context(EmbeddedPostgres(place / "data", place / "postgresql.log"))
    with psycopg.connect(server.url, autocommit=True) as front:
        front.execute(_TABLE)
    PostgresStore(PostgresAddress(server.url), [], lanes=LANES, application="bench").prepare()
    return _settings(place, server.url)


def _settings(place: Path, store: str) -> Path:
    path = place / "isthmus.toml"
    path.write_text(_SETTINGS.format(lanes=LANES, store=store), encoding="utf-8")
    return path


class _Shard:
    """A child with the daemon's end of its line. Checkpoints are granted."""

    def __init__(self, settings: Path, worker: Folder) -> None:
        self.program = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-m", CHILD, str(settings), str(worker.path)],
            cwd=settings.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        if self.program.stdin is None or self.program.stdout is None:
            raise RuntimeError("a child without a line")
        self._in, self._out = self.program.stdin, self.program.stdout
        self.checkpoint = "TRIM_HORIZON"

    def ask(self, question: dict[str, object]) -> None:
        """Ask, and grant checkpoints until it is answered. Raises RuntimeError when the child ends instead."""
        self.tell(question)
        for line in self._out:
            said = orjson.loads(line) if line.strip() else {}
            if said.get("action") == "checkpoint":
                self.checkpoint = said["sequenceNumber"]
                self.tell({**said, "error": None})
            elif said.get("action") == "status":
                return
        raise RuntimeError("the child ended")

    def tell(self, line: dict[str, object]) -> None:
        self._in.write(orjson.dumps(line) + b"\n")
        self._in.flush()

    def end(self, number: signal.Signals | None = None) -> None:
        """End it: by a signal, or by closing the line."""
        if number is not None:
            self.program.send_signal(number)
        for pipe in (self._in, self._out):
            with suppress(BrokenPipeError):
                pipe.close()
        self.program.wait()


def _long_life(settings: Path, changes: int) -> None:
    clock = SystemClock()
    with Folder() as worker:
        _published(worker)
        MetricFiles(worker.metrics)
        shard = _Shard(settings, worker)
        shard.ask(_initialize(shard.checkpoint))
        begun, fed, looks = clock.monotonic(), 0, iter((0.01, 0.1, 0.25, 0.5, 0.75, 1.0))
        look = next(looks)
        for batch in _batches(1):
            shard.ask(batch)
            fed += RECORDS * CHANGES
            while fed >= look * changes:
                now, most = _memory_mb(shard.program.pid)
                rate = fed / (clock.monotonic() - begun)
                sys.stdout.write(f"{fed:>9,} changes: {now:5.1f} MB, {most:5.1f} MB at most, {rate:,.0f}/s\n")
                look = next(looks, 2.0 + fed)
            if fed >= changes:
                break
        shard.end()


def _short_lives(settings: Path, restarts: int) -> None:
    with Folder() as worker:
        _published(worker)
        files = MetricFiles(worker.metrics)
        before = _open_files(), _rows(settings), len(children_of(os.getpid()))
        batches, checkpoint = _batches(1), "TRIM_HORIZON"
        first = next(batches)
        for life in range(restarts):
            shard = _Shard(settings, worker)
            shard.ask(_initialize(checkpoint))
            if life % 2:
                shard.ask(first)
            # In the middle of a batch; every other one has answered one before.
            shard.tell(first)
            shard.end(signal.SIGKILL)
            files.families()
        after = _open_files(), _rows(settings), len(children_of(os.getpid()))
        left = sorted(each.name for each in worker.metrics.iterdir())
    words = ("open files of who looks after them", "rows of Isthmus's own tables", "processes")
    sys.stdout.write(f"{restarts:,} children killed (-9)\n")
    for word, old, new in zip(words, before, after, strict=True):
        sys.stdout.write(f"{word}: {old} before, {new} after\n")
    sys.stdout.write(f"metric files left over: {len(left)}\n")


def _published(worker: Folder) -> None:
    """Write what a worker writes beside its shards' processes: no park brake is on."""
    (worker.path / FILE).write_text("[]", encoding="utf-8")


def _batches(first: int) -> Iterator[dict[str, object]]:
    """Give batches without end: each key comes again and again, each time newer."""
    number = first
    while True:
        records = []
        for _ in range(RECORDS):
            data = bundle([_event(number + each) for each in range(CHANGES)])
            records.append(
                {
                    "action": "record",
                    "data": b64encode(data).decode(),
                    "partitionKey": "lane-000",
                    "sequenceNumber": str(10**55 + number),
                    "approximateArrivalTimestamp": 1_795_000_000_000 + number,
                    "subSequenceNumber": 0,
                }
            )
            number += CHANGES
        yield {"action": "processRecords", "records": records, "millisBehindLatest": 0}


def _event(number: int) -> bytes:
    key, version = f"thing/{number * 7919 % KEYS}", version_of(0, number)
    return encode(
        Change(
            transaction_id("/bench/things", key, version),
            "/bench/things",
            "thing",
            Verb.UPSERT,
            key,
            version,
            lane_of(key, LANES),
            1,
            "2026-01-01T00:00:00Z",
            {"size": number, "note": "x" * 160},
            rowhash=f"{number:032x}",
        )
    )


def _initialize(checkpoint: str) -> dict[str, object]:
    return {
        "action": "initialize",
        "shardId": "shardId-000000000000",
        "sequenceNumber": checkpoint,
        "subSequenceNumber": 0,
    }


def _memory_mb(pid: int) -> tuple[float, float]:
    found = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())
    return int(found["VmRSS"].split()[0]) / 1024, int(found["VmHWM"].split()[0]) / 1024


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _rows(settings: Path) -> int:
    """Count what lies in our own tables."""
    with closing(sqlite3.connect(settings.parent / "front.db")) as front:
        ours = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'isthmus_%'"
        tables = [name for (name,) in front.execute(ours).fetchall()]
        return sum(front.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables)  # noqa: S608 - our own names


if __name__ == "__main__":
    main()
