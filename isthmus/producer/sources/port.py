"""The port of a source: one feed of a back-office system whose order is `commit`.

Every adapter passes `tests/contract/source_contract.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class SourceRow(NamedTuple):
    """One modified row as the source shows it now."""

    values: Mapping[str, Any]
    position: int
    """The commit-ordered cursor: the position of the version. 0 or more, at most 30 digits."""
    watermark: str
    """The watermark once this row, and all before it, are acknowledged."""
    sourcekey: str
    """The source's primary key as a JSON array, in the order of the key columns."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the source's order, with the upper bound that was read in the same snapshot."""

    rows: list[SourceRow]
    bound: int | None
    """The highest cursor of the source in the rows' own snapshot.

    What is not beyond it and not in `rows` lies in a later page. None: empty.
    """
    more: bool
    """True when the page was full, so that the next one may be asked for at once."""


class Source(Protocol):
    """Reading never changes the back office.

    Methods raise `TargetDown` or `Transient` when the back office is away (safe to repeat), and `Fatal` or
    `Refused` for what no repeat mends (no
    such table, no such column, a cursor that is no whole number).
    """

    def start(self) -> str | None:
        """Give the watermark to begin at where none was saved yet, by the setting `start`.

        None means from the very beginning, for good. Asked once: what it gave is saved before anything is read.
        """
        ...

    def read(self, after: str | None, limit: int) -> Page:
        """Give the rows after a watermark (None: all), at most `limit`, in the order of cursor and key.

        They, and the bound, are from one snapshot. Never waits for the query budget: who would keep to it asks
        `ready_in` before.
        """
        ...

    def count(self, after: str | None, bound: int) -> int:
        """Give how many rows there are after a watermark (None: from the beginning), up to a cursor and with it.

        One query, which may look at all of these rows: for people who wait, never for each page.
        """
        ...

    def position(self, watermark: str) -> int:
        """Give the cursor in a watermark, less than 0 where it is before every row. Asks nobody.

        Raises `Refused` for a text that is no watermark of this source.
        """
        ...

    def ready_in(self) -> float:
        """Give the seconds until the query budget allows the next query, 0.0: now. Asks nobody, never raises."""
        ...

    def close(self) -> None:
        """Give connections back. Safe to repeat."""
        ...
