"""The changes and the plain table that every benchmark of a store is measured with."""

from collections.abc import Iterator

from isthmus.change import Change, Verb, lane_of, transaction_id, version_of
from isthmus.clock import SystemClock, rfc3339
from isthmus.consumer.stores.port import Delivered

BATCH = 500
LANES = 64
POPULATION = 100_000
FIELDS = ("name", "street", "town", "country", "status", "amount", "note", "updated")
NAMES = ("key", *FIELDS, "version")


def batch(
    positions: Iterator[int],
    size: int,
    *,
    entity: str = "customer",
    verb: Verb = Verb.UPSERT,
    population: int = POPULATION,
) -> list[Delivered]:
    """Make changes of 250 bytes, of distinct keys out of a population that comes again: most upserts meet a row."""
    now = rfc3339(SystemClock().now_ms())
    made = []
    for _ in range(size):
        position = next(positions)
        key, version = f"customer/{position * 7919 % population}", version_of(0, position)
        change = Change(
            id=transaction_id("/bench/customers", key, version),
            source="/bench/customers",
            entity=entity,
            verb=verb,
            key=key,
            version=version,
            lane=lane_of(key, LANES),
            epoch=1,
            time=now,
            data={field: f"{field} of number {position}"[:28] for field in FIELDS},
            rowhash="0" * 32,
        )
        made.append(Delivered(change, "shardId-000000000000", str(position), 0, None))
    return made


def row(change: Change) -> tuple[str, ...]:
    """Give the plain table's row of a change."""
    return (change.key, *(change.data[field] for field in FIELDS), change.version)
