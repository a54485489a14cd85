"""Reference data of the back office (carriers, airports, currencies).

Small tables that a translator looks things up in.
"""

from collections.abc import Mapping
from typing import Any, Protocol

Row = Mapping[str, Any]


class References(Protocol):
    """All reference tables of a source.

    Looking a row up never waits for the back office: tables are loaded before the first translation and again at
    an interval. A table that
    cannot be loaded again stays as it was. An unknown table raises `Fatal`, for it is a mistake in the settings.
    """

    def table(self, name: str) -> Mapping[Any, Row]:
        """Give a table: rows by the value of its key column (a tuple where the key has several columns)."""
        ...
