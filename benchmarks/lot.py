"""What a million parked changes cost those who look and those who go on: `python -m benchmarks.lot`.

Not part of `make bench`: filling the lot takes minutes. The commands are run as a person runs them, each in a process
of its own, once beside a small lot and once beside the full one.
"""

import argparse
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

import psycopg

from benchmarks.rows import Row, table
from isthmus.change import Change, Verb
from isthmus.clock import SystemClock
from isthmus.console.embedded_postgres import EmbeddedPostgres
from isthmus.console.wiring import Wiring, decider_of, entities_of, store_of
from isthmus.consumer.parking import event_bytes
from isthmus.consumer.stores.port import Delivered, Log, Parking, TransactionalStore
from isthmus.settings import load

_SMALL: Final = 10
"""Keys of the small lot."""
_AT_ONCE: Final = 5_000
_RUNS: Final = 5
_BATCHES: Final = 40
_BATCH: Final = 500
_WANTED: Final = 1.0
"""Seconds that a look may take."""
_ENOUGH: Final = 30
"""Seconds after which a look is given up."""
_SETTINGS: Final = """
application = "lot"
[aws]
endpoint_url = "http://127.0.0.1:1"
region = "us-east-1"
access_key_id = "test"
secret_access_key = "test"
[stream]
name = "lot"
shards = 2
[sources.customers]
pipeline = "isthmus_examples.customers.pipeline:customers"
url = "sqlite:///back-office.db"
table = "CUST"
key = "CUSTNO"
cursor = "CHGNO"
order = "commit"
[sources.customers.references.countries]
table = "COUNTRY"
key = "CODE"
[entities.customer]
table = "customer"
[store]
url = "{url}"
"""
_TABLES: Final = (
    "CREATE TABLE customer (key TEXT PRIMARY KEY, name TEXT, country TEXT, vip BOOLEAN)",
    "CREATE TABLE welcome (customer TEXT)",
)


