"""Runs the handlers of one change, as often as it is tried, and knows what counts only when it comes again.

An unknown error may be of the moment. So may a condition of a handler's that does not hold: others write what it read.
It says something of the change only when nothing that was read has changed since it did not hold before.
"""

from isthmus.change import Change
from isthmus.consumer.lending import Lending, LetGo
from isthmus.consumer.refusals import HANDLER_ERROR
from isthmus.consumer.stores.dynamodb.actions import DynamoTransaction, actions_of
from isthmus.consumer.stores.dynamodb.lent import DynamoLent
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.standing import Standing
from isthmus.consumer.stores.dynamodb.writes import Action, Place
from isthmus.consumer.stores.port import Entity
from isthmus.detached import detached, detached_change
from isthmus.errors import IsthmusError, Poison
from isthmus.pipeline import Row


class Again(Exception):  # noqa: N818 - says nothing of the change
    """What went wrong says nothing yet: all of it is to be done anew."""


class Handling:
    """The handlers of one change of this entity type."""

    def __init__(self, requests: Requests, own_table: str, entity: Entity, change: Change, lending: Lending) -> None:
        """Run them for one thread, which `lending` is for."""
        self._lending = lending
        self._requests = requests
        self._own_table = own_table
        self._entity = entity
        self._change = change
        self._has_failed = False
        self._reads: list[Place] = []
        self._seen: tuple[Standing, list[Place]] | None = None

    def actions(self, previous: Row | None) -> list[Action]:
        """Run all of them and give their actions. Raises `Poison`, `Again`, `HandlerHangs`, and what a read raised."""
        actions: list[Action] = []
        self._reads = []
        self._lending.run(lambda: self._run(previous, actions, self._reads))
        return actions

    def _run(self, previous: Row | None, actions: list[Action], reads: list[Place]) -> None:
        for handler in self._entity.handlers:
            transaction = DynamoTransaction(self._requests, reads)
            lent = self._lending.lend(DynamoLent(transaction), self._change)
            try:
                # Copies, for each handler its own: the change may be tried again, or parked, as it came.
                returned = handler(lent, detached_change(self._change), detached(previous))
                transaction.raise_failure()
                actions += actions_of(returned, self._own_table)
            except Poison:
                transaction.raise_failure()
                raise
            except IsthmusError:
                raise
            except (KeyboardInterrupt, LetGo):
                raise
            except BaseException as error:
                transaction.raise_failure()
                # Whatever it is: a user's code ends no process. But what ends one in the middle of a read does.
                if error is lent.raised and not isinstance(error, Exception):
                    raise
                if self._has_failed:
                    raise Poison(HANDLER_ERROR, type(error).__name__) from error
                self._has_failed = True
                raise Again from error
            finally:
                lent.end()

    def unmet(self, standing: Standing) -> None:
        """Take in that a condition of theirs did not hold. Raises `Again` unless that is sure to be so each time."""
        seen = (standing, self._reads)
        if seen != self._seen:
            self._seen = seen
            raise Again
