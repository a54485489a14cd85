"""Where the rows with the real daemon take place: for each history a stream, a front office, and who works on them.

A history is fed all the time, faults strike all the time, and at its end the oracle reads everything.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from isthmus.aws_payloads import S3Payloads
from isthmus.chance import unique_name
from isthmus.checkpoint.kcl import KclLease, KclLeases
from isthmus.console.commands.setup import prepare
from isthmus.settings import load
from tests.faults.kcl_aws import Aws, port_of
from tests.faults.kcl_deeds import Deeds
from tests.faults.kcl_feed import Feeder, wait_for
from tests.faults.kcl_office import LANES
from tests.faults.kcl_offices import OfficeFiles, PostgresOffice, SqliteOffice
from tests.faults.kcl_oracle import FORGOTTEN, Records, Saved, is_settled, wrong, wrong_checkpoints
from tests.faults.kcl_workers import Between, Worker
from tests.faults.row import Result
from tests.simulation.ground import folder

CHILD: Final = "tests.faults.kcl_child"
FAILOVER: Final = 3.0
"""Seconds."""
_SETTLED_SECONDS: Final = 240.0
"""For the lag to come to 0 once the faults are over: two daemons may have to start, on a machine that others use."""
_SETTINGS: Final = """
application = "{name}"
[aws]
endpoint_url = "{aws}"
endpoints.kinesis = "http://127.0.0.1:{kinesis}"
endpoints.dynamodb = "http://127.0.0.1:{dynamodb}"
region = "us-east-1"
access_key_id = "test"
secret_access_key = "test"
[stream]
name = "{name}"
shards = {shards}
lanes = {lanes}
[sources.things]
pipeline = "tests.faults.kcl_office:things{variant}"
url = "sqlite:///back/back-office.db"
table = "THING"
key = "ID"
cursor = "N"
order = "commit"
[sources.moves]
pipeline = "tests.faults.kcl_office:moves{variant}"
url = "sqlite:///back/back-office.db"
table = "MOVE"
key = "ID"
cursor = "N"
order = "commit"
[entities.thing]
table = "thing"
version_column = "version"
[entities.move]
[claim_check]
bucket = "{name}"
[store]
url = "{office}"
{store}
[consumer]
runtime = "kcl"
poll_interval = 0.2
checkpoint_interval = 0.3
batch_changes = 20
[kcl]
table = "{name}-leases"
failover_time = {failover}
jars = "{jars}"
heap_mb = 96
[metrics]
consumer_port = 0
[log]
format = "json"
"""


def in_a_file(_world: Aws, place: Path) -> OfficeFiles:
    """Give a front office in SQLite."""
    return SqliteOffice(place / "front.db")


def in_postgres(world: Aws, place: Path) -> OfficeFiles:
    """Give a front office in PostgreSQL."""
    return PostgresOffice(world.postgres, place)


class History:
    """One stream, one front office, one application, and whoever works on it. Use as a context: it ends all of it."""

    def __init__(
        self,
        world: Aws,
        place: Path,
        seed: int,
        *,
        shards: int = 2,
        rate: float = 40.0,
        claims: bool = False,
        child: str = CHILD,
        store: str = "",
        office: Callable[[Aws, Path], OfficeFiles] = in_a_file,
    ) -> None:
        self.world, self.place = world, place
        self.name = f"kcl-{unique_name()}"
        self.table = f"{self.name}-leases"
        self.leases = KclLeases(world.dynamo.client, self.table)
        self.deeds = Deeds(place)
        self.workers: list[Worker] = []
        self.closing: list[str] = []
        """Shards that were closed by the last reshard."""
        self.config = place / "isthmus.toml"
        self._journal = place / "checkpoints"
        self._program = child
        self._logs = 0
        files = office(world, place)
        self._ending = ExitStack()
        with ExitStack() as stack:
            self._write(files, port_of(world.mock.url), port_of(world.dynamo.url), shards=shards, store=store)
            prepare(load(self.config))
            self.office = files.made()
            stack.callback(self.office.close)
            between = Between(world, self.table, files.address, self._journal, place / "between.log")
            stack.callback(between.close)
            self.between = between
            self._write(files, between.kinesis, between.dynamodb, shards=shards, store=store)
            payloads = S3Payloads(world.rest.client("s3"), self.name) if claims else None
            self.feeder = Feeder(
                world.kinesis, self.name, seed, rate=rate, decided=self.office.count, payloads=payloads
            )
            stack.callback(self.feeder.close)
            self._ending = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self.workers:
            _let_go(worker)
        for worker in self.workers:
            worker.end()
        self._ending.close()
        with suppress(Exception):
            self.world.kinesis.delete_stream(StreamName=self.name)

    def worker(self, *more: str, config: Path | None = None, child: str | None = None) -> Worker:
        """Start one more worker; `more` are arguments of `isthmus consume`."""
        self._logs += 1
        log = self.place / f"worker-{self._logs}.log"
        made = Worker(self._logs, config or self.config, log, child or self._program, *more)
        self.workers.append(made)
        return made

    def other_settings(self, *changes: tuple[str, str]) -> Path:
        """Write settings beside those of the history that differ in some words; give the file."""
        text = self.config.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self._logs += 1
        path = self.place / f"isthmus-{self._logs}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def forget_checkpoint(self, shard: str) -> None:
        """Take a shard's lease out of the table, as somebody might, and note that its checkpoint may go back."""
        self.world.dynamo.client.delete_item(TableName=self.table, Key={"leaseKey": {"S": shard}})
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(Saved(shard, FORGOTTEN, 0, "")) + "\n")

    def settled(self, result: Result) -> bool:
        """Stop feeding, and wait until all that was fed is decided; note how long that took, and if it never came."""
        begun = time.monotonic()
        self.feeder.pause()
        done = wait_for(lambda: is_settled(self.office, self.feeder.fed), _SETTLED_SECONDS)
        took = round(1000 * (time.monotonic() - begun))
        result.counts["longest catching up, ms"] = max(result.counts["longest catching up, ms"], took)
        if not done:
            result.violated(f"I8: not all is decided {_SETTLED_SECONDS:g} s after the last fault\n{self.told()}")
        return done

    def judge(self, result: Result, *, checkpoints: bool = True) -> None:
        """Read everything, and note every promise that is broken."""
        for sentence in wrong(self.office, self.feeder.fed):
            result.violated(sentence)
        records = self.records()
        in_stream = {txn for shard in records.values() for _, txns in shard for txn in txns}
        for each in self.feeder.fed[: self.feeder.acknowledged]:
            if each.txn not in in_stream:
                result.violated(f"I6: {each.key} was acknowledged, and is not in the stream")
        saved = self.saved()
        if checkpoints:
            for sentence in wrong_checkpoints(self.office, self.feeder.fed, saved, records):
                result.violated(sentence)
        result.counts["changes"] += len(self.feeder.fed)
        result.counts["checkpoints looked at"] += len(saved)

    def records(self) -> Records:
        """Read the whole stream: each shard's records with the transaction IDs in them."""
        kinesis = self.world.kinesis
        shards = kinesis.list_shards(StreamName=self.name)["Shards"]
        return {shard["ShardId"]: list(self._records_of(shard["ShardId"])) for shard in shards}

    def _records_of(self, shard: str) -> Iterator[tuple[str, list[str]]]:
        kinesis = self.world.kinesis
        asked = {"StreamName": self.name, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(**asked)["ShardIterator"]
        while iterator is not None:
            page = kinesis.get_records(ShardIterator=iterator, Limit=10_000)
            for record in page["Records"]:
                events = orjson.loads(record["Data"])
                yield record["SequenceNumber"], [event["id"] for event in events if "subject" in event]
            if not page["Records"] and not page.get("MillisBehindLatest"):
                return
            iterator = page.get("NextShardIterator")

    def saved(self) -> list[Saved]:
        """Give every checkpoint that was written, in order."""
        return [Saved(*json.loads(line)) for line in self._journal.read_text(encoding="utf-8").splitlines()]

    def owners(self) -> dict[str, KclLease]:
        """Give every lease."""
        return self.leases.read()

    def told(self, lines: int = 25) -> str:
        """Give the leases, and the ends of all logs."""
        leases = "\n".join(
            f"{lease.shard} of {'+'.join(lease.parents) or 'nobody'} at {lease.checkpoint}, by {lease.owner or '-'}"
            for lease in self.owners().values()
        )
        return f"{leases}\n" + "\n".join(
            f"--- worker {each.number} ({each.code()})\n" + "\n".join(each.text.splitlines()[-lines:])
            for each in self.workers
        )

    def _write(self, files: OfficeFiles, kinesis: int, dynamodb: int, *, shards: int, store: str) -> None:
        self.config.write_text(
            _SETTINGS.format(
                name=self.name,
                aws=self.world.rest.url,
                kinesis=kinesis,
                dynamodb=dynamodb,
                shards=shards,
                lanes=LANES,
                variant=files.variant,
                office=files.url,
                store=store,
                failover=FAILOVER,
                jars=self.world.jars,
            ),
            encoding="utf-8",
        )


@contextmanager
def history(world: Aws, seed: int, **how: Any) -> Iterator[History]:
    """Give a history in a folder of its own."""
    with folder() as place, History(world, place, seed, **how) as made:
        yield made


def _let_go(worker: Worker) -> None:
    """Continue whatever of it was stopped: what is stopped cannot end softly."""
    for pid in worker.tree():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
