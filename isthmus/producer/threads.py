"""The executor of a real process: a few threads that do nothing but send."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from isthmus.clock import Clock
from isthmus.lifecycle import Stop
from isthmus.producer.publisher import Handle
from isthmus.producer.sink import Put

_SLICE = 0.05
"""Seconds between two looks at the stop while something is awaited: it has no way to wake a waiter of two things."""


class ThreadExecutor:
    """Runs each request in one of `threads` threads."""

    def __init__(self, threads: int, stop: Stop, clock: Clock) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="isthmus-send")
        self._stop = stop
        self._clock = clock
        self._ended = threading.Event()

    def submit(self, function: Callable[[], list[Put]]) -> Handle:
        """Start the function in a thread, as soon as one is free."""
        future: Future[list[Put]] = self._pool.submit(function)
        future.add_done_callback(lambda _: self._ended.set())
        return future

    def wait(self, handles: Sequence[Handle], seconds: float) -> None:
        """Wait for one of the handles, for the time to pass, or for a stop that was not requested before."""
        heeds_stop = not self._stop.requested()
        end = self._clock.monotonic() + seconds
        while True:
            # Cleared before the look, so that what ends after the look is noticed by the wait below.
            self._ended.clear()
            left = end - self._clock.monotonic()
            if left <= 0 or any(handle.done() for handle in handles) or (heeds_stop and self._stop.requested()):
                return
            self._ended.wait(min(left, _SLICE))

    def close(self) -> None:
        """Take nothing more, drop what has not begun, and let what runs come to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
