"""The proxy in front of PostgreSQL: sessions are passed on message by message, without TLS."""

import asyncio
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from contextlib import suppress
from pathlib import Path
from typing import Final

from isthmus.console.proxy import pgwire, wire
from isthmus.console.proxy.behaviour import Struck
from isthmus.console.proxy.kinds import COMMIT, CONNECT, POSTGRES_FITS, Kind
from isthmus.console.proxy.listening import MOST_CLIENTS, Listener
from isthmus.console.proxy.messages import MOST_HEAD_BYTES, BadMessage
from isthmus.console.proxy.planned import ByRules
from isthmus.console.proxy.rules import Rule
from isthmus.console.proxy.wire import Address

CONNECT_SECONDS: Final = 10.0

Where = Address | Path
"""Of a server: an address, or the folder of its socket file."""


class PostgresFront(Listener):
    """Listens, and passes sessions on to a server."""

    def __init__(self, where: Where, plan: ByRules) -> None:
        super().__init__(self._connection, lambda: MOST_CLIENTS)
        self._where = where
        self._plan = plan

    async def _connection(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(BadMessage, IncompleteReadError):
            head, code = await _first(reader, writer)
            if code == pgwire.Code.CANCEL:
                return await self._cancel(head)
            session = _Session(self._plan, reader, writer)
            try:
                if await session.meets((CONNECT,)):
                    await self._pass(session, head)
            finally:
                session.put_back()

    async def _pass(self, session: "_Session", head: bytes) -> None:
        reader, writer = await self._connect()
        try:
            writer.write(head)
            await session.relay(reader, writer)
        finally:
            writer.close()

    async def _cancel(self, head: bytes) -> None:
        """Pass on the wish to end another session's statement. The server gives no answer but the end."""
        reader, writer = await self._connect()
        try:
            writer.write(head)
            await writer.drain()
            await reader.read()
        finally:
            writer.close()

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        async with asyncio.timeout(CONNECT_SECONDS):
            if isinstance(self._where, Path):
                return await asyncio.open_unix_connection(str(self._where), limit=MOST_HEAD_BYTES)
            return await asyncio.open_connection(*self._where, limit=MOST_HEAD_BYTES)


async def _first(reader: StreamReader, writer: StreamWriter) -> tuple[bytes, int]:
    """Read a client's first message, without TLS; give it and its code."""
    while True:
        head = await reader.readexactly(pgwire.STARTUP_HEAD)
        length, code = pgwire.startup(head)
        if code not in {pgwire.Code.TLS, pgwire.Code.GSS}:
            return head + await reader.readexactly(length), code
        writer.write(pgwire.NO_TLS)


def _strikes(operation: str, rule: Rule, *, answered: bool) -> bool:
    """Say whether a rule can strike when something is sent, or when it has been answered.

    The answer to a commit is lost when the server has told of the commit; that to any statement is lost from the time
    when the statement is sent.
    """
    if rule.kind is Kind.ANSWER_LOST:
        return answered == (rule.operations == {COMMIT})
    return not answered and rule.kind in POSTGRES_FITS[operation]


class _Session:
    """One session: two directions, and the faults that hang over it."""

    def __init__(self, plan: ByRules, reader: StreamReader, writer: StreamWriter) -> None:
        self._plan = plan
        self._reader = reader
        self._writer = writer
        self._open: list[Struck] = []
        """What has struck and not yet had its effect."""
        self._asked = 1
        """How often the server will say that it is ready: once for the beginning, once for each query or sync."""
        self._hangs = False
        self._losing: Struck | None = None
        self._losing_until = 0
        """The client gets nothing more, and loses the connection when the server has been ready so many times."""
        self._cutting: Struck | None = None
        self._left = 0
        """Bytes until the cut."""

    def put_back(self) -> None:
        """Put back what has had no effect by the end."""
        for struck in self._open:
            self._plan.put_back(struck)
        self._open.clear()

    async def relay(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Pass everything on until one side ends."""
        there, back = asyncio.create_task(self._there(writer)), asyncio.create_task(self._back(reader))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            if self._hangs:
                await there  # also when the server has had enough: the client is to hear nothing of it
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def meets(self, names: tuple[str, ...], *, answered: bool = False) -> bool:
        """Let happen what strikes; say whether the session goes on."""
        due = self._plan.due_to(names[0], names, lambda rule: _strikes(names[0], rule, answered=answered))
        self._open += due
        return all([await self._struck(struck, answered=answered) for struck in due])

    async def _struck(self, struck: Struck, *, answered: bool) -> bool:
        match struck.kind:
            case Kind.LATENCY:
                await asyncio.sleep(struck.seconds())
                self._fired(struck)
            case Kind.ANSWER_LOST if not answered:
                # One at a time: another one strikes a later session.
                if self._losing is None:
                    self._losing, self._losing_until = struck, self._asked + 1
            case Kind.CUT:
                if self._cutting is None:
                    self._cutting, self._left = struck, struck.manner.bytes
            case Kind.HALF_OPEN:
                await self._hang(struck)
            case Kind.RESET | Kind.ANSWER_LOST:
                self._reset(struck)
            case _:
                self._writer.write(pgwire.refusal(struck.kind, struck.manner.code))
                await self._writer.drain()
                self._fired(struck)
        # What has not ended the session yet: latency, and what waits for the answer.
        return struck.kind is Kind.LATENCY or struck in self._open

    async def _hang(self, struck: Struck) -> None:
        """Let nothing through until the client gives up, or for as long as it is to be."""
        self._hangs = True
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(struck.seconds() or None):
                while await self._reader.read(wire.PIECE):
                    pass
        self._reset(struck)

    def _reset(self, struck: Struck) -> None:
        wire.reset(self._writer)
        self._fired(struck)

    def _fired(self, struck: Struck) -> None:
        self._open.remove(struck)
        self._plan.fired(struck)

    async def _there(self, writer: StreamWriter) -> None:
        """From the client to the server."""
        with suppress(IncompleteReadError, OSError):
            while True:
                head = await self._reader.readexactly(pgwire.HEAD)
                length = pgwire.length_of(head)
                begun = await self._reader.readexactly(min(length, pgwire.PEEKED))
                names = pgwire.operations(head[:1], begun)
                if names and not await self.meets(names):
                    return
                self._asked += head[:1] in pgwire.ENDS_WITH_READY
                writer.write(head + begun)
                left = length - len(begun)
                while left:
                    piece = await self._reader.readexactly(min(left, wire.PIECE))
                    writer.write(piece)
                    left -= len(piece)
                    await writer.drain()
                await writer.drain()

    async def _back(self, reader: StreamReader) -> None:
        """From the server to the client."""
        with suppress(IncompleteReadError, OSError):
            while True:
                head = await reader.readexactly(pgwire.HEAD)
                kind, left = head[:1], pgwire.length_of(head)
                begun = await reader.readexactly(min(left, wire.PIECE))
                left -= len(begun)
                committed = kind == pgwire.COMPLETE and begun == pgwire.COMMITTED
                if committed and not await self.meets((COMMIT,), answered=True):
                    return
                if not await self._give(head + begun):
                    return
                while left:
                    piece = await reader.readexactly(min(left, wire.PIECE))
                    left -= len(piece)
                    if not await self._give(piece):
                        return
                if kind == pgwire.READY and self._ready():
                    return

    def _ready(self) -> bool:
        """Count that the server is ready; say whether the connection was lost with that."""
        self._asked -= 1
        self._losing_until -= 1
        if self._losing is None or self._losing_until:
            return False
        self._reset(self._losing)
        return True

    async def _give(self, data: bytes) -> bool:
        """Give the client what the server said; say whether the session goes on."""
        if self._losing is not None or self._hangs:
            return True
        struck = self._cutting
        if struck is not None and len(data) > self._left:
            self._writer.write(data[: self._left])
            await self._writer.drain()
            self._reset(struck)
            return False
        if struck is not None:
            self._left -= len(data)
        self._writer.write(data)
        await self._writer.drain()
        return True
