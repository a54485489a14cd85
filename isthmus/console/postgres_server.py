"""Watches over one PostgreSQL server: `python -m isthmus.console.postgres_server PROGRAMS DATA SOCKETS USER`.

Makes the data folder where it is empty, runs the server as USER (empty: as we are), starts it again when somebody
killed it, and ends it with SIGTERM or with its own end.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from isthmus.lifecycle import ThreadStop

_PR_SET_PDEATHSIG = 1  # prctl(2)
_MOST_DEATHS = 200
_SETTLE_SECONDS = 0.2
"""Before it is started again: the sessions of a server that was killed see it and end."""
_OPTIONS = ("listen_addresses=", "max_wal_size=1GB", "log_min_messages=warning")


def _with_us() -> None:
    """End at once, with all sessions, when whoever watches over it is gone. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


class Server:
    """The server's process, over its lives."""

    def __init__(self, programs: Path, data: Path, sockets: Path, user: str) -> None:
        self._programs = programs
        self._data = data
        self._sockets = sockets
        self._user = user or None
        self._stop = ThreadStop()
        self._process: subprocess.Popen[bytes] | None = None

    def end(self, _number: int, _frame: FrameType | None) -> None:
        """Ask it to end; what was committed is kept (PostgreSQL, "Shutting Down the Server")."""
        self._stop.request()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def run(self) -> int:
        """Run it until `end`; give its exit code."""
        if not (self._data / "PG_VERSION").exists():
            how = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres")
            made = self._start("initdb", *how, f"--pgdata={self._data}")
            if made.wait() != 0:
                return made.returncode
        code = 0
        for _ in range(_MOST_DEATHS):
            options = [word for option in _OPTIONS for word in ("-c", option)]
            self._process = self._start("postgres", "-D", str(self._data), "-k", str(self._sockets), *options)
            code = self._process.wait()
            if self._stop.wait(_SETTLE_SECONDS):
                return code
        return code

    def _start(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        groups: list[int] | None = [] if self._user else None
        return subprocess.Popen(  # noqa: S603 - the programs that the wheel holds
            [str(self._programs / program), *arguments],
            stdin=subprocess.DEVNULL,
            user=self._user,
            group=self._group(),
            extra_groups=groups,
            cwd=self._sockets,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            preexec_fn=_with_us,  # noqa: PLW1509 - one thread alone, and prctl(2) is all that it does
        )

    def _group(self) -> int | None:
        import pwd  # noqa: PLC0415 - not on every system

        return pwd.getpwnam(self._user).pw_gid if self._user else None


def main() -> None:
    """Be the one who watches."""
    programs, data, sockets, user = sys.argv[1:]
    server = Server(Path(programs), Path(data), Path(sockets), user)
    signal.signal(signal.SIGTERM, server.end)
    sys.exit(server.run())


if __name__ == "__main__":
    main()
