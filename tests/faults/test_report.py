"""The document of the fault matrix tells what was measured beside the number that was asked for."""

from pathlib import Path

from tests.faults import report
from tests.faults.book import Book, Entry


def test_a_row_tells_the_longest_times_that_its_goal_speaks_of(tmp_path: Path) -> None:
    book = Book(tmp_path / "faults.json")
    counts = {"daemons killed": 100, "longest life of a child, ms": 1_042, "longest catching up, ms": 31}
    book.write("F23/K0/full", Entry("daemons killed", 100, 100, counts, {"a daemon killed (-9)": 100}))

    row = next(line for line in report.text(book, []).splitlines() if line.startswith("| F23 "))

    assert "| 100 daemons killed, longest catching up 31 ms, longest life of a child 1,042 ms | 100 |" in row
