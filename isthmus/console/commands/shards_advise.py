"""`isthmus shards advise`: which shard is hot, why, and what count would serve."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from isthmus import aws
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json, table, title
from isthmus.console.exits import Exit
from isthmus.console.resharding.advising import (
    SHARD_BYTES,
    SHARD_READ_BYTES,
    Advice,
    KeyLoad,
    LaneLoad,
    Limits,
    ShardLoad,
    advise,
)
from isthmus.console.resharding.application import Application
from isthmus.console.resharding.cover import cover
from isthmus.console.resharding.kinesis import KinesisShards
from isthmus.console.resharding.measuring import Asked, Measured, Measuring, lateness
from isthmus.console.resharding.sampling import Window
from isthmus.console.resharding.showing import showing
from isthmus.console.resharding.telling import Behind, Command, commands, sentences
from isthmus.console.wiring import Wiring
from isthmus.settings import Settings, load

_MIB: Final = 1024 * 1024


@click.command("advise")
@config_option
@json_option
@click.option(
    "--seconds", type=click.IntRange(5, 600), default=60, show_default=True, help="How much of the newest time counts."
)
@click.option(
    "--budget", type=click.IntRange(1, 1024), default=8, show_default=True, help="MiB to read of each shard at most."
)
@click.option("--no-sample", is_flag=True, help="Read no records: all from metrics. Says nothing of lanes and keys.")
@click.option("--metrics", "urls", metavar="URL", multiple=True, help="Where producers and consumers serve metrics.")
@click.option(
    "--fill", type=click.IntRange(1, 100), default=70, show_default=True, help="Percent of a limit to be used."
)
@click.option("--readers", type=click.IntRange(1, 20), default=1, show_default=True, help="Applications that poll it.")
def advise_(  # noqa: PLR0917 - each is an option
    config: Path,
    seconds: int,
    budget: int,
    urls: tuple[str, ...],
    fill: int,
    readers: int,
    *,
    as_json: bool,
    no_sample: bool,
) -> int:
    r"""Say which shard is hot, whether a lane or a key is the cause, and what number of shards would serve.

    Reads the newest records of each shard, up to --budget MiB, once a second, and counts them by lane and key. That
    takes from the 5 reads and 2 MiB a second that all polling readers of a shard share. Besides it looks twice at
    /metrics, by [metrics] of the settings or --metrics, for what was refused and what consumers decide.

    A shard takes 1 MB and 1,000 records a second. The advice leaves a margin (--fill). It is a mean over the time that
    was read: ask at the busiest hour.

    \b
    isthmus shards advise
    isthmus shards advise --metrics http://10.0.0.7:9464/metrics --metrics http://10.0.0.8:9465/metrics
    isthmus shards advise --no-sample --seconds 30
    isthmus shards scale 8 --dry-run      then: what would be done?

    \b
    With --json, one object:
      stream
      sample    {seconds, shards, records, bytes, cut}, null with --no-sample; cut: shards with more than the budget
      metrics   {throttled, troubles}; throttled: bundles that Kinesis refused, by the second, null if nobody told
      limits    {bytes, records, changes, fill}: of one shard, by the second; changes: null if consumers keep up
      shards    [{id, share, bytes, records, changes, full, by, hot, lane, behind_ms}]
                by the second; full: percent of the limit in `by`; lane: the heaviest
      verdict   quiet, fits, fewer, more, even, lane or key
      equal     the number of equal shards that would serve, or null; then: how full the fullest would be, in percent
      lane, key the cause {name or key, bytes, records, changes}, or null
      commands  [{line, steps, then}]
      words     [sentence]
    """
    wiring = Wiring(load(config), patient=False)
    checkpoints = wiring.checkpoints()
    wiring.stream(checkpoints)
    settings = wiring.settings
    # Not the short patience of who only looks: a page is a mebibyte.
    stream = KinesisShards(aws.client(settings.aws.access, "kinesis"), settings.stream.name)
    shards = stream.shards()
    pieces = cover(shards)
    lanes = settings.stream.lanes
    asked = Asked(Window(float(seconds), budget * _MIB), urls or _served(settings), sample=not no_sample)
    measuring = Measuring(stream, asked, clock=wiring.clock, stop=wiring.stop)
    with showing(console(), wiring.clock, quiet=as_json) as tell:
        measured = measuring.run(shards, pieces, lanes, tell)
    late = lateness(stream, shards, Application(wiring, checkpoints), wiring.clock)
    limits = Limits(
        bytes=min(SHARD_BYTES, SHARD_READ_BYTES / readers),
        changes=late.decided(measured.told),
    )
    advice = advise(pieces, measured.lanes, limits, fill / 100, lanes)
    throttled = None if measured.told is None else measured.told.throttled
    words = sentences(advice, limits, throttled, late.late())
    if late.draining:
        words.append(
            f"Draining: {', '.join(late.draining)}. Their children are not read yet: the last reshard goes on."
        )
    found = _answer(settings, asked.window, measured, limits, fill, advice, late.behind, words)
    if as_json:
        print_json(found)
    else:
        _print(found, lanes)
    return Exit.DONE


def _served(settings: Settings) -> list[str]:
    """Give where the processes of this machine serve metrics by the settings."""
    section = settings.metrics
    host = "127.0.0.1" if section.host in {"0.0.0.0", "::"} else section.host  # noqa: S104 - asked, not bound
    host = f"[{host}]" if ":" in host else host
    return [f"http://{host}:{port}/metrics" for port in (section.producer_port, section.consumer_port) if port]


def _answer(  # noqa: PLR0917 - it tells of all of these
    settings: Settings,
    window: Window,
    measured: Measured,
    limits: Limits,
    fill: int,
    advice: Advice,
    behind: Sequence[Behind],
    words: Sequence[str],
) -> dict[str, Any]:
    seconds = {each.shard: each.seconds for each in behind}
    sampled = measured.sampled
    return {
        "stream": settings.stream.name,
        "sample": None
        if sampled is None
        else {"seconds": window.seconds}
        | {name: value for name, value in sampled._asdict().items() if name != "lanes"},
        "metrics": {
            "throttled": None if measured.told is None else round(measured.told.throttled, 3),
            "troubles": list(measured.troubles),
        },
        "limits": {**limits._asdict(), "fill": fill},
        "shards": [_shard(shard, seconds.get(shard.piece.id)) for shard in advice.shards],
        "verdict": advice.verdict.value,
        "equal": advice.equal,
        "then": _percent(advice.then),
        "lane": None if advice.lane is None else {"name": advice.lane.name, **_load(advice.lane)},
        "key": None if advice.key is None else {"key": advice.key.key, **_load(advice.key)},
        "commands": [_command(command) for command in commands(advice)],
        "words": list(words),
    }


def _shard(shard: ShardLoad, late: float | None) -> dict[str, Any]:
    return {
        "id": shard.piece.id,
        "share": round(100 * shard.piece.share, 4),
        **_load(shard),
        "full": _percent(shard.fill),
        "by": shard.by,
        "hot": shard.hot,
        "lane": None if shard.heaviest is None else shard.heaviest.name,
        "behind_ms": None if late is None else round(1000 * late),
    }


def _load(loaded: ShardLoad | LaneLoad | KeyLoad) -> dict[str, float]:
    return {name: round(value, 3) for name, value in loaded.load._asdict().items()}


def _command(command: Command) -> dict[str, Any]:
    return {**command._asdict(), "then": None if command.then is None else _percent(command.then)}


def _percent(part: float) -> float:
    return round(100 * part, 1)


def _print(found: dict[str, Any], lanes: int) -> None:
    out = console()
    out.print(title(found["stream"]))
    out.print(f"{len(found['shards'])} open shards, {lanes} lanes")
    sample = found["sample"]
    if sample is not None:
        size = f"{sample['records']:,} records, {sample['bytes'] / _MIB:,.1f} MiB"
        cut = f", of {len(sample['cut'])} of them only the part that the budget allowed" if sample["cut"] else ""
        out.print(f"sample: {size} of the newest {sample['seconds']:.0f} s of {sample['shards']} shards{cut}")
    for trouble in found["metrics"]["troubles"]:
        out.print(f"metrics: {trouble}")
    out.print()
    columns = ("SHARD", "SHARE", "BYTES/S", "RECORDS/S", "CHANGES/S", "FULL", "HEAVIEST LANE", "BEHIND")
    out.print(table(columns, [_cells(row) for row in found["shards"]]))
    out.print()
    for sentence in found["words"]:
        out.print(sentence)
    for command in found["commands"]:
        steps = "1 step" if command["steps"] == 1 else f"{command['steps']} steps"
        out.print(f"  {command['line']}    {steps}")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["id"],
        f"{row['share']:.2f} %",
        f"{row['bytes']:,.0f}",
        f"{row['records']:,.1f}",
        f"{row['changes']:,.1f}",
        f"{row['full']:.0f} % of {row['by']}{', hot' if row['hot'] else ''}",
        row["lane"] or "-",
        "?" if row["behind_ms"] is None else f"{row['behind_ms'] / 1000:,.1f} s",
    )
