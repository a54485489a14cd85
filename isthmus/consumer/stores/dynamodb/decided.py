"""What became of one change, where each change is a transaction of its own. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from isthmus.change import Change, Kind, Outcome
from isthmus.consumer.deciding import Decision, read_again
from isthmus.consumer.stores.dynamodb.history import Tell
from isthmus.consumer.stores.dynamodb.rows import EntityItems
from isthmus.consumer.stores.dynamodb.standing import Standing
from isthmus.consumer.stores.port import Delivered, Entity, Refusal
from isthmus.errors import Poison

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item


class Decided(NamedTuple):
    """What became of a change."""

    outcome: Outcome
    tells: Sequence[Tell] = ()
    parked: str = ""
    """The reason, where it was parked now."""
    alarm: bool = False
    """The same transaction ID came with another row hash."""


class Refused(Exception):  # noqa: N818 - a fact about the change
    """The change is poison, and of what kind."""

    def __init__(self, poison: Poison, stage: str) -> None:
        super().__init__(poison.message)
        self.refusal = Refusal(poison, stage)


class Rehearsed(NamedTuple):
    """What a change would do."""

    same: bool
    """It was read again, and found as it was."""
    values: "Item"
    columns: Sequence[str]
    """All that the entity is mapped to."""


def effective(delivered: Delivered, *, same: bool = False) -> Decided:
    """Give what becomes of a change that took effect; `same` says that it was read again, and found as it was."""
    outcome = Outcome.UNCHANGED if same else Outcome.APPLIED
    return Decided(outcome, [Tell(delivered, outcome, new=True)])


def answered(delivered: Delivered, decision: Decision, *, settled: bool = False) -> Decided:
    """Give what becomes of a change of which nothing is to be written but history."""
    outcome = decision.outcome or Outcome.PARKED
    if outcome is Outcome.DUPLICATE:
        # It took effect, and perhaps nobody came to tell it.
        tells = [] if settled else [Tell(delivered, Outcome.APPLIED, new=False)]
    else:
        tells = [Tell(delivered, outcome, new=False)] if outcome is Outcome.STALE else []
    return Decided(outcome, tells, alarm=decision.alarm)


def is_same(standing: Standing, entity: Entity, items: EntityItems | None, change: Change, values: "Item") -> bool:
    """Say whether a state was read again, and its item holds just these values."""
    business, guard = standing.business, standing.guard
    if items is None or business is None or business.item is None or guard is None or entity.kind is Kind.EVENT:
        return False
    return read_again(change, guard) and items.are_held(business.item, values)
