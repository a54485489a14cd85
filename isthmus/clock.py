"""The one home of time. Durations come from the monotonic clock, moments are UTC and become text only here."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the rest of the house knows of time. A simulation passes its own."""

    def now_ms(self) -> int:
        """Give the wall clock: whole milliseconds since 1970-01-01 UTC. It may jump."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never go back, from an arbitrary start. For durations only."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Give the wall clock in milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Give the monotonic clock in seconds."""
        return time.monotonic()


def rfc3339(ms: int) -> str:
    """Give milliseconds since 1970 as RFC 3339 text in UTC, e.g. `2013-01-01T10:15:00.250Z`."""
    moment = datetime.fromtimestamp(ms / 1000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def from_rfc3339(text: str) -> int:
    """Give the milliseconds since 1970 for RFC 3339 text.

    Raises ValueError for anything else, and for a time without a zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return round(moment.timestamp() * 1000)
