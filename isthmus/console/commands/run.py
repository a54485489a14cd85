"""`isthmus run`, `produce` and `consume`."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from isthmus.console.commands.options import config_option
from isthmus.console.consuming import consume as consume_all
from isthmus.console.exits import Exit
from isthmus.console.producing import produce as produce_all
from isthmus.console.serving import serving
from isthmus.console.signals import Signals
from isthmus.console.wiring import Wiring
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.lifecycle import Stopped, ThreadStop
from isthmus.log import configure, get_logger
from isthmus.pipeline import Pipeline
from isthmus.settings import load

log = get_logger(__name__)
Part = Callable[[Wiring, dict[str, Pipeline]], None]

_ENDS = """
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
    """Produce and consume in one process.

    For trying things out and for small feeds. Metrics are served on the producer's port.
    """
    return _run(config, "run", [produce_all, consume_all])


@click.command()
@config_option
@_ends
def produce(config: Path) -> int:
    """Detect, translate and publish: the back-office half.

    One producer owns each source; a second one waits until the first is gone (or ends with exit code 4, by the
    setting `sources.NAME.ownership.wait`).
    """
    return _run(config, "produce", [produce_all])


@click.command()
@config_option
@_ends
def consume(config: Path) -> int:
    """Decide and apply: the front-office half.

    Reads every shard in one process. A second one of the same application ends with exit code 4 and says who holds it.
    """
    return _run(config, "consume", [consume_all])


def _run(config: Path, name: str, parts: list[Part]) -> int:
    settings = load(config)
    configure(settings.log.format, settings.log.level)
    wiring = Wiring(settings)
    pipelines = wiring.pipelines()
    signals = Signals(wiring.stop)
    signals.install()
    port = settings.metrics.consumer_port if name == "consume" else settings.metrics.producer_port
    with serving(wiring.metrics, settings.metrics.host, port, lambda: "") as bound:
        log.info("started", command=name, application=settings.application, metrics_port=bound)
        tasks = [ThreadTask(name, _guarded(part, wiring, pipelines)) for part in parts]
        wait_for(tasks)
        for task in tasks:
            task.result()
    log.info("ended", command=name)
    return signals.exit_code(Exit.DONE)


def wait_for(tasks: Sequence[ThreadTask[None]]) -> None:
    """Return when all have ended. In slices, or signals would not reach the main thread."""
    pause = ThreadStop()
    while not all(task.done() for task in tasks):
        pause.wait(0.1)


def _guarded(part: Part, wiring: Wiring, pipelines: dict[str, Pipeline]) -> Callable[[], None]:
    def guarded() -> None:
        try:
            part(wiring, pipelines)
        except Stopped:
            return
        finally:
            # One half that ends, ends the other: a process that looks alive and does half its work helps nobody.
            wiring.stop.request()

    return guarded
