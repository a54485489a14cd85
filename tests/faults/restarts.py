"""Many lives of a whole pipeline inside one process, which must not keep anything open from one to the next."""

import gc
import json
import sys
from pathlib import Path

from isthmus.chance import system_chance
from isthmus.console.consuming import consume
from isthmus.console.producing import produce
from isthmus.console.wiring import Wiring
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.lifecycle import ThreadStop
from isthmus.settings import load

WARM: int = 3
"""Lives before the first count: what is made once for a process is made in them."""


def main(arguments: list[str]) -> int:
    """Live so many times; print the number of open descriptors before and after, and progress."""
    config, times = Path(arguments[0]), int(arguments[1])
    for _ in range(WARM):
        _live(config)
    before = _descriptors()
    for number in range(times):
        _live(config)
        if number % 10 == 9:
            _say(lives=number + 1, descriptors=_descriptors())
    _say(lives=times, descriptors=_descriptors(), before=before)
    return 0


def _live(config: Path) -> None:
    """Start both halves, let them come to their work, and end them softly."""
    wiring = Wiring(load(config), chance=system_chance())
    pipelines = wiring.pipelines()
    tasks = [ThreadTask(part.__name__, lambda part=part: part(wiring, pipelines)) for part in (produce, consume)]  # type: ignore[misc]
    pause = ThreadStop()
    while not _at_work(wiring):
        if any(task.done() for task in tasks):
            break
        pause.wait(0.01)
    wiring.stop.request()
    for task in tasks:
        task.result()


def _at_work(wiring: Wiring) -> bool:
    """Say whether the source was read, after the markers, and a shard too."""
    gauges = (wiring.metrics.source_bound, wiring.metrics.behind)
    return all(any(family.samples for family in gauge.collect()) for gauge in gauges)


def _descriptors() -> int:
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _say(**facts: int) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
