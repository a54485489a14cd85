"""Compares what the front office holds with what it must hold, row by row."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from .evidence import Tables
from .expect import BoardRow, Expectation, FlightRow
from .findings import Findings
from .words import position_of, version_number


def compare_tables(found: Tables, expected: Expectation, last_position: Mapping[str, int], findings: Findings) -> None:
    """Add one finding for every row or key that differs in `flight` and `airport_board`.

    `last_position` is each key's last `UPDSEQ` in the journal: a flight's version must carry it, and its guard must
    carry the flight's version.
    """
    _compare_flights(found.flights, expected.flights, last_position, findings)
    _compare_guards(found.flights, found.guards, findings)
    _compare_board(found.board, expected.board, findings)


def compare_parked_keys(found: AbstractSet[str], expected: AbstractSet[str], findings: Findings) -> None:
    """Add one finding for every key that is parked and must not be, or the other way round."""
    for key in sorted(expected - found):
        findings.add("parked", f"{key} must be parked and is not")
    for key in sorted(found - expected):
        findings.add("parked", f"{key} is parked and must not be")


def _compare_flights(
    rows: Iterable[tuple[Any, ...]],
    expected: Mapping[str, FlightRow],
    last_position: Mapping[str, int],
    findings: Findings,
) -> None:
    seen: set[str] = set()
    for *columns, version_text in rows:
        key = columns[0]
        if key in seen:
            findings.add("flight", f"{key} has two rows")
            continue
        seen.add(key)
        if key not in expected:
            findings.add("flight", f"{key} has a row, but must have none")
            continue
        differences = [
            f"{name} is {is_!r}, must be {must!r}"
            for name, is_, must in zip(FlightRow._fields, columns, expected[key], strict=True)
            if is_ != must
        ]
        version = version_number(version_text)
        if version is None:
            differences.append(f"version is {version_text!r}, which is none")
        elif position_of(version) != last_position.get(key):
            differences.append(f"version is at position {position_of(version)}, must be {last_position.get(key)}")
        if differences:
            findings.add("flight", f"{key}: " + "; ".join(differences))
    for key in sorted(expected.keys() - seen):
        findings.add("flight", f"{key} has no row")


def _compare_guards(rows: Iterable[tuple[Any, ...]], guards: Mapping[str, int], findings: Findings) -> None:
    versions = {row[0]: version_number(row[-1]) for row in rows}
    for key in sorted(versions.keys() | guards.keys()):
        if key not in guards:
            findings.add("guard", f"{key} has a row and no guard")
        elif key not in versions:
            findings.add("guard", f"{key} has a guard and no row")
        elif versions[key] != guards[key]:
            findings.add("guard", f"{key} has a row of version {versions[key]} and a guard of version {guards[key]}")


def _compare_board(rows: Iterable[tuple[Any, ...]], expected: Mapping[str, BoardRow], findings: Findings) -> None:
    found: dict[str, tuple[Any, ...]] = {}
    for airport, *counts in rows:
        if airport in found:
            findings.add("board", f"{airport} has two rows")
        found[airport] = tuple(counts)
    for airport in sorted(found.keys() | expected.keys()):
        # An airport where nothing happened may have a row of zeros or none.
        is_, must = found.get(airport, BoardRow()), expected.get(airport, BoardRow())
        differences = [
            f"{name} is {is_count}, must be {must_count}"
            for name, is_count, must_count in zip(BoardRow._fields, is_, must, strict=True)
            if is_count != must_count
        ]
        if differences:
            findings.add("board", f"{airport}: " + "; ".join(differences))
