"""What is measured for advice: a sample of the stream, two looks at metrics, and how far behind the application is."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from isthmus.clock import Clock
from isthmus.console.resharding.advising import LaneLoad
from isthmus.console.resharding.application import Reads, unread
from isthmus.console.resharding.cover import Piece
from isthmus.console.resharding.drain import Remembering
from isthmus.console.resharding.lives import draining, lives
from isthmus.console.resharding.sampling import Sampleable, Sampled, Sampling, Window
from isthmus.console.resharding.scraping import Rates, even_lanes, rates, scrape
from isthmus.console.resharding.showing import Tell
from isthmus.console.resharding.telling import Behind
from isthmus.consumer.feed import Shard
from isthmus.errors import IsthmusError, TargetDown
from isthmus.lifecycle import Stop, Stopped

_APART: Final = 5.0
"""Seconds that lie between two looks at metrics at least: consumers bring them up to date once a second."""
LATE: Final = 10.0
"""Seconds: who is so far behind is not only waiting for its next read."""


class Asked(NamedTuple):
    """What to measure."""

    window: Window
    urls: Sequence[str]
    """Where metrics are served."""
    sample: bool
    """False: all from metrics, looked at twice, so far apart as the window is long."""


class Measured(NamedTuple):
    """What is known of the loads."""

    lanes: Sequence[LaneLoad]
    sampled: Sampled | None
    told: Rates | None
    """None where no metrics were served."""
    troubles: Sequence[str]
    """A sentence for each address that does not answer."""


class Measuring:
    """Measures once."""

    def __init__(self, stream: Sampleable, asked: Asked, *, clock: Clock, stop: Stop) -> None:
        self._stream = stream
        self._asked = asked
        self._clock = clock
        self._stop = stop

    def run(self, shards: Sequence[Shard], pieces: Sequence[Piece], lanes: int, tell: Tell) -> Measured:
        """Measure a stream with so many lanes.

        Raises `TargetDown` where there is nothing to measure by, and as `Sampling.run`.
        """
        window, urls, sample = self._asked
        began = self._clock.monotonic()
        before, troubles = scrape(urls)
        heard = len(troubles) < len(urls)
        if not sample and not heard:
            raise TargetDown("; ".join(troubles) or "No metrics are served.", hint="Name them with --metrics.")
        sampled: Sampled | None = None
        if sample:
            tell("reading a sample", 0, 0)
            sampling = Sampling(self._stream, window, clock=self._clock, stop=self._stop)
            sampled = sampling.run(newest(shards, pieces), lanes)
        told: Rates | None = None
        if heard:
            self._wait_until(began, _APART if sample else window.seconds, tell)
            told = rates(before, scrape(urls)[0], self._clock.monotonic() - began)
        loads = sampled.lanes if sampled is not None else even_lanes(told, pieces, lanes) if told is not None else []
        return Measured(loads, sampled, told, troubles)

    def _wait_until(self, began: float, seconds: float, tell: Tell) -> None:
        while (left := began + seconds - self._clock.monotonic()) > 0:
            tell("counting: metrics are looked at twice", round(seconds - left), round(seconds))
            if self._stop.wait(min(1.0, left)):
                raise Stopped


def newest(shards: Sequence[Shard], pieces: Sequence[Piece]) -> list[str]:
    """Give the open shards and their parents, which may have been closed a moment ago."""
    opened = {piece.id for piece in pieces}
    parents = {parent for shard in shards if shard.id in opened for parent in shard.parents}
    return [shard.id for shard in shards if shard.id in opened | parents]


class Lateness(NamedTuple):
    """How far behind the application is. All empty where it has never read the stream, or nobody could say."""

    behind: Sequence[Behind] = ()
    """Of the open shards."""
    draining: Sequence[str] = ()

    def late(self) -> list[Behind]:
        """Give those open shards that are behind for more than a moment."""
        return [each for each in self.behind if each.seconds > LATE]

    def decided(self, told: Rates | None) -> float | None:
        """Give how many changes a second consumers decide of a shard while it is behind; None where none is.

        The slowest of them: a shard that is behind is decided as fast as can be.
        """
        late = {each.shard for each in self.late()}
        found = () if told is None else (rate for shard, rate in told.changes.items() if shard in late and rate > 0)
        return min(found, default=None)


def lateness(stream: Reads, shards: Sequence[Shard], application: Remembering, clock: Clock) -> Lateness:
    """Look how far behind the application is: a small read of each open shard."""
    try:
        reading = application.reading()
    except IsthmusError:
        return Lateness()
    if not reading.saved:
        return Lateness()
    found = []
    for shard in shards:
        if not shard.closed:
            try:
                seen = unread(stream, shard.id, reading.saved.get(shard.id), clock.now_ms(), 1)
            except IsthmusError:
                continue
            found.append(Behind(shard.id, seen.behind_ms / 1000))
    return Lateness(found, draining(lives(shards, reading.saved, by_leases=reading.by_leases)))
