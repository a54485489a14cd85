"""Requests of HTTP/2 without TLS: each stream of a client's connection is passed on as a stream to the real service."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from h2.errors import ErrorCodes
from h2.events import DataReceived, ResponseReceived, StreamEnded, TrailersReceived

from isthmus.console.proxy import desk, wire
from isthmus.console.proxy.kinds import Breaks
from isthmus.console.proxy.messages import MOST_BODY_BYTES, BadMessage, Request, Response
from isthmus.console.proxy.peer import MOST_STREAMS, Headers, Peer, Stream, headers_of
from isthmus.console.proxy.planned import Plan
from isthmus.console.proxy.wire import Address

_NOT_OF_A_STREAM: Final = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host"}
"""What HTTP/2 forbids, or says otherwise (RFC 9113, 8.2.2 and 8.3.1)."""


class Upstream:
    """The way to the real service, for one connection of a client: a connection that is opened when it is needed."""

    def __init__(self) -> None:
        self._peer: Peer | None = None
        self._running: asyncio.Task[None] | None = None
        self._writer: StreamWriter | None = None
        self._opening = asyncio.Lock()

    async def open(self, address: Address, request: Request) -> tuple[Peer, Stream]:
        """Send a request. Raises `Gone`."""
        async with self._opening:
            if self._peer is None or self._peer.ended.is_set():
                await asyncio.gather(*self.hang_up(), return_exceptions=True)
                self._peer = await self._connect(address)
        return self._peer, await self._peer.open(headers_of_request(request), request.body)

    async def _connect(self, address: Address) -> Peer:
        try:
            reader, self._writer = await asyncio.open_connection(*address)
            peer = Peer(reader, self._writer, is_client=True)
            await peer.begin()
        except OSError as error:
            raise wire.Gone(str(error)) from error
        self._running = asyncio.create_task(peer.run())
        return peer

    def hang_up(self) -> list["asyncio.Task[None]"]:
        """End it, at once: who waits here may be cancelled. Give what is still to be waited for. Safe to repeat."""
        if self._writer is not None:
            self._writer.close()
        if self._running is None:
            return []
        self._running.cancel()
        return [self._running]


class Way(NamedTuple):
    """From one connection of a client to the real service."""

    plan: Plan
    route: Callable[[Request], Address]
    peer: Peer
    upstream: Upstream


class Turn:
    """One request of a client: `desk.Client`."""

    def __init__(self, request: Request, way: Way, stream: Stream) -> None:
        self.request = request
        self._address = way.route(request)
        self._peer = way.peer
        self._stream = stream
        self._upstream = way.upstream

    async def forward(self, request: Request) -> Response:
        """Have it answered by the real service; collect the answer."""
        async with asyncio.timeout(desk.ANSWER_SECONDS):
            peer, stream = await self._upstream.open(self._address, request)
            try:
                return await _collected(peer, stream, head_only=desk.is_streamed(request))
            finally:
                await _leave(peer, stream)

    async def wait(self, seconds: float) -> None:
        """Let so long pass, whatever the client does."""
        await asyncio.sleep(seconds)

    async def hang(self, seconds: float | None) -> float:
        """Say nothing for so long, or until the client gives the stream up. Give how many seconds that was."""
        now = asyncio.get_running_loop().time
        begun = now()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stream.over.wait()
        return now() - begun

    async def answer(self, response: Response) -> None:
        """Give an answer."""
        length = len(response.body) if response.length is None else response.length
        fields = [(name.lower(), value) for name, value in response.fields]
        fields = [(name, value) for name, value in fields if name not in _NOT_OF_A_STREAM | {"content-length"}]
        head = [(":status", str(response.status)), *fields, ("content-length", str(length))]
        await self._peer.headers(self._stream, head, ends=not response.body)
        if response.body:
            await self._peer.data(self._stream, response.body, ends=True)

    async def break_off(self, breaks: Breaks) -> None:
        """Break the stream off, or the whole connection."""
        match breaks:
            case Breaks.STREAM:
                await self._peer.reset(self._stream)
            case Breaks.GOAWAY:
                await self._peer.go_away()
            case Breaks.CONNECTION:
                self._peer.break_off()

    async def pass_on(self, cut: int | None) -> bool:
        """Give the real service's answer as it comes, or break off where it gave none; say whether it was cut off."""
        try:
            async with asyncio.timeout(desk.ANSWER_SECONDS) as limit:
                peer, stream = await self._upstream.open(self._address, self.request)
                try:
                    return await self._passed(peer, stream, cut, limit)
                finally:
                    await _leave(peer, stream)
        except desk.NO_ANSWER:
            await self._peer.reset(self._stream)
            return False

    async def _passed(self, peer: Peer, stream: Stream, cut: int | None, limit: asyncio.Timeout) -> bool:
        passed = 0
        while True:
            event = await _next_of(stream, self._stream)
            match event:
                case ResponseReceived():
                    limit.reschedule(None)
                    await self._peer.headers(self._stream, headers_of(event), ends=False)
                case DataReceived():
                    passed += len(event.data)
                    if cut is not None and passed > cut:
                        await self._peer.data(self._stream, event.data[: len(event.data) - passed + cut], ends=False)
                        await self._peer.reset(self._stream)
                        return True
                    await self._peer.data(self._stream, event.data, ends=False)
                    await peer.passed_on(stream, event)
                case TrailersReceived():
                    await self._peer.headers(self._stream, headers_of(event), ends=True)
                    return False
                case StreamEnded():
                    await self._peer.data(self._stream, b"", ends=True)
                    return False


