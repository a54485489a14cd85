"""The publisher: a thin shell around `Lanes` that sends requests, collects answers and waits.

Its own logic runs in one thread. What blocks, sending, goes through the port `Executor`, so that a few requests can
be on their way at once and a simulation can drive the same code on virtual time.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from isthmus.clock import Clock
from isthmus.errors import Fatal, IsthmusError, Transient
from isthmus.log import Away, get_logger
from isthmus.metrics import Metrics
from isthmus.producer.lanes import Lanes, Request
from isthmus.producer.sink import Put, Sink

UNKNOWN_ERRORS = 5
"""So many unknown errors of a sink in a row are tried again; then it is a defect, not the network."""

FEWEST_LANES = 16
"""Lanes are not spread over several requests as long as fewer wait: tiny requests cost more than they win."""

_CAUSES = {"ProvisionedThroughputExceededException": "throttled", "InternalFailure": "internal"}
"""Error codes of a record (Kinesis API, PutRecordsResultEntry) as words for metrics."""

_log = get_logger("isthmus.producer.publisher")


class Handle(Protocol):
    """Something that was submitted."""

    def done(self) -> bool:
        """Say whether it has ended. Never waits."""
        ...

    def result(self) -> list[Put]:
        """Give what it returned, or raise what it raised. Only asked for when it is done."""
        ...


class Executor(Protocol):
    """Where requests run while the publisher goes on."""

    def submit(self, function: Callable[[], list[Put]]) -> Handle:
        """Start the function, now or soon, and give its handle."""
        ...

    def wait(self, handles: Sequence[Handle], seconds: float) -> None:
        """Return when one of the handles is done, when so many seconds have passed, or when a stop is requested.

        A stop that was requested before the call does not end it: who waits then, waits on purpose.
        """
        ...

    def close(self) -> None:
        """Take nothing more. Does not wait for what still runs. Safe to repeat."""
        ...


class _Sent(NamedTuple):
    request: Request
    handle: Handle


class Publisher:
    """Publishes events in the order of their lanes, until each is acknowledged.

    `source` is the name that its metrics carry. `max_unacknowledged_bytes` is where `room` turns false.
    `linger` is how many seconds a first event may wait for others to share its bundle. `requests_in_flight`
    requests are on their way at most, each with lanes that no other has. `away` is passed by who publishes again after
    a lost ownership: what the one publisher found away, the next finds back.
    """

    def __init__(
        self,
        lanes: Lanes,
        sink: Sink,
        executor: Executor,
        *,
        source: str,
        clock: Clock,
        metrics: Metrics,
        max_unacknowledged_bytes: int = 8 * 1024 * 1024,
        linger: float = 0.0,
        requests_in_flight: int = 2,
        away: Away | None = None,
    ) -> None:
        self._lanes = lanes
        self._sink = sink
        self._executor = executor
        self._clock = clock
        self._metrics = metrics
        self._most_bytes = max_unacknowledged_bytes
        self._linger = linger
        self._most_requests = requests_in_flight
        self._sent: list[_Sent] = []
        self._due_at: float | None = None
        self._unknown_errors = 0
        self._away = away or Away("kinesis", _log, clock)
        self._published = metrics.published.labels(source)
        self._bundles = metrics.bundles.labels(source)
        self._away_gauge = metrics.away.labels("kinesis")
        self._away_gauge.set(0)

    @property
    def lanes(self) -> int:
        """How many lanes there are: who publishes a marker offers it to each."""
        return self._lanes.lanes

    def offer(self, lane: int, event: bytes, ticket: int) -> None:
        """Take an encoded event for a lane; nothing is sent before `pump`. `pump` gives the ticket back.

        Raises ValueError for an event that fits into no record.
        """
        self._lanes.offer(lane, event, ticket)
        if self._due_at is None:
            self._due_at = self._clock.monotonic() + self._linger

    def room(self) -> bool:
        """Say whether more should be offered: false once too many bytes are unacknowledged."""
        return self._lanes.unacknowledged_bytes < self._most_bytes

    def idle(self) -> bool:
        """Say whether everything that was offered is acknowledged."""
        return self._lanes.idle

    def pump(self, seconds: float = 0.0) -> list[int]:
        """Send what can be sent and give the tickets that were acknowledged.

        Waits once, at most so many seconds, until there is something to do: an answer, or the end of a back-off, of a
        shard's pace or of the linger; so it may come back without tickets. A stop that is requested meanwhile ends
        the wait. Raises `Fatal` where no repeat helps; failures that a repeat may
        mend are repeated by later calls.
        """
        tickets = self._turn()
        if not tickets and seconds > 0:
            self._executor.wait([sent.handle for sent in self._sent], self._patience(seconds))
            tickets = self._turn()
        self._metrics.unacknowledged.set(self._lanes.unacknowledged_bytes)
        return tickets

    def flush(self, deadline: float) -> list[int]:
        """Pump until idle, or until the monotonic clock shows `deadline`, and give all tickets acknowledged meanwhile.

        A stop that was requested before does not end it: this is what a soft stop calls. Ask `idle` how it ended.
        """
        self._due_at = self._clock.monotonic()
        tickets = self.pump()
        while not self.idle() and (left := deadline - self._clock.monotonic()) > 0:
            tickets += self.pump(left)
        return tickets

    def _turn(self) -> list[int]:
        tickets = self._collect()
        self._send()
        return tickets

    def _patience(self, seconds: float) -> float:
        """Give how long nothing can happen by itself: until the back-off, the pace or the linger has passed."""
        if len(self._sent) >= self._most_requests:
            return seconds
        ready_at = self._lanes.ready_at()
        if ready_at is None:
            return seconds
        now = self._clock.monotonic()
        if self._due_at is not None and self._lingers(now):
            ready_at = max(ready_at, self._due_at)
        return min(seconds, max(ready_at - now, 0.0))

    def _collect(self) -> list[int]:
        tickets: list[int] = []
        for sent in [sent for sent in self._sent if sent.handle.done()]:
            self._sent.remove(sent)
            tickets += self._settle(sent)
        return tickets

    def _settle(self, sent: _Sent) -> list[int]:
        try:
            puts = sent.handle.result()
        except Transient as error:
            self._failed(sent.request, error.cause)
            return []
        except IsthmusError:
            raise
        except Exception as error:
            self._unknown_errors += 1
            if self._unknown_errors >= UNKNOWN_ERRORS:
                raise Fatal(
                    f"Sending to the stream failed {UNKNOWN_ERRORS} times with {type(error).__name__}."
                ) from error
            self._failed(sent.request, "unknown")
            return []
        self._unknown_errors = 0
        return self._answered(sent.request, puts)

    def _failed(self, request: Request, cause: str) -> None:
        self._lanes.unanswered(request, self._clock.monotonic())
        self._metrics.retries.labels("publisher", cause).inc()
        self._is_away(cause)

    def _is_away(self, cause: str) -> None:
        self._away.failed(cause)
        self._away_gauge.set(1)

    def _answered(self, request: Request, puts: list[Put]) -> list[int]:
        tickets = self._lanes.answered(request, puts, self._clock.monotonic())
        accepted = 0
        cause = ""
        for entry, events, put in zip(request.entries, request.events, puts, strict=True):
            if put.error:
                cause = _CAUSES.get(put.error, "refused")
                self._metrics.retries.labels("publisher", cause).inc()
            else:
                accepted += 1
                self._metrics.bundle_bytes.observe(len(entry.data))
                self._metrics.bundle_changes.observe(events)
        if accepted:
            self._away.recovered()
            self._away_gauge.set(0)
        else:
            # An answer that takes nothing moves nothing: for whoever waits it is as good as none.
            self._is_away(cause)
        self._bundles.inc(accepted)
        self._published.inc(len(tickets))
        return tickets

    def _send(self) -> None:
        while len(self._sent) < self._most_requests:
            now = self._clock.monotonic()
            if self._lingers(now):
                return
            free = self._most_requests - len(self._sent)
            request = self._lanes.next_request(now, max(FEWEST_LANES, math.ceil(self._lanes.waiting_lanes / free)))
            if request is None:
                return
            if not self._lanes.queued_events:
                self._due_at = None
            self._sent.append(_Sent(request, self._executor.submit(self._job(request))))

    def _lingers(self, now: float) -> bool:
        return self._due_at is not None and now < self._due_at and self.room() and not self._lanes.retrying

    def _job(self, request: Request) -> Callable[[], list[Put]]:
        return lambda: self._sink.put(request.entries)
