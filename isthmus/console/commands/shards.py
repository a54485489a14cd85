"""`isthmus shards`: the shards of the stream, and resharding it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from isthmus import aws
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, table, title
from isthmus.console.commands.shards_advise import advise_
from isthmus.console.commands.shards_change import Asked, reshard
from isthmus.console.exits import Exit
from isthmus.console.resharding.application import Application
from isthmus.console.resharding.carrying import Seen
from isthmus.console.resharding.goals import NoSuchShard, even_goal, merge_goal, place_of, split_goal
from isthmus.console.resharding.kinesis import KinesisShards
from isthmus.console.resharding.listing import MOST_RECORDS, rows
from isthmus.console.wiring import Wiring
from isthmus.settings import load

F = TypeVar("F", bound=Callable[..., Any])

_CHANGES = """
    The plan is shown first, then it asks. The steps are taken one by one, each when Kinesis is done with the one
    before. Then it waits until the parents are drained: the application has decided all that the closed shards hold,
    and saved that. Their children are read only then. Ctrl-C at any point breaks nothing.

    A reshard never turns the order: an entity never leaves its lane, a lane goes to one shard as a whole, and a child
    is read only when everything of its parents is decided.
"""
_JSON = r"""
    \b
    With --json, one object, at the end:
      stream
      shards   {before, after}: open ones; after: as planned, with --dry-run
      steps    [{do, shards, at, makes}]; do: split or merge; shards: their IDs, null for one that a step before makes;
               at: the hash key at which the upper one begins; makes: [[first, last]] in percent of the hash space
      done     how many of the steps were taken
      drained  {done, of, left [{shard, undecided, behind_ms, trouble}], lost, read}, null with --dry-run
               left: closed shards that are not drained; lost: shards that went meanwhile, not all of them decided
               (exit code 1); read: false if the application has never read this stream
