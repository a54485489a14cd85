# ruff: noqa: INP001 - a program of its own, mounted beside the settings
"""Forwards a port of this machine's loopback to another machine: `python forward.py 4566 localstack:4566`.

Isthmus speaks plain HTTP to its own machine only, and the emulator has no certificate that anyone trusts. In front of
the real AWS nobody needs this. Port 0 takes any free one; the line that is printed names it.
"""

import contextlib
import socket
import sys
import threading
from typing import Final

CHUNK: Final = 65_536
CONNECT_SECONDS: Final = 10.0
"""Who asks has an answer, if only that nobody is there, before its own patience ends."""


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends, and tell the sink that it did."""
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def join(near: socket.socket, target: tuple[str, int]) -> None:
    """Copy both ways until both sides have ended. Whom the other machine does not answer is hung up on."""
    with contextlib.suppress(OSError), near, socket.create_connection(target, CONNECT_SECONDS) as far:
        far.settimeout(None)
        back = threading.Thread(target=copy, args=(far, near), daemon=True)
        back.start()
        copy(near, far)
        back.join()


def forward(port: int, host: str, host_port: int) -> None:
    """Listen on 127.0.0.1 until the process is ended."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        sys.stdout.write(f"127.0.0.1:{listener.getsockname()[1]} is {host}:{host_port}\n")
        sys.stdout.flush()
        while True:
            near, _ = listener.accept()
            threading.Thread(target=join, args=(near, (host, host_port)), daemon=True).start()


if __name__ == "__main__":
    target_host, _, target_port = sys.argv[2].rpartition(":")
    forward(int(sys.argv[1]), target_host, int(target_port))
