"""What `isthmus shards split`, `merge` and `scale` have in common: plan, question, steps, wait."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from rich.console import Console

from isthmus import aws
from isthmus.console.commands.output import WIDE, console, print_json, table
from isthmus.console.exits import Exit
from isthmus.console.resharding.application import Application, Unread, age
from isthmus.console.resharding.carrying import Carrying, Seen
from isthmus.console.resharding.cover import HASH_SPACE, Piece, pieces_of
from isthmus.console.resharding.drain import Drain, Draining, Left
from isthmus.console.resharding.goals import idle
from isthmus.console.resharding.kinesis import KinesisShards
from isthmus.console.resharding.plan import Split, Step, most_open, plan
from isthmus.console.resharding.port import Reshardable
from isthmus.console.resharding.showing import Tell, showing
from isthmus.console.wiring import Wiring
from isthmus.errors import IsthmusError, Refused, Transient
from isthmus.lifecycle import Stopped
from isthmus.settings import load

_LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the parents: each costs one of the five reads a second of a shard."""


class Asked(NamedTuple):
    """What shall be."""

    cuts: Sequence[int]
    words: str
    """What is to be said before the plan."""


def reshard(
    config: Path, goal: Callable[[Seen, int], Asked], *, as_json: bool, dry_run: bool, yes: bool, no_wait: bool
) -> int:
    """Bring the stream to what is asked for, given what is there and the number of lanes; give the exit code."""
    # Not with the short patience of who only looks: an answer that was lost must be asked for again.
    wiring = Wiring(load(config))
    checkpoints = wiring.checkpoints()
    wiring.stream(checkpoints)
    settings = wiring.settings.stream
    stream = KinesisShards(aws.client(wiring.access, "kinesis"), settings.name)
    out = Console(stderr=True, highlight=False, markup=False, emoji=False, width=WIDE) if as_json else console()
    with showing(out, wiring.clock, quiet=as_json) as tell:
        seen = Carrying(stream, stop=wiring.stop, tell=lambda words: tell(words, 0, 0)).look()
    asked = goal(seen, settings.lanes)
    steps = plan(seen.cuts, asked.cuts)
    answer: dict[str, Any] = {
        "stream": settings.name,
        "shards": {"before": len(seen.pieces), "after": _count(seen, steps)},
        "steps": [_told(move) for move in moves(seen, steps)],
        "done": 0,
        "drained": None,
    }
    _print_plan(out, seen, answer, asked, steps)
    for piece in idle(pieces_of(asked.cuts), settings.lanes):
        out.print(f"No lane goes to {_part(piece)}: the shard there gets nothing.")
    if steps:
        _check_room(stream, most_open(seen.cuts, steps) - len(seen.pieces))
    if not dry_run:
        if steps and not yes and not _agreed(settings.name):
            return Exit.FAILED
        if steps:
            with showing(out, wiring.clock, quiet=as_json) as tell:
                answer["done"] = _carry(wiring, stream, seen, asked, len(steps), tell)
        known = {shard.id for shard in seen.shards}
        following = Draining(stream, Application(wiring, checkpoints), wiring.clock, known=known)
        with showing(out, wiring.clock, quiet=as_json) as tell:
            drain = _once(wiring, following, tell) if no_wait else _follow(wiring, following, tell)
        answer["drained"] = _drained(drain)
        out.print(_summary(wiring, answer, drain))
        for name in drain.lost:
            out.print(f"{name} is gone, and not all of it was decided: records may be lost (docs/runbook.md).")
    if as_json:
        print_json(answer)
    lost = answer["drained"] is not None and answer["drained"]["lost"]
    return Exit.FAILED if lost else Exit.DONE


class Move(NamedTuple):
    """A step as it is shown."""

    do: str
    old: Sequence[Piece]
    """Without an ID where a step before makes it."""
    new: Sequence[Piece]
    at: int


def moves(seen: Seen, steps: Sequence[Step]) -> list[Move]:
    """Give the steps with the shards that they take and make."""
    there = {(piece.low, piece.high): piece for piece in seen.pieces}
    found = list[Move]()
    for step in steps:
        lower, upper = Piece(step.low, step.at - 1), Piece(step.at, step.high)
        whole = Piece(step.low, step.high)
        is_split = isinstance(step, Split)
        old, new = ([whole], [lower, upper]) if is_split else ([lower, upper], [whole])
        old = [there.get((piece.low, piece.high), piece) for piece in old]
        found.append(Move("split" if is_split else "merge", old, new, step.at))
    return found


def _told(move: Move) -> dict[str, Any]:
    return {
        "do": move.do,
        "shards": [piece.id or None for piece in move.old],
        "at": str(move.at),
        "makes": [[_percent(piece.low), _percent(piece.high + 1)] for piece in move.new],
    }


def _part(piece: Piece) -> str:
    return f"{_percent(piece.low):.2f} to {_percent(piece.high + 1):.2f} %"


def _count(seen: Seen, steps: Sequence[Step]) -> int:
    return len(seen.pieces) + sum(1 if isinstance(step, Split) else -1 for step in steps)


def _percent(place: int) -> float:
    return round(100 * place / HASH_SPACE, 4)


