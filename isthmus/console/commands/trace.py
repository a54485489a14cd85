"""`isthmus trace`: what became of an entity's changes, and when."""

from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from isthmus import aws
from isthmus.change import Change, position_of
from isthmus.clock import rfc3339
from isthmus.codec import decode
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.exits import Exit
from isthmus.console.tape import Tape
from isthmus.console.wiring import Wiring, reader_of
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.consumer.stores.reading import Trace
from isthmus.settings import load


@click.command()
@click.argument("key_or_txn", metavar="KEY|TXN")
@config_option
@json_option
@click.option("--stream", "in_stream", is_flag=True, help="Look for it in the whole stream too. Reads all of it.")
def trace(key_or_txn: str, config: Path, *, as_json: bool, in_stream: bool) -> int:
    """Show what became of an entity's changes: detected, arrived, decided, parked and why.

    KEY is an entity key (flight/UA1545/2013-01-01/EWR), TXN a transaction ID. What is not decided yet may lie in the
    stream: add --stream. Exit code 1 when nothing is known.
    """
    settings = load(config)
    found = reader_of(settings).trace(key_or_txn)
    events = _in_stream(Wiring(settings), key_or_txn, found) if in_stream else []
    if found is None and not events:
        hint = "" if in_stream else " It may still lie in the stream: add --stream."
        click.echo(f"Nothing is known of {key_or_txn} in the front office.{hint}", err=True)
        return Exit.FAILED
    answer = _answer(key_or_txn, found, events)
    if as_json:
        click.echo(orjson.dumps(answer))
    else:
        _print(answer)
    return Exit.DONE


def _answer(asked: str, found: Trace | None, events: list[dict[str, Any]]) -> dict[str, Any]:
    if found is None:
        return {"key": asked, "now": None, "steps": [], "stream": events}
    steps = [
        {
            "version": row.version,
            "txn": row.txn,
            "outcome": row.outcome,
            "detected": row.detected,
            "arrived": rfc3339(row.arrived_ms),
            "decided": rfc3339(row.decided_ms),
            "epoch": row.epoch,
            "shard": row.shard,
            "sequence": row.sequence,
            "why": "",
        }
        for row in found.history
    ]
    steps += [
        {
            "version": row.version,
            "txn": row.txn,
            "outcome": "parked",
            "detected": row.detected,
            "arrived": rfc3339(row.arrived_ms),
            "decided": rfc3339(row.first_at_ms),
            "epoch": row.epoch,
            "shard": row.shard,
            "sequence": row.sequence,
            "why": f"{row.reason} ({row.stage}){': ' + row.message if row.message else ''}",
        }
        for row in found.parked
    ]
    guard = found.guard
    now = None if guard is None else {"version": guard.version, "txn": guard.txn, "deleted": guard.deleted}
    return {
        "key": found.key,
        "now": now,
        "steps": sorted(steps, key=lambda step: str(step["version"])),
        "stream": events,
    }


def _in_stream(wiring: Wiring, asked: str, found: Trace | None) -> list[dict[str, Any]]:
    settings = wiring.settings
    tape = Tape(KinesisFeed(aws.client(settings.aws.access, "kinesis"), settings.stream.name))
    wanted = {asked, found.key if found is not None else asked}
    return [
        {"txn": change.id, "version": change.version, "verb": change.verb.value, "time": change.time, "shard": shard}
        for shard, record in tape.rest()
        for change in decode(record.data)
        if isinstance(change, Change) and wanted & {change.key, change.id}
    ]


def _print(answer: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(answer["key"], markup=False, style="bold")
    now = answer["now"]
    if now is None:
        console.print("never applied")
    else:
        console.print(f"now: version {_short(now['version'])}, {'deleted' if now['deleted'] else 'present'}")
    table = Table(box=None, pad_edge=False)
    for column in ("version", "outcome", "detected", "arrived", "decided", "epoch", "shard", "why"):
        table.add_column(column)
    for step in answer["steps"]:
        table.add_row(
            _short(step["version"]),
            step["outcome"],
            step["detected"],
            step["arrived"],
            step["decided"],
            str(step["epoch"]),
            step["shard"].removeprefix("shardId-"),
            step["why"],
        )
    console.print(table)
    for event in answer["stream"]:
        console.print(f"in the stream: version {_short(event['version'])} {event['verb']} {event['txn']}", markup=False)


def _short(version: str) -> str:
    generation = version[:-30].lstrip("0")
    position = str(position_of(version)) if version else ""
    return f"{generation}:{position}" if generation else position
