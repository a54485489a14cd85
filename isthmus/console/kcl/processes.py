"""Processes below us, as Linux tells of them: a daemon's children, and those that lost their parent and came to us."""

import ctypes
import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from isthmus.clock import Clock
from isthmus.lifecycle import ThreadStop

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_POLL_SECONDS = 0.02


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends. Elsewhere than on Linux nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children_of(pid: int) -> list[int]:
    """Give the process IDs of a process's children, none where nothing is told."""
    found: list[int] = []
    # It may end while it is looked at.
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                found.extend(map(int, task.read_text(encoding="ascii").split()))
    return found


def ask_to_stop(pids: Collection[int]) -> None:
    """Send SIGTERM to those that still live."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGTERM)
        except OSError:
            continue


def end_orphans(known: Collection[int], clock: Clock, seconds: float) -> list[int]:
    """Wait until those have ended that came to us, and end what lives on after so many seconds. Give who that was.

    `known` are children that we started ourselves. An orphan ends by itself when it sees that its parent is gone; one
    that is stopped or hangs does not. Nobody is waited for any longer who cannot be ended: a program with other rights
    than ours, which user code left behind.
    """
    pause, until, ended = ThreadStop(), clock.monotonic() + seconds, list[int]()
    while orphans := [pid for pid in children_of(os.getpid()) if pid not in known]:
        if clock.monotonic() >= until:
            if ended:
                break
            for pid in orphans:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            ended, until = orphans, clock.monotonic() + seconds
        for pid in orphans:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
        pause.wait(_POLL_SECONDS)
    return ended
