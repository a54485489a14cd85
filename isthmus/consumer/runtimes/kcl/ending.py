"""How a child's process ends: with a code that is never a success when something went wrong."""

import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from isthmus.consumer.runtimes.kcl.child import Child
from isthmus.errors import IsthmusError
from isthmus.log import get_logger

log = get_logger(__name__)

DONE = 0
FAILED = 1


def serve(child: Child) -> int:
    """Run the child; give the exit code.

    Whatever it raises (`SystemExit(0)` of a handler too) is told, and is a failure. What is told holds no message of
    anybody else's: it may quote rows.
    """
    try:
        child.run()
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything; all of it means the same here
        # Also when stderr is gone: nothing may turn this into a success.
        with suppress(BaseException):
            _tell(child, error)
        return FAILED
    return DONE


def leave(code: int) -> NoReturn:
    """End the process now: neither a thread nor an exit handler of user code may keep the daemon waiting for it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    os._exit(code)


def _tell(child: Child, error: BaseException) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    way = " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    message = str(error) if isinstance(error, IsthmusError) else ""
    log.error("shard_failed", shard=child.shard, error=type(error).__name__, message=message, way=way)