def _print_plan(out: Console, seen: Seen, answer: dict[str, Any], asked: Asked, steps: Sequence[Step]) -> None:
    before, now = answer["shards"].values()
    if asked.words:
        out.print(asked.words)
    if not steps:
        out.print(f"{answer['stream']}: {before} open shards, as they should be; no step to take")
        return
    number = f"{len(steps)} steps" if len(steps) > 1 else "1 step"
    most = most_open(seen.cuts, steps)
    out.print(f"{answer['stream']}: {before} open shards become {now} in {number}, at most {most} on the way")
    rows = [
        (
            str(place),
            move.do,
            " and ".join(piece.id or _part(piece) for piece in move.old),
            " and ".join(_part(piece) for piece in move.new),
        )
        for place, move in enumerate(moves(seen, steps), start=1)
    ]
    out.print(table(("STEP", "DO", "SHARDS", "MAKES"), rows))


def _check_room(stream: Reshardable, more: int) -> None:
    room = stream.room()
    if room is not None and more > room:
        raise Refused(
            f"The account may open {room} more shards, and {more} more are needed on the way.",
            hint="Ask AWS for a higher quota of shards.",
        )


def _agreed(stream: str) -> bool:
    agreed = False
    try:
        agreed = click.confirm(f"Reshard {stream}?", err=True)
    finally:
        if not agreed:
            click.echo("Nothing was changed. With --yes nobody is asked.", err=True)
    return agreed


def _carry(  # noqa: PLR0917 - a reshard is known by all of these
    wiring: Wiring, stream: Reshardable, seen: Seen, asked: Asked, steps: int, tell: Tell
) -> int:
    """Take the steps; give how many that were."""
    taken = 0

    def waiting(words: str) -> None:
        tell(words or "resharding", taken, steps)

    def done(_step: Step, left: int) -> None:
        nonlocal taken
        taken += 1
        tell("resharding", taken, taken + left)

    try:
        Carrying(stream, stop=wiring.stop, tell=waiting).reach(seen, asked.cuts, done)
    except (IsthmusError, KeyboardInterrupt, Stopped):
        click.echo(
            f"{taken} of {steps} steps are done; one that Kinesis was asked for it completes by itself. "
            "See `isthmus shards list`.",
            err=True,
        )
        raise
    return taken


def _follow(wiring: Wiring, following: Draining, tell: Tell) -> Drain:
    """Wait until all parents are drained, or there is nothing to wait for."""
    seen = list[Drain]()
    try:
        _until_drained(wiring, following, tell, seen)
    except (KeyboardInterrupt, Stopped):
        left = lines_of(seen[-1].left) if seen else ""
        click.echo(f"The shards are as they should be. The application goes on draining the parents.{left}", err=True)
        raise
    return seen[-1]


def _until_drained(wiring: Wiring, following: Draining, tell: Tell, seen: list[Drain]) -> None:
    """Look again and again; note the latest look."""
    while True:
        trouble = ""
        try:
            seen[:] = [following.look()]
        except Transient as error:
            trouble = str(error)
        if seen:
            (drain,) = seen
            if not trouble and (drain.never or not drain.left):
                return
            tell(trouble or drain.words(), drain.done, drain.of)
        else:
            tell(trouble, 0, 0)
        if wiring.stop.wait(_LOOK_EVERY):
            raise Stopped


def _once(wiring: Wiring, following: Draining, tell: Tell) -> Drain:
    """Look once, when it can be looked."""
    while True:
        try:
            return following.look(into_all=True)
        except Transient as error:
            tell(str(error), 0, 0)
        if wiring.stop.wait(_LOOK_EVERY):
            raise Stopped


def lines_of(left: Sequence[Left]) -> str:
    """Give a line for each shard that is not drained."""
    return "".join(f"\n  {each.shard}: {age(each.seen)}" for each in left)


def _drained(drain: Drain) -> dict[str, Any]:
    return {
        "done": drain.done,
        "of": drain.of,
        "left": [
            {
                "shard": each.shard,
                "undecided": each.seen.records if isinstance(each.seen, Unread) else None,
                "behind_ms": each.seen.behind_ms if isinstance(each.seen, Unread) else None,
                "trouble": str(each.seen) if isinstance(each.seen, IsthmusError) else "",
            }
            for each in drain.left
        ],
        "lost": list(drain.lost),
        "read": not drain.never,
    }


def _summary(wiring: Wiring, answer: dict[str, Any], drain: Drain) -> str:
    before, now = answer["shards"].values()
    changed = f"{now} open shards, as they should be"
    if before != now:
        changed = f"{before} open shards are {now} now"
    if drain.never:
        application = wiring.settings.application
        return (
            f"{changed}. {application} has never read this stream: no parent is waited for. "
            "When it does, it reads parents before children."
        )
    if not drain.left:
        drained = f"{drain.of} parents are drained" if drain.of else "no parent is left to be drained"
        return f"{changed}; {drained}."
    asleep = "" if drain.awake else "\nNobody consumes now: start `isthmus consume`."
    return f"{changed}. Not drained yet:{lines_of(drain.left)}{asleep}"
