"""Why a change is not tried: what every store refuses alike, before it writes anything."""

from isthmus.change import Kind, Verb
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


def refusal_of(entity: Entity | None, delivered: Delivered) -> Refusal | None:  # noqa: PLR0911 - one for each reason
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
    try:
        entity.validate(change.data)
    except Poison as poison:
        return Refusal(poison, "contract")
    except IsthmusError:
        raise
    except Exception as error:  # noqa: BLE001 - a contract is the user's code and may raise anything
        return Refusal(Poison(CONTRACT_ERROR, type(error).__name__), "contract")
    return None


def refusal_by(decision: Decision, delivered: Delivered) -> Refusal:
    """Give the refusal of a change that the pure rules park: untranslated, not decoded, or behind a parked one."""
    if decision.reason == BEHIND:
        return Refusal(Poison(BEHIND), "order")
    data = delivered.change.data
    message = data.get("message") if isinstance(data, dict) else None
    poison = Poison(decision.reason, message if isinstance(message, str) else "")
    return Refusal(poison, "translate" if delivered.decoded else "decode")
