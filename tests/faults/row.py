"""What a row of the fault matrix is, and what a run of it gives."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

MOST_VIOLATIONS: Final = 20
"""So many broken promises are kept of one run: the first tells, the hundredth does not."""


class How(StrEnum):
    """Where a fault is put in."""

    SIMULATED = "S"
    PROCESSES = "P"
    UNIT = "U"
    KCL = "K"
    """With the real daemon of the Kinesis Client Library."""


@dataclass
class Result:
    """What was seen. A fault that is declared here and stays at 0 fails the run: its absence proves nothing."""

    counts: Counter[str] = field(default_factory=Counter)
    fired: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    @classmethod
    def expecting(cls, faults: Iterable[str]) -> "Result":
        """Give a result in which each of these faults must come to more than 0."""
        return cls(fired=dict.fromkeys(faults, 0))

    def struck(self, fault: str, times: int = 1) -> None:
        """Count a fault when it has struck."""
        self.fired[fault] = self.fired.get(fault, 0) + times

    def violated(self, sentence: str) -> None:
        """Note a broken promise."""
        self.counts["violations"] += 1
        if len(self.violations) < MOST_VIOLATIONS:
            self.violations.append(sentence)

    def never_struck(self) -> list[str]:
        """Name the declared faults that never struck."""
        return [fault for fault, times in self.fired.items() if not times]


@dataclass(frozen=True)
class Context:
    """What a run is given: how much to do, and whom to tell how far it is."""

    goal: int
    full: bool
    tell: Callable[[int, int], None] = lambda _done, _goal: None
    first: int = 0
    """The first seed."""
    shows: bool = True
    """Whether a history that fails is made smaller and shown with its trace; else the first violation ends the run."""


class Part(NamedTuple):
    """One way in which a row is run."""

    how: How
    unit: str
    """What is counted against the goal: the name of one of the result's counts."""
    goal: int | None
    """The matrix's number; None where everything there is is enumerated, and the function says how many that was."""
    short: int
    """The number of the short form, which takes seconds."""
    run: Callable[[Context], Result]
    more: str = ""
    """What the number leaves open, for the report."""

    def asked(self, *, full: bool) -> int:
        """Give the number that a run in this form is to reach."""
        return (self.goal or 0) if full else self.short


class Row(NamedTuple):
    """One row of the matrix."""

    id: str
    fault: str
    goal: str
    """In the matrix's own words."""
    parts: tuple[Part, ...]
    missing: str = ""
    """Which of the matrix's ways is not run here, and why."""


def run_part(part: Part, context: Context) -> Result:
    """Run a part. Whatever it raises is a broken promise too: nothing that is upset here may end so."""
    try:
        return part.run(context)
    except Exception as error:  # noqa: BLE001 - it goes into the book, and the other rows are run all the same
        result = Result(fired={"unknown": 1})
        result.violated(f"it ended with {type(error).__name__}: {str(error)[:2000]}")
        return result


def wrong_with(result: Result, unit: str, asked: int) -> list[str]:
    """Say why a run has not passed; nothing when it has."""
    wrong = list(result.violations)
    wrong += [f"never struck: {fault}" for fault in result.never_struck()]
    if not result.fired:
        wrong.append("no fault was declared")
    if result.counts[unit] < max(1, asked):
        wrong.append(f"{result.counts[unit]} {unit} of {asked}")
    return wrong
