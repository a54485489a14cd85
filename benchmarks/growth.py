"""How the applier into PostgreSQL keeps its rate while guard and ledger grow: `python -m benchmarks.growth`.

Not part of `make bench`: filling the tables takes minutes.
"""

import argparse
import sys
from collections.abc import Iterator
from statistics import median

import psycopg

from benchmarks.populations import BATCH, FIELDS, LANES, batch
from benchmarks.postgres import customer_table, server
from benchmarks.rows import Row, against, table
from isthmus.change import Kind, Verb
from isthmus.clock import SystemClock
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.postgres.connection import PostgresAddress
from isthmus.consumer.stores.postgres.store import PostgresStore
from isthmus.metrics import Metrics

_ROUNDS = 5
_BATCHES = 40
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
    arguments = parser.parse_args()
    rows: list[Row] = []
    for verb, name in ((Verb.UPSERT, "upserts, guard"), (Verb.EVENT, "events, ledger")):
        first = 0.0
        with server() as make:
            url, filled = make(), 0
            applier = _applier(url)
            for millions in sorted(arguments.millions):
                sys.stderr.write(f"{name}: filling up to {millions:,} million rows ...\n")
                _fill(url, _GUARDS if verb is Verb.UPSERT else _LEDGER, filled, millions * 1_000_000)
                filled = millions * 1_000_000
                rate = _rate(applier, verb, filled)
                first = first or rate
                rows.append(against(f"{name} of {millions} million rows", rate, first, "changes/s", wanted=0.8))
        sys.stdout.write(table(rows) + "\n")


def _fill(url: str, statement: str, begin: int, end: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for at in range(begin, end, 1_000_000):
            connection.execute(statement.format(at, at + 999_999))
        connection.execute("VACUUM ANALYZE isthmus.guard, isthmus.ledger")
        connection.execute("CHECKPOINT")


def _rate(applier: Applier, verb: Verb, rows: int) -> float:
    clock, found = SystemClock(), []
    keys = _keys(rows)
    for number in range(_ROUNDS + 1):
        batches = [batch(keys, BATCH, entity=_TYPES[verb], verb=verb, population=rows) for _ in range(_BATCHES)]
        begun = clock.monotonic()
        for each in batches:
            applier.apply(each)
        if number:
            found.append(_BATCHES * BATCH / (clock.monotonic() - begun))
    return median(found)


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
