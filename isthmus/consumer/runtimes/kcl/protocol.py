"""The daemon's lines and ours: JSON objects, one a line. Pure.

The daemon asks (`initialize`, `processRecords`, `leaseLost`, `shardEnded`, `shutdownRequested`; old ones say `shutdown`
with a reason) and waits for a status that names the question. Until then we may ask for checkpoints, and each is
answered with a line. A status is a promise: the daemon never gives those records again while it lives.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as core

from isthmus.consumer.feed import Place, Record
from isthmus.errors import Fatal

SHARD_END = Place("SHARD_END")
"""The place after a closed shard's last record. The library takes it only while it asks for the shard's end, and
refuses it at any other time; a checkpoint without a place would mean whatever was delivered last."""


@dataclass(frozen=True, slots=True)
class Initialize:
    """Begin with a shard. `sequence` is its checkpoint: a number, a word like `TRIM_HORIZON`, or None."""

    shard: str
    sequence: str | None
    sub_sequence: int = 0
    action: ClassVar[str] = "initialize"

    @property
    def begin(self) -> Place | None:
        """The last record that is done with, or None where the library decides where to begin."""
        if self.sequence is None or not self.sequence.isdecimal():
            return None
        return Place(self.sequence, self.sub_sequence)


@dataclass(frozen=True, slots=True)
class ProcessRecords:
    """Records to decide, oldest first; there may be none."""

    records: list[Record]
    behind_ms: int | None
    """How far the last one lies behind the newest of the shard, if it is known."""
    action: ClassVar[str] = "processRecords"


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """The shard belongs to another worker by now."""

    action: str = "leaseLost"


@dataclass(frozen=True, slots=True)
class ShardEnded:
    """The shard is closed, and all its records were given. To be answered only when its end is checkpointed."""

    action: str = "shardEnded"


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """The worker stops, or hands the shard over: the last occasion for a checkpoint."""

    action: str = "shutdownRequested"


@dataclass(frozen=True, slots=True)
class CheckpointAnswer:
    """What became of the checkpoint that was asked for: `error` is the name of the library's exception, or None."""

    error: str | None


Callback = Initialize | ProcessRecords | LeaseLost | ShardEnded | ShutdownRequested
Message = Callback | CheckpointAnswer


def decode(line: bytes) -> Message:
    """Give the meaning of a line of the daemon.

    Raises `Fatal` for anything that is not one. Its message holds nothing of the line: lines are people's data.
    """
    try:
        fields = _LINE.validate_json(line)
    except ValidationError:
        fields = _fields_of_odd_text(line)
    return _MEANINGS[fields["action"]](fields)


def status(action: str) -> bytes:
    """Give the line that says a question is done with."""
    return orjson.dumps({"action": "status", "responseFor": action})


def checkpoint(place: Place) -> bytes:
    """Give the line that asks for a checkpoint at a place, in the very words in which the daemon gave it."""
    sequence, sub_sequence = place
    return orjson.dumps({"action": "checkpoint", "sequenceNumber": sequence, "subSequenceNumber": sub_sequence})


def _fields_of_odd_text(line: bytes) -> Any:
    """Read text that is no Unicode: half a surrogate pair, or a Java machine that writes another charset.

    Only a partition key can hold such text, and nothing is decided by it: no reason to stop at this record for ever.
    """
    try:
        fields = json.loads(line.decode("utf-8", "replace"))
        return _LINE.validate_json(json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        # Without its cause: that quotes values.
        raise Fatal(f"The daemon sent a line that is not understood: {where} {first['type']}.") from None
    except (ValueError, RecursionError):
        raise Fatal("The daemon sent a line that is not JSON.") from None


def _initialize(fields: Mapping[str, Any]) -> Initialize:
    return Initialize(fields["shardId"], fields.get("sequenceNumber"), fields.get("subSequenceNumber") or 0)


def _process_records(fields: Mapping[str, Any]) -> ProcessRecords:
    records = [
        Record(
            item["sequenceNumber"],
            item["data"] or b"",
            item["partitionKey"],
            item["approximateArrivalTimestamp"] or 0,
            item.get("subSequenceNumber") or 0,
        )
        for item in fields["records"]
    ]
    return ProcessRecords(records, fields.get("millisBehindLatest"))


_REASONS: Mapping[str, Callable[[str], Callback]] = {
    "TERMINATE": ShardEnded,
    "ZOMBIE": LeaseLost,
    "REQUESTED": ShutdownRequested,
}

_MEANINGS: Mapping[str, Callable[[Mapping[str, Any]], Message]] = {
    Initialize.action: _initialize,
    ProcessRecords.action: _process_records,
    "leaseLost": lambda _: LeaseLost(),
    "shardEnded": lambda _: ShardEnded(),
    "shutdownRequested": lambda _: ShutdownRequested(),
    "shutdown": lambda fields: _REASONS[fields["reason"]]("shutdown"),
    "checkpoint": lambda fields: CheckpointAnswer(fields.get("error")),
}


def _shape(optional: Mapping[str, core.CoreSchema] | None = None, **needed: core.CoreSchema) -> core.CoreSchema:
    """Give the shape of an object with an action; what else it holds is passed over."""
    fields = {"action": core.typed_dict_field(core.str_schema(), required=False)}
    fields |= {name: core.typed_dict_field(schema) for name, schema in needed.items()}
    fields |= {name: core.typed_dict_field(schema, required=False) for name, schema in (optional or {}).items()}
    # Base64 is the most of the work. Measured on records of 1,000 bytes: a third of what `binascii` takes for them.
    return core.typed_dict_schema(fields, config=core.CoreConfig(val_json_bytes="base64"))


_TEXT = core.str_schema()
_NUMBER = core.nullable_schema(core.int_schema(ge=0))
_MAYBE_TEXT = core.nullable_schema(_TEXT)

_RECORD = _shape(
    {"subSequenceNumber": _NUMBER},
    sequenceNumber=core.str_schema(pattern="^[0-9]+$"),
    data=core.nullable_schema(core.bytes_schema()),
    partitionKey=_TEXT,
    approximateArrivalTimestamp=_NUMBER,
)
_SHAPES = {
    "initialize": _shape({"sequenceNumber": _MAYBE_TEXT, "subSequenceNumber": _NUMBER}, shardId=_TEXT),
    "processRecords": _shape({"millisBehindLatest": _NUMBER}, records=core.list_schema(_RECORD)),
    "leaseLost": _shape(),
    "shardEnded": _shape(),
    "shutdownRequested": _shape(),
    "shutdown": _shape(reason=core.literal_schema([*_REASONS])),
    "checkpoint": _shape({"error": _MAYBE_TEXT}),
}
_LINE = SchemaValidator(core.tagged_union_schema(_SHAPES, discriminator="action"))
