"""What the end of the demo needs and can be had before: what must come out, and most of the tape."""

import os
import sys
import threading
from contextlib import suppress
from typing import Final

from isthmus.console.demo.example import Expectation, expect_days
from isthmus.console.tape import Tape
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.errors import Transient
from isthmus.lifecycle import ThreadStop

_LOW_PRIORITY: Final = 5
"""A third of what others get where the processors are short. With the least, 19, its end would be waited for."""
_TAPE_SECONDS: Final = 1.0


class Ahead:
    """Works beside the pipeline, in a thread that gives way to everything else where the system can do so.

    From its start to `finish` the tape is its own.
    """

    def __init__(self, days: int, tape: Tape) -> None:
        self._days = days
        self._tape = tape
        self._enough = ThreadStop()
        self._task = ThreadTask("ahead", self._run)

    def is_known(self) -> bool:
        """Have the reading of the tape end; say whether it has, and what must come out is known."""
        self._enough.request()
        return self._task.done()

    def finish(self) -> Expectation:
        """Give what must come out, once it is known; the tape stands where it stands. Raises what went wrong."""
        self._enough.request()
        return self._task.result()

    def abandon(self) -> None:
        """Have it end soon, whatever it is at, and ask for nothing."""
        self._enough.request()

    def _run(self) -> Expectation:
        if sys.platform == "linux":
            # There a priority is a thread's own (setpriority(2), Notes); elsewhere it would slow the whole process.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
        expected = expect_days(self._days)
        while not self._enough.requested():
            # Only a head start: whoever needs the rest reads on from there. A stream may be away on purpose.
            with suppress(Transient):
                self._tape.read()
            self._enough.wait(_TAPE_SECONDS)
        return expected
