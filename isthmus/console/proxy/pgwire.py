"""Just enough of PostgreSQL's protocol, version 3, to know where a message ends and what it is about. Pure.

PostgreSQL, "Frontend/Backend Protocol", "Message Flow" and "Message Formats".
"""

import re
import struct
from enum import IntEnum
from typing import Final

from isthmus.console.proxy.kinds import COMMIT, QUERY, Kind
from isthmus.console.proxy.messages import BadMessage

HEAD: Final = 5
"""Bytes before a message's body: its kind and its length."""
STARTUP_HEAD: Final = 8
"""The first message of a client has no kind: its length and a code."""
MOST_STARTUP_BYTES: Final = 10_000
"""The server's own limit (MAX_STARTUP_PACKET_LENGTH)."""
PEEKED: Final = 256
"""Bytes of a statement that are looked at: a statement's name has 63 at most."""
NO_TLS: Final = b"N"

QUERY_TEXT, PARSE, EXECUTE, FUNCTION = b"Q", b"P", b"E", b"F"
COMPLETE, READY = b"C", b"Z"
ENDS_WITH_READY: Final = frozenset({QUERY_TEXT, FUNCTION, b"S"})
"""The server answers each of these, a sync among them, with one READY at its end."""
COMMITTED: Final = b"COMMIT\0"
"""The body of the message that tells of a commit: a rolled back transaction says ROLLBACK, whatever was asked."""

_COMMIT: Final = re.compile(rb"\s*(COMMIT|END)(\s+(WORK|TRANSACTION))?\s*;?\s*\0?", re.IGNORECASE)
_ERRORS: Final = {
    Kind.THROTTLE: ("53300", "sorry, too many clients already"),
    Kind.UNAVAILABLE: ("57P03", "the database system is starting up"),
}


class Code(IntEnum):
    """What a client's first message asks for."""

    CANCEL = 80877102
    TLS = 80877103
    GSS = 80877104


def length_of(head: bytes) -> int:
    """Give the length of the body that follows. Raises `BadMessage`."""
    length = int(struct.unpack("!i", head[-4:])[0]) - 4
    if length < 0:
        raise BadMessage("The length is less than that of the length itself.")
    return length


def startup(head: bytes) -> tuple[int, int]:
    """Give the length of what follows the first message's head, and its code. Raises `BadMessage`."""
    length, code = struct.unpack("!ii", head)
    if not STARTUP_HEAD <= length <= MOST_STARTUP_BYTES:
        raise BadMessage("The first message is too short or too long.")
    return length - STARTUP_HEAD, code


def operations(kind: bytes, beginning: bytes) -> tuple[str, ...]:
    """Give what a message of a client asks for, by the beginning of its body; empty: nothing that can be struck.

    A COMMIT is met where its text is; in the extended protocol that is before it is executed.
    """
    if kind == QUERY_TEXT:
        return (COMMIT, QUERY) if _COMMIT.fullmatch(beginning) else (QUERY,)
    if kind == PARSE:
        statement = beginning.partition(b"\0")[2].partition(b"\0")[0]
        return (COMMIT,) if _COMMIT.fullmatch(statement) else ()
    return (QUERY,) if kind in {EXECUTE, FUNCTION} else ()


def refusal(kind: Kind, code: str) -> bytes:
    """Give the message by which a server refuses a session."""
    usual, sentence = _ERRORS[kind]
    fields = (b"SFATAL", b"VFATAL", b"C" + (code or usual).encode(), b"M" + sentence.encode())
    body = b"".join(field + b"\0" for field in fields) + b"\0"
    return b"E" + struct.pack("!i", len(body) + 4) + body
