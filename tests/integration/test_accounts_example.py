"""Postings of 20 are deducted once each, whoever is killed in the middle and whatever comes again."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from isthmus.chance import unique_name
from isthmus.console.children import Child
from isthmus.console.main import invoke
from isthmus.console.wiring import Wiring
from isthmus.settings import load
from tests.fakes.emulator import Emulator
from tests.fakes.shop import Running, until

EXAMPLE = Path(__file__).parents[2] / "examples" / "accounts"
OPENING = 10_000
AMOUNT = 20
ACCOUNTS = (1001, 1002, 1003)
ENDED_BY_SIGTERM = 143
QUICK = """
[consumer]
poll_interval = 0.05
batch_changes = 7
checkpoint_interval = 0.2
[metrics]
producer_port = 0
consumer_port = 0
[log]
format = "json"
"""
"""Small batches, so that a kill is likely to meet one that is half done."""


class Bank:
    """A copy of the example on the tests' emulator, and its processes."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.settings = folder / "isthmus.toml"
        self.running: list[Running] = []
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run([sys.executable, "databases.py"], cwd=folder, check=True)
        text, name = self.settings.read_text(encoding="utf-8"), f"accounts-{unique_name()}"
        text = text.replace("http://127.0.0.1:4566", emulator.url).replace('"us-east-1"', f'"{emulator.region}"')
        text = text.replace('order = "commit"', 'order = "commit"\npoll_interval = 0.05\npage_size = 25')
        text = text.replace('"accounts"', f'"{name}"')
        self.settings.write_text(text + QUICK, encoding="utf-8")
        assert invoke(["setup", "--config", str(self.settings)]) == 0

    def start(self, command: str) -> Running:
        log = self.folder / f"{command}-{len(self.running)}.log"
        started = Running(Child(command, "isthmus.console.main", [command, "--config", str(self.settings)], log))
        self.running.append(started)
        return started

    def close(self) -> None:
        for each in self.running:
            each.child.end()
        assert "Traceback" not in "".join(each.text for each in self.running)

    def sql(self, database: str, statement: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / database, timeout=10)) as connection, connection:
            return connection.execute(statement).fetchall()

    def post(self, each: int) -> None:
        """Write so many postings for each account."""
        rows = ", ".join(f"({account}, {AMOUNT})" for _ in range(each) for account in ACCOUNTS)
        self.sql("back-office.db", f"INSERT INTO POSTING (ACCT, AMT) VALUES {rows}")  # noqa: S608 - numbers only

    def decided(self) -> int:
        """Give how many postings took effect."""
        return int(self.sql("front-office.db", "SELECT count(*) FROM isthmus_ledger")[0][0])

    def posted(self) -> int:
        return int(self.sql("back-office.db", "SELECT count(*) FROM POSTING")[0][0])

    def goes_on_from(self, before: int) -> None:
        """Wait until more took effect than before."""
        until(lambda: self.decided() > before, "the consumer is in the middle of it")

    def stop(self, *running: Running) -> None:
        for each in running:
            each.child.signal(signal.SIGTERM)
        assert [each.exits() for each in running] == [ENDED_BY_SIGTERM] * len(running)

    def outcomes(self) -> Counter[str]:
        """Give what became of the changes, by the last checkpoints."""
        shards = Wiring(load(self.settings)).checkpoints().shards.read_all()
        return sum((Counter(shard.counts) for shard in shards.values()), Counter[str]())

    def is_exact(self) -> None:
        """Wait until every posting took effect; see that each balance is what its own postings leave of it."""
        until(
            lambda: self.decided() == self.posted(),
            "every posting took effect\n" + "\n".join(each.text for each in self.running),
        )
        times = Counter(account for (account,) in self.sql("back-office.db", "SELECT ACCT FROM POSTING"))
        expected = [(f"account/{account}", OPENING - AMOUNT * times[account]) for account in ACCOUNTS]
        assert self.sql("front-office.db", "SELECT key, balance FROM account ORDER BY key") == expected
        assert self.sql("front-office.db", "SELECT key FROM isthmus_parked") == []


@pytest.fixture
def bank(tmp_path: Path, emulator: Emulator) -> Iterator[Bank]:
    made = Bank(tmp_path / "accounts", emulator)
    yield made
    made.close()


def test_each_posting_is_deducted_once_through_kills_and_a_replay_of_everything(bank: Bank, emulator: Emulator) -> None:
    producer, consumer = bank.start("produce"), bank.start("consume")
    bank.is_exact()
    for _ in range(2):
        before = bank.decided()
        bank.post(40)
        bank.goes_on_from(before)
        consumer.child.signal(signal.SIGKILL)
        producer.child.signal(signal.SIGKILL)
        producer, consumer = bank.start("produce"), bank.start("consume")
        bank.post(1)
        bank.is_exact()
    bank.stop(producer, consumer)

    # All that is remembered between lives is gone: everything is detected, published and read again.
    emulator.client("dynamodb").delete_table(TableName=load(bank.settings).checkpoint.table)
    assert invoke(["setup", "--config", str(bank.settings)]) == 0
    posted = bank.posted()
    producer, consumer = bank.start("produce"), bank.start("consume")
    # One new posting for each account comes behind all others of its lane.
    bank.post(1)
    bank.is_exact()
    bank.stop(producer, consumer)
    outcomes = bank.outcomes()
    # What was detected again as well, but for what the new owner's marker fenced.
    assert outcomes["duplicate"] + outcomes["fenced"] >= 2 * posted
    assert outcomes["duplicate"] >= posted
    assert outcomes["applied"] == len(ACCOUNTS)


def test_a_posting_for_no_account_is_parked_and_every_other_one_is_deducted(bank: Bank) -> None:
    bank.sql("back-office.db", "INSERT INTO POSTING (ACCT, AMT) VALUES (4711, 20)")
    bank.post(1)
    bank.start("run")
    until(lambda: bank.decided() == bank.posted() - 1, "all but one took effect")
    parked = "SELECT key, reason FROM isthmus_parked"
    until(lambda: bank.sql("front-office.db", parked) == [("account/4711", "no-account")], "it is parked")
