"""Writes what was run, when, and with what counts, as a document. Pure."""

from collections.abc import Sequence

from tests.faults.baselines import Found
from tests.faults.book import Book, Entry
from tests.faults.row import Part, Row
from tests.faults.table import ROWS

_HEAD = """# Faults

What was put in, where, how often, and what became of it. Each row is run by its id:

    make fault F=F13            one row, with the numbers of the goal
    make fault F=F13 ARGS=--short
    make faults                 all rows; goes on where it was interrupted

How: **S** a seeded simulation of the real coordinator code on virtual time (`tests/simulation`) · **P** real processes,
killed with real signals at chosen calls, or behind a proxy that misbehaves, or a real server · **U** the real cores and
the real SQLite store, in one process · **K** the real daemon of the Kinesis Client Library, on kinesis-mock and
DynamoDB Local: two workers are fed all the time while they, their daemons, children, leases, shards and tables are
struck, and the oracle reads everything at each history's end, and every checkpoint that passed. Each fault is counted
when it strikes; one that never struck fails the row. "0" in a goal means: nothing lost, no second effect, no stale
overwrite, order per entity kept, no false dead letter.

This file is written by `python -m tests.faults --report` from the results in `build/faults.json`.

The code that a row was run on has a short name, which every change of the product's code changes; `make faults` runs
anew what was run on another code than now. The short form of each row is in `make test`.

| id | fault | how | goal | reached | faults struck | violations | date | code | command |
|---|---|---|---|---|---|---|---|---|---|
"""

_MISSING = """
## What is not run here

"""

_BASELINES = """
## Naive baselines

An oracle that passes everything proves nothing. So the ways in which this is often written are run under the same
oracle, and must fail it. Each is shown with the smallest case that was found. The real thing is run on that case too,
and on fifty others of the same kind.
"""


def text(book: Book, found: Sequence[Found]) -> str:
    """Give the document."""
    lines = [_line(book, row, number, part) for row in ROWS for number, part in enumerate(row.parts)]
    missing = [f"- {row.id}, {row.fault}: {row.missing}" for row in ROWS if row.missing]
    return (
        _HEAD + "\n".join(lines) + "\n" + _MISSING + "\n".join(missing) + "\n" + _BASELINES + "".join(map(_told, found))
    )


def _line(book: Book, row: Row, number: int, part: Part) -> str:
    entry = _best(book, f"{row.id}/{part.how}{number}")
    goal = f"{part.goal:,} {part.unit}" if part.goal is not None else f"all {part.unit}"
    if part.more:
        goal += f" ({part.more})"
    cells = [row.id, row.fault, part.how.value, goal, *_reached(entry, part)]
    return f"| {' | '.join(cells)} |"


def _best(book: Book, place: str) -> Entry | None:
    """Give the run that reached most: the full form, or one with another number, or the short form."""
    found = [entry for name, entry in book.entries.items() if name.startswith(f"{place}/")]
    full = [entry for name, entry in book.entries.items() if name == f"{place}/full"]
    return full[0] if full else max(found, key=lambda entry: entry.reached, default=None)


def _reached(entry: Entry | None, part: Part) -> list[str]:
    if entry is None:
        return ["not run yet", "", "", "", "", ""]
    short = "--short" in entry.command or (part.goal is not None and entry.reached < part.goal)
    reached = f"{entry.reached:,} {entry.unit}{' (short of the goal)' if short else ''}"
    # By its name, e.g. "longest stall, ms", with its unit behind the comma.
    for words, comma, unit in (name.rpartition(", ") for name in sorted(entry.counts) if name.startswith("longest")):
        if comma:
            reached += f", {words} {entry.counts[f'{words}, {unit}']:,} {unit}"
    if "peak, MiB" in entry.counts:
        reached += f", peak {entry.counts['peak, MiB']} MiB"
    if "descriptors after" in entry.counts:
        reached += f", descriptors {entry.counts['descriptors before']} → {entry.counts['descriptors after']}"
    least = f" at {len(entry.fired)} places, each ≥ {min(entry.fired.values())}" if len(entry.fired) > 1 else ""
    struck = f"{sum(entry.fired.values()):,}{least}"
    return [reached, struck, str(len(entry.wrong)), entry.date, entry.code or "older", f"`{entry.command}`"]


def _told(found: Found) -> str:
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(found.history, start=1))
    verdict = found.broken or "it was not caught"
    ours = "kept every promise" if not found.ours else f"broke: {found.ours[0]}"
    return (
        f"\n### {found.name[0].upper()}{found.name[1:]}\n\nFailed in case {found.cases}, made smaller:\n\n{steps}\n\n"
        f"The oracle: **{verdict}**. Isthmus, on the same case and fifty others: {ours}.\n"
    )
