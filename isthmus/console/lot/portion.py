"""How much of the parking lot one transaction takes: more while it is light, less where events are large. Pure."""

from typing import Final

_FIRST: Final = 10
"""Changes of the first transaction: nobody knows yet how large they are. One may have 10 MiB."""
_MOST: Final = 250
"""Changes: half of what a shard decides at once by default. Whoever decides live waits for no more than that."""
_BYTES: Final = 16 * 1024 * 1024
"""Of events, in memory at a time."""


class Portion:
    """How many changes to take next."""

    def __init__(self) -> None:
        """Begin small."""
        self.changes = _FIRST

    def tried(self, changes: int, size: int) -> None:
        """Take in how many changes were tried, and the bytes of their events."""
        average = size // max(1, changes) + 1
        self.changes = max(1, min(_MOST, 2 * self.changes, _BYTES // average))
