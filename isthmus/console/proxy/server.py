"""The proxy itself: clients on one side, the real service on the other, the plan in between."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from isthmus.console.proxy import wire
from isthmus.console.proxy.behaviour import Act, Later, act, possible
from isthmus.console.proxy.faults import Fault, Traffic
from isthmus.console.proxy.messages import (
    MOST_HEAD_BYTES,
    BadMessage,
    Request,
    RequestHead,
    Response,
    encode_response,
)
from isthmus.console.proxy.recognise import is_kinesis, traffic_of
from isthmus.console.proxy.schedule import Schedule, Strike

MOST_CLIENTS = 256
"""Connections at a time; each may hold one request and one answer in memory."""
ANSWER_SECONDS = 60.0
"""How long the real service may take."""
_TARGET = "x-amz-target"
_NO_ANSWER = (wire.Gone, BadMessage, TimeoutError, ValueError, LookupError)
"""The real service gave none, or none that can be understood."""


@dataclass(slots=True)
class _Exchange:
    """`behaviour.Exchange` on real connections."""

    request: Request
    port: int
    client: StreamReader

    async def forward(self, request: Request) -> Response:
        """Have it answered by the real service."""
        async with asyncio.timeout(ANSWER_SECONDS):
            return await wire.exchange(self.port, request)

    async def wait(self, seconds: float) -> None:
        """Let so long pass, whatever the client does."""
        await asyncio.sleep(seconds)

    async def hang(self, seconds: float) -> float:
        """Say nothing for so long, or until the client closes its connection. Give how many seconds that was."""
        now = asyncio.get_running_loop().time
        begun = now()
        # A client has nothing more to say before it is answered: all that can come is the end of its connection.
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(seconds):
                await self.client.read(1)
        return now() - begun


class Proxy:
    """Listens on a port of loopback from `start` to `stop`, and passes everything on to another one.

    Requests to Kinesis go to the port `kinesis`, if it is given. `fired(fault)` is told each time that a fault has had
    its effect.
    """

    def __init__(
        self, upstream: int, schedule: Schedule, fired: Callable[[Fault], None], *, kinesis: int | None = None
    ) -> None:
        self._upstream = upstream
        self._kinesis = kinesis
        self._schedule = schedule
        self._fired = fired
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Begin to listen; give the port."""
        self._server = await asyncio.start_server(self._accept, wire.LOOPBACK, 0, limit=MOST_HEAD_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Break everything off. Safe to repeat."""
        if self._server is not None:
            self._server.close()
        tasks = [*self._clients, *self._late]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        if len(self._clients) >= MOST_CLIENTS:
            wire.reset(writer)
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            # What the other side does to its connection is its own matter: nothing of ours hangs on it.
            with suppress(wire.Gone, OSError):
                while await self._turn(reader, writer):
                    pass
        except BadMessage as error:
            with suppress(OSError):
                writer.write(_refusal(error))
                await writer.drain()
        finally:
            writer.close()

    async def _turn(self, reader: StreamReader, writer: StreamWriter) -> bool:
        """Serve one request; say whether another may follow on this connection."""
        head = await wire.read_request_head(reader)
        if head.waits:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = head.request.with_body(await wire.read_request_body(reader, head))
        target = request.field(_TARGET)
        exchange = _Exchange(request, self._port_of(target), reader)
        traffic = traffic_of(target, request.body)
        strike = self._schedule.due(traffic, lambda fault: possible(fault, request)) if traffic is not None else None
        if traffic is None or strike is None:
            return await _reply(writer, head, await _forwarded(exchange))
        return await self._struck(writer, head, exchange, traffic, strike)

    def _port_of(self, target: str) -> int:
        return self._kinesis if self._kinesis is not None and is_kinesis(target) else self._upstream

    async def _struck(
        self, writer: StreamWriter, head: RequestHead, exchange: _Exchange, traffic: Traffic, strike: Strike
    ) -> bool:
        fired = False
        try:
            done = await _acted(strike, exchange)
            if done.later is not None:
                self._do_later(done.later, traffic, strike)
                fired = True
            # An answer that could not be given was no fault to anybody.
            goes_on = await _reply(writer, head, done.answer)
            if done.fired:
                self._fired(strike.fault)
                fired = True
            return goes_on
        finally:
            if not fired:
                self._schedule.put_back(traffic, strike)

    def _do_later(self, later: Later, traffic: Traffic, strike: Strike) -> None:
        task = asyncio.create_task(self._late_act(later, traffic, strike))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _late_act(self, later: Later, traffic: Traffic, strike: Strike) -> None:
        try:
            fired = await later()
        except _NO_ANSWER:
            fired = False
        if fired:
            self._fired(strike.fault)
        else:
            self._schedule.put_back(traffic, strike)


async def _forwarded(exchange: _Exchange) -> Response | None:
    """Give the real answer; None where there is none: the client sees the connection break, as it would have."""
    try:
        return await exchange.forward(exchange.request)
    except _NO_ANSWER:
        return None


async def _acted(strike: Strike, exchange: _Exchange) -> Act:
    try:
        return await act(strike, exchange)
    except _NO_ANSWER:
        return Act(None, fired=False)


async def _reply(writer: StreamWriter, head: RequestHead, response: Response | None) -> bool:
    if response is None:
        wire.reset(writer)
        return False
    writer.write(encode_response(response, keeps_open=head.keeps_open))
    await writer.drain()
    return head.keeps_open


def _refusal(error: BadMessage) -> bytes:
    body = f"{error}\n".encode()
    return encode_response(Response(error.status, "", [("Content-Type", "text/plain")], body), keeps_open=False)
