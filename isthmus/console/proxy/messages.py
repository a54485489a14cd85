"""HTTP/1.1 messages: heads parsed strictly, bodies framed by length or chunks, everything bounded. Pure.

RFC 9112. What it allows but AWS clients never send (folded lines, bare line feeds, trailers, two lengths) is refused:
a proxy that guesses where a message ends may join one client's request to another's.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

MOST_HEAD_BYTES: Final = 64 * 1024
MOST_FIELDS: Final = 128
MOST_BODY_BYTES: Final = 64 * 1024 * 1024
"""A GetRecords answers with 10 MiB at most, a third more in base64."""
MOST_CHUNK_LINE: Final = 16

Fields = list[tuple[str, str]]

_NAME: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(rf"({_NAME}) ([!-~]+) HTTP/1\.([01])")
_STATUS_LINE: Final = re.compile(r"HTTP/1\.[01] ([1-5][0-9][0-9])(?: ([\t -~\x80-\xff]*))?")
_FIELD: Final = re.compile(rf"({_NAME}):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_DIGITS: Final = re.compile(r"[0-9]{1,12}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_HOP_BY_HOP: Final = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "content-length",
}
_NO_BODY: Final = {204, 304}


class BadMessage(Exception):  # noqa: N818 - what it is, not what happens next
    """A message that breaks the rules or a bound. `status` is what a server answers to such a request."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A request; its fields are those that travel end to end, framing left out."""

    method: str
    target: str
    fields: Fields
    body: bytes = b""

    def field(self, name: str) -> str:
        """Give the first field of that name, in small letters, or nothing."""
        return field(self.fields, name)

    def with_body(self, body: bytes) -> "Request":
        """Give it with another body."""
        return replace(self, body=body)


@dataclass(frozen=True, slots=True)
class Response:
    """A response; its fields are those that travel end to end, framing left out."""

    status: int
    reason: str
    fields: Fields
    body: bytes = b""
    length: int | None = None
    """The length that a response without a body speaks of: the one to HEAD."""

    def with_body(self, body: bytes) -> "Response":
        """Give it with another body."""
        return replace(self, body=body)


@dataclass(frozen=True, slots=True)
class Framing:
    """Where a body ends: after `length` bytes, after its last chunk, or (neither) with the connection or at once."""

    length: int | None = None
    chunked: bool = False


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request before its body."""

    request: Request
    framing: Framing
    keeps_open: bool
    waits: bool
    """The client asks whether it may send the body (`Expect: 100-continue`)."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response before its body."""

    response: Response
    framing: Framing


def field(fields: Fields, name: str) -> str:
    """Give the first field of that name, in small letters, or nothing."""
    return next((value for key, value in fields if key.lower() == name), "")


def parse_request(head: bytes) -> RequestHead:
    """Parse a head, its empty line included. Raises `BadMessage`."""
    first, fields = _split(head)
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise BadMessage("The request line is none of HTTP/1.1.")
    options = _options(fields)
    expected = field(fields, "expect").lower()
    if expected not in {"", "100-continue"}:
        raise BadMessage("It expects what nobody knows.", status=417)
    return RequestHead(
        request=Request(line[1], line[2], _end_to_end(fields, options)),
        framing=_framing(fields),
        keeps_open=line[3] == "1" and "close" not in options,
        waits=bool(expected),
    )


def parse_response(head: bytes, method: str) -> ResponseHead:
    """Parse the head of the response to such a request, its empty line included. Raises `BadMessage`."""
    first, fields = _split(head)
    line = _STATUS_LINE.fullmatch(first)
    if line is None:
        raise BadMessage("The status line is none of HTTP/1.1.")
    status, framing = int(line[1]), _framing(fields)
    response = Response(status, line[2] or "", _end_to_end(fields, _options(fields)))
    if method == "HEAD" or status in _NO_BODY:
        return ResponseHead(replace(response, length=framing.length), Framing(length=0))
    return ResponseHead(response, framing)


def parse_chunk_line(line: bytes) -> int:
    """Give the length of the chunk that follows. Raises `BadMessage`."""
    found = _CHUNK.fullmatch(line)
    if found is None:
        raise BadMessage("A chunk has no plain length.")
    return int(found[1], 16)


def encode_request(request: Request) -> bytes:
    """Give a request's bytes, for a connection that ends with the answer."""
    fields = [*request.fields, ("Connection", "close")]
    # A request without a body says nothing of its length, but these methods are refused without one.
    if request.body or request.method in {"POST", "PUT", "PATCH"}:
        fields.append(("Content-Length", str(len(request.body))))
    return _encode(f"{request.method} {request.target} HTTP/1.1", fields, request.body)


def encode_response(response: Response, *, keeps_open: bool) -> bytes:
    """Give a response's bytes."""
    fields = [*response.fields, ("Connection", "keep-alive" if keeps_open else "close")]
    length = len(response.body) if response.length is None else response.length
    if response.status not in _NO_BODY:
        fields.append(("Content-Length", str(length)))
    return _encode(f"HTTP/1.1 {response.status} {response.reason}", fields, response.body)


def _encode(first: str, fields: Fields, body: bytes) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def _split(head: bytes) -> tuple[str, Fields]:
    if len(head) > MOST_HEAD_BYTES:
        raise BadMessage("The head is too long.", status=431)
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    if len(lines) > MOST_FIELDS:
        raise BadMessage("There are too many fields.", status=431)
    fields: Fields = []
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise BadMessage("A field is none of HTTP/1.1.")
        fields.append((found[1], found[2]))
    return first, fields


def _options(fields: Fields) -> set[str]:
    return {
        option.strip().lower() for name, value in fields if name.lower() == "connection" for option in value.split(",")
    }


def _framing(fields: Fields) -> Framing:
    lengths = [value for name, value in fields if name.lower() == "content-length"]
    codings = [value.lower() for name, value in fields if name.lower() == "transfer-encoding"]
    if codings:
        if codings != ["chunked"] or lengths:
            raise BadMessage("Where the body ends is said twice, or in an unknown way.", status=501)
        return Framing(chunked=True)
    if not lengths:
        return Framing()
    if len(lengths) > 1 or not _DIGITS.fullmatch(lengths[0]):
        raise BadMessage("The length is no number, or said twice.")
    if int(lengths[0]) > MOST_BODY_BYTES:
        raise BadMessage("The body is too long.", status=413)
    return Framing(length=int(lengths[0]))


def _end_to_end(fields: Fields, options: set[str]) -> Fields:
    return [(name, value) for name, value in fields if name.lower() not in _HOP_BY_HOP | options]
