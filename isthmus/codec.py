"""Changes on the wire: a change is a CloudEvents 1.0 event in the JSON format, a bundle is the JSON batch format.

Pure: values in, bytes out, and back. What `encode` writes, `decode` reads: the same change, every number exact.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from isthmus.change import MAX_LANES, VERSION_DIGITS, Change, Verb, is_version, lane_partition_key
from isthmus.exactjson import (
    DEFAULT_LIMITS,
    Limits,
    NotJson,
    canonical,
    json_bytes,
    json_value,
    nested_deeper,
)

__all__ = [
    "DEFAULT_LIMITS",
    "MARKER_ENTITY",
    "Limits",
    "NotJson",
    "Undecodable",
    "bundle",
    "canonical",
    "decode",
    "encode",
    "json_bytes",
    "json_value",
]

MARKER_ENTITY = "epoch"
"""The entity in the type of an epoch marker, which belongs to no entity."""

_MARKER = Verb.MARKER
_SPECVERSION = "1.0"
_JSON = "application/json"
_EPOCH_DIGITS = 18
"""Every store's 64-bit column holds a number of so many digits."""
_PARTITION_KEYS = tuple(lane_partition_key(lane) for lane in range(MAX_LANES))
_LANES = {name: lane for lane, name in enumerate(_PARTITION_KEYS)}
_TEXTS = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "dataschema",
    "sequence",
    "partitionkey",
    "epoch",
    "rowhash",
    "sourcekey",
    "traceparent",
    "dataref",
)
_ABSENT = dict.fromkeys(_TEXTS, "") | {"epoch": "0", "datacontenttype": _JSON, "data": None}
"""What stands for an attribute that is not there, in the order in which `_change_of` takes them."""
_OURS = frozenset(_ABSENT)
_NOT_FOR_EXTENSIONS = _OURS - {"datacontenttype", "partitionkey"}
"""The other two a foreign event may use in a way that a change has no field for."""
_MAX_CACHED = 256
"""Characters of a type that are worth remembering: a cache must not hold megabytes of somebody's names."""


class Undecodable(NamedTuple):
    """An event, or a whole record, that is no change."""

    reason: str
    """A short, constant word: those of `NotJson`, `not-an-event`, `no-version`, `too-many`."""
    message: str
    """Holds nothing of the record's content."""
    data: bytes
    """The bytes that it was found in: the whole record, or the element of a batch, encoded again."""


