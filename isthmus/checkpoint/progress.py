"""Contiguous progress: how far everything is finished, when things finish in any order. Pure; one thread at a time."""

from typing import Generic, TypeVar

Mark = TypeVar("Mark")


class Progress(Generic[Mark]):
    """Remembers what was begun, in order, and gives the mark up to which all of it is finished.

    Each call costs constant time on average. Memory is held only for what is begun and not yet passed.
    """

    def __init__(self) -> None:
        self._marks: dict[int, Mark] = {}
        self._left: dict[int, int] = {}
        self._first = 0
        self._next = 0
        self._done: Mark | None = None

    def begin(self, mark: Mark, parts: int = 1) -> int:
        """Begin something of so many parts, after all that was begun before, and give its ticket.

        With no parts at all it is finished at once. Raises ValueError for a negative number.
        """
        if parts < 0:
            raise ValueError(f"{parts} parts cannot be begun")
        ticket = self._next
        self._next += 1
        self._marks[ticket] = mark
        self._left[ticket] = parts
        self._pass()
        return ticket

    def finish(self, ticket: int) -> None:
        """Finish one part of what has this ticket.

        Raises ValueError for a ticket without an unfinished part: finishing twice would hide something unfinished.
        """
        if self._left.get(ticket, 0) == 0:
            raise ValueError(f"ticket {ticket} has no unfinished part")
        self._left[ticket] -= 1
        self._pass()

    def done(self) -> Mark | None:
        """Give the mark of the last thing before which, and with which, everything is finished; None: nothing yet."""
        return self._done

    def pending(self) -> int:
        """Say how many things are begun and not passed: unfinished, or finished behind something unfinished."""
        return self._next - self._first

    def _pass(self) -> None:
        while self._left.get(self._first) == 0:
            del self._left[self._first]
            self._done = self._marks.pop(self._first)
            self._first += 1
