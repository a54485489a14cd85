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
    lost: str = ""
    """Why the event cannot be had any more; it is empty then."""


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

    def close(self) -> None:
        """Give connections back. Safe to repeat; whoever asks after it connects anew."""
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


class Message(NamedTuple):
    """One message of the queue, for as long as it is held: until then nobody else gets it."""

    identity: str
    """Of the message: the same each time it comes."""
    handle: str
    """Of this receipt of it."""
    body: str
    attributes: dict[str, str]
    """Those of text; what is of another kind is left out."""
    sent_ms: int
    receipts: int
    """How often it was given to somebody, this time included."""


class Mailbox(Protocol):
    """Where letters lie. Methods raise as `Queue` does."""

    def receive(self, most: int, hold: int) -> Sequence[Message]:
        """Give some messages, at most `MOST_LETTERS`, in no order; nobody else gets them for `hold` seconds.

        The same message may come again within that time. None: there are none that nobody holds, most probably.
        """
        ...

    def delete(self, message: Message) -> None:
        """Forget a message. Safe to repeat; one that was held for too long may come again all the same."""
        ...

    def release(self, messages: Sequence[Message]) -> None:
        """Let others get them at once, as far as they are still held. Safe to repeat."""
        ...

    def size(self) -> int:
        """Give about how many messages lie there, held ones too."""
        ...
