"""The accounts example: one deduction for each posting, said in each store's own way."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from examples.accounts import pipeline
from isthmus.change import Kind
from isthmus.consumer.stores.dynamodb.actions import actions_of
from isthmus.errors import Poison
from isthmus.pipeline import Handler
from tests.fakes.store_world import event

POSTING = event(1, "account/1001")._replace(data={"amount": 20})


class Asked:
    """A transaction that notes what it is asked, and answers so."""

    def __init__(self, answer: Sequence[Sequence[Any]]) -> None:
        self.answer = answer
        self.statements: list[tuple[str, Sequence[Any]]] = []

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        self.statements.append((statement, parameters))
        return self.answer


@pytest.mark.parametrize("handler, mark", [(pipeline.on_change, "?"), (pipeline.on_change_postgres, "%s")])
def test_sql_deducts_the_amount_with_the_marks_of_its_store(handler: Handler, mark: str) -> None:
    tx = Asked([("account/1001",)])
    handler(tx, POSTING, None)
    ((statement, parameters),) = tx.statements
    assert (statement.count(mark), parameters) == (2, (20, "account/1001"))


@pytest.mark.parametrize("handler", [pipeline.on_change, pipeline.on_change_postgres])
def test_a_deduction_from_no_account_is_poison(handler: Handler) -> None:
    with pytest.raises(Poison, match="no-account"):
        handler(Asked([]), POSTING, None)


def test_what_the_handler_for_dynamodb_gives_can_join_a_transaction() -> None:
    (action,) = actions_of(pipeline.on_change_dynamodb(Asked([]), POSTING, None), "own-table")
    assert (action.verb, action.members["Key"]) == ("Update", {"key": {"S": "account/1001"}})
    assert action.members["ExpressionAttributeValues"] == {":amount": {"N": "20"}}
    assert action.members["ConditionExpression"] == "attribute_exists(balance)"


def test_each_pipeline_is_of_kind_event_and_says_the_same_but_for_its_handler() -> None:
    made = [pipeline.deductions, pipeline.deductions_postgres, pipeline.deductions_dynamodb]
    assert {each.kind for each in made} == {Kind.EVENT}
    assert len({each.handlers for each in made}) == 3
    assert len({(each.entity, each.contract, each.key, each.translate, each.version) for each in made}) == 1


def test_an_amount_that_is_not_positive_breaks_the_contract() -> None:
    for amount in (0, -20, 20.0, "20"):
        with pytest.raises(ValidationError):
            pipeline.Deduction.model_validate({"amount": amount})
