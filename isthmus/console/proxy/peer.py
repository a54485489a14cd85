"""One connection of HTTP/2, either end of it: frames in, frames out, and what came for each stream in its order.

Memory is bounded by flow control: what was received is acknowledged when it has been passed on, and only then more may
come (RFC 9113, 5.2). What is to be sent waits for the other side's window.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from isthmus.console.proxy import wire
from isthmus.errors import Missing

try:
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.errors import ErrorCodes
    from h2.events import (
        ConnectionTerminated,
        DataReceived,
        Event,
        RequestReceived,
        ResponseReceived,
        StreamEnded,
        StreamReset,
        TrailersReceived,
    )
    from h2.exceptions import ProtocolError
    from h2.settings import SettingCodes
except ImportError as error:
    raise Missing(
        "A client spoke HTTP/2, and the library for that is not installed.", hint="Run `pip install 'isthmus[demo]'`."
    ) from error

Headers = list[tuple[str, str]]

MOST_STREAMS: Final = 128
"""Requests of a connection in hand, also those whose client has given up: h2 itself bounds the others to 100."""


_LOST: Final = (ProtocolError, wire.Gone, OSError)
"""The stream is over, or the connection."""


class Stream:
    """One request and its answer."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.received: asyncio.Queue[Event] = asyncio.Queue()
        """What came, in order; holds no more bytes than the window that was granted."""
        self.over = asyncio.Event()
        """The other side has given the stream up, or the connection is gone."""
        self.moved = asyncio.Event()
        """There may be room to send again."""

    async def next(self) -> Event:
        """Give what came next. Raises `Gone` when nothing can come any more."""
        if self.received.empty() and not self.over.is_set():
            came, over = asyncio.create_task(self.received.get()), asyncio.create_task(self.over.wait())
            try:
                await asyncio.wait({came, over}, return_when=asyncio.FIRST_COMPLETED)
                if came.done():
                    return came.result()
            finally:
                came.cancel()
                over.cancel()
        if self.received.empty():
            raise wire.Gone("The stream was reset.")
        return self.received.get_nowait()


class Peer:
    """A connection. `run` reads from it until its end; everything else may be called meanwhile."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, *, is_client: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._is_client = is_client
        self._h2 = H2Connection(H2Configuration(client_side=is_client, header_encoding="utf-8"))
        if is_client:
            self._h2.local_settings.update({SettingCodes.ENABLE_PUSH: 0})
        self._streams: dict[int, Stream] = {}
        self.opened: asyncio.Queue[tuple[Stream, Headers]] = asyncio.Queue()
        """Requests as they come, on the side of a server."""
        self.ended = asyncio.Event()

    async def begin(self) -> None:
        """Say the first words."""
        self._h2.initiate_connection()
        await self._flush()

    async def run(self, received: bytes = b"") -> None:
        """Take what comes, `received` first, until the connection ends. Then all of its streams are over."""
        try:
            with suppress(*_LOST):
                while received or (received := await self._reader.read(wire.PIECE)):
                    for event in self._h2.receive_data(received):
                        if isinstance(event, ConnectionTerminated):
                            return
                        self._take(event)
                    received = b""
                    await self._flush()
            with suppress(*_LOST):
                await self._flush()  # to say what was wrong, if something was
        finally:
            self.ended.set()
            for stream in self._streams.values():
                stream.over.set()
                stream.moved.set()

    def _take(self, event: Event) -> None:
        number = getattr(event, "stream_id", None)
        if isinstance(event, RequestReceived):
            stream = self._streams[event.stream_id] = Stream(event.stream_id)
            self.opened.put_nowait((stream, headers_of(event)))
        elif number and number in self._streams:
            stream = self._streams[number]
            if isinstance(event, StreamReset):
                stream.over.set()
            elif isinstance(event, DataReceived | ResponseReceived | TrailersReceived | StreamEnded):
                stream.received.put_nowait(event)
        elif isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        # A window or a setting of the other side's, perhaps: whoever waits looks again.
        for stream in self._streams.values():
            stream.moved.set()

    async def open(self, headers: Headers, body: bytes) -> Stream:
        """Send a request, on the side of a client. Raises `Gone`."""
        try:
            stream = Stream(self._h2.get_next_available_stream_id())
            self._h2.send_headers(stream.number, headers, end_stream=not body)
        except ProtocolError as error:
            raise wire.Gone(str(error)) from error
        self._streams[stream.number] = stream
        await self._flush()
        if body:
            await self.data(stream, body, ends=True)
        return stream

    async def headers(self, stream: Stream, headers: Sequence[tuple[str, str]], *, ends: bool) -> None:
        """Send an answer's fields, or its trailers. Raises `Gone`."""
        try:
            self._h2.send_headers(stream.number, list(headers), end_stream=ends)
        except ProtocolError as error:
            raise wire.Gone(str(error)) from error
        await self._flush()

    async def data(self, stream: Stream, data: bytes, *, ends: bool) -> None:
        """Send bytes as far as the other side takes them, and wait until it has taken all. Raises `Gone`."""
        try:
            while data:
                stream.moved.clear()
                if stream.over.is_set():
                    raise wire.Gone("The stream was reset.")
                room = min(self._h2.local_flow_control_window(stream.number), self._h2.max_outbound_frame_size)
                if room <= 0:
                    await stream.moved.wait()
                    continue
                self._h2.send_data(stream.number, data[:room], end_stream=ends and len(data) <= room)
                data, ends = data[room:], ends and len(data) > room
                await self._flush()
            if ends:
                self._h2.end_stream(stream.number)
                await self._flush()
        except ProtocolError as error:
            raise wire.Gone(str(error)) from error

    async def passed_on(self, stream: Stream, event: DataReceived) -> None:
        """Say that bytes that were received take up no room any more."""
        with suppress(*_LOST):
            self._h2.acknowledge_received_data(event.flow_controlled_length, stream.number)
            await self._flush()

    async def forget(self, stream: Stream) -> None:
        """Say that nobody listens to a stream any more. Safe to repeat."""
        self._streams.pop(stream.number, None)
        while not stream.received.empty():
            event = stream.received.get_nowait()
            if isinstance(event, DataReceived):
                await self.passed_on(stream, event)

    async def reset(self, stream: Stream, code: ErrorCodes = ErrorCodes.INTERNAL_ERROR) -> None:
        """Break a stream off (RST_STREAM). Without effect where it is over."""
        with suppress(*_LOST):
            self._h2.reset_stream(stream.number, error_code=code)
            await self._flush()

    async def go_away(self) -> None:
        """Say that nothing more is served (GOAWAY), and end the connection."""
        with suppress(*_LOST):
            self._h2.close_connection(ErrorCodes.INTERNAL_ERROR)
            await self._flush()
        self._writer.close()

    def break_off(self) -> None:
        """Reset the connection without a word."""
        wire.reset(self._writer)

    async def _flush(self) -> None:
        if waiting := self._h2.data_to_send():
            self._writer.write(waiting)
            try:
                await self._writer.drain()
            except OSError as error:
                raise wire.Gone(str(error)) from error


def headers_of(event: RequestReceived | ResponseReceived | TrailersReceived) -> Headers:
    """Give the fields that came, as text."""
    return [(_text(name), _text(value)) for name, value in event.headers]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
