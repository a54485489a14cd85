"""The claim check: payloads too large for a record lie in an object store, named by the hash of their content.

What names an object decides how long it must be there, so each kind lies in a folder of its own.
"""

import hashlib
from enum import StrEnum
from typing import Protocol


class Folder(StrEnum):
    """What objects belong to."""

    STREAM = "payload"
    """Changes in the stream: needed no longer than the stream keeps them."""
    PARKED = "parked"
    """Parked changes, and their copies for the dead-letter queue: needed as long as these lie there."""
    ENTITIES = "entities"
    """Entities of the front office: needed as long as they live."""


_FOLDERS = frozenset(Folder)


def payload_name(content: bytes, folder: Folder = Folder.STREAM) -> str:
    """Give the object name of a content: the same bytes have the same name, so writing twice is harmless."""
    return f"{folder}/{_digest(content)}"


def is_name_of(content: bytes, name: str) -> bool:
    """Say whether a content has this name, in whatever folder."""
    folder, _, digest = name.partition("/")
    return folder in _FOLDERS and digest == _digest(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Payloads(Protocol):
    """Where large payloads lie.

    `put` is safe to repeat; what it returned is readable by everybody from then on. Both raise `TargetDown` or
    `Transient` when the store is
    away, and `get` raises `Poison("payload-missing")` for an object that is not there or whose content does not
    hash to its name.
    """

    def put(self, content: bytes, folder: Folder = Folder.STREAM) -> str:
        """Store the content and give its reference, e.g. `s3://bucket/payload/<sha256>`."""
        ...

    def get(self, reference: str) -> bytes:
        """Give the content for a reference."""
        ...
