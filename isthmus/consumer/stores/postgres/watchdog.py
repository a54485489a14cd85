"""Ends the wait for a server that has accepted a request and says nothing, not even that it took too long."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from isthmus.clock import Clock

SURELY_DEAD = 15.0
"""Seconds beyond the server's own limit for a statement: a server that says nothing at all is taken for away then."""


class Watchdog:
    """Ends connections whose server is silent for longer than `limit` seconds allow.

    One thread for a store, for as long as any connection is watched.
    """

    def __init__(self, clock: Clock, limit: float) -> None:
        self._clock = clock
        self._limit = limit + SURELY_DEAD
        self._lock = threading.Condition()
        self._armed: dict[int, tuple[float, int]] = {}
        self._running = False

    def arm(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        """Give the connection the limit's time, from now on."""
        with self._lock:
            self._armed[id(connection)] = (self._clock.monotonic() + self._limit, connection.fileno())
            if not self._running:
                self._running = True
                threading.Thread(target=self._watch, name="front-office-watchdog", daemon=True).start()

    def disarm(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        """Say that it has answered, or is not to be watched any more."""
        with self._lock:
            self._armed.pop(id(connection), None)

    @contextmanager
    def watching(self, connection: "psycopg.Connection[tuple[object, ...]]") -> Iterator[None]:
        """Watch the connection meanwhile."""
        self.arm(connection)
        try:
            yield
        finally:
            self.disarm(connection)

    def _watch(self) -> None:
        while True:
            with self._lock:
                if not self._armed:
                    # One period without anybody, and the thread ends: the next one that arms starts another.
                    if not self._lock.wait(1.0) and not self._armed:
                        self._running = False
                        return
                    continue
                now = self._clock.monotonic()
                for number, (deadline, descriptor) in list(self._armed.items()):
                    if now >= deadline:
                        del self._armed[number]
                        _hang_up(descriptor)
                self._lock.wait(0.5)


def _hang_up(descriptor: int) -> None:
    """Shut a socket down under whoever waits for it: the driver then says that the connection is lost."""
    with suppress(OSError), socket.socket(fileno=socket.dup(descriptor)) as line:
        line.shutdown(socket.SHUT_RDWR)
