"""`isthmus status`: where everything stands."""

from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from isthmus import aws
from isthmus.checkpoint.ownership import source_lease, worker_lease
from isthmus.checkpoint.ports import Lease, ShardCheckpoint
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.exits import Exit
from isthmus.console.producing import open_source
from isthmus.console.wiring import Wiring, reader_of
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.errors import IsthmusError
from isthmus.settings import load


@click.command()
@config_option
@json_option
def status(config: Path, *, as_json: bool) -> int:
    """Show sources with watermark, owner and lag, shards with checkpoint and lag, and what is parked.

    Only reads. What cannot be reached is said in its place.
    """
    settings = load(config)
    wiring = Wiring(settings)
    wiring.stop.request()
    checkpoints = wiring.checkpoints()
    facts = wiring.stream(checkpoints)
    leases = {lease.name: lease for lease in checkpoints.leases.all()}
    found: dict[str, Any] = {
        "application": settings.application,
        "stream": {"name": facts.name, "shards": facts.open_shards, "lanes": settings.stream.lanes},
        "worker": _holder(leases.get(worker_lease(settings.application))),
        "sources": [_source(wiring, name, leases.get(source_lease(name))) for name in settings.sources],
        "shards": _shards(wiring, checkpoints.shards.read_all()),
        **_front_office(wiring),
    }
    if as_json:
        click.echo(orjson.dumps(found))
    else:
        _print(found)
    return Exit.DONE


def _holder(lease: Lease | None) -> str | None:
    return str(lease.holder) if lease is not None and lease.holder is not None else None


def _source(wiring: Wiring, name: str, lease: Lease | None) -> dict[str, Any]:
    watermark = orjson.loads(lease.watermark) if lease is not None and lease.watermark else None
    row: dict[str, Any] = {
        "name": name,
        "owner": _holder(lease),
        "epoch": lease.epoch if lease is not None else None,
        "generation": lease.generation if lease is not None else 0,
        "watermark": watermark,
        "saved": lease.updated if lease is not None else None,
        "bound": None,
        "behind": None,
        "trouble": "",
    }
    try:
        opened = open_source(wiring, wiring.settings.sources[name])
        try:
            row["bound"] = opened.read(None, 1).bound
        finally:
            opened.close()
    except IsthmusError as error:
        row["trouble"] = str(error)
    if row["bound"] is not None:
        row["behind"] = max(0, int(row["bound"]) - int(watermark[0])) if watermark else int(row["bound"])
    return row


def _shards(wiring: Wiring, saved: dict[str, ShardCheckpoint]) -> list[dict[str, Any]]:
    settings = wiring.settings
    feed = KinesisFeed(aws.client(settings.aws.access, "kinesis"), settings.stream.name)
    rows = []
    for shard in feed.shards():
        checkpoint = saved.get(shard.id)
        row: dict[str, Any] = {
            "id": shard.id,
            "closed": shard.closed,
            "checkpoint": checkpoint.sequence if checkpoint is not None else None,
            "done": checkpoint.ended if checkpoint is not None else False,
            "saved": checkpoint.updated if checkpoint is not None else None,
            "outcomes": dict(checkpoint.counts) if checkpoint is not None else {},
            "behind_ms": 0,
            "undecided": 0,
            "trouble": "",
        }
        if not row["done"]:
            try:
                # One small read after the checkpoint: Kinesis says how far behind the newest record that is.
                fetched = feed.fetch(feed.iterator(shard.id, row["checkpoint"]), 100)
                row["undecided"] = len(fetched.records)
                row["behind_ms"] = fetched.behind_ms
                if fetched.records:
                    row["behind_ms"] = max(fetched.behind_ms, wiring.clock.now_ms() - fetched.records[0].arrival_ms)
            except IsthmusError as error:
                row["trouble"] = str(error)
        rows.append(row)
    return rows


def _front_office(wiring: Wiring) -> dict[str, Any]:
    try:
        parked = [reason._asdict() for reason in reader_of(wiring.settings).parked_by_reason()]
    except IsthmusError as error:
        return {"parked": [], "front_office": str(error)}
    return {"parked": parked, "front_office": ""}


def _print(found: dict[str, Any]) -> None:
    console = Console(highlight=False)
    stream = found["stream"]
    console.print(f"[bold]{found['application']}[/]  stream {stream['name']}, {stream['lanes']} lanes")
    console.print(f"worker: {found['worker'] or 'none runs'}")
    sources = Table(title="sources", title_justify="left", box=None, pad_edge=False)
    for column in ("source", "watermark", "behind", "saved", "epoch", "owner"):
        sources.add_column(column)
    for row in found["sources"]:
        sources.add_row(
            row["name"],
            str(row["watermark"][0]) if row["watermark"] else "-",
            "?" if row["behind"] is None else f"{row['behind']:,}",
            row["saved"] or "-",
            str(row["epoch"] or "-"),
            row["owner"] or row["trouble"] or "nobody",
        )
    shards = Table(title="shards", title_justify="left", box=None, pad_edge=False)
    for column in ("shard", "checkpoint", "undecided", "behind", "outcomes"):
        shards.add_column(column)
    for row in found["shards"]:
        counts = ", ".join(f"{name} {number:,}" for name, number in sorted(row["outcomes"].items()))
        undecided = f"{row['undecided']}{'+' if row['undecided'] >= 100 else ''} records"  # noqa: PLR2004 - the read above
        shards.add_row(
            row["id"],
            "done" if row["done"] else (row["checkpoint"] or "-"),
            undecided,
            row["trouble"] or f"{row['behind_ms'] / 1000:.1f} s",
            counts or "-",
        )
    console.print(sources)
    console.print(shards)
    if found["front_office"]:
        console.print(f"front office: {found['front_office']}", markup=False)
    elif found["parked"]:
        console.print("parked:")
        for row in found["parked"]:
            console.print(f"  {row['reason']}: {row['keys']:,} keys, {row['changes']:,} changes", markup=False)
    else:
        console.print("parked: nothing")
