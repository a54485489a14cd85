"""How far the pipeline is, read from what it wrote: the front office, the watermark, the checkpoints."""

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson

from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.ownership import source_lease


def decided_entities(front_office: Path) -> int:
    """Give how many entities are applied or parked."""
    with closing(sqlite3.connect(f"{front_office.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        (guards,) = connection.execute("SELECT count(*) FROM isthmus_guard").fetchone()
        (parked,) = connection.execute(
            "SELECT count(DISTINCT key) FROM isthmus_parked p WHERE NOT EXISTS "
            "(SELECT 1 FROM isthmus_guard g WHERE g.key = p.key)"
        ).fetchone()
        return int(guards) + int(parked)


def any_applied(front_office: Path) -> bool:
    """Say whether any change has taken effect, by the history."""
    with closing(sqlite3.connect(f"{front_office.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        (applied,) = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM isthmus_history WHERE outcome = 'applied')"
        ).fetchone()
        return bool(applied)


def watermark_position(checkpoints: DynamoCheckpoints, source: str) -> int:
    """Give the position up to which Kinesis has acknowledged the source; 0 before the first."""
    lease = checkpoints.leases.read(source_lease(source))
    return int(orjson.loads(lease.watermark)[0]) if lease is not None and lease.watermark else 0


def decided_up_to(checkpoints: DynamoCheckpoints, last: dict[str, str]) -> bool:
    """Say whether every shard's checkpoint has reached its last record."""
    saved = checkpoints.shards.read_all()
    return all(
        shard in saved and saved[shard].sequence is not None and int(saved[shard].sequence or 0) >= int(sequence)
        for shard, sequence in last.items()
    )


def outcome_counts(checkpoints: DynamoCheckpoints) -> dict[str, int]:
    """Give the outcomes over all shards, as they are kept with the checkpoints: at least that many."""
    totals: dict[str, int] = {}
    for checkpoint in checkpoints.shards.read_all().values():
        for name, number in checkpoint.counts.items():
            totals[name] = totals.get(name, 0) + number
    return totals
