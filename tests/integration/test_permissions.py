"""What gates, probes, the brake, limited errors and a front office in DynamoDB ask of AWS: what the guide lists."""

import re
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.client import BaseClient

from isthmus.console.consuming import consume
from isthmus.console.exits import Exit
from isthmus.console.main import invoke
from isthmus.console.producing import produce
from isthmus.console.wiring import Wiring, reader_of
from isthmus.consumer.stores.held import HeldReader
from isthmus.settings import load
from tests.fakes.emulator import Emulator
from tests.integration.test_customers_example import ROOT, Place

PIPELINE: Final = """
from isthmus.pipeline import Pipeline
from pipeline import Customer, customer_key, translate


def on_change(tx, change, previous):
    if change.data is not None and change.data["name"] == "Flaky":
        raise ConnectionError


customers = Pipeline("customer", Customer, customer_key, translate, handlers=(on_change,))
"""
SETTINGS: Final = """
[consumer]
park_brake = 3
batch_changes = 2

[gate]
strict = true

[gates.books]
process = "sales"
reason = "the books are closed"
owner = "finance"
sql = "SELECT count(*) FROM CLOSING"
database_of = "customers"
interval = 1.0
timeout = 0.5

[errors.partner]
type = "builtins:ConnectionError"
class = "transient"
interval = 0.01
maximum = 0.02
attempts = 2
"""
VERBS: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
"""What a part of a transaction needs (DynamoDB Developer Guide, "Transactional APIs and IAM")."""
Asked = dict[str, set[str]]
"""Actions by what they were asked of: `checkpoints`, `front office`."""


class Listener:
    """Hears what every client asks of DynamoDB, by whom."""

    def __init__(self, checkpoints: str) -> None:
        self._checkpoints = checkpoints
        self._mine = threading.local()
        self.heard: dict[str, Asked] = defaultdict(lambda: defaultdict(set))
        self._who = ""

    @contextmanager
    def by(self, who: str) -> Iterator[None]:
        """Take what is asked meanwhile for his."""
        self._who = who
        yield
        self._who = ""

    def apart(self, question: Callable[[], object]) -> object:
        """Ask for the test itself."""
        self._mine.on = True
        try:
            return question()
        finally:
            self._mine.on = False

    def note(self, operation: str, parameters: Mapping[str, Any]) -> None:
        if not self._who or getattr(self._mine, "on", False):
            return
        for action, table in asked_of(operation, parameters):
            whose = "checkpoints" if table == self._checkpoints else "front office"
            self.heard[self._who][whose].add(action)


