"""The claim check: payloads too large for a record lie in an object store, named by the hash of their content."""

import hashlib
from typing import Protocol


def payload_name(content: bytes) -> str:
    """Give the object name of a content: the same bytes have the same name, so writing twice is harmless."""
    return f"payload/{hashlib.sha256(content).hexdigest()}"


class Payloads(Protocol):
    """Where large payloads lie.

    `put` is safe to repeat; what it returned is readable by everybody from then on. Both raise `TargetDown` or
    `Transient` when the store is
    away, and `get` raises `Poison("payload-missing")` for an object that is not there or whose content does not
    hash to its name.
    """

    def put(self, content: bytes) -> str:
        """Store the content and give its reference, e.g. `s3://bucket/payload/<sha256>`."""
        ...

    def get(self, reference: str) -> bytes:
        """Give the content for a reference."""
        ...
