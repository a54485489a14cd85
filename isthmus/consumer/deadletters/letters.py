"""A dead letter as SQS takes it: text of certain characters, at most ten attributes, at most 1 MiB. Pure.

`event_of` undoes what `letter_of` did: any copy in the queue can be redriven, also when the parking lot was lost.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence

import orjson

from isthmus.clock import rfc3339
from isthmus.consumer.deadletters.port import MOST_BYTES, MOST_LETTERS, Copy, Letter
from isthmus.errors import Poison

ENCODING, DATAREF, OMITTED = "encoding", "dataref", "omitted"
_BASE64, _EMPTY = "base64", "="
_UNSENDABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no message may hold (SQS API, SendMessage, MessageBody): everything else is refused with the whole request."""
_OVERHEAD = len("StringValueString") + 2
"""Bytes of an attribute beside its name and value: its type counts (SQS API, SendMessage)."""
NOT_OURS = "no-dead-letter"


def letter_of(copy: Copy, put: Callable[[bytes], str] | None, *, limit: int = MOST_BYTES) -> Letter:
    """Give the message of a copy. `put` keeps an event that is too large and gives its reference; None: nowhere to.

    Raises what `put` raises.
    """
    attributes = {
        "id": copy.txn,
        "key": copy.key,
        "source": copy.source,
        "reason": copy.reason,
        "shard": copy.shard,
        "sequence": copy.sequence,
        "time": _time_of(copy.event),
        "parked": rfc3339(copy.written_ms),
    }
    # An attribute must not be empty.
    attributes = {name: sendable(value) for name, value in attributes.items() if value}
    if copy.lost:
        return _without_event(attributes, 0, copy.lost)
    body, more = _body(copy.event)
    letter = Letter(body, {**attributes, **more})
    if size_of(letter) <= limit:
        return letter
    if put is None:
        why = "larger than a message, and there is no bucket: see the parking lot"
        return _without_event(attributes, len(copy.event), why)
    reference = put(copy.event)
    return Letter(orjson.dumps({DATAREF: reference}).decode(), {**attributes, DATAREF: reference})


def event_of(body: str, attributes: Mapping[str, str], get: Callable[[str], bytes] | None) -> bytes:
    """Give the event of a message. `get` fetches what a reference stands for.

    Raises `Poison` for a message that is not one of ours or holds no event, and what `get` raises.
    """
    if OMITTED in attributes:
        raise Poison(OMITTED, "This letter came without its event, which lies in the parking lot, or nowhere.")
    if "id" not in attributes or "reason" not in attributes:
        raise Poison(NOT_OURS, "This message is none of ours: it has no attributes `id` and `reason`.")
    if DATAREF in attributes:
        if get is None:
            raise Poison("payload-missing", "The settings name no bucket of payloads.")
        return get(attributes[DATAREF])
    if attributes.get(ENCODING) == _BASE64:
        try:
            return base64.b64decode("" if body == _EMPTY else body, validate=True)
        except ValueError as error:
            raise Poison(NOT_OURS, "The message says that it is base64, and is not.") from error
    return body.encode()


def requests_of(letters: Sequence[Letter], *, limit: int = MOST_BYTES) -> list[list[int]]:
    """Cut into requests, in order: give the places of the letters of each."""
    found: list[list[int]] = []
    room = 0
    for place, letter in enumerate(letters):
        size = size_of(letter)
        if not found or len(found[-1]) == MOST_LETTERS or size > room:
            found.append([])
            room = limit
        found[-1].append(place)
        room -= size
    return found


def size_of(letter: Letter) -> int:
    """Give the bytes that count."""
    attributes = sum(len(name) + len(value.encode()) + _OVERHEAD for name, value in letter.attributes.items())
    return len(letter.body.encode()) + attributes


def _without_event(attributes: Mapping[str, str], size: int, why: str) -> Letter:
    body = orjson.dumps({OMITTED: {"bytes": size, "why": why}}).decode()
    return Letter(body, {**attributes, OMITTED: str(size)})


def _body(event: bytes) -> tuple[str, dict[str, str]]:
    try:
        text = event.decode()
    except UnicodeDecodeError:
        text = ""
    if text and _UNSENDABLE.search(text) is None:
        return text, {}
    # A message must not be empty either.
    return base64.b64encode(event).decode() or _EMPTY, {ENCODING: _BASE64}


def sendable(text: str) -> str:
    """Give a text as an attribute has it: what no message may hold is written out."""
    return _UNSENDABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _time_of(event: bytes) -> str:
    """Give when the back office made it, as its event says."""
    try:
        value = orjson.loads(event)
    except ValueError:
        return ""
    time = value.get("time") if isinstance(value, dict) else None
    return time if isinstance(time, str) else ""
