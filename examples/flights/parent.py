"""The line to the parent process: one JSON object a line to it, the words `live` and `rate N|max` from it."""

import json
import os
import select
import signal
import threading
from contextlib import suppress
from math import inf
from types import FrameType
from typing import Final, TextIO

from isthmus.clock import Clock
from isthmus.lifecycle import Stop, ThreadStop

_PROGRESS_SECONDS: Final = 0.5
_ORPHANED: Final = 1
_SLICE_SECONDS: Final = 0.1
"""How long a new rate may go unheard while one waits by the old one."""
_SHARED_SECONDS: Final = 0.2
"""What falls due within this time may share a transaction."""


class Reporter:
    """Says what happens, at once."""

    def __init__(self, out: TextIO, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._next = clock.monotonic() + _PROGRESS_SECONDS

    def tell(self, event: str, **numbers: int) -> None:
        """Write one event."""
        self._out.write(json.dumps({"event": event, **numbers}) + "\n")
        self._out.flush()

    def progress(self, modifications: int) -> None:
        """Say how many modifications are committed by now, at most every half second."""
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + _PROGRESS_SECONDS
            self.tell("progress", modifications=modifications)


class Rate:
    """Modifications a second, None for no limit. Another thread may change it at any time."""

    def __init__(self, value: float | None) -> None:
        self.value = value


class Pace:
    """So many modifications a second from now on. A late one does not move those after it; a new one counts at once."""

    def __init__(self, rate: Rate, clock: Clock, stop: Stop) -> None:
        self._rate = rate
        self._clock = clock
        self._stop = stop
        self._kept = rate.value
        self._start = clock.monotonic()
        self._done = 0

    def wait(self, done: int) -> bool:
        """Wait until the modification after so many is due. Give True when a stop is requested."""
        while (left := self._left(done)) > 0:
            if self._stop.wait(min(left, _SLICE_SECONDS)):
                return True
        return self._stop.requested()

    def portion(self, wanted: int) -> int:
        """Give how many of so many modifications may share a transaction at the rate of now: one at least."""
        rate = self._rate.value
        return wanted if rate is None else max(1, min(wanted, int(rate * _SHARED_SECONDS)))

    def _left(self, done: int) -> float:
        rate, now = self._rate.value, self._clock.monotonic()
        if rate != self._kept:
            self._kept, self._start, self._done = rate, now, done
        return 0.0 if rate is None else self._start + (done - self._done) / rate - now


class Listener:
    """Hears the parent and the signals on a thread of its own.

    The end of stdin means that the parent is gone: the process ends at once, whatever it does, with code 1. SIGTERM
    and SIGINT ask it to stop; a second one ends it at once. A line `rate N|max` changes the rate.
    """

    def __init__(self, stop: ThreadStop, rate: Rate) -> None:
        self._stop = stop
        self._rate = rate
        self._live = threading.Event()
        self._finished = False
        self.received: int | None = None
        """The signal that asked to stop."""

    def start(self) -> None:
        """Begin to listen. Only the main thread may."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        # A handler runs on the main thread, between any two of its steps: one that asked to stop there might wait for
        # the very lock that it interrupted. So the signal only goes through the pipe, to the thread that listens.
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ignore)
        threading.Thread(target=self._listen, args=(reading,), name="listener", daemon=True).start()

    def wait_for_live(self) -> None:
        """Wait for the word `live`, or for a signal."""
        self._live.wait()

    def finish(self) -> None:
        """From here on the parent may close its end without a complaint from ours."""
        self._finished = True

    def _listen(self, signals: int) -> None:
        # The bare descriptor: a thread that holds the lock of `sys.stdin` would make the interpreter's end fail.
        stdin, heard = 0, b""
        while True:
            ready, _, _ = select.select([stdin, signals], [], [])
            if signals in ready:
                self._signal(os.read(signals, 1)[0])
            if stdin in ready:
                piece = os.read(stdin, 4096)
                if not piece:
                    os._exit(0 if self._finished else _ORPHANED)
                *lines, heard = (heard + piece).split(b"\n")
                for line in lines:
                    self._hear(line)

    def _hear(self, line: bytes) -> None:
        match line.split():
            case [b"live"]:
                self._live.set()
            case [b"rate", b"max"]:
                self._rate.value = None
            case [b"rate", number]:
                with suppress(ValueError):
                    rate = float(number)
                    if 0 < rate < inf:
                        self._rate.value = rate

    def _signal(self, number: int) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self.received = number
        self._stop.request()
        self._live.set()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the pipe has told the listener already."""
