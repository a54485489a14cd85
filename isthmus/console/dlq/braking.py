"""The park brake before a redrive of dead letters: it parks anew what is poison still, and may do so by the thousand.

It goes by the brake that consumption goes by, and leaves that as it is: what a person tries again is no bad release,
and must not hold all that comes from the stream. Letters that are kept back stay in their queue, as they are.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from isthmus.checkpoint.brakes import BrakeNote, Word
from isthmus.clock import Clock
from isthmus.consumer.brake import WINDOW
from isthmus.consumer.brakecount import Minute
from isthmus.consumer.braking import READ_EVERY
from isthmus.errors import Missing

PARK_BRAKE: Final = "park-brake"
"""Why a letter stays in the queue of which nothing was tried: nothing may be parked now."""


class LetterBrake:
    """One run's."""

    def __init__(self, most: int, read: Callable[[], Mapping[str, BrakeNote]], clock: Clock) -> None:
        """Let a run park `most` keys anew (1 or more) for one reason within a minute; `read` gives the notes."""
        self._most = most
        self._read = read
        self._clock = clock
        self._due = clock.monotonic()
        self._on = ""
        self._parked: dict[str, Minute] = {}
        self._too_many = ""

    def why(self) -> str:
        """Say why nothing may be parked now; an empty text: it may. Raises as reading the notes does."""
        if self._too_many:
            return self._too_many
        if self._clock.monotonic() >= self._due:
            on = sorted(note.reason for note in self._notes() if note.word is Word.ON)
            self._on = f"The park brake is on for {', '.join(on)}: see `isthmus brake status`." if on else ""
            self._due = self._clock.monotonic() + READ_EVERY
        return self._on

    def _notes(self) -> Iterable[BrakeNote]:
        try:
            return self._read().values()
        except Missing:
            # No table, no consumer, no brake. It may have been lost with all else: that is what the queue is for.
            return ()

    def parked(self, reason: str, key: str) -> None:
        """Note that a key was parked anew. The run parks nothing more once there are as many as are allowed."""
        now = self._clock.monotonic()
        minute = self._parked.setdefault(reason, Minute(WINDOW))
        minute.forget(now)
        minute.note(now, key)
        if len(minute) >= self._most:
            self._too_many = f"{len(minute):,} keys were parked again for {reason} within a minute: mend that first."