class _NoChange(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def encode(change: Change, *, prefix: str = "isthmus", data: bytes | None = None) -> bytes:
    """Give the change as one CloudEvent in JSON, its type being `prefix.entity.verb`.

    `data` is the change's data as JSON text, where it is at hand already: it goes in as it is, and `change.data` is not
    looked at.

    Raises ValueError for what `decode` would not give back: data that is not exact in JSON, or that nests too deep for
    the default limits; a change without ID, source, key or version; names, lane or epoch that do not fit.
    """
    _refuse_unreadable(change)
    event = _attributes(change, prefix)
    if data is None and change.data is not None:
        data = json_bytes(change.data)
    if data is not None:
        event["datacontenttype"] = _JSON
        event["data"] = _as_it_is(data)
    if change.extensions:
        event.update({name: _as_it_is(json_bytes(value)) for name, value in change.extensions.items()})
    try:
        # A copy of the right size: orjson leaves the room that it wrote in, 4 KiB, behind each short text, and
        # thousands of events wait for the stream at once.
        return bytes(memoryview(orjson.dumps(event)))
    except TypeError as error:
        raise ValueError(f"an attribute that is not text: {error}") from None


def bundle(events: Sequence[bytes]) -> bytes:
    """Give encoded events, in their order, as one record: a CloudEvents JSON batch."""
    return b"[" + b",".join(events) + b"]"


def decode(record: bytes, limits: Limits = DEFAULT_LIMITS) -> list[Change | Undecodable]:
    """Give the changes in a record, a batch or a single event, in their order. Never raises, whatever the bytes are.

    What is no change stands in its place as `Undecodable`, and the rest of its batch stays good. A record that cannot
    be read at all is one `Undecodable`.

    Foreign events: a sequence of fewer digits is filled up with zeros, without `partitionkey` the lane is -1, without
    `epoch` it is 0; attributes that a change has no field for are in `extensions`, and an attribute that is null is one
    that is not there (CloudEvents JSON format, 2.1).
    """
    try:
        value = json_value(record, limits)
    except NotJson as error:
        return [Undecodable(error.reason, error.message, record)]
    if value.__class__ is not list:
        try:
            return [_change_of(value)]
        except _NoChange as error:
            return [Undecodable(error.reason, error.message, record)]
    if len(value) > limits.max_events:
        return [Undecodable("too-many", f"{len(value)} events, {limits.max_events} allowed", record)]
    found: list[Change | Undecodable] = []
    for element in value:
        try:
            found.append(_change_of(element))
        except _NoChange as error:
            found.append(Undecodable(error.reason, error.message, json_bytes(element)))
    return found


def _refuse_unreadable(change: Change) -> None:
    if not (change.id and change.source):
        raise ValueError("a change without ID or source")
    if not (is_version(change.version) and change.key) and change.verb is not _MARKER:
        raise ValueError("a change without key or version")
    if not (change.lane < MAX_LANES and 0 <= change.epoch < 10**_EPOCH_DIGITS):
        raise ValueError("a lane or an epoch that does not fit")
    if change.extensions:
        if change.lane >= 0 and "partitionkey" in change.extensions:
            raise ValueError("a lane and an extension named partitionkey")
        if not _NOT_FOR_EXTENSIONS.isdisjoint(change.extensions):
            raise ValueError("an extension that has the name of another attribute")


def _attributes(change: Change, prefix: str) -> dict[str, Any]:  # noqa: C901 - one `if` per attribute, twice as fast as a loop
    event = {
        "specversion": _SPECVERSION,
        "id": change.id,
        "source": change.source,
        "type": _type_of(prefix, change.entity, change.verb),
    }
    if change.key:
        event["subject"] = change.key
    if change.time:
        event["time"] = change.time
    if change.dataschema:
        event["dataschema"] = change.dataschema
    if change.version:
        event["sequence"] = change.version
    if change.lane >= 0:
        event["partitionkey"] = _PARTITION_KEYS[change.lane]
    if change.epoch:
        event["epoch"] = str(change.epoch)
    if change.rowhash:
        event["rowhash"] = change.rowhash
    if change.sourcekey:
        event["sourcekey"] = change.sourcekey
    if change.traceparent:
        event["traceparent"] = change.traceparent
    if change.dataref:
        event["dataref"] = change.dataref
    return event


def _as_it_is(text: bytes) -> orjson.Fragment:
    # Around it will be the event, and the bundle's array.
    if nested_deeper(text, DEFAULT_LIMITS.max_depth - 2):
        raise ValueError("arrays and objects too deep inside each other")
    return orjson.Fragment(text)


def _change_of(event: Any) -> Change:
    if event.__class__ is not dict:
        raise _NoChange("not-an-event", "no object")
    # One merge gives defaults and order; a call per attribute would halve the speed.
    attributes = _ABSENT | event
    (
        specversion,
        identity,
        source,
        kind,
        key,
        time,
        dataschema,
        sequence,
        partition_key,
        epoch,
        rowhash,
        sourcekey,
        traceparent,
        dataref,
        content_type,
        data,
        *foreign,
    ) = attributes.values()
    # One chain of comparisons, for the same reason.
    if not (
        str
        is identity.__class__
        is source.__class__
        is kind.__class__
        is key.__class__
        is time.__class__
        is dataschema.__class__
        is sequence.__class__
        is partition_key.__class__
        is epoch.__class__
        is rowhash.__class__
        is sourcekey.__class__
        is traceparent.__class__
        is dataref.__class__
        is content_type.__class__
    ):
        return _change_of(_without_nulls(event))
    if specversion != _SPECVERSION:
        raise _NoChange("not-an-event", "specversion is not 1.0")
    entity, verb = _words(kind) if len(kind) <= _MAX_CACHED else _words.__wrapped__(kind)
    if not (identity and source and (key or verb is _MARKER)):
        raise _NoChange("not-an-event", "id, source or subject is empty or not there")
    if not (len(sequence) == VERSION_DIGITS and sequence.isdigit() and sequence.isascii()):
        sequence = _version_of(sequence, verb)
    if not (epoch.isdigit() and epoch.isascii() and len(epoch) <= _EPOCH_DIGITS):
        raise _NoChange("not-an-event", f"epoch is no whole number of at most {_EPOCH_DIGITS} digits")
    lane = _LANES.get(partition_key, -1)
    extensions = None
    if foreign or data is None or content_type != _JSON or (lane < 0 and partition_key):
        extensions = _extensions_of(event, lane)
    return Change(
        identity,
        source,
        entity,
        verb,
        key,
        sequence,
        lane,
        int(epoch),
        time,
        data,
        rowhash,
        sourcekey,
        dataschema,
        traceparent,
        dataref,
        extensions,
    )


def _without_nulls(event: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is null. Raises where that was not what is wrong with the attributes."""
    present = {name: value for name, value in event.items() if value is not None}
    for name in (*_TEXTS, "datacontenttype"):
        if not isinstance(present.get(name, ""), str):
            raise _NoChange("not-an-event", f"{name} is no string")
    return present


def _extensions_of(event: dict[str, Any], lane: int) -> dict[str, Any] | None:
    extensions = {name: value for name, value in event.items() if name not in _OURS and value is not None}
    if lane < 0 and event.get("partitionkey"):
        extensions["partitionkey"] = event["partitionkey"]
    content_type = event.get("datacontenttype")
    # What `encode` would write by itself is not kept.
    if content_type is not None and (content_type != _JSON or event.get("data") is None):
        extensions["datacontenttype"] = content_type
    return extensions or None


def _version_of(sequence: str, verb: Verb) -> str:
    if 0 < len(sequence) <= VERSION_DIGITS and sequence.isdigit() and sequence.isascii():
        return sequence.zfill(VERSION_DIGITS)
    if verb is _MARKER:
        return ""
    raise _NoChange("no-version", f"sequence is no whole number of at most {VERSION_DIGITS} digits")


@lru_cache(maxsize=1024)
def _words(kind: str) -> tuple[str, Verb]:
    """Give entity and verb, the last two words of a type."""
    words = kind.rsplit(".", 2)
    entity = words[-2] if len(words) > 1 else ""
    try:
        verb = Verb(words[-1])
    except ValueError:
        raise _NoChange("not-an-event", "type does not end in a verb") from None
    if not entity or (verb is _MARKER) is not (entity == MARKER_ENTITY):
        raise _NoChange("not-an-event", "type does not name an entity")
    return entity, verb


@lru_cache(maxsize=1024)
def _type_of(prefix: str, entity: str, verb: Verb) -> str:
    kind = f"{prefix}.{entity}.{verb.value}" if prefix else f"{entity}.{verb.value}"
    try:
        read_back = _words(kind)
    except _NoChange:
        read_back = None
    if read_back != (entity, verb):
        raise ValueError("an entity name that is empty, has a dot in it or is kept for markers")
    return kind
