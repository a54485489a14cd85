"""What a message of the queue says: whether it is one of our letters, and what to try again of it. Pure."""

from collections.abc import Callable
from typing import NamedTuple

from isthmus.change import VERSION_DIGITS, Change, Verb
from isthmus.clock import from_rfc3339
from isthmus.codec import DEFAULT_LIMITS, Limits, decode
from isthmus.consumer.deadletters.letters import NOT_OURS, OMITTED, event_of, sendable
from isthmus.consumer.deadletters.port import Message
from isthmus.consumer.names import may_be_named_so
from isthmus.consumer.stores.lot import Waiting
from isthmus.errors import Poison


class Addressed(NamedTuple):
    """What is written on a letter. Its texts are as SQS takes them: see `sendable`."""

    txn: str
    key: str
    source: str
    reason: str
    shard: str
    sequence: str
    time: str
    parked_ms: int
    omitted: bool
    """Whether it came without its event."""

    @property
    def decodable(self) -> bool:
        """Whether the event was a change: only such a one has a source."""
        return self.source != ""


def addressed(message: Message) -> Addressed:
    """Give what is written on a letter. Raises `Poison` with a sentence for a message that is not one of ours."""
    said = message.attributes
    missing = [name for name in ("id", "key", "reason", "parked") if not said.get(name)]
    if missing:
        raise Poison(NOT_OURS, f"It has no attribute {' and '.join(missing)}.")
    try:
        parked_ms = from_rfc3339(said["parked"])
    except (ValueError, OverflowError):
        raise Poison(NOT_OURS, "Its attribute `parked` is no moment.") from None
    return Addressed(
        txn=said["id"],
        key=said["key"],
        source=said.get("source", ""),
        reason=said["reason"],
        shard=said.get("shard", ""),
        sequence=said.get("sequence", ""),
        time=said.get("time", ""),
        parked_ms=parked_ms,
        omitted=OMITTED in said,
    )


def waiting_in(message: Message, get: Callable[[str], bytes] | None, limits: Limits = DEFAULT_LIMITS) -> Waiting:
    """Give what a letter holds, as it would wait in the parking lot. `get` fetches what a reference stands for.

    The names are those of the event itself, wherever it can be read: an attribute does not hold every character.
    Raises `Poison` where the message is not one of ours, holds no event, or another one than is written on it, and what
    `get` raises.
    """
    on_it = addressed(message)
    event = event_of(message.body, message.attributes, get)
    change = _change(event, on_it, limits) if on_it.decodable else None
    return Waiting(
        key=change.key if change is not None else on_it.key,
        txn=change.id if change is not None else on_it.txn,
        version=change.version if change is not None else "0" * VERSION_DIGITS,
        rowhash=change.rowhash if change is not None else "",
        source=change.source if change is not None else "",
        entity=change.entity if change is not None else "",
        epoch=change.epoch if change is not None else 0,
        detected=change.time if change is not None else "",
        arrived_ms=on_it.parked_ms,
        reason=on_it.reason,
        message="",
        stage="",
        event=event,
        decodable=change is not None,
        shard=on_it.shard,
        sequence=on_it.sequence,
        attempts=1,
        first_at_ms=on_it.parked_ms,
        last_at_ms=on_it.parked_ms,
        edited=False,
    )


def _change(event: bytes, on_it: Addressed, limits: Limits) -> Change:
    found = [each for each in decode(event, limits) if isinstance(each, Change)]
    if len(found) != 1 or found[0].verb is Verb.MARKER or not may_be_named_so(found[0]):
        raise Poison(NOT_OURS, "It holds no event of one change.")
    change = found[0]
    if (sendable(change.id), sendable(change.key), sendable(change.source)) != (on_it.txn, on_it.key, on_it.source):
        raise Poison(NOT_OURS, "Its event is of another change than is written on it.")
    return change
