"""The words of the wire: what a change is, how it is named, numbered and put into a lane.

Everything here is a pure function or a value. Nothing imports from the rest of the house.
"""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

POSITION_DIGITS = 30
GENERATION_DIGITS = 8
VERSION_DIGITS = GENERATION_DIGITS + POSITION_DIGITS
"""38 digits: the longest number that DynamoDB holds exactly (AWS, "Supported data types and naming rules", Number)."""

MAX_LANES = 256
LANES_PER_SHARD = 16
MAX_KEY_BYTES = 1024
"""DynamoDB's limit for a sort key is 1,024 bytes; a key must fit into every store ("Quotas", sort key length)."""

RAW_KEY_PREFIX = "~"
"""A key that begins with this was made by Isthmus for something whose real key could not be computed."""

SETTLED_ROW_PREFIX = "~row/"
"""How a row that was discarded before its key was known stands among settled IDs; see `settled_row`."""
_HASH_SPACE = 1 << 128
_GENERATIONS = 10**GENERATION_DIGITS
_POSITIONS = 10**POSITION_DIGITS
_VERSION = re.compile(r"[0-9]{38}", re.ASCII)


class Kind(StrEnum):
    """What a change of an entity type means for the changes before it."""

    STATE = "state"
    """Carries the entity's whole new state: newer replaces older."""
    EVENT = "event"
    """Every single change counts."""


class Verb(StrEnum):
    """The last word of the CloudEvents type."""

    UPSERT = "upsert"
    DELETE = "delete"
    EVENT = "event"
    UNTRANSLATED = "untranslated"
    MARKER = "marker"


class Outcome(StrEnum):
    """What became of a change."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    """Read again, and newer by its generation alone: the front office holds it exactly so. Its version is noted."""
    DUPLICATE = "duplicate"
    """This very transaction took effect before, or an operator settled it."""
    STALE = "stale"
    """A newer version of the entity is there."""
    FENCED = "fenced"
    """From a producer that had lost its source."""
    PARKED = "parked"
    HELD = "held"
    """Before a closed gate, or behind what is held of its key: decided anew when the gate opens."""
    FILTERED = "filtered"
    SUPERSEDED = "superseded"
    """Was parked; a newer valid state of its entity freed it."""


class Change(NamedTuple):
    """One modification of one entity, translated. On the wire it is one CloudEvent.

    `data` is a JSON value: numbers that a double does not hold exactly are `int` or `Decimal`. It is None for a
    delete, a marker and where
    `dataref` names an object that holds it. `extensions` are attributes of a foreign event that have no place
    here; they travel along.
    """

    id: str
    source: str
    entity: str
    verb: Verb
    key: str
    version: str
    lane: int
    epoch: int
    time: str
    data: Any = None
    rowhash: str = ""
    sourcekey: str = ""
    dataschema: str = ""
    traceparent: str = ""
    dataref: str = ""
    extensions: Mapping[str, Any] | None = None


def version_of(generation: int, position: int) -> str:
    """Give the version for a generation (0 or more, 8 digits) and a position (0 or more, 30 digits).

    38 digits that sort as text.

    Raises ValueError for a number that does not fit.
    """
    if not (0 <= generation < _GENERATIONS and 0 <= position < _POSITIONS):
        raise ValueError(f"generation {generation} or position {position} does not fit into a version")
    return f"{generation:0{GENERATION_DIGITS}d}{position:0{POSITION_DIGITS}d}"


def settled_row(change: Change) -> str:
    """Give what stands for a change's row among settled IDs, or an empty text where the wire does not name the row.

    A change whose key was not known has an ID of its own; discarded, it is settled under its source's primary key and
    position too, which the same row has under its real key.
    """
    if not change.sourcekey:
        return ""
    named = f"{change.source}\0{change.sourcekey}\0{change.version}"
    return f"{SETTLED_ROW_PREFIX}{row_hash(named.encode())}"


def same_generation(one: str, other: str) -> bool:
    """Say whether two versions are of one generation."""
    return one[:GENERATION_DIGITS] == other[:GENERATION_DIGITS]


def is_version(text: object) -> bool:
    """Say whether this is a version: a string of exactly 38 ASCII digits."""
    return isinstance(text, str) and _VERSION.fullmatch(text) is not None


def position_of(version: str) -> int:
    """Give the position (the back office's own cursor, where its order is `commit`) out of a version."""
    return int(version[GENERATION_DIGITS:])


def generation_of(version: str) -> int:
    """Give the generation out of a version."""
    return int(version[:GENERATION_DIGITS])


def transaction_id(source: str, key: str, version: str) -> str:
    """Give the transaction ID: 32 hex digits, a pure function of source, key and version (generation and position).

    Each part is preceded by its length, so that no two triples share their bytes.
    """
    text = f"{len(source)}:{source}{len(key)}:{key}{version}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def row_hash(canonical_row: bytes) -> str:
    """Give the hash of a raw source row (its canonical bytes): 32 hex digits."""
    return hashlib.blake2b(canonical_row, digest_size=16).hexdigest()


def lane_of(key: str, lanes: int) -> int:
    """Give the lane of an entity key, 0 to lanes - 1.

    An entity never leaves its lane while the number of lanes stays.
    """
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % lanes


def lane_partition_key(lane: int) -> str:
    """Give the Kinesis partition key of a lane."""
    return f"lane-{lane:03d}"


def lane_hash_key(lane: int, lanes: int) -> str:
    """Give the ExplicitHashKey of a lane.

    Lanes lie evenly in the 128-bit hash space, so they spread evenly over even shards.
    """
    return str(lane * _HASH_SPACE // lanes)
