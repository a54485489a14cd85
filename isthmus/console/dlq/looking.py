"""A look at the dead-letter queue. SQS shows no message without giving it to somebody: so it is given back at once."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from isthmus.clock import Clock, rfc3339
from isthmus.consumer.deadletters.letters import DATAREF
from isthmus.consumer.deadletters.port import MOST_LETTERS, Mailbox, Message
from isthmus.consumer.deadletters.reading import Addressed, addressed
from isthmus.errors import IsthmusError, Poison

LOOK_HOLD: Final = 30
"""Seconds for which a message stays hidden from others where the look is killed."""
_LOOK_SECONDS: Final = LOOK_HOLD - 10
"""A look that lasted longer would see again what it has seen, and could not give it back."""
IDLE: Final = 2
"""Answers in a row without anything new, after which there is nothing new: one alone may be an accident."""


@dataclass(slots=True)
class Seen:
    """What lies there, as far as was looked."""

    letters: list[dict[str, Any]] = field(default_factory=list)
    """In the form that `isthmus dlq list --json` documents, the longest parked first."""
    foreign: list[dict[str, Any]] = field(default_factory=list)
    """Messages that are not ours."""
    more: bool = False


def look(mailbox: Mailbox, most: int, *, clock: Clock) -> Seen:
    """Look at so many messages at most, and let others have them again. Raises as the mailbox does."""
    held, seen, begun, idle = dict[str, Message](), Seen(), clock.monotonic(), 0
    try:
        while idle < IDLE and not seen.more:
            found = mailbox.receive(MOST_LETTERS, LOOK_HOLD)
            new = [message for message in found if message.identity not in held]
            for message in found:
                # The newest receipt is the one that counts. What it holds is not kept: it may have 1 MiB.
                held[message.identity] = message._replace(body="", attributes={})
            for message in new:
                if len(seen.letters) + len(seen.foreign) < most:
                    _note(seen, message)
                else:
                    seen.more = True
            idle = 0 if new else idle + 1
            seen.more = seen.more or clock.monotonic() - begun >= _LOOK_SECONDS
    finally:
        # Whatever else went wrong is what there is to tell; they come back by themselves.
        with suppress(IsthmusError):
            mailbox.release(list(held.values()))
    seen.letters.sort(key=lambda letter: (letter["parked"], letter["key"], letter["txn"]))
    return seen


def foreign_as_json(message: Message, why: str) -> dict[str, Any]:
    """Give a message that is not ours in the form that `--json` documents."""
    sent = rfc3339(message.sent_ms)
    return {"message": message.identity, "sent": sent, "bytes": len(message.body.encode()), "why": why}


def _note(seen: Seen, message: Message) -> None:
    try:
        on_it = addressed(message)
    except Poison as poison:
        seen.foreign.append(foreign_as_json(message, poison.message))
    else:
        seen.letters.append(_letter_as_json(message, on_it))


def _letter_as_json(message: Message, on_it: Addressed) -> dict[str, Any]:
    where = "bucket" if DATAREF in message.attributes else "message"
    return {
        "txn": on_it.txn,
        "key": on_it.key,
        "source": on_it.source,
        "reason": on_it.reason,
        "shard": on_it.shard,
        "sequence": on_it.sequence,
        "time": on_it.time,
        "parked": rfc3339(on_it.parked_ms),
        "sent": rfc3339(message.sent_ms),
        "receipts": message.receipts,
        "event": "nowhere" if on_it.omitted else where,
        "bytes": len(message.body.encode()),
    }
