"""Exit codes, and what a command prints when it fails."""

import signal
from enum import IntEnum

from isthmus.errors import HeldByAnother, Missing, OwnershipLost, WrongSettings


class Exit(IntEnum):
    """What a script may read."""

    DONE = 0
    FAILED = 1
    SETTINGS = 2
    MISSING = 3
    HELD = 4
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
