"""Reads what a run left behind in the back office and the front office into plain values.

Keys and IDs are interned: a year has each of them three times a million over.
"""

import sqlite3
from dataclasses import dataclass
from datetime import date
from sys import intern
from typing import Any, NamedTuple

from .findings import Findings
from .fronts import Front, Rows
from .words import flight_key, version_number


class Modification(NamedTuple):
    """A row of the back office's journal: which flight, and when it was committed (ms since 1970)."""

    key: str
    committed_ms: int


class Decision(NamedTuple):
    """A row of the front office's history: what became of a transaction, and when (ms, just before the commit)."""

    key: str
    version: int
    outcome: str
    decided_ms: int


class ParkedChange(NamedTuple):
    """A row of the parking lot."""

    key: str
    version: int
    txn: str


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that customers read, as they were found, and the version of each guard as a number."""

    flights: list[tuple[Any, ...]]
    board: list[tuple[Any, ...]]
    guards: dict[str, int]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What Isthmus noted of its decisions: by transaction ID, and what is parked."""

    history: dict[str, Decision]
    parked: list[ParkedChange]


def read_journal(back_office: sqlite3.Connection, findings: Findings) -> dict[int, Modification]:
    """Give the journal by `UPDSEQ`, in its order. Raises sqlite3.Error when the database lacks the table."""
    journal: dict[int, Modification] = {}
    for updseq, carrier, number, yyyymmdd, origin, committed_ms in back_office.execute(
        "SELECT UPDSEQ, CARR, FLTNO, DEPDT, ORIG, COMMITTED FROM FLTJRN ORDER BY UPDSEQ"
    ):
        if updseq in journal:
            findings.add("journal", f"UPDSEQ {updseq} was given to two row changes")
        day = date(yyyymmdd // 10_000, yyyymmdd // 100 % 100, yyyymmdd % 100)
        journal[updseq] = Modification(intern(flight_key(carrier, number, day, origin)), committed_ms)
    return journal


def read_tables(front: Front, findings: Findings) -> Tables:
    """Give the front office's tables."""
    return Tables(
        flights=[tuple(row) for row in front.flights()],
        board=[tuple(row) for row in front.board()],
        guards=_guards(front.guards(), findings),
    )


def read_outcomes(front: Front, findings: Findings) -> Outcomes:
    """Give the history and the parking lot."""
    return Outcomes(_history(front.history(), findings), _parked(front.parked(), findings))


def _guards(rows: Rows, findings: Findings) -> dict[str, int]:
    guards: dict[str, int] = {}
    for key, text in rows:
        version = version_number(text)
        if version is None:
            findings.add("version", f"the guard of {key} has {text!r}, which is no version")
        elif key in guards:
            findings.add("guard", f"{key} has two guards")
        else:
            guards[key] = version
    return guards


def _history(rows: Rows, findings: Findings) -> dict[str, Decision]:
    """Give the last word on each transaction. Only one that was fenced may have a second, from the new owner."""
    history: dict[str, Decision] = {}
    for txn, key, text, outcome, decided_ms in rows:
        version = version_number(text)
        if version is None:
            findings.add("version", f"the history of {key} has {text!r}, which is no version")
        elif txn in history and (history[txn].outcome != "fenced" or outcome == "fenced"):
            findings.add("history", f"transaction {txn} of {key} stands there twice")
        else:
            history[intern(txn)] = Decision(intern(key), version, intern(outcome), decided_ms)
    return history


def _parked(rows: Rows, findings: Findings) -> list[ParkedChange]:
    parked: list[ParkedChange] = []
    for key, text, txn in rows:
        version = version_number(text)
        if version is None:
            findings.add("version", f"{key} is parked with {text!r}, which is no version")
        else:
            parked.append(ParkedChange(key, version, txn))
    return parked