"""


def _changing(function: F) -> F:
    """Add what all three have in common: options, and what the help says of them."""
    doc = function.__doc__ or ""
    head, mark, rest = doc.partition("\n    \\b\n")
    function.__doc__ = f"{head}\n{_CHANGES}{mark}{rest.rstrip()}\n{_JSON}"
    for option in (
        click.option("--no-wait", is_flag=True, help="Do not wait until the parents are drained."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Only show the plan. Changes nothing."),
        json_option,
        config_option,
    ):
        function = option(function)
    return function


@click.group()
def shards() -> None:
    r"""Look at the shards of the stream, split and merge them, and be told how many are needed.

    \b
    isthmus shards list           every shard: its share, its life, how far it is read
    isthmus shards advise         which one is hot, why, and what count would serve
    isthmus shards scale 8        8 shards of equal size
    isthmus shards split SHARD    two in the place of one
    isthmus shards merge ONE OTHER    one in the place of two neighbours
    """


@shards.command("list")
@config_option
@json_option
def list_(config: Path, *, as_json: bool) -> int:
    r"""Show every shard: share of the hash space, lanes, life, parents, children, how far the application read it.

    Only reads: a small read of each shard that is not read to its end. Exit code 3 if the stream was not set up.

    \b
    isthmus shards list
    isthmus shards list --json | jq '.shards[] | select(.state == "draining") | .id'

    \b
    The life of a shard:
      open      it takes records
      draining  closed, and not all of it is decided: its children wait
      drained   closed, and all of it is decided
      trimmed   retention took it; all of it was decided
      lost      retention took it before that: records may be lost (docs/runbook.md)

    \b
    With --json, one object:
      stream  {name, status, mode, lanes}
      reader  local or kcl
      shards  [{id, state, share, first_hash, last_hash, lanes, parents, children, checkpoint, undecided, behind_ms,
                owner, trouble}]
              share: percent; lanes: their numbers; undecided: records after the checkpoint, counted up to 100;
              owner: the KCL's worker, or null
    """
    wiring = Wiring(load(config), patient=False)
    checkpoints = wiring.checkpoints()
    wiring.stream(checkpoints)
    settings = wiring.settings.stream
    stream = KinesisShards(aws.client(wiring.access, "kinesis"), settings.name)
    state, listed = stream.state(), stream.shards()
    reading = Application(wiring, checkpoints).reading()
    found = {
        "stream": {
            "name": settings.name,
            "status": state.status,
            "mode": "PROVISIONED" if state.provisioned else "ON_DEMAND",
            "lanes": settings.lanes,
        },
        "reader": "kcl" if reading.by_leases else "local",
        "shards": rows(stream, listed, reading, settings.lanes, wiring.clock),
    }
    if as_json:
        print_json(found)
    else:
        _print(found)
    return Exit.DONE


@shards.command()
@click.argument("shard", metavar="SHARD")
@click.option("--at", metavar="KEY|HASH", help="Where the second half begins; by default in the middle.")
@_changing
def split(shard: str, at: str | None, config: Path, *, as_json: bool, dry_run: bool, yes: bool, no_wait: bool) -> int:
    r"""Make two shards of SHARD, for example of a hot one.

    --at takes a hash key (digits), a lane (lane-007), or the key of an entity, which stands for its lane: that lane is
    the first of the second half.

    \b
    isthmus shards split shardId-000000000003 --dry-run
    isthmus shards split shardId-000000000003 --at flight/UA1545/2013-01-01/EWR
    """

    def goal(seen: Seen, lanes: int) -> Asked:
        place = None if at is None else place_of(at, lanes)
        words = "" if place is None else f"{shard} is split at {place.words}."
        return Asked(split_goal(seen.shards, seen.pieces, shard, place, lanes), words)

    return _telling(partial(reshard, config, goal, as_json=as_json, dry_run=dry_run, yes=yes, no_wait=no_wait), "SHARD")


@shards.command()
@click.argument("one", metavar="SHARD")
@click.argument("other", metavar="SHARD")
@_changing
def merge(one: str, other: str, config: Path, *, as_json: bool, dry_run: bool, yes: bool, no_wait: bool) -> int:
    r"""Make one shard of two neighbours.

    \b
    isthmus shards merge shardId-000000000004 shardId-000000000005
    """

    def goal(seen: Seen, _lanes: int) -> Asked:
        return Asked(merge_goal(seen.shards, seen.pieces, one, other), "")

    return _telling(partial(reshard, config, goal, as_json=as_json, dry_run=dry_run, yes=yes, no_wait=no_wait), "SHARD")


@shards.command()
@click.argument("count", metavar="COUNT", type=click.IntRange(1))
@_changing
def scale(count: int, config: Path, *, as_json: bool, dry_run: bool, yes: bool, no_wait: bool) -> int:
    r"""Make COUNT shards of equal size, with as few splits and merges as possible.

    COUNT is at most the number of lanes. Doubling and halving take the fewest steps. Whatever broke it off, the same
    command goes on from what is there; with nothing left to do it waits for the parents alone.

    \b
    isthmus shards scale 8 --dry-run
    isthmus shards scale 8 --yes --no-wait && isthmus shards list
    """

    def goal(_seen: Seen, lanes: int) -> Asked:
        return Asked(even_goal(count, lanes), "")

    return reshard(config, goal, as_json=as_json, dry_run=dry_run, yes=yes, no_wait=no_wait)


shards.add_command(advise_)


def _telling(action: Callable[[], int], argument: str) -> int:
    """Run it; a shard that does not exist is a mistake on the command line."""
    try:
        return action()
    except NoSuchShard as error:
        raise click.BadParameter(str(error), param_hint=argument) from error


def _print(found: dict[str, Any]) -> None:
    out = console()
    stream, by_kcl = found["stream"], found["reader"] == "kcl"
    out.print(title(stream["name"]))
    opened = sum(row["state"] == "open" for row in found["shards"])
    mode = "" if stream["mode"] == "PROVISIONED" else ", on demand"
    out.print(f"{stream['status']}{mode}, {opened} open shards, {stream['lanes']} lanes")
    out.print()
    columns = ("SHARD", "SHARE", "LANES", "STATE", "UNDECIDED", "BEHIND", "PARENTS", "CHILDREN")
    out.print(
        table(
            (*columns, "OWNER") if by_kcl else columns,
            [(*_cells(row), row["owner"] or "nobody") if by_kcl else _cells(row) for row in found["shards"]],
        )
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    more = "+" if (row["undecided"] or 0) >= MOST_RECORDS else ""
    behind = "?" if row["behind_ms"] is None else f"{row['behind_ms'] / 1000:,.1f} s"
    return (
        row["id"],
        "-" if row["share"] is None else f"{row['share']:.2f} %",
        "-" if row["lanes"] is None else str(len(row["lanes"])),
        row["state"],
        "?" if row["undecided"] is None else f"{row['undecided']}{more} records",
        row["trouble"] or behind,
        ", ".join(row["parents"]) or "-",
        ", ".join(row["children"]) or "-",
    )
