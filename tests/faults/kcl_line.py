"""A way to PostgreSQL that can fall silent: it takes everything, and passes nothing on, and never says so."""

import contextlib
import socket
import threading
from pathlib import Path
from typing import Final

SOCKET: Final = ".s.PGSQL.5432"
"""How libpq names a server's socket in its folder."""
_CHUNK: Final = 65_536


class SilentLine:
    """A socket in a folder of its own, in the place of a server's."""

    def __init__(self, server: Path, folder: Path) -> None:
        self.folder = folder
        self._server = server
        self._speaking = threading.Event()
        self._speaking.set()
        self._closed = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        path = folder / SOCKET
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        # The children may run as somebody else than the server does.
        path.chmod(0o777)
        self._listener.listen(64)
        self._start(self._accept)

    def fall_silent(self) -> None:
        """Pass nothing on any more."""
        self._speaking.clear()

    def speak(self) -> None:
        """Pass on again, what came meanwhile too."""
        self._speaking.set()

    def close(self) -> None:
        """Break everything off. Safe to repeat."""
        self._closed = True
        self._speaking.set()
        with self._lock:
            ends = [self._listener, *self._open]
        for each in ends:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._server))
            with self._lock:
                self._open |= {near, far}
            self._start(self._pass_on, near, far)
            self._start(self._pass_on, far, near)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._speaking.wait()
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _start(self, function: object, *arguments: socket.socket) -> None:
        threading.Thread(target=function, args=arguments, name="line", daemon=True).start()  # type: ignore[arg-type]
