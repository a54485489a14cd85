"""The customers example as a user would run it: two databases, settings, and real processes."""

import contextlib
import io
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from examples.customers import databases
from isthmus.chance import unique_name
from isthmus.console.children import Child
from isthmus.console.main import invoke
from isthmus.lifecycle import ThreadStop

DEADLINE_SECONDS = 40.0
_COUNTRIES = {"DE": "Germany", "FR": "France"}

SETTINGS = """
application = "{name}"
[aws]
endpoint_url = "http://127.0.0.1:{port}"
region = "us-east-1"
access_key_id = "test"
secret_access_key = {{env = "SHOP_SECRET"}}
answer_timeout = {answer_timeout}
[stream]
name = "{name}"
shards = 2
lanes = 8
[sources.customers]
pipeline = "isthmus_examples.customers.pipeline:customers"
url = "sqlite:///back/back-office.db"
table = "CUST"
key = "CUSTNO"
cursor = "CHGNO"
order = "commit"
poll_interval = 0.1
query_timeout = 0.2
queries_per_minute = 6000
[sources.customers.references.countries]
table = "COUNTRY"
key = "CODE"
[sources.customers.ownership]
take_over_after = 3.0
[entities.customer]
table = "customer"
[store]
url = "sqlite:///front/front-office.db"
[consumer]
poll_interval = 0.1
checkpoint_interval = 0.2
[metrics]
producer_port = 0
consumer_port = 0
[log]
format = "json"
"""
SECRET = "hush-hush-4711"  # noqa: S105 - planted, to be looked for


class Said(NamedTuple):
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


def until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Return as soon as the condition holds; fail after so long."""
    pause, end = ThreadStop(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        pause.wait(0.05)


class Running:
    """A process of `isthmus`, with its log."""

    def __init__(self, child: Child) -> None:
        self.child = child

    @property
    def text(self) -> str:
        return self.child.log.read_text(encoding="utf-8")

    def events(self, *names: str) -> list[str]:
        """Give the names of the events in its log so far, only these if any are named."""
        lines = (json.loads(line) for line in self.text.splitlines() if line.startswith("{") and line.endswith("}"))
        return [line["event"] for line in lines if not names or line["event"] in names]

    def says(self, event: str, times: int = 1) -> None:
        """Wait until it has said so."""
        until(lambda: len(self.events(event)) >= times or self.child.poll() is not None, f"{event}\n{self.text}")
        assert len(self.events(event)) >= times, f"it ended with {self.child.poll()} before {event}:\n{self.text}"

    def exits(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Wait for its end, and give its exit code."""
        code = self.child.wait(seconds)
        assert code is not None, f"it has not ended within {seconds:g} s:\n{self.text}"
        return code


class Shop:
    """One application in a folder of its own."""

    def __init__(self, folder: Path, port: int, *, answer_timeout: float = 10.0) -> None:
        self.folder = folder
        self.name = f"shop-{unique_name()}"
        self.config = folder / "isthmus.toml"
        self.back, self.front = folder / "back" / "back-office.db", folder / "front" / "front-office.db"
        self.children: list[Running] = []
        for place in (self.back.parent, self.front.parent):
            place.mkdir(parents=True)
        databases.make(folder)
        (folder / "back-office.db").rename(self.back)
        (folder / "front-office.db").rename(self.front)
        self.config.write_text(
            SETTINGS.format(name=self.name, port=port, answer_timeout=answer_timeout), encoding="utf-8"
        )

    def set(self, old: str, new: str) -> None:
        """Change the settings."""
        text = self.config.read_text(encoding="utf-8")
        assert old in text
        self.config.write_text(text.replace(old, new), encoding="utf-8")

    def command(self, *arguments: str) -> Said:
        """Run a command that ends by itself, in this process."""
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        handlers = logging.getLogger().handlers[:]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = invoke([*arguments, "--config", str(self.config)])
        finally:
            logging.getLogger().handlers[:] = handlers
            structlog.reset_defaults()
        for stream in (out, err):
            stream.flush()
            stream.seek(0)
        said = Said(code, out.read(), err.read())
        assert SECRET not in said.out + said.err
        return said

    def ask(self, *arguments: str) -> Any:
        """Run a command that prints JSON."""
        said = self.command(*arguments, "--json")
        assert said.code == 0, said
        return json.loads(said.out)

    def start(self, command: str) -> Running:
        """Start a command in a process of its own."""
        log = self.folder / f"{command}-{len(self.children)}.log"
        child = Child(command, "isthmus.console.main", [command, "--config", str(self.config)], log)
        running = Running(child)
        self.children.append(running)
        return running

    def close(self) -> None:
        """End every process. No log may hold what was planted."""
        for running in self.children:
            running.child.end()
        for running in self.children:
            assert SECRET not in running.text
            assert "Traceback" not in running.text
        assert "ResourceWarning" not in "".join(running.text for running in self.children)

    # the two offices

    def write(self, statement: str, *parameters: object) -> None:
        """Modify the back office."""
        with closing(sqlite3.connect(self.back)) as connection, connection:
            connection.execute(statement, parameters)

    def customer(self, number: int, name: str = "SOME BODY", country: str = "DE") -> None:
        """Write a customer."""
        self.write(
            "INSERT INTO CUST (CUSTNO, NAM1, CTRY, CLS, STAT, TYP) VALUES (?, ?, ?, 'A', 'L', 'PRIV') "
            "ON CONFLICT (CUSTNO) DO UPDATE SET NAM1 = excluded.NAM1, CTRY = excluded.CTRY",
            number,
            name,
            country,
        )

    def read(self, statement: str, place: Path | None = None) -> list[tuple[Any, ...]]:
        """Read from the front office."""
        with closing(sqlite3.connect(place or self.front)) as connection:
            return connection.execute(statement).fetchall()

    def in_step(self) -> bool:
        """Say whether the front office holds what the back office's rows mean, by a rule of its own."""
        rows = self.read("SELECT CUSTNO, NAM1, CTRY, CLS, TYP FROM CUST WHERE STAT = 'L'", self.back)
        wanted = {
            (f"customer/{number}", name.strip().title(), _COUNTRIES[country], int(cls == "A"))
            for number, name, country, cls, kind in rows
            if kind != "TEST" and country in _COUNTRIES
        }
        parked = {f"customer/{number}" for number, _, country, _, _ in rows if country not in _COUNTRIES}
        found = set(self.read("SELECT key, name, country, vip FROM customer"))
        lot = {key for (key,) in self.read("SELECT DISTINCT key FROM isthmus_parked")}
        # A customer whose newest state is parked shows the one before.
        return {row for row in found if row[0] not in parked} == wanted and lot == parked

    def catches_up(self) -> None:
        """Wait until the front office is in step, and see that no effect happened twice."""
        until(self.in_step, "the front office is in step\n" + "\n".join(each.text for each in self.children))
        welcomes = self.read("SELECT customer, count(*) FROM welcome GROUP BY customer HAVING count(*) > 1")
        assert welcomes == []
        doubled = self.read(
            "SELECT txn FROM isthmus_history WHERE outcome = 'applied' GROUP BY txn HAVING count(*) > 1"
        )
        assert doubled == []


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Keep a SQLite file to oneself."""
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
