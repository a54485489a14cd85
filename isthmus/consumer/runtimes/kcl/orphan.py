"""A child that never outlives its daemon: without it, what is in hand is somebody else's by now.

The signal that Linux sends at a parent's death (prctl(2), PR_SET_PDEATHSIG) is no use here: it is sent when the
*thread* ends that started the child, and the library starts children from a pool whose idle threads end after a minute.
So the pipe is watched, whose other end only the daemon holds, and the process itself where the system can.
"""

import os
import select
import sys
import threading
from collections.abc import Callable

from isthmus.lifecycle import Stop, ThreadStop

ORPHANED = 1
_LOOK_SECONDS = 0.02


def watch_daemon(reading: int, answering: Callable[[], bool]) -> None:
    """End this process at once when the daemon dies, or closes our stdin while a question of its is open.

    `reading` is the descriptor of the line; `answering` says whether a question is open, from any thread. While none
    is, the end of the line is read as such by whoever waits for the next question. The process that started us is taken
    for the daemon.
    """
    parent = os.getppid()
    process = _process_descriptor(parent)
    if process is not None and os.getppid() != parent:
        # It died between the two questions: the descriptor may be of another process with its number.
        os._exit(ORPHANED)
    threading.Thread(target=_watch, args=(reading, process, answering), name="orphan", daemon=True).start()


def _process_descriptor(pid: int) -> int | None:
    """Give a descriptor that can be waited for, of a process; None where the system has no such thing."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _watch(reading: int, process: int | None, answering: Callable[[], bool]) -> None:
    poll = select.poll()
    # No event is asked for: an end is told anyway, and lines are somebody else's to read.
    poll.register(reading, 0)
    if process is not None:
        poll.register(process, select.POLLIN)
    if any(descriptor == process for descriptor, _ in poll.poll()):
        os._exit(ORPHANED)
    _end_when(answering, ThreadStop())


def _end_when(answering: Callable[[], bool], pause: Stop) -> None:
    # Lines may still lie in the pipe, and the next one may be taken up after this look.
    while not answering():
        pause.wait(_LOOK_SECONDS)
    os._exit(ORPHANED)
