"""How many changes of a wave are written together: fewer while poison comes often. Pure."""

from typing import Final

_MOST: Final = 1 << 20
"""More than any batch has."""


class Pieces:
    """What a decider remembers of how often poison comes, from batch to batch.

    A piece in which something is poison is written in vain up to there. So pieces become half as large when one fails,
    and twice as large when one does not: with poison here and there, about every other one fails.
    """

    def __init__(self) -> None:
        """Begin with whole waves."""
        self.most = _MOST

    def failed(self, changes: int) -> None:
        """Take in that so many failed together. One alone says nothing of the others."""
        if changes > 1:
            self.most = max(1, min(self.most, changes) // 2)

    def passed(self, changes: int) -> None:
        """Take in that so many did not. Fewer than a whole piece say nothing."""
        if changes >= self.most:
            self.most = min(2 * self.most, _MOST)
