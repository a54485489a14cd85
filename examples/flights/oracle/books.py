"""The conservation books: what became of every modification, and of every change that was published."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from .evidence import Decision, Modification, ParkedChange
from .findings import Findings
from .stream import Published
from .words import position_of

_OUTCOMES = frozenset({"applied", "unchanged", "duplicate", "stale", "fenced", "parked", "superseded", "filtered"})


@dataclass(frozen=True, slots=True)
class Books:
    """The sums. They balance when `modifications` is the sum of the next four."""

    modifications: int
    """Rows of the journal."""
    applied: int
    """Transactions that took effect."""
    superseded: int
    """Rows of the journal that never took effect and are older than what did, or than what is parked, for their key."""
    parked_changes: int
    """Rows of the parking lot."""
    filtered: int
    """Transactions that a rule kept out: none in this demo, so each is a finding."""
    unaccounted: int
    """Rows of the journal of which nothing is known: lost. Each is a finding."""
    without_outcome: int
    """Published IDs of which nothing became. Each is a finding."""

    @property
    def balanced(self) -> bool:
        """Say whether every modification is in the sums exactly once."""
        return self.modifications == self.applied + self.superseded + self.parked_changes + self.filtered


def keep_books(
    *,
    journal: Mapping[int, Modification],
    history: Mapping[str, Decision],
    parked: Sequence[ParkedChange],
    guards: Mapping[str, int],
    published: Mapping[str, Published],
    findings: Findings,
) -> Books:
    """Account for every row of the journal (by `UPDSEQ`) and every published change (by ID).

    Adds a finding for each that is lost, and for whatever took effect or was parked or published without a row of the
    journal behind it, or twice. `history` is by transaction ID, `guards` gives the version that is in force by key.
    """
    applied = {txn: decision for txn, decision in history.items() if decision.outcome == "applied"}
    filtered = {txn: decision for txn, decision in history.items() if decision.outcome == "filtered"}
    parked_by_txn = {change.txn: change for change in parked}

    for txn, decision in history.items():
        if decision.outcome not in _OUTCOMES:
            findings.add("history", f"transaction {txn} of {decision.key} has the unknown outcome {decision.outcome!r}")
    for txn, decision in filtered.items():
        findings.add("filtered", f"transaction {txn} of {decision.key}, though no rule of this demo filters")
    _require_published("applied", applied, published, findings)
    _require_published("parked", parked_by_txn, published, findings)

    accounted_for = (
        _positions("applied", list(applied.values()), journal, findings)
        | _positions("parked", parked, journal, findings)
        | _positions("filtered", list(filtered.values()), journal, findings)
    )
    newest_applied = _newest(list(applied.values()))
    newest_parked = _newest(parked)
    _require_guards(guards, newest_applied, findings)

    superseded, unaccounted = _account_for_rest(journal, accounted_for, newest_applied, newest_parked, findings)
    _require_journalled(published, journal, findings)
    decided = applied.keys() | parked_by_txn.keys() | filtered.keys()
    without_outcome = _count_without_outcome(published, decided, guards, newest_parked, findings)

    books = Books(len(journal), len(applied), superseded, len(parked), len(filtered), unaccounted, without_outcome)
    if not books.balanced:
        findings.add("books", f"they do not balance: {books}")
    return books


def _account_for_rest(
    journal: Mapping[int, Modification],
    accounted_for: set[int],
    newest_applied: Mapping[str, int],
    newest_parked: Mapping[str, int],
    findings: Findings,
) -> tuple[int, int]:
    """Count the rows of the journal that something newer of their key replaced, and those that are lost."""
    superseded = unaccounted = 0
    for position, modification in journal.items():
        if position in accounted_for:
            continue
        newest = max(newest_applied.get(modification.key, -1), newest_parked.get(modification.key, -1))
        if newest >= 0 and position < position_of(newest):
            superseded += 1
        else:
            unaccounted += 1
            findings.add("lost", f"UPDSEQ {position} of {modification.key} neither took effect nor is parked")
    return superseded, unaccounted


def _require_journalled(
    published: Mapping[str, Published], journal: Mapping[int, Modification], findings: Findings
) -> None:
    for txn, change in published.items():
        if not _is_journalled(change, journal):
            findings.add("invented", f"{txn} was published for {change}, which the journal does not know")


def _count_without_outcome(
    published: Mapping[str, Published],
    decided: AbstractSet[str],
    guards: Mapping[str, int],
    newest_parked: Mapping[str, int],
    findings: Findings,
) -> int:
    """Count the published IDs that are neither decided nor older than what is in force or parked for their key."""
    count = 0
    for txn, change in published.items():
        newest = max(guards.get(change.key, -1), newest_parked.get(change.key, -1))
        if txn not in decided and change.version >= newest:
            count += 1
            findings.add("no outcome", f"{txn} was published for {change}, and nothing became of it")
    return count


def _is_journalled(change: Published | Decision | ParkedChange, journal: Mapping[int, Modification]) -> bool:
    modification = journal.get(position_of(change.version))
    return modification is not None and modification.key == change.key


def _positions(
    what: str,
    changes: Sequence[Decision | ParkedChange],
    journal: Mapping[int, Modification],
    findings: Findings,
) -> set[int]:
    """Give the rows of the journal that these changes stand for. Two for one row, or none, are findings."""
    positions: set[int] = set()
    for change in changes:
        position = position_of(change.version)
        if not _is_journalled(change, journal):
            findings.add("invented", f"position {position} of {change.key} is {what}, but not in the journal")
        elif position in positions:
            findings.add("twice", f"position {position} of {change.key} is {what} twice")
        else:
            positions.add(position)
    return positions


def _newest(changes: Sequence[Decision | ParkedChange]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for change in changes:
        newest[change.key] = max(newest.get(change.key, -1), change.version)
    return newest


def _require_published(
    what: str,
    changes: Mapping[str, Decision] | Mapping[str, ParkedChange],
    published: Mapping[str, Published],
    findings: Findings,
) -> None:
    for txn, change in changes.items():
        if published.get(txn) != Published(change.key, change.version):
            findings.add("unpublished", f"{txn} of {change.key} is {what}, but the stream holds no such change")


def _require_guards(guards: Mapping[str, int], newest_applied: Mapping[str, int], findings: Findings) -> None:
    for key in sorted(guards.keys() | newest_applied.keys()):
        if guards.get(key) != newest_applied.get(key):
            findings.add(
                "guard", f"{key} has {guards.get(key)}, but the newest that took effect is {newest_applied.get(key)}"
            )
