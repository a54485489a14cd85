"""What waits, in words and as JSON. Pure."""

import base64
from collections.abc import Iterator, Sequence
from typing import Any, Final

from isthmus.change import GENERATION_DIGITS, Change, Verb, generation_of, position_of
from isthmus.clock import rfc3339
from isthmus.codec import NotJson, json_bytes, json_value
from isthmus.console.lot.remaking import LOT_LIMITS, changes_in
from isthmus.consumer.stores.lot import ParkedKey, Waiting
from isthmus.errors import Poison

_STEP: Final = "  "


def key_as_json(parked: ParkedKey) -> dict[str, Any]:
    """Give what is parked of a key, as `isthmus parked list --json` documents it."""
    return {
        "key": parked.key,
        "changes": parked.changes,
        "reason": parked.reason,
        "source": parked.source,
        "entity": parked.entity,
        "first_at": rfc3339(parked.first_at_ms),
    }


def as_json(waiting: Waiting) -> dict[str, Any]:
    """Give a change that waits, whole, as `isthmus parked export` documents it."""
    event = _event(waiting)
    return {
        "key": waiting.key,
        "txn": waiting.txn,
        "version": waiting.version,
        "source": waiting.source,
        "entity": waiting.entity,
        "epoch": waiting.epoch,
        "rowhash": waiting.rowhash,
        "detected": waiting.detected,
        "arrived": rfc3339(waiting.arrived_ms),
        "shard": waiting.shard,
        "sequence": waiting.sequence,
        "reason": waiting.reason,
        "message": waiting.message,
        "stage": waiting.stage,
        "attempts": waiting.attempts,
        "first_at": rfc3339(waiting.first_at_ms),
        "last_at": rfc3339(waiting.last_at_ms),
        "edited": waiting.edited,
        "event": event,
        "event_base64": None if event is not None else base64.b64encode(waiting.event).decode("ascii"),
    }


def _event(waiting: Waiting) -> Any:
    """Give the event as a JSON value, or None: what was no event is kept to the byte."""
    if not waiting.decodable:
        return None
    try:
        return json_value(waiting.event, LOT_LIMITS)
    except NotJson:
        return None


def change_as_json(change: Change) -> dict[str, Any]:
    """Give what a change says, without what it has of the one that waits."""
    return {
        "verb": change.verb.value,
        "entity": change.entity,
        "key": change.key,
        "version": change.version,
        "data": change.data,
    }


def content_of(waiting: Waiting) -> tuple[str, Any]:
    """Give a word for what a change holds, and that: the raw row, or the data, or the text of what is no change."""
    try:
        (change,) = changes_in(waiting)
    except (Poison, ValueError):
        return "bytes", waiting.event.decode("utf-8", "replace")
    if change.verb is Verb.UNTRANSLATED and isinstance(change.data, dict) and "row" in change.data:
        return "row", change.data["row"]
    return ("nothing: it deletes", None) if change.verb is Verb.DELETE else ("data", change.data)


def verb_of(waiting: Waiting) -> str:
    """Give what kind of change it is, in a word."""
    try:
        (change,) = changes_in(waiting)
    except (Poison, ValueError):
        return "undecodable"
    return change.verb.value


def version_in_words(version: str) -> str:
    """Give the position, and before it the generation, where there is one."""
    if len(version) <= GENERATION_DIGITS:
        return version
    generation, position = generation_of(version), position_of(version)
    return f"{generation}:{position}" if generation else str(position)


def pretty(value: Any) -> str:
    """Give a JSON value over several lines, its numbers exact. Raises as `json_bytes` does."""
    return "\n".join(_lines(value))


def cut(text: str, most_lines: int, most_wide: int) -> tuple[str, bool]:
    """Cut a text; say whether something fell."""
    lines = text.split("\n")
    kept = [line if len(line) <= most_wide else f"{line[:most_wide]}..." for line in lines[:most_lines]]
    return "\n".join(kept), len(lines) > most_lines or kept != lines[:most_lines]


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        yield from _between("{", "}", [(f"{json_bytes(name).decode()}: ", each) for name, each in value.items()])
    elif isinstance(value, list) and value:
        yield from _between("[", "]", [("", each) for each in value])
    else:
        yield json_bytes(value).decode()


def _between(opening: str, closing: str, members: Sequence[tuple[str, Any]]) -> Iterator[str]:
    yield opening
    for place, (name, value) in enumerate(members, start=1):
        lines = list(_lines(value))
        lines[0] = f"{name}{lines[0]}"
        if place < len(members):
            lines[-1] += ","
        yield from (f"{_STEP}{line}" for line in lines)
    yield closing
