"""One process's part of a count that all processes share: tells what it parked, beside what it does.

Only a batch that parked something tells anything: one request, while the records of the next one are fetched. That next
one waits for the answer, and for no longer than some seconds: where the table is away, each process counts for itself
until it is back.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from isthmus.chance import unique_name
from isthmus.checkpoint.brakecounts import BrakeCounts
from isthmus.clock import Clock
from isthmus.consumer.brake import Brake
from isthmus.errors import IsthmusError
from isthmus.lifecycle import Stop

WAIT: Final = 5.0
"""Seconds that a batch waits for what others parked, once. A shard's process that has told nobody yet needs one or two
for a client of AWS; a process that parks so much stands for no bad reason."""
_LOOK: Final = 0.002
"""Seconds between two looks whether the answer is there, which takes DynamoDB some ms."""


class Sharing:
    """Safe for many threads. `lock` guards `brake`, and is held for no longer than a look at it."""

    def __init__(
        self,
        brake: Brake,
        lock: threading.Lock,
        counts: BrakeCounts,
        *,
        clock: Clock,
        beside: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """Tell by `counts`. `beside` starts what runs beside its caller; None: in a thread."""
        self._brake = brake
        self._lock = lock
        self._counts = counts
        self._clock = clock
        self._beside = beside or _in_a_thread
        self._name = unique_name()
        """Another life is another process: what the one before parked counts on."""
        self._is_telling = False
        self._is_away = False

    def begin(self) -> None:
        """Tell what presses, beside the caller, unless somebody tells already, or nobody answers."""
        with self._lock:
            if self._is_telling or self._is_away or not self._brake.presses:
                return
            self._is_telling = True
        self._beside(self._tell_beside)

    def wait(self, stop: Stop) -> None:
        """Wait until everything is told that presses; at most for `WAIT`, and until a stop is requested."""
        until = self._clock.monotonic() + WAIT
        while self._is_telling and not self._is_away:
            if self._clock.monotonic() >= until:
                # Nobody else waits either, until it is known to answer.
                self._is_away = True
                return
            if stop.wait(_LOOK):
                return

    def tell(self) -> None:
        """Tell all that is news, unless somebody does so already.

        Raises as `BrakeCounts` do: what was not told is told the next time.
        """
        with self._lock:
            # Of two answers of one process the later one must be the one that stands there.
            if self._is_telling:
                return
            self._is_telling = True
        self._tell_all()

    def _tell_beside(self) -> None:
        # The task that reads the notes tells it again, and says that the table is away.
        with suppress(IsthmusError):
            self._tell_all()

    def _tell_all(self) -> None:
        try:
            while self._is_telling:
                self._tell_once()
                with self._lock:
                    # What came meanwhile found somebody telling, and waits for us.
                    self._is_telling = self._brake.presses
        except BaseException:
            self._is_away = True
            with self._lock:
                self._is_telling = False
            raise

    def _tell_once(self) -> None:
        with self._lock:
            wanted = self._brake.telling(self._clock.monotonic(), self._clock.now_ms())
        for place, (reason, count) in enumerate(wanted.items()):
            try:
                others = self._counts.tell(reason, self._name, count)
            except BaseException:
                with self._lock:
                    self._brake.tell_again(list(wanted)[place:])
                raise
            self._is_away = False
            with self._lock:
                self._brake.counted(self._clock.monotonic(), self._clock.now_ms(), reason, others.values())


def _in_a_thread(work: Callable[[], None]) -> None:
    # A daemon: whoever ends meanwhile leaves a number untold, and nothing else.
    threading.Thread(target=work, name="park-count", daemon=True).start()