async def _next_of(stream: Stream, client: Stream) -> object:
    """Give what came next from the service. Raises `Gone`, also when the client has given up."""
    came, left = asyncio.create_task(stream.next()), asyncio.create_task(client.over.wait())
    try:
        await asyncio.wait({came, left}, return_when=asyncio.FIRST_COMPLETED)
        if came.done():
            return came.result()
        raise wire.Gone("The client has given up.")
    finally:
        left.cancel()
        came.cancel()
        await asyncio.gather(came, left, return_exceptions=True)


async def _collected(peer: Peer, stream: Stream, *, head_only: bool) -> Response:
    status, fields, body = 0, Headers(), bytearray()
    while True:
        match event := await stream.next():
            case ResponseReceived():
                found = headers_of(event)
                status = int(next(value for name, value in found if name == ":status"))
                fields = [(name, value) for name, value in found if not name.startswith(":")]
                if head_only:
                    return Response(status, "", fields)
            case DataReceived():
                body += event.data
                if len(body) > MOST_BODY_BYTES:
                    raise BadMessage("The answer is too long.")
                await peer.passed_on(stream, event)
            case StreamEnded():
                return Response(status, "", fields, bytes(body))


async def _leave(peer: Peer, stream: Stream) -> None:
    """Take no more of an answer."""
    await peer.reset(stream, ErrorCodes.CANCEL)
    await peer.forget(stream)


def headers_of_request(request: Request) -> Headers:
    """Give a request's fields as HTTP/2 writes them."""
    fields = [(name.lower(), value) for name, value in request.fields]
    head = [(":method", request.method), (":scheme", "http"), (":path", request.target)]
    if host := request.field("host"):
        head.append((":authority", host))
    kept = [(name, value) for name, value in fields if name not in _NOT_OF_A_STREAM | {"content-length"}]
    return [*head, *kept, *([("content-length", str(len(request.body)))] if request.body else [])]


async def serve(
    plan: Plan, route: Callable[[Request], Address], received: bytes, reader: StreamReader, writer: StreamWriter
) -> None:
    """Serve a client's connection to its end; `received` is what it has already said."""
    peer, upstream = Peer(reader, writer, is_client=False), Upstream()
    way = Way(plan, route, peer, upstream)
    await peer.begin()
    tasks: set[asyncio.Task[None]] = set()
    running = asyncio.create_task(peer.run(received))
    try:
        while True:
            opening = asyncio.create_task(peer.opened.get())
            await asyncio.wait({opening, running}, return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                opening.cancel()
                break
            stream, head = opening.result()
            if len(tasks) >= MOST_STREAMS:
                await peer.reset(stream, ErrorCodes.REFUSED_STREAM)
                await peer.forget(stream)
                continue
            task = asyncio.create_task(_one(way, stream, head))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        # The client is gone. What it has asked is carried on: a request that is late is late all the same.
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in (running, *tasks):
            task.cancel()
        await asyncio.gather(running, *tasks, *upstream.hang_up(), return_exceptions=True)


async def _one(way: Way, stream: Stream, head: Headers) -> None:
    try:
        with suppress(wire.Gone, OSError):
            request = await _request(way.peer, stream, head)
            await desk.serve(way.plan, Turn(request, way, stream))
    except BadMessage:
        await way.peer.reset(stream, ErrorCodes.ENHANCE_YOUR_CALM)
    finally:
        await way.peer.forget(stream)


async def _request(peer: Peer, stream: Stream, head: Headers) -> Request:
    """Read a request whole: what strikes it may depend on its body. Raises `Gone`, `BadMessage`."""
    own = dict(head)
    fields = [(name, value) for name, value in head if not name.startswith(":") and name != "content-length"]
    if ":authority" in own:
        fields = [("host", own[":authority"]), *((name, value) for name, value in fields if name != "host")]
    body = bytearray()
    while not isinstance(event := await stream.next(), StreamEnded):
        if isinstance(event, DataReceived):
            body += event.data
            if len(body) > MOST_BODY_BYTES:
                raise BadMessage("The body is too long.")
            await peer.passed_on(stream, event)
    return Request(own.get(":method", ""), own.get(":path", ""), fields, bytes(body))
