"""A client and a service of HTTP/2 without TLS: the client blocks, the service streams when it is told to."""

import asyncio
import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from hypercorn.asyncio import serve
from hypercorn.config import Config

PATIENCE = 30.0


@dataclass
class Answer:
    """What has come on a stream."""

    status: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    reset: int | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Http2Client:
    """One connection. `went_away`: GOAWAY came; `broken`: the connection was reset."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._answers: dict[int, Answer] = {}
        self.went_away = self.broken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, target: str, body: Any = None) -> int:
        """Send a request; give its stream."""
        number = self._h2.get_next_available_stream_id()
        data = b"{}" if body is None else json.dumps(body).encode()
        headers = [
            *((":method", "POST"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", "/")),
            *(("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")),
            *(("te", "trailers"), ("content-length", str(len(data)))),
        ]
        self._h2.send_headers(number, headers)
        self._answers[number] = Answer()
        while data:
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if not room:
                self._flush()
                self._receive()
                continue
            self._h2.send_data(number, data[:room], end_stream=len(data) <= room)
            data = data[room:]
        self._flush()
        return number

    def answer(self, number: int, *, bytes_: int | None = None) -> Answer:
        """Wait until a stream is over, or that many bytes of its body are there; give what came."""
        found = self._answers[number]
        while not (found.ended or found.reset is not None or self.went_away or self.broken):
            if bytes_ is not None and len(found.body) >= bytes_:
                break
            self._receive()
        return found

    def call(self, target: str, body: Any = None) -> Answer:
        """Send a request and wait for the answer."""
        return self.answer(self.ask(target, body))

    def give_up(self, number: int) -> None:
        """Break a stream off."""
        self._h2.reset_stream(number)
        self._flush()

    def _flush(self) -> None:
        # A connection that is gone says so when it is read, after its last words.
        with suppress(ConnectionError):
            self._socket.sendall(self._h2.data_to_send())

    def _receive(self) -> None:
        try:
            data = self._socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.broken = True
            return
        for event in self._h2.receive_data(data):
            self._take(event)
        self._flush()

    def _take(self, event: object) -> None:
        match event:
            case ResponseReceived():
                found = self._answers[event.stream_id]
                fields = {str(name): str(value) for name, value in event.headers}
                found.status, found.fields = int(fields.pop(":status")), fields
            case DataReceived():
                self._answers[event.stream_id].body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case TrailersReceived():
                self._answers[event.stream_id].trailers = {str(name): str(value) for name, value in event.headers}
            case StreamEnded():
                self._answers[event.stream_id].ended = True
            case StreamReset():
                self._answers[event.stream_id].reset = int(event.error_code)
            case ConnectionTerminated():
                self.went_away = True


class Http2Service:
    """Takes requests and echoes them; to SubscribeToShard it says one event at once, the next when `say` allows it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.left = threading.Event()
        """A client of a stream has left."""
        self.trailers = False
        self.size = 0
        """Bytes of an answer instead of an echo."""
        self._say: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._up = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="http2-service")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def say(self) -> None:
        """Let one more event of a stream be said."""
        assert self._loop is not None
        assert self._say is not None
        self._loop.call_soon_threadsafe(self._say.release)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._ended is not None
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop, self._ended, self._say = asyncio.get_running_loop(), asyncio.Event(), asyncio.Semaphore(0)
        config = Config()
        config.bind = [f"fd://{self._socket.detach()}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = 0.1
        self._up.set()
        await serve(self._app, config, shutdown_trigger=self._ended.wait)  # type: ignore[arg-type] # any ASGI

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        target = dict(scope["headers"]).get(b"x-amz-target", b"").decode().rpartition(".")[2]
        self.requests.append((target, body))
        start = {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"yes")]}
        if self.trailers:
            start["trailers"] = True
        await send(start)
        if target == "SubscribeToShard":
            await self._stream(receive, send)
            return
        answer = b"x" * self.size if self.size else body
        await send({"type": "http.response.body", "body": answer})
        if self.trailers:
            await send({"type": "http.response.trailers", "headers": [(b"x-last", b"word")]})

    async def _stream(self, receive: Any, send: Any) -> None:
        assert self._say is not None
        gone = asyncio.create_task(receive())
        while True:
            await send({"type": "http.response.body", "body": b"event;", "more_body": True})
            more = asyncio.create_task(self._say.acquire())
            await asyncio.wait({gone, more}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                more.cancel()
                self.left.set()
                return
