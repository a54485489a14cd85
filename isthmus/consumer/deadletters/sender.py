"""Sends what waits in the outbox, at least once. Whatever becomes of the queue, consumption goes on."""

from collections.abc import Callable, Sequence

from isthmus.attempts import Attempts
from isthmus.chance import Chance
from isthmus.consumer.deadletters.letters import letter_of, requests_of
from isthmus.consumer.deadletters.port import MOST_BYTES, Copy, Outbox, Queue
from isthmus.errors import UNKNOWN, Fatal, IsthmusError, Poison, Transient
from isthmus.lifecycle import Stop
from isthmus.log import get_logger
from isthmus.metrics import Metrics
from isthmus.payloads import Folder, Payloads
from isthmus.retry import Backoff

log = get_logger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks into an empty outbox."""
PORTION = 100
PORTION_BYTES = 4 * 1024 * 1024
"""Copies in memory at once. One may have 10 MiB."""
_BACKOFF = Backoff(first=0.5, most=60.0)


class Sender:
    """One task of a consumer."""

    def __init__(
        self,
        outbox: Outbox,
        queue: Queue,
        payloads: Payloads | None,
        *,
        stop: Stop,
        chance: Chance,
        metrics: Metrics,
        attempts: Attempts,
        limit: int = MOST_BYTES,
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """Send while `on_duty` says so: two that send at once are harmless, and each letter comes twice."""
        self._outbox = outbox
        self._queue = queue
        self._payloads = payloads
        self._stop = stop
        self._chance = chance
        self._sent = metrics.letters_sent
        self._oldest = metrics.outbox_oldest
        self._attempts = attempts
        self._limit = limit
        self._on_duty = on_duty

    def run(self) -> None:
        """Send until a stop is requested; then give the outbox's connections back."""
        failures = 0
        try:
            while not self._stop.requested():
                if not self._on_duty():
                    # Another one sends, and tells since when something waits; what stood here would stay for ever.
                    self._oldest.set(0)
                    self._attempts.recovered()
                    self._outbox.close()
                    self._stop.wait(LOOK_EVERY)
                    continue
                try:
                    found = self.turn()
                except Exception as error:  # noqa: BLE001 - a defect here must not end the task, silently and for good
                    failures += 1
                    self._failed(error)
                    self._stop.wait(_BACKOFF.delay(failures, self._chance))
                else:
                    failures = 0
                    self._attempts.recovered()
                    if not found:
                        self._stop.wait(LOOK_EVERY)
        finally:
            self._outbox.close()

    def turn(self) -> int:
        """Send a portion; give how many were taken.

        Raises `Transient` or `Fatal` where the queue, the store or the payloads cannot be had, and `Transient` when all
        was tried and the queue did not take everything.
        """
        copies = self._outbox.pending(PORTION, PORTION_BYTES)
        self._oldest.set(copies[0].written_ms / 1000 if copies else 0)
        if not copies:
            return 0
        put = None
        if self._payloads is not None:
            payloads = self._payloads

            def put(event: bytes) -> str:
                # Where nothing expires: the queue keeps a letter for 14 days, and its redrive may come later still.
                return payloads.put(event, Folder.PARKED)

        letters = [letter_of(copy, put, limit=self._limit) for copy in copies]
        left = len(copies)
        for places in requests_of(letters, limit=self._limit):
            answers = self._queue.send([letters[place] for place in places])
            taken = [copies[place] for place, is_taken in zip(places, answers, strict=True) if is_taken]
            if taken:
                self._outbox.sent(taken)
                self._count(taken)
            left -= len(taken)
        if left:
            raise Transient(f"The queue did not take {left} of {len(copies)} letters.", cause="partly")
        return len(copies)

    def _count(self, taken: Sequence[Copy]) -> None:
        for copy in taken:
            self._sent.labels(copy.reason).inc()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, Transient) and error.cause != UNKNOWN:
            known = error
        elif isinstance(error, Fatal | Poison):
            # Not there, or not allowed: somebody will set it right, and nothing else has to stop for it.
            known = Transient(error.message, cause="refused", hint=error.hint)
        else:
            # An error that nobody knows, too: here it is no reason to stop.
            name = error.message if isinstance(error, IsthmusError) else type(error).__name__
            known = Transient(name, cause="defect")
        self._attempts.failed(known)
