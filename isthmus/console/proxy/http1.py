"""Requests of HTTP/1.1: read from a client, passed on, and answered."""

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

from isthmus.console.proxy import desk, wire
from isthmus.console.proxy.kinds import Breaks
from isthmus.console.proxy.messages import BadMessage, Request, RequestHead, Response, encode_response
from isthmus.console.proxy.planned import Plan
from isthmus.console.proxy.wire import Address


class Turn:
    """One request of a client: `desk.Client`."""

    def __init__(
        self, head: RequestHead, request: Request, address: Address, reader: StreamReader, writer: StreamWriter
    ) -> None:
        self.request = request
        self.keeps_open = head.keeps_open
        """Whether another request may follow on this connection."""
        self._address = address
        self._reader = reader
        self._writer = writer

    async def forward(self, request: Request) -> Response:
        """Have it answered by the real service."""
        async with asyncio.timeout(desk.ANSWER_SECONDS):
            if not desk.is_streamed(request):
                return await wire.exchange(self._address.port, request, self._address.host)
            async with wire.asked(self._address, request) as begun:
                return begun.head.response

    async def wait(self, seconds: float) -> None:
        """Let so long pass, whatever the client does."""
        await asyncio.sleep(seconds)

    async def hang(self, seconds: float | None) -> float:
        """Say nothing for so long, or until the client closes its connection. Give how many seconds that was."""
        now = asyncio.get_running_loop().time
        begun = now()
        # A client has nothing more to say before it is answered: all that can come is the end of its connection.
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(seconds):
                await self._reader.read(1)
        return now() - begun

    async def answer(self, response: Response) -> None:
        """Give an answer."""
        self._writer.write(encode_response(response, keeps_open=self.keeps_open))
        await self._writer.drain()

    async def break_off(self, _breaks: Breaks) -> None:
        """Reset the connection: HTTP/1.1 has nothing less."""
        self.keeps_open = False
        wire.reset(self._writer)

    async def pass_on(self, cut: int | None) -> bool:
        """Give the real service's answer, or break off where it gave none; say whether it was cut off."""
        try:
            if desk.is_streamed(self.request):
                return await self._stream(cut)
            response = await self.forward(self.request)
        except desk.NO_ANSWER:
            await self.break_off(Breaks.CONNECTION)
            return False
        if cut is None or len(response.body) <= cut:
            await self.answer(response)
            return False
        whole = encode_response(response, keeps_open=False)
        await self._cut(whole[: len(whole) - len(response.body) + cut])
        return True

    async def _cut(self, beginning: bytes) -> None:
        self._writer.write(beginning)
        await self._writer.drain()
        await self.break_off(Breaks.CONNECTION)

    async def _stream(self, cut: int | None) -> bool:
        """Pass an answer on as it comes, until the client has heard enough. It ends with the connection."""
        self.keeps_open = False
        left = asyncio.create_task(self._reader.read(1))
        try:
            async with asyncio.timeout(desk.ANSWER_SECONDS) as limit, wire.asked(self._address, self.request) as begun:
                limit.reschedule(None)
                # The service's own bytes, its framing too: it was asked to close the connection, as we do.
                self._writer.write(begun.raw)
                passed = 0
                while piece := await _unless(left, begun.reader):
                    passed += len(piece)
                    if cut is not None and passed > cut:
                        await self._cut(piece[: len(piece) - (passed - cut)])
                        return True
                    self._writer.write(piece)
                    await self._writer.drain()
        finally:
            left.cancel()
            await asyncio.gather(left, return_exceptions=True)
        return False


async def _unless(left: "asyncio.Task[bytes]", reader: StreamReader) -> bytes:
    """Give what comes next; nothing at the end, or when the client has left."""
    more = asyncio.create_task(reader.read(wire.PIECE))
    await asyncio.wait({left, more}, return_when=asyncio.FIRST_COMPLETED)
    if more.done():
        return more.result()
    more.cancel()
    await asyncio.gather(more, return_exceptions=True)
    return b""


async def refuse(writer: StreamWriter, error: BadMessage) -> None:
    """Tell a client that its request is none."""
    body = f"{error}\n".encode()
    answer = Response(error.status, "", [("Content-Type", "text/plain")], body)
    with suppress(OSError):
        writer.write(encode_response(answer, keeps_open=False))
        await writer.drain()


async def turn(plan: Plan, head: RequestHead, address: Address, reader: StreamReader, writer: StreamWriter) -> bool:
    """Serve the request with this head; say whether another may follow on this connection."""
    if head.waits:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request = head.request.with_body(await wire.read_request_body(reader, head))
    client = Turn(head, request, address, reader, writer)
    await desk.serve(plan, client)
    return client.keeps_open
