"""Whole messages from and to asyncio's streams."""

import socket
import struct
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader, StreamWriter, open_connection
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from isthmus.console.proxy.messages import (
    MOST_BODY_BYTES,
    MOST_CHUNK_LINE,
    MOST_HEAD_BYTES,
    BadMessage,
    Framing,
    Request,
    RequestHead,
    Response,
    ResponseHead,
    encode_request,
    parse_chunk_line,
    parse_request,
    parse_response,
)

LOOPBACK = "127.0.0.1"
PIECE = 64 * 1024
"""Bytes that are passed on at a time."""
_CONTINUE = 100
_SWITCHING = 101
_FINAL = 200


class Gone(Exception):  # noqa: N818 - a fact about the other side
    """The other side closed the connection."""


class Address(NamedTuple):
    """Where a service listens."""

    host: str
    port: int


class Begun(NamedTuple):
    """An answer whose body is still to come."""

    head: ResponseHead
    raw: bytes
    """The head as the service wrote it."""
    reader: StreamReader


async def read_request_head(reader: StreamReader) -> RequestHead:
    """Read a request's head. Raises `Gone` before its end, `BadMessage`."""
    return parse_request(await read_head(reader))


async def read_request_body(reader: StreamReader, head: RequestHead) -> bytes:
    """Read the body of a request. Raises `Gone` before its end, `BadMessage`."""
    # Without a framing a request has no body: only a response may end with its connection (RFC 9112, 6.3).
    return await _body(reader, head.framing) if head.framing != Framing() else b""


async def exchange(port: int, request: Request, host: str = LOOPBACK) -> Response:
    """Send a request to a port, of this machine if no other host is named, and give the answer.

    Raises as `asked`.
    """
    async with asked(Address(host, port), request) as begun:
        body = await _body(begun.reader, begun.head.framing)
        return begun.head.response.with_body(body)


@asynccontextmanager
async def asked(address: Address, request: Request) -> AsyncIterator[Begun]:
    """Send a request, on a connection of its own, and give the head of the answer; its body ends with the connection.

    A connection of its own has no past: it cannot have been closed meanwhile, and nothing is ever sent twice. Raises
    `Gone` when no whole answer came, `BadMessage`.
    """
    try:
        reader, writer = await open_connection(*address, limit=MOST_HEAD_BYTES)
    except OSError as error:
        raise Gone(str(error)) from error
    try:
        writer.write(encode_request(request))
        await writer.drain()
        raw = await read_head(reader)
        head = parse_response(raw, request.method)
        while _CONTINUE <= head.response.status < _FINAL:
            if head.response.status == _SWITCHING:
                raise BadMessage("The connection was switched to another protocol.")
            raw = await read_head(reader)
            head = parse_response(raw, request.method)
        yield Begun(head, raw, reader)
    except OSError as error:
        raise Gone(str(error)) from error
    finally:
        writer.close()


def reset(writer: StreamWriter) -> None:
    """Break the connection off, so that the other side sees a reset and not an end."""
    # The constants of socket(7): linger on, for 0 seconds. Then close(2) sends RST.
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_head(reader: StreamReader) -> bytes:
    """Read up to the empty line, and with it. Raises `Gone` before its end, `BadMessage`."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except LimitOverrunError as error:
        raise BadMessage("The head is too long.", status=431) from error
    except (IncompleteReadError, OSError) as error:
        raise Gone(str(error)) from error


async def _body(reader: StreamReader, framing: Framing) -> bytes:
    try:
        if framing.chunked:
            return await _chunks(reader)
        if framing.length is not None:
            return await reader.readexactly(framing.length)
        return await _rest(reader)
    except (IncompleteReadError, OSError) as error:
        raise Gone(str(error)) from error


async def _chunks(reader: StreamReader) -> bytes:
    body = bytearray()
    while length := parse_chunk_line(await _line(reader)):
        if len(body) + length > MOST_BODY_BYTES:
            raise BadMessage("The body is too long.", status=413)
        body += await reader.readexactly(length)
        if await reader.readexactly(2) != b"\r\n":
            raise BadMessage("A chunk does not end where it said.")
    if await reader.readexactly(2) != b"\r\n":
        raise BadMessage("There are trailers.")
    return bytes(body)


async def _line(reader: StreamReader) -> bytes:
    try:
        line = await reader.readuntil(b"\r\n")
    except LimitOverrunError as error:
        raise BadMessage("A chunk's length is too long.") from error
    if len(line) > MOST_CHUNK_LINE:
        raise BadMessage("A chunk's length is too long.")
    return line


async def _rest(reader: StreamReader) -> bytes:
    body = bytearray()
    while piece := await reader.read(PIECE):
        body += piece
        if len(body) > MOST_BODY_BYTES:
            raise BadMessage("The body is too long.", status=413)
    return bytes(body)
