"""Ctrl-C and SIGTERM: the first asks everything to stop softly, the second ends the process at once."""

import os
import signal
import threading
from types import FrameType

from isthmus.lifecycle import ThreadStop

PATIENCE_SECONDS = 10.0
"""A soft stop that takes longer than this is ended: what was in hand comes again, with the same IDs."""


class Signals:
    """Installed by composition roots only."""

    def __init__(self, stop: ThreadStop) -> None:
        self._stop = stop
        self.received: int | None = None

    def install(self) -> None:
        """Take SIGINT and SIGTERM over. Only the main thread may."""
        signal.signal(signal.SIGINT, self._receive)
        signal.signal(signal.SIGTERM, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self.received = number
        self._stop.request()
        timer = threading.Timer(PATIENCE_SECONDS, os._exit, (128 + number,))
        timer.daemon = True
        timer.start()

    def exit_code(self, otherwise: int) -> int:
        """Give 130 or 143 when a signal ended the run, else what it would have been."""
        return 128 + self.received if self.received is not None else otherwise
