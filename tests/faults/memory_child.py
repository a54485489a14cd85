"""`python -m tests.faults.memory_child STORE PLACE ENDPOINT LAST`: a consumer of one shard.

It reads the stream at ENDPOINT with the real client up to the record LAST, decides every one with the real processor,
and prints how much memory it had at most, in KiB. It imports no more than a consumer does.

No limit is set: one on address space would end it early, for the JSON parser reserves far more than it ever touches.
"""

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from isthmus.attempts import AttemptsByPart
from isthmus.aws import AwsAccess, client
from isthmus.change import Change, Kind
from isthmus.clock import SystemClock
from isthmus.consumer.applier import Applier
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.garbage import collect_rarely, give_large_blocks_back
from isthmus.lifecycle import ThreadStop
from isthmus.metrics import Metrics
from isthmus.pipeline import Row, Transaction
from tests.fakes.store_world import contract

_HANDLED: Final = {
    "SQLite": "INSERT INTO effect (txn, times) VALUES (?, 1)",
    "PostgreSQL": "INSERT INTO effect (txn, times) VALUES (%s, 1)",
}


def main() -> None:
    """Be the process."""
    name, place, endpoint, last = sys.argv[1:]
    entities, clock, metrics, stop = _entities(name), SystemClock(), Metrics(), ThreadStop()
    session = _store(name, place, list(entities.values())).session()
    access = AwsAccess(endpoint_url=endpoint, region="us-east-1", access_key_id="test", secret="test")  # noqa: S106 - the stream takes any
    feed = KinesisFeed(client(access, "kinesis"), "large")
    processor = ShardProcessor(
        "shard-0",
        Applier(session, entities, clock, metrics, history=True, quick=session if name == "PostgreSQL" else None),
        payloads=None,
        stop=stop,
        clock=clock,
        chance=random.Random(1),
        metrics=metrics,
        attempts=AttemptsByPart(metrics, clock),
        settings=ProcessorSettings(),
    )
    give_large_blocks_back()
    collect_rarely()
    for page in _pages(feed):
        processor.process(page)
        if processor.position() == last:
            break
        del page
    session.close()
    sys.stdout.write(_most_resident())


def _store(name: str, place: str, entities: list[Entity]) -> Any:
    """Give a store; only its own driver is loaded."""
    if name == "SQLite":
        from isthmus.consumer.stores.sqlite.store import SqliteStore  # noqa: PLC0415 - see above

        return SqliteStore(Path(place), entities)
    from isthmus.consumer.stores.postgres.connection import PostgresAddress  # noqa: PLC0415 - see above
    from isthmus.consumer.stores.postgres.store import PostgresStore  # noqa: PLC0415 - see above

    return PostgresStore(PostgresAddress(place), entities, lanes=4)


def _most_resident() -> str:
    """Give the peak of this program in KiB. What `getrusage` says counts what it was forked from too (proc(5))."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))


def _pages(feed: KinesisFeed) -> Iterator[Any]:
    iterator: str | None = feed.iterator("shard-0", None)
    while iterator is not None:
        fetched = feed.fetch(iterator, 1)
        iterator = fetched.iterator
        yield fetched.records
        # As the reader does: a page is gone before the next one is read.
        del fetched


def _entities(store: str) -> dict[str, Entity]:
    statement = _HANDLED[store]

    def handler(tx: Transaction, change: Change, _previous: Row | None) -> None:
        tx.execute(statement, (change.id,))

    mapping = TableMapping("thing", "key", "version", {"size": "size", "note": "note"})
    return {
        "thing": Entity("thing", Kind.STATE, mapping, contract),
        "posting": Entity("posting", Kind.EVENT, None, contract, (handler,)),
    }


if __name__ == "__main__":
    main()
