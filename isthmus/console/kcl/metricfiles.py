"""Metrics of the shards' processes in one place: each writes a small file, and who looks after them adds them up.

A process that ended leaves what it counted, and not what was true of it alone: its file is added to a sum and removed.
What it counted after its last checkpoint, in the second before a SIGKILL, is lost; those records come again.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from isthmus.checkpoint.process import is_dead, this_process
from isthmus.lifecycle import Stop
from isthmus.metricsum import only_added, summed

FOLDER: Final = "metrics"
_EVERY_SECONDS: Final = 1.0
_SUFFIX: Final = ".prom"
_DRAFT: Final = ".draft"


class MetricFile:
    """What one shard's process tells. Safe for several threads."""

    def __init__(self, folder: Path, registry: CollectorRegistry) -> None:
        me = this_process("")
        self._path = folder / f"{me.pid}.{me.started}{_SUFFIX}"
        self._registry = registry
        self._writing = threading.Lock()

    def write(self) -> None:
        """Write everything as it is now, whole or not at all. Raises OSError, also where nobody looks after us."""
        with self._writing:
            draft = self._path.with_suffix(_DRAFT)
            draft.write_bytes(generate_latest(self._registry))
            draft.replace(self._path)

    def keep(self, stop: Stop) -> None:
        """Write once a second until a stop is requested; what fails is tried again."""
        while True:
            with contextlib.suppress(OSError):
                self.write()
            if stop.wait(_EVERY_SECONDS):
                return


class MetricFiles:
    """What all of them told, those that have ended too. Safe for several threads."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._ended: list[Metric] = []

    def families(self) -> list[Metric]:
        """Give what was told up to now."""
        with self._lock:
            self._remove_drafts()
            living = [family for path in self._files() for family in self._taken_in(path)]
            return summed([*self._ended, *living])

    def _taken_in(self, path: Path) -> list[Metric]:
        """Give what a file of a living process says; add one of a dead process to the sum."""
        gone = _is_gone(path)
        try:
            told = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return []
        if not gone:
            return told
        self._ended = summed([*self._ended, *only_added(told)])
        path.unlink(missing_ok=True)
        return []

    def _remove_drafts(self) -> None:
        """Remove what processes left that were killed while they wrote, some of them before they had ever told."""
        for path in self._folder.glob(f"*{_DRAFT}"):
            if _is_gone(path):
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        yield from sorted(self._folder.glob(f"*{_SUFFIX}"))


def _is_gone(path: Path) -> bool:
    """Say whether the process whose file it is has ended. Asked before the file is read: it wrote its last by then."""
    pid, _, started = path.stem.partition(".")
    return is_dead(replace(this_process(""), pid=int(pid), started=started)) is True


def write_now(file: MetricFile) -> None:
    """Write what was counted up to now, where somebody looks after us."""
    with contextlib.suppress(OSError):
        file.write()