def main() -> None:
    """Measure, beside a small lot and beside a full one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lot", description=__doc__)
    parser.add_argument("--keys", type=int, default=10_000, help="keys of the full lot (10,000)")
    parser.add_argument("--each", type=int, default=100, help="changes that wait of each (100)")
    parser.add_argument("--only", choices=["sqlite", "postgresql"], help="one of the two stores")
    parser.add_argument("--consume", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.consume is not None:
        _consume(arguments.consume)
        return
    rows: list[Row] = []
    for kind, place in (("sqlite", _sqlite), ("postgresql", _postgresql)):
        if arguments.only in {None, kind}:
            rows += _measured(kind, place, arguments.keys, arguments.each)
    sys.stdout.write(table(rows) + "\n")


def _measured(kind: str, place: "Callable[[], object]", keys: int, each: int) -> list[Row]:
    found: list[dict[str, float]] = []
    for many in (_SMALL, keys):
        with place() as config:  # type: ignore[attr-defined]
            sys.stderr.write(f"{kind}: parking {many * each:,} changes of {many:,} keys ...\n")
            _fill(config, many, each)
            found.append(_looks(config) | _consumed(config))
    few, full = found
    note = f"{keys * each:,} parked of {keys:,} keys, against {_SMALL * each:,} of {_SMALL}"
    rows = []
    for name in few:
        unit = "MB" if name == "memory" else "changes/s" if name == "live" else "s"
        # Of what is to be small the ratio is turned round: above 1 is better than beside a small lot.
        ratio = full[name] / few[name] if name == "live" else few[name] / full[name]
        rows.append(
            Row(f"{kind}, {name}", round(full[name], 3), round(few[name], 3), round(ratio, 3), unit, None, note)
        )
        if unit == "s" and full[name] >= _WANTED:
            sys.stderr.write(f"{kind}, {name}: {full[name]:.2f} s, and at most {_WANTED} s are wanted\n")
    return rows


def _looks(config: Path) -> dict[str, float]:
    numbers = count(1)
    commands: dict[str, Callable[[], list[str]]] = {
        "parked list": lambda: ["parked", "list"],
        "parked list --reason": lambda: ["parked", "list", "--reason", "contract"],
        "parked list --prefix, none": lambda: ["parked", "list", "--prefix", "nobody/"],
        "parked show": lambda: ["parked", "show", _key(next(numbers))],
        "parked retry --key": lambda: ["parked", "retry", "--key", _key(next(numbers))],
    }
    return {name: median(_timed(config, make()) for _ in range(_RUNS)) for name, make in commands.items()}


def _timed(config: Path, arguments: list[str]) -> float:
    clock = SystemClock()
    begun = clock.monotonic()
    command = [sys.executable, "-m", "isthmus.console.main", *arguments, "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_ENOUGH, check=False)  # noqa: S603 - our own program
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return clock.monotonic() - begun


def _consumed(config: Path) -> dict[str, float]:
    """Let a process of its own decide live changes; give its rate, and the most memory that it had."""
    command = [sys.executable, "-m", "benchmarks.lot", "--consume", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    rate, megabytes = done.stdout.split()
    return {"live": float(rate), "memory": float(megabytes)}


def _consume(config: Path) -> None:
    wiring = Wiring(load(config))
    entities = entities_of(wiring.settings, wiring.pipelines())
    store = store_of(wiring.settings, entities)
    by_name = {entity.name: entity for entity in entities}
    clock, number = SystemClock(), count(10**9)
    with closing(decider_of(wiring.settings, store, by_name, clock, wiring.metrics)) as decider:
        begun = clock.monotonic()
        for _ in range(_BATCHES):
            decider.apply([_delivered(next(number), 1) for _ in range(_BATCH)])
        rate = _BATCHES * _BATCH / (clock.monotonic() - begun)
    sys.stdout.write(f"{rate} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")


def _fill(config: Path, keys: int, each: int) -> None:
    """Park that many changes of each key, as if a contract had refused them. It is mended since then."""
    wiring = Wiring(load(config))
    store = store_of(wiring.settings, entities_of(wiring.settings, wiring.pipelines()))
    if not isinstance(store, TransactionalStore):
        raise TypeError("the lot is filled in transactions")
    with closing(store.session()) as session:
        for at in range(0, keys, max(1, _AT_ONCE // each)):
            log = Log(1, keeps_history=False)
            for number in range(at, min(keys, at + max(1, _AT_ONCE // each))):
                for version in range(1, each + 1):
                    made = _delivered(number, version)
                    parking = Parking(made, "contract", "wrong then", "contract", event_bytes(made.change))
                    log.parked[made.change.key, made.change.id] = parking
            with session.unit() as unit:
                unit.save(log)


def _key(number: int) -> str:
    return f"customer/{number}"


def _delivered(number: int, version: int) -> Delivered:
    data = {"name": f"Customer {number}", "country": "Germany", "vip": version % 2 == 0}
    change = Change(
        id=f"customers/{number}/{version}",
        source="customers",
        entity="customer",
        verb=Verb.UPSERT,
        key=_key(number),
        version=f"{version:038}",
        lane=1,
        epoch=1,
        time="2026-01-01T00:00:00Z",
        rowhash=f"{number}-{version}",
        data=data,
    )
    return Delivered(change, "shardId-000000000000", str(version), 1)


@contextmanager
def _sqlite() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-lot-") as name:
        folder = Path(name)
        with closing(sqlite3.connect(folder / "front.db")) as connection:
            for statement in _TABLES:
                connection.execute(statement)
        yield _prepared(folder, "sqlite:///front.db")


@contextmanager
def _postgresql() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-lot-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "data", folder / "postgresql.log") as server:
            with psycopg.connect(server.url, autocommit=True) as connection:
                for statement in _TABLES:
                    connection.execute(statement)
            yield _prepared(folder, server.url)


def _prepared(folder: Path, url: str) -> Path:
    config = folder / "isthmus.toml"
    config.write_text(_SETTINGS.format(url=url), encoding="utf-8")
    sqlite3.connect(folder / "back-office.db").close()
    store_of(load(config), []).prepare()
    return config


if __name__ == "__main__":
    main()
