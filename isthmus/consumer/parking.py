"""What is written down of a change that is parked: a bounded reason, a short message, the whole event."""

import re

from isthmus.change import Change
from isthmus.codec import encode
from isthmus.consumer.stores.port import Delivered, Parking, Refusal

LONGEST_MESSAGE = 500
"""Characters. A message explains; the event beside it holds everything."""

_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
"""What may be a reason: reasons are labels of a metric and groups of a report, so there must be few of them."""


def parking_of(delivered: Delivered, refusal: Refusal) -> Parking:
    """Give the row of the parking lot for a change that is poison, or that waits behind one."""
    reason, message = refusal.poison.reason, refusal.poison.message
    if _WORD.fullmatch(reason) is None:
        reason, message = f"{refusal.stage}-refused", f"{reason}: {message}"
    event = delivered.raw if delivered.raw is not None else event_bytes(delivered.change)
    return Parking(delivered, reason, _storable(message), refusal.stage, event)


def event_bytes(change: Change) -> bytes:
    """Give the whole event, whatever it holds."""
    try:
        return encode(change)
    except ValueError:
        # Not from the wire: what was read can be written. No poison may stop the rest: it is kept as Python shows it.
        return repr(change).encode("utf-8", "surrogatepass")


def _storable(text: str) -> str:
    """Give a text that every store takes: short, without NUL and without halves of surrogate pairs."""
    return text[:LONGEST_MESSAGE].replace("\0", "").encode("utf-8", "replace").decode("utf-8")
