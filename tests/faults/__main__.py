"""`python -m tests.faults F13`: one row of the fault matrix, or `--all`, each in its full form or in a `--short` one.

ID ...        these rows
--all         every row; what has passed before, on this code, is skipped, so an interrupted run goes on where it was
--short       the short form of each: seconds
--how S       only the parts that are run so (S, P, U or K)
--goal N      another number than the matrix's, e.g. to see something of a long row; it passes for what it is
--again       also what has passed before
--list        name the rows, and how far each is
--report      write docs/faults.md from the results

Results are kept in build/faults.json. Ends with 1 when a promise was broken, a fault never struck or a goal was missed.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.faults import baselines, report
from tests.faults.book import Book, Entry, code_now
from tests.faults.row import Context, How, Part, Result, Row, run_part, wrong_with
from tests.faults.table import BY_ID, ROWS
from tests.simulation.ground import quiet

ROOT: Final = Path(__file__).resolve().parents[2]
BOOK: Final = ROOT / "build" / "faults.json"
DOCUMENT: Final = ROOT / "docs" / "faults.md"
_TELL_EVERY: Final = 5.0
"""Seconds between two lines of progress."""


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Rows of the fault matrix.")
    parser.add_argument("rows", nargs="*", metavar="ID", type=str.upper)
    for flag in ("all", "short", "again", "list", "report"):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument("--how", type=How)
    parser.add_argument("--goal", type=int)
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.rows if name not in BY_ID]:
        parser.error(f"no such row here: {', '.join(unknown)}; there are {', '.join(BY_ID)}")
    if not (arguments.rows or arguments.all or arguments.list or arguments.report):
        parser.error("name a row, or --all, --list or --report")
    book = Book(BOOK, code_now())
    passed = True
    for row in ROWS if arguments.all else [BY_ID[name] for name in arguments.rows]:
        for number, part in enumerate(row.parts):
            if arguments.how in {None, part.how}:
                passed = _run(book, row, number, part, arguments) and passed
    if arguments.list:
        _say("\n".join(f"{row.id}  {'+'.join(part.how for part in row.parts):7}  {row.fault}" for row in ROWS))
    if arguments.report:
        DOCUMENT.write_text(report.text(book, baselines.all_found()), encoding="utf-8")
        _say(f"{DOCUMENT.relative_to(ROOT)} is written")
    return 0 if passed else 1


def place_of(row: Row, number: int, part: Part, *, full: bool) -> str:
    """Name a part of a row in the book."""
    return f"{row.id}/{part.how}{number}/{'full' if full else 'short'}"


def _run(book: Book, row: Row, number: int, part: Part, arguments: argparse.Namespace) -> bool:
    full = not arguments.short
    place = place_of(row, number, part, full=full)
    if arguments.goal is not None:
        place += f" {arguments.goal}"
    if book.passed(place) and not arguments.again:
        _say(f"{place}: has passed")
        return True
    asked = part.asked(full=full) if arguments.goal is None else arguments.goal
    begun = time.monotonic()
    context = Context(asked, full, _Progress(place))
    with quiet():
        result = run_part(part, context)
    wrong = wrong_with(result, part.unit, asked)
    command = f"python -m tests.faults {row.id} --how {part.how}{'' if full else ' --short'}"
    book.write(
        place,
        Entry(
            part.unit,
            result.counts[part.unit],
            asked,
            dict(result.counts),
            result.fired,
            wrong,
            round(time.monotonic() - begun, 1),
            datetime.now(UTC).strftime("%Y-%m-%d"),
            command if arguments.goal is None else f"{command} --goal {arguments.goal}",
        ),
    )
    _say(f"{place}: {result.counts[part.unit]} {part.unit} in {time.monotonic() - begun:.0f} s; {_fired(result)}")
    for sentence in wrong:
        _say(f"  WRONG: {sentence}")
    return not wrong


def _fired(result: Result) -> str:
    if len(result.fired) > 6:
        return f"{len(result.fired)} faults, each {min(result.fired.values())} times or more"
    return ", ".join(f"{fault} {times}" for fault, times in result.fired.items())


class _Progress:
    """Says how far a long row is."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._next = time.monotonic() + _TELL_EVERY

    def __call__(self, done: int, goal: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _TELL_EVERY
            sys.stderr.write(f"{self._place}: {done} of {goal}\n")
            sys.stderr.flush()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
