"""The process of one shard, which the daemon starts: `python -m isthmus.console.kcl.child SETTINGS FOLDER`.

Before anything else it takes stdin and stdout away from everybody: they are the line to the daemon.
"""

import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from isthmus.console.kcl.lines import write_whole_lines
from isthmus.consumer.runtimes.kcl.descriptors import take_over

_STDERR = 2


def main() -> NoReturn:
    """Serve one shard; end with a code that is 0 only when the daemon closed the line in good order."""
    lines = take_over()
    settings, folder = Path(sys.argv[1]), Path(sys.argv[2])
    _log_into(folder / "log")
    _load_structlog_alone()
    # Only now: whatever is imported may print, and the user's own code is.
    from isthmus.console.kcl.serving import serve_shard  # noqa: PLC0415 - see above

    serve_shard(lines, settings, folder)


def _log_into(pipe: Path) -> None:
    """Log to whoever looks after the daemon, and not through the daemon, which would wrap each line in one of its own.

    Under a daemon that nobody of ours looks after there is no such pipe, and stderr stays what it is.
    """
    with suppress(OSError):
        # Without waiting for a reader: there is one, or the pipe is a dead worker's.
        log = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(log, True)
        os.dup2(log, _STDERR)
        # What was stdout is stderr's twin, and stays it.
        os.dup2(log, sys.stdout.fileno())
        os.close(log)
        write_whole_lines(sys.stderr)


def _load_structlog_alone() -> None:
    """Load structlog without `rich`, which it takes for tracebacks of its own: 4 MB in the process of each shard."""
    missing = "rich" not in sys.modules
    if missing:
        sys.modules["rich"] = None  # type: ignore[assignment]  # Python's own way to say that there is none
    importlib.import_module("structlog")
    if missing:
        del sys.modules["rich"]


if __name__ == "__main__":
    main()
