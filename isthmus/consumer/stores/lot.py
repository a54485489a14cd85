"""What waits in the parking lot, as redrives and operators see it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class Waiting(NamedTuple):
    """One change in the parking lot, whole. Changes of a key are in the order of their versions."""

    key: str
    txn: str
    version: str
    rowhash: str
    source: str
    entity: str
    epoch: int
    detected: str
    arrived_ms: int
    reason: str
    message: str
    stage: str
    event: bytes
    """The whole event, or the bytes that could not be decoded; after an edit the edited event."""
    decodable: bool
    shard: str
    sequence: str
    attempts: int
    first_at_ms: int
    last_at_ms: int
    edited: bool


class ParkedKey(NamedTuple):
    """What is parked of one key."""

    key: str
    changes: int
    reason: str
    """Of the first change that is poison itself."""
    source: str
    entity: str
    first_at_ms: int


class Selection(NamedTuple):
    """Which keys: those with a change that fits everything that is said. Nothing said means all."""

    key: str | None = None
    prefix: str | None = None
    """How the key begins."""
    reason: str | None = None
    source: str | None = None
    since_ms: int | None = None
    """First parked at this moment or later; milliseconds since 1970."""
    until_ms: int | None = None
    """First parked before this moment."""


class Deed(StrEnum):
    """What an operator did with a parked change."""

    EDIT = "edit"
    DISCARD = "discard"


class Audited(NamedTuple):
    """One row of the audit table: who did what with which change, and why. The change is kept as it was."""

    deed: Deed
    waiting: Waiting
    who: str
    why: str
    event: bytes | None = None
    """What an edit made of it."""


class LotReader(Protocol):
    """Looks into the parking lot while others decide, and changes nothing. Raises as `StoreReader` does."""

    def parked_keys(self, selection: Selection, *, after: str = "", most: int = 100) -> list[ParkedKey]:
        """Give the first keys behind `after`, in the order of their text."""
        ...

    def parked_of(self, key: str, *, skip: int = 0, most: int = 100) -> Sequence[Waiting]:
        """Give changes of a key, in the order of their versions, but for the first `skip`."""
        ...
