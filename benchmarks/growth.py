"""How the applier into PostgreSQL keeps its rate while guard and ledger grow: `python -m benchmarks.growth`.

Not part of `make bench`: filling the tables takes minutes. The server is one that was sized for such tables, see
`_SIZED`, and each size is first warmed until most pages were changed once since the last checkpoint: PostgreSQL writes
a page whole when it is changed for the first time after one (postgresql.org, "full_page_writes"), which a front office
pays once in a quarter of an hour, and a benchmark of seconds would pay for every row.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.populations import BATCH, FIELDS, LANES, batch
from benchmarks.postgres import customer_table
from benchmarks.rows import Measured, Prepared, Row, against, interleaved, table
from isthmus.change import Kind, Verb
from isthmus.clock import SystemClock
from isthmus.console.embedded_postgres import EmbeddedPostgres
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Delivered, Entity, TableMapping
from isthmus.consumer.stores.postgres.connection import PostgresAddress
from isthmus.consumer.stores.postgres.store import PostgresStore
from isthmus.metrics import Metrics

_ROUNDS = 9
_BATCHES = 40
_WARM_SHARE = 16
"""One change to so many rows before it is measured: a page of the guard holds 50 rows, of the ledger's index 120."""
_SIZED = {"shared_buffers": "4GB", "max_wal_size": "16GB", "checkpoint_timeout": "1h"}
_GUARDS = """INSERT INTO isthmus.guard (key, version, txn, rowhash, deleted, entity, decided)
    SELECT 'customer/' || n, lpad('0', 38, '0'), md5(n::text), md5(n::text), false, 'customer', 1
    FROM generate_series({}, {}) n"""
_LEDGER = """INSERT INTO isthmus.ledger (txn, month, key, version, rowhash, decided)
    SELECT md5('e' || n), date_trunc('month', now())::date, 'deduction/' || n, lpad('0', 38, '0'), md5(n::text), 1
    FROM generate_series({}, {}) n"""


def main() -> None:
    """Measure at each size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 10], help="rows of guard and of ledger (1 10)")
    parser.add_argument("--only", choices=["guard", "ledger"], help="one of the two")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for verb, name in ((Verb.UPSERT, "upserts, guard"), (Verb.EVENT, "events, ledger")):
        if arguments.only is None or name.endswith(arguments.only):
            rows += _grown(verb, name, sorted(arguments.millions))
    sys.stdout.write(table(rows) + "\n")


def _grown(verb: Verb, name: str, sizes: list[int]) -> list[Row]:
    with _server() as make:
        contenders = {}
        for millions in sizes:
            sys.stderr.write(f"{name}: filling {millions:,} million rows ...\n")
            url = make(f"of_{millions}")
            applier = _applier(url)
            _fill(url, _GUARDS if verb is Verb.UPSERT else _LEDGER, millions * 1_000_000)
            contenders[str(millions)] = _prepared(applier, verb, millions * 1_000_000)
        rates = interleaved(_ROUNDS, contenders)
    first = rates[str(sizes[0])]
    return [
        against(f"{name} of {millions} million rows", rates[str(millions)], first, "changes/s", wanted=0.8)
        for millions in sizes
    ]


@contextmanager
def _server() -> Iterator[Callable[[str], str]]:
    """Give a function that makes a database on a server that was sized for large tables, and gives its address."""
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with (
            EmbeddedPostgres(folder / "data", folder / "postgresql.log") as server,
            psycopg.connect(server.url, autocommit=True) as connection,
        ):
            for setting, value in _SIZED.items():
                connection.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
        # Some of them hold from the next start only.
        with EmbeddedPostgres(folder / "data", folder / "postgresql.log") as server:

            def make(name: str) -> str:
                with psycopg.connect(server.url, autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
                return psycopg.conninfo.make_conninfo(server.url, dbname=name)

            yield make


def _fill(url: str, statement: str, rows: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for at in range(0, rows, 1_000_000):
            connection.execute(statement.format(at, at + 999_999))
        connection.execute("VACUUM ANALYZE isthmus.guard, isthmus.ledger")
        connection.execute("CHECKPOINT")


def _prepared(applier: Applier, verb: Verb, rows: int) -> Prepared:
    keys = _keys(rows)

    def made() -> list[Delivered]:
        return batch(keys, BATCH, entity=_TYPES[verb], verb=verb, population=rows)

    for _ in range(rows // _WARM_SHARE // BATCH):
        applier.apply(made())

    def prepare() -> Measured:
        batches = [made() for _ in range(_BATCHES)]

        def run() -> int:
            for each in batches:
                applier.apply(each)
            return _BATCHES * BATCH

        return run

    return prepare


def _keys(rows: int) -> Iterator[int]:
    position = rows
    while True:
        position += 1
        yield position


def _applier(url: str) -> Applier:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(customer_table())
    store = PostgresStore(PostgresAddress(url), [_CUSTOMER], lanes=LANES)
    store.prepare()
    session = store.session()
    entities = {"customer": _CUSTOMER, "deduction": _DEDUCTION}
    return Applier(session, entities, SystemClock(), Metrics(), history=False, quick=session)


_CUSTOMER = Entity(
    "customer", Kind.STATE, TableMapping("customer", "key", "version", {name: name for name in FIELDS}), None
)
_DEDUCTION = Entity("deduction", Kind.EVENT, None, None, ())
_TYPES = {Verb.UPSERT: "customer", Verb.EVENT: "deduction"}


if __name__ == "__main__":
    main()
