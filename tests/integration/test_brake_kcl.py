"""Two shards' processes, as the Kinesis Client Library's daemon starts them, have one limit of what may be parked."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from isthmus.chance import unique_name
from isthmus.change import Change, Verb, version_of
from isthmus.checkpoint.brakecounts import BrakeCount
from isthmus.checkpoint.brakes import MemoryBrakes, Word
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.table import create_table
from isthmus.clock import SystemClock
from isthmus.codec import bundle, encode
from isthmus.console.commands.brake import released
from isthmus.console.kcl.brakefile import publish
from isthmus.consumer.feed import Record
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.lifecycle import ThreadStop
from tests.fakes.emulator import Emulator
from tests.fakes.kcl_daemon import SHARD, FakeShard
from tests.fakes.shop import until
from tests.integration.test_kcl_child import Process, _nothing_is_left

__all__ = ["_nothing_is_left"]

LIMIT, BATCH = 30, 10
_SETTINGS = """
application = "braked"
[aws]
endpoint_url = "{url}"
region = "us-east-1"
access_key_id = "test"
secret_access_key = "test"
[checkpoint]
table = "{table}"
[stream]
name = "braked"
lanes = 1
[sources.things]
pipeline = "tests.fakes.kcl_lean:things"
url = "postgresql+psycopg://back-office.example/db"
table = "THING"
key = "ID"
cursor = "N"
order = "commit"
[entities.thing]
table = "thing"
[store]
url = "sqlite:///front.db"
[consumer]
runtime = "kcl"
park_brake = {limit}
"""


class Worker:
    """What a worker prepares for its children, and where they park."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder, client, table = folder, emulator.client("dynamodb"), f"isthmus-{unique_name()}"
        create_table(client, table, stop=ThreadStop())
        self.checkpoints = DynamoCheckpoints(client, table, SystemClock())
        with closing(sqlite3.connect(folder / "front.db")) as front:
            front.execute("CREATE TABLE thing (key TEXT PRIMARY KEY, size INTEGER)")
        SqliteStore(folder / "front.db", [], application="braked").prepare()
        settings = _SETTINGS.format(url=emulator.url, table=table, limit=LIMIT)
        (folder / "isthmus.toml").write_text(settings, encoding="utf-8")
        publish(MemoryBrakes(), folder)

    def child(self, name: str, sizes: list[int]) -> Process:
        """Start a child of a shard whose records have so many changes each, all of them poison."""
        records = [Record(str(7 + at), bundle(_poison(name, at, size)), "l", 1_000) for at, size in enumerate(sizes)]
        words = ("-m", "isthmus.console.kcl.child", str(self.folder / "isthmus.toml"), str(self.folder))
        process = Process(FakeShard(records), python=words)
        assert process.ask(process.daemon.initialize().replace(SHARD.encode(), f"shard-{name}".encode()))
        return process

    def told(self) -> int:
        """Give how many keys the children told each other of."""
        found = self.checkpoints.brake_counts.tell("contract", "look", BrakeCount())
        return sum(sum(each.keys.values()) for each in found.values())

    def parked(self) -> int:
        with closing(sqlite3.connect(self.folder / "front.db")) as front:
            ((count,),) = front.execute("SELECT count(DISTINCT key) FROM isthmus_parked")
        return int(count)


def _poison(name: str, at: int, size: int) -> list[bytes]:
    data = {"size": "no number"}
    return [
        encode(Change(f"{key}-1", "/s", "thing", Verb.UPSERT, key, version_of(0, 1), 0, 1, "", data))
        for key in (f"thing/{name}-{at}-{number}" for number in range(size))
    ]


@pytest.fixture
def worker(tmp_path: Path, emulator: Emulator) -> Worker:
    return Worker(tmp_path, emulator)


def test_two_shards_processes_park_one_limit_and_then_hold(worker: Worker) -> None:
    one, other = worker.child("one", [BATCH] * 2), worker.child("other", [BATCH, 1])
    for process, all_told in ((one, BATCH), (one, 2 * BATCH), (other, LIMIT)):
        assert process.ask(process.daemon.batch(1))
        until(lambda: worker.told() == all_told, "the others are told")  # noqa: B023 - called before the loop goes on
    assert worker.parked() == LIMIT
    # Its own keys are few: it is by what the other one told that it holds.
    answered: list[bool] = []
    asking = threading.Thread(target=lambda: answered.append(other.ask(other.daemon.batch(1))))
    asking.start()
    try:
        until(worker.checkpoints.brakes.read_all, "the brake is noted")
        (note,) = worker.checkpoints.brakes.read_all().values()
        assert (note.reason, note.word, note.shard, note.keys) == ("contract", Word.ON, "shard-other", LIMIT)
        assert (worker.parked(), answered) == (LIMIT, [])
        worker.checkpoints.brakes.let_off(released(note, "ada", "bad data", 1))
        publish(worker.checkpoints.brakes, worker.folder)
    finally:
        asking.join()
    assert answered == [True]
    assert worker.parked() == LIMIT + 1
    assert (one.end(), other.end()) == (0, 0)


def test_a_child_that_parks_hardly_anything_tells_nobody(worker: Worker) -> None:
    settings = (worker.folder / "isthmus.toml").read_text(encoding="utf-8")
    (worker.folder / "isthmus.toml").write_text(settings.replace(f"= {LIMIT}\n", "= 1000\n"), encoding="utf-8")
    process = worker.child("one", [BATCH])
    assert process.ask(process.daemon.batch(1))
    assert worker.parked() == BATCH
    assert process.end() == 0
    assert list(worker.checkpoints.brakes.read_all()) == []
    assert worker.told() == 0
