"""The verdict on a completed run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .books import keep_books
from .compare import compare_parked_keys, compare_tables
from .evidence import read_journal, read_outcomes, read_tables
from .expect import Expectation
from .findings import Findings
from .fronts import Fronts, reading
from .measures import Freshness, changes_per_s, freshness
from .stream import read_stream


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the oracle says of a run."""

    modifications: int
    """Rows of the journal."""
    published: int
    """Distinct IDs in the stream, markers left out."""
    records: int
    """Kinesis records in the stream, those with markers too."""
    applied: int
    superseded: int
    filtered: int
    parked_keys: int
    parked_changes: int
    entities: int
    """Rows of `flight`."""
    balanced: bool
    """Whether modifications = applied + superseded + parked + filtered."""
    unaccounted: int
    """Rows of the journal that are lost; they are among the mismatches."""
    without_outcome: int
    """Published IDs of which nothing became; they are among the mismatches."""
    mismatches: int
    """Everything that is wrong: rows and keys that differ, and what the books found."""
    mismatches_by_kind: Mapping[str, int]
    samples: tuple[str, ...]
    """The first 20 mismatches, in words."""
    freshness_ms: Freshness | None
    """Over the live phase; None when nothing of it took effect."""
    changes_per_s: float | None
    """Of the first load; None when it is too short to tell."""

    @property
    def ok(self) -> bool:
        """Whether the run led to exactly what it had to lead to."""
        return self.mismatches == 0 and self.balanced and self.unaccounted == 0 and self.without_outcome == 0


def judge(
    *, back_office: Path, front_office: Fronts, records: Iterable[bytes], expected: Expectation, first_load: int
) -> Verdict:
    """Judge a completed run.

    `records` are the data of all Kinesis records of the stream in any order; `expected` is what the flight data lead
    to; `first_load` is the last `UPDSEQ` of the schedule that stood in the back office before the live phase began.
    The back office is opened read-only. Raises sqlite3.Error, or the error of the front office's driver, when one of
    them cannot be read or lacks a table: there is no verdict then.
    """
    findings = Findings()
    with reading(back_office) as back, front_office() as front:
        journal = read_journal(back, findings)
        # A year's tables are large: they are let go before the rest is read.
        tables = read_tables(front, findings)
        last_position = {modification.key: position for position, modification in journal.items()}
        compare_tables(tables, expected, last_position, findings)
        entities, guards = len(tables.flights), tables.guards
        del tables
        outcomes = read_outcomes(front, findings)
    parked_keys = {change.key for change in outcomes.parked}
    compare_parked_keys(parked_keys, expected.parked_keys, findings)
    stream = read_stream(records, findings)
    books = keep_books(
        journal=journal,
        history=outcomes.history,
        parked=outcomes.parked,
        guards=guards,
        published=stream.changes,
        findings=findings,
    )
    return Verdict(
        modifications=books.modifications,
        published=len(stream.changes),
        records=stream.records,
        applied=books.applied,
        superseded=books.superseded,
        filtered=books.filtered,
        parked_keys=len(parked_keys),
        parked_changes=books.parked_changes,
        entities=entities,
        balanced=books.balanced,
        unaccounted=books.unaccounted,
        without_outcome=books.without_outcome,
        mismatches=findings.count,
        mismatches_by_kind=findings.by_kind,
        samples=findings.samples,
        freshness_ms=freshness(journal, outcomes.history, first_load),
        changes_per_s=changes_per_s(outcomes.history, first_load),
    )


def effects_between(front_office: Fronts, begin_ms: int, end_ms: int) -> int:
    """Count what took effect from one moment up to, and without, another. Raises as `judge` does."""
    with front_office() as front:
        return sum(
            outcome == "applied" and begin_ms <= decided_ms < end_ms
            for _txn, _key, _version, outcome, decided_ms in front.history()
        )
