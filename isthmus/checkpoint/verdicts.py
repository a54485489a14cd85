"""What the probes of gates said last: one verdict for each question, which all processes of an application share.

Whoever comes first when a question is due asks it, and writes down what was said; everybody else reads that. So a
process that cannot reach what is asked is no worse off than one that can, a shard's process needs no driver of a
database, and what `isthmus gate list` shows is what consumers go by.

An answer counts for a while (`LASTS` intervals) after it was *asked for*, however often asking it again fails
meanwhile. After that nothing is known.
"""

import math
import threading
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

from isthmus.checkpoint import items
from isthmus.checkpoint.items import ItemKind
from isthmus.checkpoint.table import Table, Unmet

if TYPE_CHECKING:
    from isthmus.checkpoint.items import Attribute, Item

LASTS: Final = 3
"""Intervals. A probe may take half of one, and whoever asks comes up to a tenth of one late: one attempt may fail, and
the next one still brings its answer in time."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one question. Moments are milliseconds since 1970, by the clock of whoever asked."""

    question: str
    """The gate's name and what it asks, in short: another question has no verdict yet."""
    closed: bool | None = None
    """What was said last; None: nothing ever was."""
    said: str = ""
    """The same in words. Holds no value of a row."""
    asked_ms: int = 0
    """When that was asked for."""
    since_ms: int = 0
    """Since when the same is said."""
    tried_ms: int = 0
    """When it was last asked, with or without an answer."""
    why: str = ""
    """Why there was no answer; empty: there was one."""
    failing_ms: int | None = None
    """Since when there is none."""
    who: str = ""
    """Who asked last."""
    revision: int = 0

    def counts_until(self, interval_ms: int) -> int:
        """Give when the answer counts no more."""
        return self.asked_ms + LASTS * interval_ms

    def counts(self, now_ms: int, interval_ms: int) -> bool:
        """Say whether the answer counts. One from a future that far away is from another clock, and does not."""
        return self.closed is not None and abs(now_ms - self.asked_ms) <= LASTS * interval_ms

    def due_in_ms(self, now_ms: int, interval_ms: int) -> int:
        """Give how long nobody needs to ask again; 0: it is due."""
        elapsed = now_ms - self.tried_ms
        # A clock that went ahead, and came back, must not silence everybody until it is as late again.
        return interval_ms - elapsed if 0 <= elapsed < interval_ms else 0

    def answered(self, *, closed: bool, said: str, asked_ms: int, who: str, interval_ms: int) -> "Verdict | None":
        """Give the verdict after an answer; None: a newer one is there."""
        lasting = self.counts(asked_ms, interval_ms)
        if lasting and asked_ms <= self.asked_ms:
            return None
        return Verdict(
            self.question,
            closed=closed,
            said=said,
            asked_ms=asked_ms,
            since_ms=self.since_ms if lasting and self.closed == closed else asked_ms,
            tried_ms=asked_ms,
            who=who,
            revision=self.revision + 1,
        )

    def failed(self, *, why: str, asked_ms: int, who: str, interval_ms: int) -> "Verdict | None":
        """Give the verdict after an attempt that brought no answer; None: somebody has tried since.

        The last answer stays, and counts for as long as it would have.
        """
        if self.tried_ms - LASTS * interval_ms <= asked_ms <= self.tried_ms:
            return None
        return replace(
            self,
            tried_ms=asked_ms,
            why=why,
            failing_ms=asked_ms if self.failing_ms is None else self.failing_ms,
            who=who,
            revision=self.revision + 1,
        )


def is_true(value: object) -> bool:
    """Say whether a value that a probe got means "closed".

    Raises ValueError, with what it is, for whatever is neither true nor false: nobody may guess it open.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal) and not math.isnan(value):
        return value != 0
    if value is None:
        raise ValueError("is null")
    raise ValueError(f"is a {type(value).__name__}")


class Verdicts(Protocol):
    """Where verdicts lie. Methods raise `Transient` or `TargetDown` where nothing is known of the answer."""

    def read_all(self) -> dict[str, Verdict]:
        """Give every verdict by its question (a consistent read)."""
        ...

    def write(self, verdict: Verdict) -> bool:
        """Write a verdict over the revision before its own (0: over nothing); False: somebody was quicker.

        After `Transient` it may have been written: read again.
        """
        ...


class DynamoVerdicts:
    """`Verdicts` on the DynamoDB table of the application."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read_all(self) -> dict[str, Verdict]:
        """Give every verdict. See the port."""
        return {verdict.question: verdict for verdict in map(_verdict_of, self._table.all_of(ItemKind.VERDICT))}

    def write(self, verdict: Verdict) -> bool:
        """Write a verdict. See the port."""
        before = verdict.revision - 1
        condition = "#revision = :before" if before else "attribute_not_exists(#kind)"
        compared = {"before": items.number(before)} if before else {}
        attributes, gone = _attributes(verdict)
        try:
            self._table.write(
                items.key(ItemKind.VERDICT, verdict.question), attributes, condition, compared, remove=gone
            )
        except Unmet:
            return False
        return True


class MemoryVerdicts:
    """`Verdicts` in memory. `error`, while it is set, is raised by every call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._verdicts: dict[str, Verdict] = {}
        self.error: Exception | None = None

    def read_all(self) -> dict[str, Verdict]:
        """Give every verdict. See the port."""
        with self._lock:
            self._fail()
            return dict(self._verdicts)

    def write(self, verdict: Verdict) -> bool:
        """Write a verdict. See the port."""
        with self._lock:
            self._fail()
            standing = self._verdicts.get(verdict.question)
            if (standing.revision if standing is not None else 0) != verdict.revision - 1:
                return False
            self._verdicts[verdict.question] = verdict
            return True

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


def _attributes(verdict: Verdict) -> "tuple[dict[str, Attribute], tuple[str, ...]]":
    attributes: dict[str, Attribute] = {
        "said": items.text(verdict.said),
        "asked": items.number(verdict.asked_ms),
        "since": items.number(verdict.since_ms),
        "tried": items.number(verdict.tried_ms),
        "why": items.text(verdict.why),
        "who": items.text(verdict.who),
        "revision": items.number(verdict.revision),
    }
    gone = []
    if verdict.closed is None:
        gone.append("closed")
    else:
        attributes["closed"] = {"BOOL": verdict.closed}
    if verdict.failing_ms is None:
        gone.append("failing")
    else:
        attributes["failing"] = items.number(verdict.failing_ms)
    return attributes, tuple(gone)


def _verdict_of(item: "Item") -> Verdict:
    """Give the verdict that an item holds; one without an answer for an item that is none of ours."""
    question = item[items.SORT_KEY]["S"]
    try:
        return Verdict(
            question,
            closed=item["closed"]["BOOL"] if "closed" in item else None,
            said=item["said"]["S"],
            asked_ms=int(item["asked"]["N"]),
            since_ms=int(item["since"]["N"]),
            tried_ms=int(item["tried"]["N"]),
            why=item["why"]["S"],
            failing_ms=int(item["failing"]["N"]) if "failing" in item else None,
            who=item["who"]["S"],
            revision=int(item["revision"]["N"]),
        )
    except (KeyError, ValueError, TypeError):
        revision = item.get("revision", {}).get("N", "0")
        return Verdict(
            question, why="its item cannot be read: delete it", revision=int(revision) if revision.isdigit() else 0
        )
