"""Exit codes, and what is printed when a command fails."""

import signal
import traceback
from enum import IntEnum
from pathlib import Path

from isthmus.errors import HeldByAnother, Missing, OwnershipLost, WrongSettings


class Exit(IntEnum):
    """What a script may read."""

    DONE = 0
    FAILED = 1
    SETTINGS = 2
    MISSING = 3
    HELD = 4
    PARKED = 5
    """Done, and something is parked still."""
    INTERRUPTED = 128 + signal.SIGINT
    TERMINATED = 128 + signal.SIGTERM


def exit_of(error: BaseException) -> Exit:
    """Give the exit code for an error."""
    if isinstance(error, WrongSettings):
        return Exit.SETTINGS
    if isinstance(error, Missing):
        return Exit.MISSING
    if isinstance(error, HeldByAnother | OwnershipLost):
        return Exit.HELD
    return Exit.FAILED


def way_to(error: BaseException) -> str:
    """Give where an error comes from, outermost call first. Without its message, which may hold data of rows."""
    frames = traceback.extract_tb(error.__traceback__)
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
