"""`isthmus run`, `produce` and `consume`."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from isthmus.console.commands.options import config_option
from isthmus.console.consuming import consume as consume_all
from isthmus.console.exits import Exit, way_to
from isthmus.console.health import Health
from isthmus.console.producing import produce as produce_all
from isthmus.console.serving import serving
from isthmus.console.signals import Signals
from isthmus.console.wiring import Wiring
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.errors import IsthmusError
from isthmus.garbage import collect_rarely, give_large_blocks_back
from isthmus.lifecycle import Stopped, ThreadStop
from isthmus.log import configure, get_logger
from isthmus.pipeline import Pipeline
from isthmus.settings import load

log = get_logger(__name__)
Part = Callable[[Wiring, dict[str, Pipeline]], None]

_ENDS = """
    What is away is waited for: it says so once, says once when it is back, and goes on. /metrics and /healthz are
    served by the settings under [metrics]; logs go to stderr.

    Ctrl-C or SIGTERM stops it softly within 10 s: what is in hand is finished, and the place is remembered. A second
    one stops it at once; what was in hand then comes again, with the same IDs.
"""


def _ends(function: Callable[..., int]) -> Callable[..., int]:
    function.__doc__ = f"{function.__doc__}{_ENDS}"
    return function


@click.command()
@config_option
@_ends
def run(config: Path) -> int:
    r"""Produce and consume in one process.

    For trying things out and for small feeds. Metrics are served on the producer's port.

    \b
    isthmus check && isthmus run
    isthmus status                elsewhere: where does it stand?
    """
    return _run(config, "run", [produce_all, consume_all])


@click.command()
@config_option
@_ends
def produce(config: Path) -> int:
    r"""Detect, translate and publish: the back-office half.

    One producer owns each source; a second one waits until the first is gone (or ends with exit code 4, by the
    setting `sources.NAME.ownership.wait`).

    \b
    isthmus produce --config /etc/isthmus/flights.toml
    isthmus peek                  elsewhere: what lies in the stream?
    """
    return _run(config, "produce", [produce_all])


@click.command()
@config_option
@click.option("--runtime", type=click.Choice(["local", "kcl"]), help="Instead of consumer.runtime in the settings.")
@click.option("--yes", "-y", is_flag=True, help="Agree to a start that would be refused; the refusal says so.")
@_ends
def consume(config: Path, runtime: str | None, *, yes: bool) -> int:
    r"""Decide and apply: the front-office half.

    By the local runtime, one process reads every shard; a second one of the same application ends with exit code 4 and
    says who holds it. By the Kinesis Client Library (`kcl`), start as many as you like, on as many machines: they share
    the shards. An application that moves to `kcl` goes on where the local runtime ended, and does not move back.

    \b
    isthmus consume --config /etc/isthmus/flights.toml
    isthmus consume --runtime kcl
    isthmus status                elsewhere: how far is it, and what is parked?
    """
    return _run(config, "consume", [partial(consume_all, agreed=yes)], runtime=runtime)


def _run(config: Path, name: str, parts: list[Part], *, runtime: str | None = None) -> int:
    settings = load(config)
    if runtime is not None:
        consumer = settings.consumer.model_copy(update={"runtime": runtime})
        settings = settings.model_copy(update={"consumer": consumer})
    wiring = Wiring(settings)
    pipelines = wiring.pipelines()
    configure(settings.log.format, settings.log.level)
    signals = Signals(wiring.stop)
    signals.install()
    port = settings.metrics.consumer_port if name == "consume" else settings.metrics.producer_port
    health = Health(wiring.metrics, wiring.clock)
    collect_rarely()
    give_large_blocks_back()
    with serving(wiring.metrics, settings.metrics.host, port, health.wrong):
        log.info("started", command=name, application=settings.application)
        tasks = [ThreadTask(name, _guarded(part, wiring, pipelines)) for part in parts]
        wait_for(tasks)
        for task in tasks:
            task.result()
    log.info("ended", command=name)
    return signals.exit_code(Exit.DONE)


def wait_for(tasks: Sequence[ThreadTask[None]]) -> None:
    """Return when all have ended. In slices: a join without end would keep signals from the main thread."""
    pause = ThreadStop()
    while not all(task.done() for task in tasks):
        pause.wait(0.1)


def _guarded(part: Part, wiring: Wiring, pipelines: dict[str, Pipeline]) -> Callable[[], None]:
    def guarded() -> None:
        try:
            part(wiring, pipelines)
        except Stopped:
            return
        except IsthmusError:
            raise
        except Exception as error:
            log.error("defect", error=type(error).__name__, exception=way_to(error))  # noqa: TRY400 - a traceback would tell rows
            raise
        finally:
            # One half that ends, ends the other: a process that looks alive and does half its work helps nobody.
            wiring.stop.request()

    return guarded
