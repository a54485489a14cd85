"""What a program is until it is itself: `python -m isthmus.console.become HOW NUMBER PROGRAM [ARGUMENT ...]`.

HOW is `child-of`: NUMBER is the parent's process ID, and the program begins unless the parent is gone. Or `after`:
NUMBER is the reading end of a pipe; the program begins, in a session of its own, when a byte comes through it, and
never when it is closed before.
"""

import os
import sys

MODULE = "isthmus.console.become"
_NEVER = 1


def main() -> None:
    """Become the program: same process ID, same start time."""
    how, number, *command = sys.argv[1:]
    if how == "after":
        os.setsid()
        # Nobody's folder is kept busy by what runs for days.
        os.chdir("/")
        descriptor = int(number)
        if not os.read(descriptor, 1):
            sys.exit(_NEVER)
        os.close(descriptor)
    elif os.getppid() != int(number):
        # The parent ended before the kernel was asked to end us with it: nobody would.
        sys.exit(_NEVER)
    os.execv(command[0], command)  # noqa: S606 - the program that our own code names


if __name__ == "__main__":
    main()
