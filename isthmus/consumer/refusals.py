"""Why a change is not tried: what every store refuses alike, before it writes anything."""

import inspect
from collections.abc import Callable
from typing import Any

from isthmus.change import Kind, Verb
from isthmus.consumer.deciding import ANOTHER_TYPE, BEHIND, Decision
from isthmus.consumer.stores.port import Delivered, Entity, Refusal
from isthmus.errors import IsthmusError, Poison

UNKNOWN_ENTITY = "unknown-entity"
WRONG_VERB = "wrong-verb"
CONTRACT_ERROR = "contract-error"
HANDLER_ERROR = "handler-error"
HANDLER_RETURN = "handler-return"

_VERBS = {Kind.STATE: (Verb.UPSERT, Verb.DELETE), Kind.EVENT: (Verb.EVENT,)}
# Looked up for every change: a member by its class's name costs as much as a question.
_DELETE = Verb.DELETE


def refusal_of(entity: Entity | None, delivered: Delivered) -> Refusal | None:
    """Say why a change is not to be tried, or None.

    Raises what a contract raises of ours besides `Poison`: an outage is nothing against the change.
    """
    change = delivered.change
    if delivered.refused is not None:
        return delivered.refused
    if entity is None:
        return Refusal(Poison(UNKNOWN_ENTITY, f"The settings know no entity type {change.entity!r}."), "decode")
    if change.verb not in _VERBS[entity.kind]:
        wrong = Poison(WRONG_VERB, f"{change.verb} is nothing for an entity of kind {entity.kind}")
        return Refusal(wrong, "contract")
    if entity.validate is None or change.verb is _DELETE:
        return None
    return _broken(entity.validate, change.data) and _broken(entity.validate, change.data)


def _broken(validate: Callable[[Any], None], data: Any) -> Refusal | None:
    """Say how data breaks a contract. What is unknown says nothing of itself until it comes again."""
    try:
        validate(data)
    except Poison as poison:
        return Refusal(poison, "contract")
    except IsthmusError:
        raise
    except Exception as error:  # noqa: BLE001 - a contract is the user's code and may raise anything
        return Refusal(Poison(CONTRACT_ERROR, type(error).__name__), "contract")
    return None


def refuse_returned(returned: object) -> None:
    """Raise `Poison` for anything that a handler returned, in a store where it runs its statements itself.

    What it expects of that (another store's actions, a coroutine) would not happen, and nobody would hear of it.
    """
    if returned is None:
        return
    let_go(returned)
    message = f"a handler returned a {type(returned).__name__}; here it runs tx.execute and returns nothing"
    raise Poison(HANDLER_RETURN, message)


def let_go(returned: object) -> None:
    """Drop what a handler returned by mistake: Python warns of a coroutine that is dropped without having run."""
    if inspect.iscoroutine(returned):
        returned.close()


def refusal_by(decision: Decision, delivered: Delivered) -> Refusal:
    """Give the refusal of a change that the pure rules park.

    It is untranslated or not decoded, waits behind a parked one, or has a key of another type.
    """
    if decision.reason in {BEHIND, ANOTHER_TYPE}:
        return Refusal(Poison(decision.reason, decision.message), "order" if decision.reason == BEHIND else "store")
    data = delivered.change.data
    message = data.get("message") if isinstance(data, dict) else None
    poison = Poison(decision.reason, message if isinstance(message, str) else "")
    return Refusal(poison, "translate" if delivered.decoded else "decode")
