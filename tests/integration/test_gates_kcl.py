"""A shard's own process before a closed gate: the daemon's question stays open, and a stop is an answer."""

import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from isthmus.chance import unique_name
from isthmus.change import Change, Verb, version_of
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.gates import Covers, Gate, Mode
from isthmus.checkpoint.table import create_table
from isthmus.clock import SystemClock
from isthmus.codec import bundle, encode
from isthmus.consumer.feed import Record
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.lifecycle import ThreadStop
from tests.fakes.emulator import Emulator
from tests.fakes.kcl_daemon import FakeShard
from tests.fakes.shop import until
from tests.integration.test_kcl_child import Process

SETTINGS = """
application = "gated"
[aws]
endpoint_url = "{url}"
region = "us-east-1"
access_key_id = "test"
secret_access_key = "test"
[checkpoint]
table = "{table}"
[stream]
name = "gated"
lanes = 1
[sources.things]
pipeline = "tests.fakes.kcl_lean:things"
url = "sqlite:///back.db"
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
[gate]
watched = true
[log]
format = "json"
"""


class Office:
    """A front office, gates in the emulator, and a shard's process before them."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.front = folder / "front.db"
        with closing(sqlite3.connect(self.front)) as front:
            front.execute("CREATE TABLE thing (key TEXT PRIMARY KEY, size INTEGER)")
        SqliteStore(self.front, [], application="gated").prepare()
        self.table = f"isthmus-{unique_name()}"
        self.client = emulator.client("dynamodb")
        create_table(self.client, self.table, stop=ThreadStop())
        self.gates = DynamoCheckpoints(self.client, self.table, SystemClock()).gates
        (folder / "isthmus.toml").write_text(SETTINGS.format(url=emulator.url, table=self.table), encoding="utf-8")
        change = Change("t1", "/s", "thing", Verb.UPSERT, "thing/1", version_of(0, 1), 0, 1, "", {"size": 1})
        self.shard = FakeShard([Record("7", bundle([encode(change)]), "lane-000", 1_000)])
        self._child = ("-m", "isthmus.console.kcl.child", str(folder / "isthmus.toml"), str(folder))

    def begin(self) -> Process:
        return Process(self.shard, python=self._child)

    def change(self, *, closed: bool) -> None:
        standing = next(iter(self.gates.read_all()), Gate(Covers(), closed=False))
        now_ms = SystemClock().now_ms()
        self.gates.change(standing.changed(closed=closed, mode=Mode.WAIT, who="ada", reason="moving", now_ms=now_ms))

    def rows(self) -> list[tuple[str, int]]:
        with closing(sqlite3.connect(self.front)) as front:
            return front.execute("SELECT key, size FROM thing").fetchall()


@pytest.fixture
def office(tmp_path: Path, emulator: Emulator) -> Iterator[Office]:
    made = Office(tmp_path, emulator)
    yield made
    made.client.delete_table(TableName=made.table)


def asked(pool: ThreadPoolExecutor, process: Process) -> "Future[bool]":
    """Ask for a batch, and do not wait for the answer."""
    assert process.ask(process.daemon.initialize())
    return pool.submit(process.ask, process.daemon.batch(1))


def test_a_child_before_a_closed_gate_answers_when_it_opens(office: Office) -> None:
    office.change(closed=True)
    process = office.begin()
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = asked(pool, process)
            office.change(closed=False)
            assert answer.result(20)
        assert office.rows() == [("thing/1", 1)]
        assert process.end() == 0
    finally:
        process.kill()


def test_a_stop_ends_the_wait_and_no_place_is_saved_that_was_not_decided(office: Office) -> None:
    office.change(closed=True)
    process = office.begin()
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = asked(pool, process)
            assert not answer.done()
            process._program.send_signal(signal.SIGTERM)
            assert answer.result(20)
        assert office.rows() == []
        assert office.shard.obeyed == []
        assert process.end() == 0
    finally:
        process.kill()
    again = office.begin()
    try:
        office.change(closed=False)
        assert again.ask(again.daemon.initialize())
        assert again.ask(again.daemon.batch(1))
        until(office.rows, "what was left undecided came again")
    finally:
        again.kill()
