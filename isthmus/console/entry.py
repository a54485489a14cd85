"""Where the `isthmus` script begins: nothing is imported before an interrupt is met with an exit code."""

import sys

INTERRUPTED = 130
"""As `exits.Exit.INTERRUPTED`, which may not be there yet."""


def main() -> None:
    """Run the command line and end the process with its exit code; Ctrl-C while it is being loaded ends it too."""
    try:
        from isthmus.console.main import main as command_line  # noqa: PLC0415 - loading takes most of a second

        command_line()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
