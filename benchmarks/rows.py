"""What a benchmark gives: rows with ours, the baseline and their ratio."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from isthmus.clock import SystemClock

Measured = Callable[[], int]
"""Does its work once and gives how many units that were."""
Prepared = Callable[[], Measured]
"""Makes what one round needs, unmeasured, and gives the work."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` is ours over the baseline; `wanted` the least ratio that was promised, or None."""

    name: str
    ours: float
    baseline: float
    ratio: float
    unit: str
    wanted: float | None = None
    note: str = ""

    def as_json(self) -> dict[str, object]:
        """Give the row for `bench.json`."""
        return asdict(self)


def interleaved(rounds: int, contenders: Mapping[str, Prepared]) -> dict[str, float]:
    """Run every contender in turn, round after round, after one round that is not counted; give units per second.

    The median over the rounds: what disturbs the machine for a moment disturbs one round, and in it all of them.
    """
    clock = SystemClock()
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(rounds + 1):
        for name, prepare in contenders.items():
            work = prepare()
            start = clock.monotonic()
            units = work()
            elapsed = clock.monotonic() - start
            if round_number:
                rates[name].append(units / elapsed)
    return {name: median(found) for name, found in rates.items()}


def against(name: str, ours: float, baseline: float, unit: str, *, wanted: float | None = None, note: str = "") -> Row:
    """Make a row."""
    return Row(name, round(ours, 1), round(baseline, 1), round(ours / baseline, 3), unit, wanted, note)


def table(rows: Sequence[Row]) -> str:
    """Give the rows as a text table."""
    heads = ("row", "ours", "baseline", "ratio", "wanted", "unit", "note")
    lines = [
        (
            row.name,
            f"{row.ours:,.1f}",
            f"{row.baseline:,.1f}",
            f"{row.ratio:.2f}",
            "" if row.wanted is None else f"{row.wanted:g}",
            row.unit,
            row.note,
        )
        for row in rows
    ]
    widths = [max(len(line[place]) for line in [heads, *lines]) for place in range(len(heads))]
    right = {1, 2, 3, 4}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [heads, *lines]
    )
