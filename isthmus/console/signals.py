"""Ctrl-C and SIGTERM: the first asks everything to stop softly, the second ends the process at once."""

import faulthandler
import os
import select
import signal
import threading
from types import FrameType

from isthmus.lifecycle import ThreadStop
from isthmus.log import get_logger

log = get_logger(__name__)

_STDERR = 2
PATIENCE_SECONDS = 9.0
"""A soft stop that takes longer than this is ended: what was in hand comes again, with the same IDs. Ten seconds are
promised, the end of the process itself among them."""


class Signals:
    """Installed by composition roots only."""

    def __init__(self, stop: ThreadStop) -> None:
        self._stop = stop
        self.received: int | None = None

    def install(self) -> None:
        """Take SIGINT and SIGTERM over. Only the main thread may."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        threading.Thread(target=self._watch, args=(reading,), name="signals", daemon=True).start()
        # Python writes each signal's number there by itself. A handler of ours would run in the main thread between any
        # two of its steps, also where it holds the very lock that asking for a stop takes.
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        # Where every thread stands, without data: for a process that seems to do nothing. Not by a handler in Python,
        # which would wait for the very thread that hangs.
        faulthandler.register(signal.SIGUSR1, file=_STDERR, all_threads=True)
        signal.signal(signal.SIGINT, _nothing)
        signal.signal(signal.SIGTERM, _nothing)

    def _watch(self, reading: int) -> None:
        (self.received,) = os.read(reading, 1)
        self._stop.request()
        log.info("stop_requested", signal=signal.Signals(self.received).name)
        readable, _, _ = select.select([reading], [], [], PATIENCE_SECONDS)
        again = os.read(reading, 1)[0] if readable else self.received
        os._exit(128 + again)

    def exit_code(self, otherwise: int) -> int:
        """Give 130 or 143 when a signal ended the run, else what it would have been."""
        return 128 + self.received if self.received is not None else otherwise


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Take the signal's own meaning away; the thread above does the rest."""
