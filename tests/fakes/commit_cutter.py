"""A forwarder before a PostgreSQL's socket file that can cut a connection at its COMMIT: before it, or after it."""

import contextlib
import select
import socket
import tempfile
import threading
from enum import Enum
from pathlib import Path
from typing import Final

_CHUNK: Final = 65_536
_COMMIT: Final = b"COMMIT"
"""As it stands in a Query message (PostgreSQL, "Message Formats"); no row of a test holds the word."""
_FILE: Final = ".s.PGSQL.5432"


class Cut(Enum):
    """What becomes of the next COMMIT."""

    BEFORE = "the connection was cut before the commit"
    AFTER = "the server committed, and its answer was lost"


class CommitCutter:
    """Listens on a socket file of its own and forwards to another one. `folder` is what libpq calls the host."""

    def __init__(self, target: Path) -> None:
        self._target = str(target / _FILE)
        # The path of a socket is at most 107 characters long (unix(7)).
        self._place = tempfile.TemporaryDirectory(prefix="isthmus-cut-")
        self.folder = Path(self._place.name)
        self._lock = threading.Lock()
        self._armed: tuple[Cut, int] | None = None
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / _FILE))
        self._listener.listen()
        self._start(self._accept)

    def arm(self, cut: Cut, commit: int) -> None:
        """Cut at this commit from now on, counted from 0, whosever it is."""
        with self._lock:
            self._armed = (cut, commit)

    def struck(self) -> bool:
        """Say whether it was cut since it was armed."""
        with self._lock:
            return self._armed is None

    def close(self) -> None:
        """End. Those that are connected have closed their end before."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
        self._place.cleanup()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._start(self._forward, near)

    def _forward(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far, contextlib.suppress(OSError):
            far.connect(self._target)
            deaf = False
            while True:
                readable, _, _ = select.select([near, far], [], [])
                for line in readable:
                    data = line.recv(_CHUNK)
                    # An answer to a commit that has come this far says that it is durable.
                    if not data or (deaf and line is far):
                        return
                    cut = self._due() if line is near and _COMMIT in data else None
                    if cut is Cut.BEFORE:
                        return
                    deaf = deaf or cut is Cut.AFTER
                    (far if line is near else near).sendall(data)

    def _due(self) -> Cut | None:
        with self._lock:
            if self._armed is None:
                return None
            cut, left = self._armed
            self._armed = None if left == 0 else (cut, left - 1)
            return cut if left == 0 else None

    def _start(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
