"""Why a change is not tried: what every store refuses alike, before it writes anything."""

from isthmus.change import Change, Kind, Verb
from isthmus.consumer.deciding import BEHIND, Decision
from isthmus.consumer.stores.port import Delivered, Entity, Refusal
from isthmus.errors import IsthmusError, Poison

UNKNOWN_ENTITY = "unknown-entity"
WRONG_VERB = "wrong-verb"
CONTRACT_ERROR = "contract-error"
HANDLER_ERROR = "handler-error"

_VERBS = {Kind.STATE: (Verb.UPSERT, Verb.DELETE), Kind.EVENT: (Verb.EVENT,)}
# Looked up for every change: a member by its class's name costs as much as a question.
_DELETE = Verb.DELETE


def refusal_of(entity: Entity | None, delivered: Delivered) -> Refusal | None:
    """Say why a change is not to be tried, or None."""
    if delivered.refused is not None:
        return delivered.refused
    if entity is None:
        poison = Poison(UNKNOWN_ENTITY, f"The settings know no entity type {delivered.change.entity!r}.")
        return Refusal(poison, "decode")
    poison_found = _of_contract(entity, delivered.change)
    return None if poison_found is None else Refusal(poison_found, "contract")


def refusal_by(decision: Decision, delivered: Delivered) -> Refusal:
    """Give the refusal of a change that the pure rules park: untranslated, not decoded, or behind a parked one."""
    if decision.reason == BEHIND:
        return Refusal(Poison(BEHIND), "order")
    data = delivered.change.data
    message = data.get("message") if isinstance(data, dict) else None
    poison = Poison(decision.reason, message if isinstance(message, str) else "")
    return Refusal(poison, "translate" if delivered.decoded else "decode")


def _of_contract(entity: Entity, change: Change) -> Poison | None:
    if change.verb not in _VERBS[entity.kind]:
        return Poison(WRONG_VERB, f"{change.verb} is nothing for an entity of kind {entity.kind}")
    if entity.validate is None or change.verb is _DELETE:
        return None
    try:
        entity.validate(change.data)
    except Poison as poison:
        return poison
    except IsthmusError:
        raise
    except Exception as error:  # noqa: BLE001 - a contract is the user's code and may raise anything
        return Poison(CONTRACT_ERROR, type(error).__name__)
    return None
