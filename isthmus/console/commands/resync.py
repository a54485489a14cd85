"""`isthmus resync`: read a source again from its beginning, under a new generation."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from isthmus import aws
from isthmus.change import Kind
from isthmus.checkpoint import answers
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.ownership import source_lease
from isthmus.checkpoint.ports import Lease, Leases
from isthmus.checkpoint.resync import HIGHEST_GENERATION, raise_generation
from isthmus.console.commands.options import config_option, json_option
from isthmus.console.commands.output import console, print_json
from isthmus.console.exits import Exit
from isthmus.console.producing import open_source
from isthmus.console.progress import HowFar, progress_of
from isthmus.console.rereading import Deciding, Extent, Rereading, measure, outcomes, since
from isthmus.console.wiring import Wiring
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.errors import Refused, Transient
from isthmus.producer.sources.budget import QueryBudget
from isthmus.producer.sources.port import Source
from isthmus.settings import load
from isthmus.stream import StreamIdentity

_LOOK_EVERY = 1.0
"""Seconds between two looks: a shard may be read five times a second, by all its readers (Kinesis, GetRecords)."""
_LINE_EVERY = 5.0
"""Seconds between two lines where no terminal shows a bar."""

Tell = Callable[[str, int | None], None]
"""Shows how it stands, in words, and how many rows are done."""


@click.command()
@click.argument("source", metavar="SOURCE")
@config_option
@json_option
@click.option("--dry-run", is_flag=True, help="Only say what would be read again. Changes nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Return as soon as it has begun.")
@click.option(
    "--generation",
    "least",
    type=click.IntRange(1, HIGHEST_GENERATION),
    default=1,
    help="Raise it to this one at least: after the checkpoint table was lost, and the generation with it.",
)
def resync(source: str, config: Path, *, as_json: bool, dry_run: bool, yes: bool, no_wait: bool, least: int) -> int:
    r"""Read all rows of SOURCE again, as they are now, and apply what comes of them.

    For a translator, or reference data, that was wrong, and for a front office that was restored. It raises the
    source's generation, so every row is newer than what the front office holds, and clears the watermark, whatever
    `start` says. What the front office holds exactly so already counts as unchanged: nothing happens to it. A producer
    that runs loses the source, takes it again within seconds, and begins at the first row; new changes come in their
    turn. Only for kind `state`: an event cannot be read again. Rows that the back office has deleted are not seen: what
    they made stays.

    Heavy on the back office: it asks before it begins. Then it waits, and shows rows read again of all rows, and what
    the consumers decided since it began, for all sources together. Ctrl-C ends the waiting, not the resync. Exit code
    1 for kind `event`, 2 for an unknown SOURCE, 3 if the stream was not set up.

    \b
    isthmus resync customers --dry-run
    isthmus resync customers
    isthmus resync customers --yes --no-wait && isthmus status

    \b
    With --json, one object, at the end:
      source
      generation  {before, now}; now: the one that it would be, with --dry-run
      rows        {again, of}; again: read again and acknowledged by Kinesis; of: when it began, or null if they could
                  not be counted in sources.NAME.query_timeout
      outcomes    {name: count} of all sources since it began; null with --dry-run and --no-wait
    """
    wiring = Wiring(load(config), patient=False)
    _check_kind(wiring, source)
    checkpoints = wiring.checkpoints()
    identity = wiring.stream(checkpoints).identity
    name, section = source_lease(source), wiring.settings.sources[source]
    seen = checkpoints.leases.read(name)
    if seen is not None:
        answers.check_stream(seen, identity)
    before = 0 if seen is None else seen.generation
    with closing(open_source(section, QueryBudget(section.queries_per_minute, wiring.clock))) as opened:
        extent = measure(opened)
        answer: dict[str, Any] = {
            "source": source,
            "generation": {"before": before, "now": max(before + 1, least)},
            "rows": {"again": 0, "of": extent.rows},
            "outcomes": None,
        }
        click.echo(_plan(answer, extent), err=as_json)
        if not dry_run:
            if not yes and not _agreed(source):
                return Exit.FAILED
            progress = progress_of(wiring, checkpoints, checkpoints.hand_overs.read())
            decided = outcomes(progress)
            raised = _raise(wiring, checkpoints, name, identity, least)
            answer["generation"]["now"] = raised.generation
            click.echo(f"begun: generation {raised.generation}, epoch {raised.epoch}", err=as_json)
            if not no_wait:
                answer |= _follow(wiring, checkpoints.leases, progress, opened, name, extent, decided, quiet=as_json)
    if as_json:
        print_json(answer)
    elif answer["outcomes"] is not None:
        click.echo(_summary(answer))
    return Exit.DONE


def _check_kind(wiring: Wiring, source: str) -> None:
    if source not in wiring.settings.sources:
        known = ", ".join(wiring.settings.sources)
        raise click.BadParameter(f"the settings know no source {source}; they know: {known}.", param_hint="SOURCE")
    if wiring.pipelines()[source].kind is Kind.EVENT:
        raise Refused(
            f"{source} is of kind event: every change counts once, and what was read cannot be read again as new.",
            hint="Correct a wrong effect by a new event in the back office.",
        )


def _plan(answer: dict[str, Any], extent: Extent) -> str:
    rows = "rows that could not be counted in time" if extent.rows is None else f"{extent.rows:,} rows"
    upto = "" if extent.bound is None else f", up to position {extent.bound}"
    before, now = answer["generation"].values()
    return f"{answer['source']}: {rows}{upto}; generation {before} becomes {now}"


def _agreed(source: str) -> bool:
    agreed = False
    try:
        agreed = click.confirm(f"Read all of {source} again?", err=True)
    finally:
        if not agreed:
            click.echo("Nothing was changed. With --yes nobody is asked.", err=True)
    return agreed


def _raise(wiring: Wiring, checkpoints: DynamoCheckpoints, name: str, identity: StreamIdentity, least: int) -> Lease:
    def failed(error: Transient, attempt: int) -> None:
        if attempt == 1:
            click.echo(f"tried again until it goes: {error}", err=True)

    return raise_generation(
        checkpoints.leases,
        name,
        identity,
        clock=wiring.clock,
        stop=wiring.stop,
        chance=wiring.chance,
        on_failure=failed,
        least=least,
    )


def _follow(  # noqa: PLR0917 - a resync is known by all of these
    wiring: Wiring,
    leases: Leases,
    progress: HowFar,
    opened: Source,
    name: str,
    extent: Extent,
    decided: dict[str, int],
    *,
    quiet: bool,
) -> dict[str, Any]:
    """Wait until all is read again and decided; give what the answer says of it."""
    reading = Rereading(leases, name, opened, extent, wiring.clock)
    feed = KinesisFeed(aws.client(wiring.access, "kinesis"), wiring.settings.stream.name)

    def read() -> bool:
        reading.look()
        return reading.finished

    def words() -> str:
        return "reading again" if reading.owner is not None else "waiting for `isthmus produce` to take it"

    try:
        with _showing(wiring, extent.rows, quiet=quiet) as tell:
            _until(wiring, read, lambda trouble: tell(trouble or words(), reading.done))
            deciding = Deciding(feed, progress, wiring.clock.now_ms())
            waiting = "read again; waiting for `isthmus consume` to decide it"
            _until(wiring, deciding.look, lambda trouble: tell(trouble or waiting, reading.done))
    except KeyboardInterrupt:
        click.echo("The resync goes on: see `isthmus status`.", err=True)
        raise
    return {
        "rows": {"again": reading.done, "of": extent.rows},
        "outcomes": since(outcomes(progress), decided),
    }


def _until(wiring: Wiring, look: Callable[[], bool], tell: Callable[[str], None]) -> None:
    """Look until it is so. What is away is waited for, and shown in the place of how it stands."""
    while True:
        trouble = ""
        try:
            if look():
                return
        except Transient as error:
            trouble = str(error)
        tell(trouble)
        wiring.stop.wait(_LOOK_EVERY)


@contextmanager
def _showing(wiring: Wiring, of: int | None, *, quiet: bool) -> Iterator[Tell]:
    """Show a bar on a terminal, a line now and then elsewhere, and nothing to a script."""
    out = console()
    if quiet:
        yield lambda _words, _done: None
    elif out.is_terminal:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=out, transient=True) as bars:
            task = bars.add_task("", total=of)
            yield lambda words, done: bars.update(task, description=words, completed=done)
    else:
        yield _lines(wiring, out, of)


def _lines(wiring: Wiring, out: Console, of: int | None) -> Tell:
    last, due = "", 0.0

    def tell(words: str, done: int | None) -> None:
        nonlocal last, due
        line = words if of is None else f"{done:,} of {of:,} rows; {words}"
        if line != last and wiring.clock.monotonic() >= due:
            out.print(line)
            last, due = line, wiring.clock.monotonic() + _LINE_EVERY

    return tell


def _summary(answer: dict[str, Any]) -> str:
    of = answer["rows"]["of"]
    rows = "all rows" if of is None else f"{answer['rows']['again']:,} of {of:,} rows"
    counts = ", ".join(f"{name} {count:,}" for name, count in answer["outcomes"].items()) or "nothing"
    return f"{rows} read again; decided since it began, of all sources: {counts}"
