"""Processes of which a test waits for the end, whoever their parent is."""

import contextlib
import os
import select
from collections.abc import Iterator
from typing import Final

DEADLINE_SECONDS: Final = 20.0


@contextlib.contextmanager
def held(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def ended(process: int) -> bool:
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    return bool(waiting.poll(DEADLINE_SECONDS * 1000))
