"""What the sender of dead letters needs: the outbox that it empties, and the queue that it fills."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Copy(NamedTuple):
    """A row of the outbox: the whole copy of a poison change, written with its parking in one transaction."""

    place: str
    """Its identity in the outbox."""
    key: str
    txn: str
    source: str
    reason: str
    shard: str
    sequence: str
    event: bytes
    """The whole event, or the bytes that could not be decoded."""
    written_ms: int
    """When it was parked; milliseconds since 1970."""


class Outbox(Protocol):
    """What waits to be sent. Methods raise `TargetDown` or `Transient` when the store is away."""

    def pending(self, most: int, most_bytes: int) -> Sequence[Copy]:
        """Give the oldest that wait, in the order in which they were written.

        At most so many, and at most so many bytes of events, but one in any case.
        """
        ...

    def sent(self, copies: Sequence[Copy]) -> None:
        """Forget these, durably. Safe to repeat."""
        ...


class Letter(NamedTuple):
    """One message: its text, and its attributes, all of them text."""

    body: str
    attributes: dict[str, str]


class Queue(Protocol):
    """Where letters go."""

    def send(self, letters: Sequence[Letter]) -> Sequence[bool]:
        """Send at most `MOST_LETTERS` letters of at most `MOST_BYTES` together; say of each whether it was taken.

        Whatever went wrong, sending again is right: a letter may come twice. Raises `TargetDown` or `Transient` when
        the queue is away, `Fatal` where it is not there, or is not to be written.
        """
        ...


MOST_LETTERS = 10
MOST_BYTES = 1024 * 1024
"""Of one message with its attributes, and of all messages of a request together (SQS, "Amazon SQS message quotas")."""
