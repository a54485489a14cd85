"""How a store says that some change among several is poison, as far as it knows which, and how surely."""

from isthmus.errors import IsthmusError, Poison


class Undone(IsthmusError):  # noqa: N818 - a fact about the transaction
    """The store undid the whole unit because of some change in it: a constraint that it asks only at the commit.

    `poison` says why. Which change it was shows when they come in smaller units.
    """

    def __init__(self, poison: Poison) -> None:
        super().__init__(poison.message)
        self.poison = poison


class Doubtful(Poison):
    """Poison that may be gone in a moment: it counts when it comes again with the change alone."""


class PoisonIn(Poison):
    """Poison of which the store knows whose it is: `place` among the changes, or keys, that it was given."""

    def __init__(self, poison: Poison, place: int) -> None:
        super().__init__(poison.reason, poison.message)
        self.place = place
        self.is_doubtful = is_doubtful(poison)


def is_doubtful(poison: Poison) -> bool:
    """Say whether it counts only when it comes again."""
    return poison.is_doubtful if isinstance(poison, PoisonIn) else isinstance(poison, Doubtful)
