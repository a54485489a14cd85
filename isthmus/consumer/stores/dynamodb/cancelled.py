"""What it means that DynamoDB did not write: every mix of a transaction's cancellation reasons. Pure.

Only `ConditionalCheckFailed` is an answer about what stands there. A conflict or a throttled action says nothing of the
others, and the same transaction may go through the next time (DynamoDB API Reference, "TransactWriteItems", Errors).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus import errortable
from isthmus.errors import UNKNOWN, Fatal, IsthmusError, Poison, Transient
from isthmus.errortable import DYNAMODB_TRANSACTION, Then, meanings

TOO_LARGE = "too-large"
"""The reason of a change whose item would pass 400 KB."""
REFUSED_VALUE = "constraint"
"""The reason of a change that a key or an index of the user's table refuses."""
HANDLER_CONDITION = "handler-condition"
"""The reason of a change of which a handler's own condition does not hold."""
HANDLER_ACTION = "handler-action"
"""The reason of a change for which a handler wants what no transaction does."""

CONFLICT, THROTTLED = errortable.CONFLICT, errortable.THROTTLED
_UNMET = "ConditionalCheckFailed"
_MEANINGS = meanings(DYNAMODB_TRANSACTION)
_AGAIN = {code: meaning.word for code, meaning in _MEANINGS.items() if meaning.then is Then.TRANSIENT}
_NEVER = {code for code, meaning in _MEANINGS.items() if meaning.then is Then.POISON} - {_UNMET}


class Unmet(Exception):  # noqa: N818 - an answer, not an error
    """A condition of ours did not hold, and nothing was written. `item` is what stands there, empty if not known."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        super().__init__("the condition did not hold")
        self.item = item


class Refusing(Exception):  # noqa: N818 - an answer, not an error
    """DynamoDB refuses one action for what it is; `place` is its place in the transaction."""

    def __init__(self, poison: Poison, place: int) -> None:
        super().__init__(poison.message)
        self.poison = poison
        self.place = place


def verdict(reasons: Sequence[Mapping[str, Any]], ours: int) -> Unmet | Refusing | Transient:
    """Say what the reasons of a cancelled transaction mean; its first `ours` actions are Isthmus's own.

    `Unmet`: what was read before is not so any more. Then it does not matter what else was said. `Transient`: send it
    again. `Refusing`: nothing but the change itself stood in the way.
    """
    codes = [str(reason.get("Code", "None")) for reason in reasons]
    for code, reason in zip(codes[:ours], reasons, strict=False):
        if code == _UNMET:
            return Unmet(reason.get("Item", {}))
    # A refused action beside one that is in somebody's way is looked at when it stands alone.
    causes = [_AGAIN[code] for code in codes if code in _AGAIN]
    if causes:
        cause = THROTTLED if THROTTLED in causes else CONFLICT
        return Transient("DynamoDB could not run a transaction now.", cause=cause)
    for place, (code, reason) in enumerate(zip(codes, reasons, strict=True)):
        if code in _NEVER:
            too_large = code == "ItemCollectionSizeLimitExceeded"
            return Refusing(Poison(TOO_LARGE) if too_large else poison_of(str(reason.get("Message", ""))), place)
        if code == _UNMET:
            poison = Poison(HANDLER_CONDITION, "the condition of a handler's action does not hold")
            return Refusing(poison, place)
    named = ", ".join(sorted({code for code in codes if code != "None"}))
    return Transient(f"DynamoDB cancelled a transaction: {named or 'no reason'}.", cause=UNKNOWN)


def poison_of(message: str) -> Poison:
    """Give the poison for a validation error of DynamoDB. What it says may hold values: only its kind is kept."""
    if "size" in message and "exceeded" in message:
        return Poison(TOO_LARGE, "the item would be larger than 400 KB")
    if "ndex" in message:
        return Poison(REFUSED_VALUE, "an index of the table refuses a value")
    return Poison(REFUSED_VALUE, "DynamoDB refuses a value, or an expression on what stands there")


def schema_error(message: str) -> IsthmusError | None:
    """Give the error for a validation error that speaks of the table's keys: no change is to blame for that."""
    lowered = message.lower()
    if "match the schema" in lowered or "missing the key" in lowered or "missing a key" in lowered:
        return Fatal("DynamoDB refuses a key: the table's key schema is another.", hint="Run `isthmus check`.")
    return None
