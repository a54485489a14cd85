"""How things end.

A stop is asked for once, softly, and every wait ends with it; a second request ends the process at once.
"""

import threading
from typing import Protocol


class Stopped(Exception):  # noqa: N818 - not an error: the answer to a request
    """A stop was requested while something waited. What was in hand is not done."""


class Stop(Protocol):
    """A request to stop, seen by everything that waits. A simulation passes its own, whose waits pass virtual time."""

    def requested(self) -> bool:
        """Say whether a stop was requested."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait at most so many seconds; return at once, with True, when a stop is requested."""
        ...


class ThreadStop:
    """The stop of a real process: every thread of it waits on the same event."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._parts: list[ThreadStop] = []

    def request(self) -> None:
        """Ask everything to stop, parts too. Safe to repeat, from any thread and from a signal handler."""
        self._event.set()
        for part in list(self._parts):
            part.request()

    def part(self) -> "ThreadStop":
        """Give the stop of a part: it stops with the whole, and may be stopped alone."""
        part = ThreadStop()
        self._parts.append(part)
        # Asked after it was added: a request that came in between reached the list too late.
        if self.requested():
            part.request()
        return part

    def requested(self) -> bool:
        """Say whether a stop was requested."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait at most so many seconds, or until a stop is requested."""
        return self._event.wait(seconds)
