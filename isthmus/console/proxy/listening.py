"""What listens on loopback: at most so many connections at a time, each a task, all ended with the listener."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from isthmus.console.proxy import wire
from isthmus.console.proxy.messages import MOST_HEAD_BYTES

MOST_CLIENTS: Final = 256
"""Connections at a time; each may hold one request and one answer in memory."""


class Serving(Protocol):
    """Serves one connection to its end."""

    async def __call__(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve it. What the other side does to it is its own matter: raises `Gone` or `OSError`, or nothing."""
        ...


class Listener:
    """Listens from `start` to `stop`. `most()` gives how many connections there may be at a time."""

    def __init__(self, serve: Serving, most: Callable[[], int]) -> None:
        self._serve = serve
        self._most = most
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Begin to listen, on any free port without one; give the port. Raises `OSError` when it is taken."""
        self._server = await asyncio.start_server(self._accept, wire.LOOPBACK, port, limit=MOST_HEAD_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Break everything off. Safe to repeat."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._clients)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        if len(self._clients) >= self._most():
            wire.reset(writer)
            return
        task = asyncio.create_task(self._serve_one(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve_one(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            with suppress(wire.Gone, OSError):
                await self._serve(reader, writer)
        finally:
            writer.close()
