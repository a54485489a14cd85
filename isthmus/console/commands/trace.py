"""`isthmus trace`: what became of an entity's changes, and when."""

from pathlib import Path
from typing import Any

import click

from isthmus import aws
from isthmus.change import Change, position_of
from isthmus.clock import rfc3339
from isthmus.codec import decode
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, table, title
from isthmus.console.exits import Exit
from isthmus.console.tape import Tape
from isthmus.console.wiring import Wiring, reader_of
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.consumer.stores.held import Held
from isthmus.consumer.stores.reading import HistoryRow, ParkedRow, Trace
from isthmus.settings import load


@click.command()
@click.argument("key_or_txn", metavar="KEY|TXN")
@config_option
@json_option
@click.option("--stream", "in_stream", is_flag=True, help="Look for it in the whole stream too. Reads all of it.")
def trace(key_or_txn: str, config: Path, *, as_json: bool, in_stream: bool) -> int:
    r"""Show what became of an entity's changes: detected, arrived, decided, parked and why.

    KEY is an entity key, TXN a transaction ID. What is not decided yet may lie in the stream: add --stream. Exit code
    1 when nothing is known.

    \b
    isthmus trace flight/UA1545/2013-01-01/EWR
    isthmus trace --stream --json KEY | jq .steps
    isthmus peek --key KEY --data         then: what did the changes say?

    \b
    With --json, one object:
      key
      now          {version, txn, deleted}: what the front office holds, or null
      took_effect  when the transaction that was asked for took effect (kind event), or null
      steps        [{version, txn, outcome, detected, arrived, decided, source, epoch, shard, sequence, why}]
                   by version; outcome: applied, unchanged, stale, superseded, parked, held, ...; times: RFC 3339
      stream       [{txn, version, verb, time, shard, sequence}], with --stream
    """
    settings = load(config)
    found = reader_of(settings).trace(key_or_txn)
    events = _in_stream(Wiring(settings, patient=False), key_or_txn, found) if in_stream else []
    if found is None and not events:
        hint = "" if in_stream else " It may still lie in the stream: add --stream."
        click.echo(f"Nothing is known of {key_or_txn} in the front office.{hint}", err=True)
        return Exit.FAILED
    answer = _answer(key_or_txn, found, events)
    if as_json:
        print_json(answer)
    else:
        _print(answer)
    return Exit.DONE


def _answer(asked: str, found: Trace | None, events: list[dict[str, Any]]) -> dict[str, Any]:
    if found is None:
        return {"key": asked, "now": None, "took_effect": None, "steps": [], "stream": events}
    steps = [
        *(_step(row, row.outcome, row.decided_ms, "") for row in found.history),
        *(_step(row, "parked", row.first_at_ms, _why(row)) for row in found.parked),
        *(_step(row, "held", row.held_ms, f"gate {row.gate}") for row in found.held),
    ]
    guard = found.guard
    return {
        "key": found.key,
        "now": None if guard is None else {"version": guard.version, "txn": guard.txn, "deleted": guard.deleted},
        "took_effect": None if found.took_effect_ms is None else rfc3339(found.took_effect_ms),
        "steps": sorted(steps, key=lambda step: (str(step["version"]), str(step["decided"]))),
        "stream": events,
    }


def _step(row: HistoryRow | ParkedRow | Held, outcome: str, decided_ms: int, why: str) -> dict[str, Any]:
    return {
        "version": row.version,
        "txn": row.txn,
        "outcome": outcome,
        "detected": row.detected,
        "arrived": rfc3339(row.arrived_ms),
        "decided": rfc3339(decided_ms),
        "source": row.source,
        "epoch": row.epoch,
        "shard": row.shard,
        "sequence": row.sequence,
        "why": why,
    }


def _why(row: ParkedRow) -> str:
    return f"{row.reason} ({row.stage}){': ' + row.message if row.message else ''}"


def _in_stream(wiring: Wiring, asked: str, found: Trace | None) -> list[dict[str, Any]]:
    settings = wiring.settings
    tape = Tape(KinesisFeed(aws.client(wiring.access, "kinesis"), settings.stream.name))
    wanted = {asked, found.key if found is not None else asked}
    return [
        {
            "txn": change.id,
            "version": change.version,
            "verb": change.verb.value,
            "time": change.time,
            "shard": shard,
            "sequence": record.sequence,
        }
        for shard, record in tape.rest()
        for change in decode(record.data)
        if isinstance(change, Change) and wanted & {change.key, change.id}
    ]


def _print(answer: dict[str, Any]) -> None:
    out = console()
    out.print(title(answer["key"]))
    now = answer["now"]
    if now is None:
        out.print("never applied")
    else:
        out.print(f"now: version {_short(now['version'])}, {'deleted' if now['deleted'] else 'present'}")
    if answer["took_effect"]:
        out.print(f"this transaction took effect: {answer['took_effect']}")
    columns = ("VERSION", "OUTCOME", "DETECTED", "ARRIVED", "DECIDED", "EPOCH", "SHARD", "WHY")
    if answer["steps"]:
        out.print(table(columns, [_cells(step) for step in answer["steps"]]))
    for event in answer["stream"]:
        place = f"{event['shard']} at {event['sequence']}"
        out.print(f"in the stream: version {_short(event['version'])} {event['verb']} {event['txn']} in {place}")


def _cells(step: dict[str, Any]) -> tuple[str, ...]:
    return (
        _short(step["version"]),
        step["outcome"],
        step["detected"],
        step["arrived"],
        step["decided"],
        str(step["epoch"]),
        step["shard"].removeprefix("shardId-"),
        step["why"],
    )


def _short(version: str) -> str:
    generation = version[:-30].lstrip("0")
    position = str(position_of(version)) if version else ""
    return f"{generation}:{position}" if generation else position
