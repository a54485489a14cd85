"""The composition root of one shard's process."""

from functools import cache
from pathlib import Path
from typing import NoReturn

from isthmus.console.braking import brake_of
from isthmus.console.gating import gates_of
from isthmus.console.kcl.brakefile import LateCounts, LateTries, PublishedBrakes
from isthmus.console.kcl.metricfiles import FOLDER, MetricFile, write_now
from isthmus.console.signals import Signals
from isthmus.console.wiring import Wiring, decider_of, entities_of, store_of
from isthmus.consumer.feed import Place
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.consumer.runtimes.kcl.child import Child
from isthmus.consumer.runtimes.kcl.descriptors import DescriptorLines
from isthmus.consumer.runtimes.kcl.ending import leave, serve
from isthmus.consumer.runtimes.kcl.orphan import watch_daemon
from isthmus.consumer.runtimes.kcl.settings import ChildSettings
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.consumer.target import Target
from isthmus.garbage import collect_rarely, give_large_blocks_back
from isthmus.log import configure
from isthmus.settings import load


def serve_shard(lines: DescriptorLines, file: Path, folder: Path) -> NoReturn:
    """Serve the daemon on these lines by the settings in this file, then end the process.

    `folder` is that of the worker, see `isthmus.console.kcl.folder`.

    What raises before the first line is read ends it too, with Python's own code for that: no line was answered.
    """
    settings = load(file, dialects=False)
    configure(settings.log.format, settings.log.level)
    wiring = Wiring(settings)
    Signals(wiring.stop).install()
    collect_rarely()
    give_large_blocks_back()
    by_name = {entity.name: entity for entity in entities_of(settings, wiring.pipelines())}
    store = store_of(settings, list(by_name.values()))
    payloads = wiring.payloads()

    # Opened when it is needed, which is hardly ever: each shard has a process, and each client of AWS its memory.
    checkpoints = cache(wiring.checkpoints)
    gates = gates_of(wiring, store)
    notes = PublishedBrakes(folder, lambda: checkpoints().brakes)
    brake = brake_of(wiring, notes, LateCounts(lambda: checkpoints().brake_counts))
    target = Target(wiring.attempts.watch("front_office"), wiring.metrics, clock=wiring.clock, chance=wiring.chance)

    def make_processor(shard: str, _begin: Place | None) -> ShardProcessor:
        return ShardProcessor(
            shard,
            decider_of(
                settings,
                store,
                by_name,
                wiring.clock,
                wiring.metrics,
                payloads=payloads,
                stop=wiring.stop,
                gates=gates,
                brake=brake,
                tries=LateTries(lambda: checkpoints().tries),
            ),
            payloads=payloads,
            stop=wiring.stop,
            clock=wiring.clock,
            chance=wiring.chance,
            metrics=wiring.metrics,
            attempts=wiring.attempts,
            settings=ProcessorSettings(batch_changes=settings.consumer.batch_changes),
            target=target,
            gates=gates,
            brake=brake,
        )

    telling = MetricFile(folder / FOLDER, wiring.metrics.registry)
    child = Child(
        lines,
        make_processor,
        stop=wiring.stop,
        clock=wiring.clock,
        chance=wiring.chance,
        metrics=wiring.metrics,
        attempts=wiring.attempts,
        settings=ChildSettings(checkpoint_interval=settings.consumer.checkpoint_interval),
        # What is counted of a change must not be lost when its record never comes again.
        before_checkpoint=lambda: write_now(telling),
    )
    watch_daemon(lines.reading, lambda: child.answering)
    if gates is not None:
        ThreadTask("gates", lambda: gates.run(wiring.stop))
    if brake is not None:
        ThreadTask("park-brake", lambda: brake.run(wiring.stop))
    ThreadTask("metrics", lambda: telling.keep(wiring.stop))
    code = serve(child)
    write_now(telling)
    leave(code)
