"""What the demo shows while it runs: a live view on a terminal, plain lines elsewhere."""

from types import TracebackType
from typing import Protocol, Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from isthmus.clock import Clock
from isthmus.console.demo.readings import Readings

_LINE_SECONDS = 2.0
_OUTCOMES = ("applied", "parked", "duplicate", "stale", "fenced")


class View(Protocol):
    """What the demo tells of itself."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        ...

    def say(self, text: str) -> None:
        """Tell something once."""
        ...

    def phase(self, name: str, total: int) -> None:
        """Begin a phase with so many steps."""
        ...

    def update(self, done: int, readings: Readings, rate: float, note: str) -> None:
        """Tell how far the phase is; `rate` is in changes per second, `note` more words or none."""
        ...


class Lines:
    """Plain lines, not more than one every two seconds and phase. To stderr, so that stdout holds the summary alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock.monotonic()
        self._phase, self._total = "", 0
        self._next = 0.0

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""

    def say(self, text: str) -> None:
        """Print it with the seconds since the start."""
        click.echo(f"[{self._clock.monotonic() - self._start:5.1f} s] {text}", err=True)

    def phase(self, name: str, total: int) -> None:
        """Begin a phase."""
        self._phase, self._total = name, total
        self._next = 0.0

    def update(self, done: int, readings: Readings, rate: float, note: str) -> None:
        """Print a line when it is time."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + _LINE_SECONDS
        behind = max((shard.behind_s for shard in readings.shards.values()), default=0.0)
        counts = ", ".join(f"{name} {readings.outcome(name):,}" for name in _OUTCOMES if readings.outcome(name))
        self.say(
            f"{self._phase}: {done:,} of {self._total:,}, {rate:,.0f} changes/s, {behind:.1f} s behind"
            f"{', ' + counts if counts else ''}{', ' + note if note else ''}"
        )


class Screen:
    """A live view: a bar per phase, and a table of the shards."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<22}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._console = console
        self._live = Live(console=console, refresh_per_second=5)
        self._task: TaskID | None = None
        self._total = 0
        self._since = Readings()
        self._last = Readings()

    def __enter__(self) -> Self:
        """Begin to show."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, leaving the last picture."""
        if error is None and self._task is not None:
            self._progress.update(self._task, completed=self._total)
        self._live.__exit__(kind, error, traceback)

    def say(self, text: str) -> None:
        """Print it above the view."""
        self._console.print(text, highlight=False)

    def phase(self, name: str, total: int) -> None:
        """Begin a phase: the bar before it is full."""
        if self._task is not None:
            self._progress.update(self._task, completed=self._total)
        self._task, self._total = self._progress.add_task(name, total=total), total
        self._since = self._last

    def update(self, done: int, readings: Readings, rate: float, note: str) -> None:
        """Show where it stands."""
        self._last = readings
        if self._task is not None:
            self._progress.update(self._task, completed=done)
        self._live.update(Group(self._progress, self._shards(readings, rate, note)))

    def _shards(self, readings: Readings, rate: float, note: str) -> Table:
        p50, p99 = readings.freshness_quantile(0.5, self._since), readings.freshness_quantile(0.99, self._since)
        freshness = f"freshness p50 ≤ {p50 * 1000:,.0f} ms, p99 ≤ {p99 * 1000:,.0f} ms" if p50 and p99 else ""
        table = Table(
            box=None, title=f"{rate:,.0f} changes/s   {freshness}   {note}", title_justify="left", pad_edge=False
        )
        table.add_column("shard")
        for name in _OUTCOMES:
            table.add_column(name, justify="right")
        table.add_column("behind", justify="right")
        for shard, reading in sorted(readings.shards.items()):
            counts = [f"{reading.outcomes.get(name, 0):,}" for name in _OUTCOMES]
            table.add_row(shard.replace("shardId-", ""), *counts, f"{reading.behind_s:.1f} s")
        return table
