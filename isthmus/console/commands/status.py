"""`isthmus status`: where everything stands."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, table, title
from isthmus.console.exits import Exit, exit_of
from isthmus.console.gatelist import next_of, what_probe_says
from isthmus.console.standing import Standing
from isthmus.console.wiring import Wiring
from isthmus.settings import load

_MANY = 100


@click.command()
@config_option
@json_option
def status(config: Path, *, as_json: bool) -> int:
    r"""Show sources with watermark, owner and lag, shards with checkpoint and lag, what is held, and what is parked.

    Only reads, and takes up to 3 s to see whether owners are alive. What cannot be reached is said in its place. Exit
    code 0 if stream and checkpoint table could be asked; 3 if one is missing, 1 if it does not answer.

    \b
    isthmus status
    isthmus status --json | jq '.sources[].behind'
    isthmus trace KEY             then: why is this one parked?

    \b
    With --json, one object:
      application
      stream      {name, shards, lanes, trouble}
      worker      {holder, host, process, since, life} or null; life: alive, silent, dead
      kcl         {table, leader, fan_out} where the Kinesis Client Library reads, else null
                  fan_out: its registered consumer, which AWS bills; null where there is none, or nobody may look
      sources     [{name, watermark, saved, bound, behind, epoch, generation, owner (as worker), trouble}]
                  watermark: position acknowledged by Kinesis; bound: highest in the source; behind: positions between
                  generation: how often it was read again by `isthmus resync`
      shards      [{id, closed, done, checkpoint, saved, undecided, behind_ms, outcomes {name: count}, owner, trouble}]
                  undecided: records after the checkpoint, counted up to 100; outcomes: since the beginning, at least
                  so many; owner: the KCL's worker, or null
      brake       [{reason, since, shard, keys, ...}] as `isthmus brake status --json`, where it is on
      gates       [{gate, kind, covers, state, mode, since, until, who, reason, ...}] as `isthmus gate list --json`,
                  without what they hold
      held        [{gate, keys, changes, since}]; gate `behind`: what came behind a held change of its key
      parked      [{reason, keys, changes, oldest_since}]
      front_office  {trouble}
    A trouble is a sentence, or empty; what it kept from being known is null.
    """
    wiring = Wiring(load(config), patient=False)
    standing = Standing(wiring)
    found = standing.look()
    if as_json:
        print_json(found)
    else:
        _print(found)
    return exit_of(standing.error) if standing.error is not None else Exit.DONE


def _print(found: dict[str, Any]) -> None:
    out = console()
    stream = found["stream"]
    out.print(title(found["application"]))
    shape = stream["trouble"] or f"{stream['shards']} shards, {stream['lanes']} lanes"
    out.print(f"stream {stream['name']}: {shape}")
    kcl = found["kcl"]
    if kcl is None:
        out.print(f"worker: {_owner(found['worker'], '?' if stream['trouble'] else '')}")
    else:
        out.print(f"workers: by the KCL, leases in {kcl['table']}; leader: {kcl['leader'] or 'nobody'}")
        if kcl["fan_out"] is not None:
            out.print(f"fan-out: the consumer {kcl['fan_out']} is registered, and AWS bills it")
    out.print()
    out.print(
        table(
            ("SOURCE", "WATERMARK", "BEHIND", "SAVED", "EPOCH", "GENERATION", "OWNER"),
            [
                (
                    row["name"],
                    _or_dash(row["watermark"]),
                    "?" if row["behind"] is None else f"{row['behind']:,}",
                    _or_dash(row["saved"]),
                    _or_dash(row["epoch"]),
                    _or_dash(row["generation"]),
                    _owner(row["owner"], row["trouble"]),
                )
                for row in found["sources"]
            ],
        )
    )
    out.print()
    out.print(
        table(
            ("SHARD", "CHECKPOINT", "UNDECIDED", "BEHIND", "OUTCOMES", *(() if kcl is None else ("OWNER",))),
            [
                (row["id"], *_shard_cells(row), *(() if kcl is None else (row["owner"] or "nobody",)))
                for row in found["shards"]
            ],
        )
    )
    out.print()
    _print_brake(out, found)
    _print_gates(out, found)
    trouble = found["front_office"]["trouble"]
    out.print(f"parked: {trouble}" if trouble else f"parked: {'' if found['parked'] else 'nothing'}".rstrip())
    for row in found["parked"] or []:
        how_much = f"{row['keys']:,} keys, {row['changes']:,} changes"
        out.print(f"  {row['reason']}: {how_much}, oldest since {row['oldest_since']}")


def _print_brake(out: Console, found: dict[str, Any]) -> None:
    for row in found["brake"] or []:
        where = f"since {row['since']} in {row['shard']}"
        out.print(f"park brake: on for {row['reason']} {where}; everything holds, see `isthmus brake status`")


def _print_gates(out: Console, found: dict[str, Any]) -> None:
    for row in found["gates"] or []:
        if row["state"] != "open" or row["kind"] != "hand":
            out.print(_gate(row))
    for row in found["held"] or []:
        out.print(f"held for {row['gate']}: {row['keys']:,} keys, {row['changes']:,} changes since {row['since']}")


def _gate(row: dict[str, Any]) -> str:
    probe = what_probe_says(row)
    if row["state"] == "open":
        end = f", {next_of(row)}" if next_of(row) else ""
        return f"gate {row['gate']}: open{end}" + (f"; {probe}" if probe else "")
    since = f" since {row['since'] or '?'}" if row["since"] or row["kind"] == "hand" else ""
    until = f" until {row['until']}" if row["until"] else ""
    who = f" by {row['who']}" if row["who"] or row["kind"] == "hand" else ""
    return f"gate {row['gate']}: {row['state']}{since}{until}{who}: " + "; ".join(filter(None, (row["reason"], probe)))


def _shard_cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    counts = ", ".join(f"{name} {number:,}" for name, number in sorted(row["outcomes"].items()))
    if row["done"]:
        return "done", "-", "-", counts or "-"
    if row["trouble"]:
        return _or_dash(row["checkpoint"]), "?", row["trouble"], counts or "-"
    more = "+" if row["undecided"] >= _MANY else ""
    undecided, behind = f"{row['undecided']}{more} records", f"{row['behind_ms'] / 1000:.1f} s"
    return _or_dash(row["checkpoint"]), undecided, behind, counts or "-"


def _owner(owner: dict[str, Any] | None, trouble: str) -> str:
    if owner is None:
        return trouble or "nobody"
    known = f"{owner['life']}: process {owner['process']} on {owner['host']} since {owner['since']}"
    return f"{known}; {trouble}" if trouble else known


def _or_dash(value: object) -> str:
    return "-" if value is None or value == "" else str(value)