def asked_of(operation: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the actions that a request needs, each with its table; nothing for what is no request of DynamoDB."""
    if "TransactItems" in parameters:
        for part in parameters["TransactItems"]:
            for verb, members in part.items():
                if verb in VERBS:
                    yield VERBS[verb], members["TableName"]
    elif "RequestItems" in parameters:
        for table in parameters["RequestItems"]:
            yield operation, table
    elif "TableName" in parameters:
        yield operation, parameters["TableName"]


@pytest.fixture
def place(tmp_path: Path, emulator: Emulator) -> Iterator[Place]:
    made = Place(tmp_path / "customers", emulator)
    subprocess.run([sys.executable, "databases.py"], cwd=made.folder, check=True)
    (made.folder / "sales.py").write_text(PIPELINE, encoding="utf-8")
    text = made.settings.read_text(encoding="utf-8")
    table = load(made.settings).application
    text = text.replace("pipeline:customers", "sales:customers").replace("sqlite:///front-office.db", "dynamodb:")
    text = text.replace('table = "customer"', f'table = "{table}"\nprocess = "sales"')
    made.settings.write_text(f"{text}\n{SETTINGS}", encoding="utf-8")
    made.sql("back-office.db", "CREATE TABLE CLOSING (MONTH TEXT)")
    emulator.client("dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    paths = list(sys.path)
    yield made
    sys.path[:] = paths
    for name in ("pipeline", "sales"):
        sys.modules.pop(name, None)


@pytest.fixture
def listener(place: Place, monkeypatch: pytest.MonkeyPatch) -> Listener:
    made = Listener(load(place.settings).checkpoint.table)
    real = BaseClient._make_api_call

    def noting(self: BaseClient, operation: str, parameters: Any) -> Any:
        made.note(operation, parameters)
        return real(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", noting)
    return made


class Story:
    """What is done, each time with who asks."""

    def __init__(self, place: Place, listener: Listener) -> None:
        self.place, self.listener = place, listener
        self.settings = load(place.settings)
        self.reader = reader_of(self.settings, [])
        self.position = 4

    def command(self, *arguments: str, who: str = "", code: int = 0) -> None:
        with self.listener.by(who or arguments[0]):
            assert invoke([*arguments, "--config", str(self.place.settings)]) == code, arguments

    def writes(self, statement: str) -> None:
        """Change a row of the back office, and let it come into the stream."""
        self.place.sql("back-office.db", statement)
        self.position += 1
        self.place.runs(produce, lambda: self.place.position() == self.position)

    def consumes(self, until: Callable[[], object]) -> None:
        with self.listener.by("consume"):
            self.place.runs(consume, lambda: bool(self.listener.apart(until)))

    def reasons(self) -> dict[str, int]:
        return {each.reason: each.keys for each in self.reader.parked_by_reason()}

    def held(self) -> int:
        assert isinstance(self.reader, HeldReader)
        return sum(each.changes for each in self.reader.held_by_gate())

    def brakes(self) -> object:
        return Wiring(self.settings).checkpoints().brakes.read_all()


def on_the_checkpoint_table() -> dict[str, set[str]]:
    """Give the actions of each command, as the guide's table lists them."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in section().splitlines():
        if line.startswith("| `"):
            names, _kinesis, dynamodb, *_ = line.strip("|").split("|")
            for name in re.findall(r"`([a-z -]+)`", names):
                found[name] |= set(re.findall(r"`([A-Z]\w+)`", dynamodb))
    return found


def in_the_front_office() -> dict[str, set[str]]:
    """Give those that come on top where the front office is in DynamoDB."""
    listed = section().partition("Where the front office is in DynamoDB")[2]
    found: dict[str, set[str]] = defaultdict(set)
    for point in re.findall(r"^- (.+?)(?=^- |\Z)", listed, re.MULTILINE | re.DOTALL):
        commands: list[str] = []
        for clause in point.split(";"):
            before, colon, after = clause.rpartition(": ")
            commands = re.findall(r"`([a-z][a-z ]*)`", before) if colon else commands
            for name in commands:
                found[name] |= set(re.findall(r"`([A-Z]\w+)`", after))
                found[name] |= found["consume"] if "what `consume` needs" in after else set()
    return found


def section() -> str:
    """Give what the guide says of permissions."""
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    return text.split("## Permissions\n", 1)[1].split("\n## ", 1)[0]


def test_gates_brakes_limits_and_a_front_office_in_dynamodb_ask_for_no_more_than_the_guide_lists(
    place: Place, listener: Listener
) -> None:
    story = Story(place, listener)
    looks_and_gates(story)
    gets_out_what_is_parked(story)
    brakes(story)

    own, front = on_the_checkpoint_table(), in_the_front_office()
    for who, actions in listener.heard.items():
        assert actions["checkpoints"] <= own[who] | own[who.split()[0]], who
        assert actions["front office"] <= front[who], who
    heard: dict[str, set[str]] = defaultdict(set)
    for who, actions in listener.heard.items():
        heard[who.split()[0]] |= actions["checkpoints"]
    # And it lists no more than is asked for.
    assert {name: heard[name] for name in ("consume", "gate", "brake")} == {
        name: own[name] for name in ("consume", "gate", "brake")
    }
    # Only now and then: what is old is looked for in all of the table, and many are read, or written, at once.
    seldom = {"Scan", "BatchGetItem", "BatchWriteItem"}
    assert listener.heard["consume"]["front office"] >= front["consume"] - seldom
    assert listener.heard["gate close"]["front office"] == front["gate close"]


def looks_and_gates(story: Story) -> None:
    """Set up, apply, park, hold, drain, and let an error come as often as it may."""
    story.command("setup")
    story.command("check")
    story.place.runs(produce, lambda: story.place.position() == story.position)
    story.consumes(lambda: story.reasons() == {"translate-failed": 1})
    story.command("gate", "close", "--process", "sales", "--reason", "month's end", who="gate close")
    story.writes("UPDATE CUST SET CLS = 'B' WHERE CUSTNO = 1")
    story.consumes(lambda: story.held() == 1)
    story.command("gate", "list", who="gate list")
    story.command("status")
    story.command("trace", "customer/1")
    story.command("gate", "open", "--process", "sales", who="gate open")
    story.command("gate", "history", who="gate history")
    story.consumes(lambda: story.held() == 0)
    story.writes("UPDATE CUST SET NAM1 = 'FLAKY' WHERE CUSTNO = 2")
    story.consumes(lambda: "partner" in story.reasons())


def gets_out_what_is_parked(story: Story) -> None:
    """Look at it, try it in vain, mend one by hand, discard another one."""
    chosen = ("--key", "customer/4")
    story.command("parked", "list", "--all", who="parked list")
    story.command("parked", "show", "customer/4", "--try", who="parked show")
    story.command("parked", "export", "--all", who="parked export")
    story.command("parked", "retry", *chosen, who="parked retry", code=Exit.PARKED)
    story.command("dlq", "redrive", *chosen, who="dlq redrive", code=Exit.PARKED)
    row = story.place.folder / "row.json"
    row.write_text('{"NAM1": "MARIE", "CTRY": "FR", "CLS": "A", "STAT": "L", "TYP": "", "CUSTNO": 4, "CHGNO": 4}')
    trace = story.reader.trace("customer/4")
    assert trace is not None
    why = ("--reason", "agreed", "--yes")
    edit = ("parked", "edit", "customer/4", trace.parked[0].txn, "--data", str(row))
    story.command(*edit, *why, who="parked edit")
    story.command("parked", "retry", *chosen, who="parked retry")
    story.command("parked", "discard", "customer/2", "--all", *why, who="parked discard")


def brakes(story: Story) -> None:
    """Let more keys come that would be parked than the brake allows."""
    for number in range(10, 20):
        story.place.sql("back-office.db", f"INSERT INTO CUST VALUES ({number}, 'X', 'XX', 'A', 'L', '', 0)")  # noqa: S608 - a number
    story.position += 10
    story.place.runs(produce, lambda: story.place.position() == story.position)
    story.consumes(story.brakes)
    story.command("brake", "status", who="brake status")
    story.command("brake", "release", "--reason", "translate-failed", "--why", "bad data", who="brake release")
