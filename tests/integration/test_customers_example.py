"""The pipeline that the README shows works, and asks AWS for nothing that the guide does not list."""

import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from isthmus.aws import describe_stream, ensure_stream
from isthmus.chance import unique_name
from isthmus.console.consuming import consume
from isthmus.console.main import invoke
from isthmus.console.producing import produce
from isthmus.console.wiring import Wiring
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.lifecycle import ThreadStop
from isthmus.pipeline import Pipeline
from isthmus.settings import load
from tests.fakes.emulator import Emulator

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "customers"
DEADLINE_SECONDS = 20.0
LARGE_NAME = "UPDATE CUST SET NAM1 = hex(zeroblob(1000)) WHERE CUSTNO = 2"
"""Larger than the claim check's threshold of these tests."""


class Place:
    """A copy of the example, as the README tells to make one, on the tests' emulator."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        self.settings = folder / "isthmus.toml"
        name = f"customers-{unique_name()}"
        text = self.settings.read_text(encoding="utf-8")
        text = text.replace("http://127.0.0.1:4566", emulator.url).replace('"us-east-1"', f'"{emulator.region}"')
        text = text.replace('application = "customers"', f'application = "{name}"')
        text = text.replace('name = "customers"', f'name = "{name}"')
        self.settings.write_text(
            f'{text}\n[claim_check]\nbucket = "{name}"\nthreshold_bytes = 1024\n', encoding="utf-8"
        )

    def sql(self, database: str, statement: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / database, timeout=10)) as connection, connection:
            return connection.execute(statement).fetchall()

    def runs(self, part: Callable[[Wiring, dict[str, Pipeline]], None], until: Callable[[], bool]) -> None:
        """Run one half until something is so; it must end softly."""
        wiring = Wiring(load(self.settings))
        task = ThreadTask("half", lambda: part(wiring, wiring.pipelines()))
        try:
            pause, deadline = ThreadStop(), time.monotonic() + DEADLINE_SECONDS
            while not until() and not task.done():
                assert time.monotonic() < deadline
                pause.wait(0.05)
        finally:
            wiring.stop.request()
            task.result()

    def make_stream_anew(self) -> None:
        """Delete the stream and make it again, until its creation time, which has seconds only, is another one."""
        kinesis, name = self.emulator.client("kinesis"), load(self.settings).stream.name
        old = describe_stream(kinesis, name).identity
        while describe_stream(kinesis, name).identity == old:
            kinesis.delete_stream(StreamName=name)
            ensure_stream(kinesis, name, 1, stop=ThreadStop())

    def reads_all_again(self) -> None:
        """Everything comes again, and then something new: the new has its effect, the old has none twice."""
        assert self.position() == 0
        self.runs(produce, lambda: self.position() == 4)
        self.sql("back-office.db", "UPDATE CUST SET STAT = 'G' WHERE CUSTNO = 2")
        self.runs(produce, lambda: self.position() == 5)
        self.runs(consume, lambda: len(self.sql("front-office.db", "SELECT key FROM customer")) == 1)
        assert len(self.sql("front-office.db", "SELECT customer FROM welcome")) == 2

    def position(self) -> int:
        lease = Wiring(load(self.settings)).checkpoints().leases.read("source/customers")
        return int(lease.watermark[1:].split(",")[0]) if lease is not None and lease.watermark else 0


@contextmanager
def asked() -> Iterator[set[str]]:
    """Give the operations that any client is asked for meanwhile."""
    seen: set[str] = set()
    real = BaseClient._make_api_call

    def noting(self: BaseClient, operation: str, parameters: Any) -> Any:
        seen.add(operation)
        return real(self, operation, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", noting)
        yield seen


def permitted() -> dict[str, set[str]]:
    """Give the actions of each command, as the guide lists them."""
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").split("## Permissions\n", 1)[1].split("\n## ", 1)[0]
    found = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            name, *cells = line.strip("|").split("|")
            found[name.strip(" `")] = set(re.findall(r"`([A-Z]\w+)`", " ".join(cells)))
    return found


ACTIONS = {
    "HeadBucket": "ListBucket",
    "SendMessageBatch": "SendMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}
"""Where the action that is asked for has another name than the request (S3 and SQS, "Actions defined by ...")."""

PARKED_AND_SENT = "SELECT (SELECT count(*) FROM isthmus_parked), (SELECT count(*) FROM isthmus_outbox)"
"""What is parked, and which copies wait for the dead-letter queue."""


@pytest.fixture
def place(tmp_path: Path, emulator: Emulator) -> Place:
    made = Place(tmp_path / "customers", emulator)
    subprocess.run([sys.executable, "databases.py"], cwd=made.folder, check=True)
    return made


def redrives_dead_letters(place: Place, calls: dict[str, set[str]]) -> None:
    """Look at the queue, and redrive what the front office has lost; note what is asked of AWS."""
    config = ["--config", str(place.settings)]
    with asked() as calls["dlq list"]:
        assert invoke(["dlq", "list", *config]) == 0
    place.sql("front-office.db", "DELETE FROM isthmus_parked")
    with asked() as calls["dlq redrive"]:
        for more in (["--dry-run"], []):
            assert invoke(["dlq", "redrive", "--all", *more, *config]) == 5
    assert place.sql("front-office.db", PARKED_AND_SENT) == [(1, 1)]


def test_the_example_runs_as_the_readme_says(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--config", str(place.settings)]
    calls: dict[str, set[str]] = {}

    with asked() as calls["check"]:
        assert invoke(["check", *config]) == 3
    with asked() as calls["setup"]:
        assert invoke(["setup", *config]) == 0
    with asked() as seen:
        assert invoke(["check", *config]) == 0
    calls["check"] |= seen
    with asked() as calls["produce"]:
        place.sql("back-office.db", LARGE_NAME)
        place.runs(produce, lambda: place.position() == 5)
    with asked() as calls["consume"]:
        place.runs(consume, lambda: place.sql("front-office.db", PARKED_AND_SENT) == [(1, 0)])

    assert place.sql("front-office.db", "SELECT key, country, vip FROM customer ORDER BY key") == [
        ("customer/1", "France", 1),
        ("customer/2", "Germany", 0),
    ]
    assert place.sql("front-office.db", "SELECT name FROM customer WHERE key = 'customer/1'") == [("Ada Lovelace",)]
    assert place.sql("front-office.db", "SELECT customer FROM welcome ORDER BY customer") == [
        ("customer/1",),
        ("customer/2",),
    ]
    redrives_dead_letters(place, calls)
    assert "customer/4" in capsys.readouterr().out
    with asked() as calls["status"]:
        assert invoke(["status", *config]) == 0
    assert "translate-failed: 1 keys" in capsys.readouterr().out
    with asked() as calls["trace"]:
        assert invoke(["trace", "customer/4", *config]) == 0
        assert invoke(["trace", "customer/3", "--stream", *config]) == 1
    assert "never applied" in capsys.readouterr().out
    with asked() as calls["peek"]:
        assert invoke(["peek", "--limit", "100", *config]) == 0
    # Of an empty source nothing is awaited, so that nobody else need run, and ask.
    place.sql("back-office.db", "DELETE FROM CUST")
    with asked() as calls["resync"]:
        assert invoke(["resync", "customers", "--yes", *config]) == 0
    assert "0 of 0 rows read again; decided since it began, of all sources: nothing" in capsys.readouterr().out
    place.make_stream_anew()
    assert invoke(["check", *config]) == 1
    assert invoke(["setup", *config]) == 1
    with asked() as calls["setup --new-stream"]:
        assert invoke(["setup", "--new-stream", *config]) == 0

    listed = permitted()
    listed["setup --new-stream"] |= listed["setup"]
    # Reading the watermark is this test's own question.
    for command, operations in calls.items():
        assert {ACTIONS.get(name, name) for name in operations} <= listed[command], command
    # Asked only of S3 that lacks an object, for a letter that is too large, and of a stream with another retention.
    seldom = {("consume", "ListBucket"), ("consume", "PutObject"), ("setup", "IncreaseStreamRetentionPeriod")}
    seldom |= {("dlq redrive", "GetObject"), ("dlq redrive", "ListBucket")}
    # Forgets how often an error with a limit came: see test_permissions.py.
    seldom |= {("consume", "DeleteItem")}
    seldom |= {("setup --new-stream", name) for name in listed["setup"]}
    for command, operations in calls.items():
        made = {(command, ACTIONS.get(name, name)) for name in operations}
        assert {(command, name) for name in listed[command]} - seldom <= made, command


def test_a_mended_reference_and_a_touched_row_free_a_parked_customer(place: Place) -> None:
    assert invoke(["setup", "--config", str(place.settings)]) == 0
    place.runs(produce, lambda: place.position() == 4)
    place.runs(consume, lambda: len(place.sql("front-office.db", "SELECT key FROM isthmus_parked")) == 1)

    place.sql("back-office.db", "INSERT INTO COUNTRY VALUES ('PL', 'Poland')")
    place.sql("back-office.db", "UPDATE CUST SET STAT = STAT WHERE CUSTNO = 4")
    place.runs(produce, lambda: place.position() == 5)
    place.runs(consume, lambda: not place.sql("front-office.db", "SELECT key FROM isthmus_parked"))

    assert place.sql("front-office.db", "SELECT country FROM customer WHERE key = 'customer/4'") == [("Poland",)]


def test_after_a_new_stream_everything_is_detected_again_and_nothing_takes_effect_twice(place: Place) -> None:
    assert invoke(["setup", "--config", str(place.settings)]) == 0
    place.runs(produce, lambda: place.position() == 4)
    place.runs(consume, lambda: len(place.sql("front-office.db", "SELECT key FROM customer")) == 2)

    place.make_stream_anew()
    assert invoke(["setup", "--new-stream", "--config", str(place.settings)]) == 0
    place.reads_all_again()


def test_after_a_resync_a_new_stream_keeps_the_generation_and_what_comes_is_applied(place: Place) -> None:
    config = ["--config", str(place.settings)]
    assert invoke(["setup", *config]) == 0
    place.runs(produce, lambda: place.position() == 4)
    assert invoke(["resync", "customers", "--yes", "--no-wait", *config]) == 0
    place.runs(produce, lambda: place.position() == 4)
    place.runs(consume, lambda: len(place.sql("front-office.db", "SELECT key FROM customer")) == 2)

    place.make_stream_anew()
    assert invoke(["setup", "--new-stream", *config]) == 0
    place.reads_all_again()


def test_without_its_checkpoint_table_everything_is_detected_again_and_nothing_takes_effect_twice(
    place: Place,
) -> None:
    assert invoke(["setup", "--config", str(place.settings)]) == 0
    place.runs(produce, lambda: place.position() == 4)
    place.runs(consume, lambda: len(place.sql("front-office.db", "SELECT key FROM customer")) == 2)

    place.emulator.client("dynamodb").delete_table(TableName=load(place.settings).checkpoint.table)
    assert invoke(["setup", "--config", str(place.settings)]) == 0
    place.reads_all_again()
