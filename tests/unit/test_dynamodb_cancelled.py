"""Every mix of a transaction's cancellation reasons."""

import itertools

import pytest

from isthmus.consumer.stores.dynamodb.cancelled import Refusing, Unmet, poison_of, schema_error, verdict
from isthmus.errors import UNKNOWN, Fatal, Transient

NONE = {"Code": "None"}
UNMET = {"Code": "ConditionalCheckFailed", "Item": {"a": {"S": "stands there"}}}
BUSY = [
    {"Code": code}
    for code in ("TransactionConflict", "TransactionInProgress", "ThrottlingError", "ProvisionedThroughputExceeded")
]
INVALID = {"Code": "ValidationError", "Message": "Item size to update has exceeded the maximum allowed size"}


@pytest.mark.parametrize("other", [NONE, *BUSY, INVALID])
@pytest.mark.parametrize("first", [True, False])
def test_a_condition_of_ours_that_does_not_hold_is_an_answer_whatever_stands_beside_it(
    other: dict[str, str], *, first: bool
) -> None:
    found = verdict([UNMET, other] if first else [other, UNMET], 2)
    assert isinstance(found, Unmet)
    assert found.item == UNMET["Item"]


@pytest.mark.parametrize("busy", BUSY)
@pytest.mark.parametrize("other", [NONE, INVALID])
def test_what_is_in_the_way_is_no_answer(busy: dict[str, str], other: dict[str, str]) -> None:
    for reasons in itertools.permutations([busy, other]):
        found = verdict(reasons, 2)
        assert isinstance(found, Transient)
        assert found.cause == ("conflict" if busy["Code"].startswith("Transaction") else "throttled")


@pytest.mark.parametrize("busy", BUSY)
def test_a_handlers_condition_is_no_answer_while_something_is_in_the_way(busy: dict[str, str]) -> None:
    assert isinstance(verdict([busy, UNMET], 1), Transient)


def test_of_conflict_and_throttling_the_one_that_slows_down_counts() -> None:
    found = verdict(BUSY, len(BUSY))
    assert isinstance(found, Transient)
    assert found.cause == "throttled"


def test_a_handlers_condition_that_alone_does_not_hold_is_poison_at_its_place() -> None:
    found = verdict([NONE, UNMET], 1)
    assert isinstance(found, Refusing)
    assert (found.poison.reason, found.place) == ("handler-condition", 1)


def test_a_refused_value_is_poison_at_its_place() -> None:
    found = verdict([NONE, INVALID], 2)
    assert isinstance(found, Refusing)
    assert (found.poison.reason, found.place) == ("too-large", 1)
    collection = verdict([{"Code": "ItemCollectionSizeLimitExceeded"}], 1)
    assert isinstance(collection, Refusing)
    assert collection.poison.reason == "too-large"


@pytest.mark.parametrize("reasons", [[], [NONE], [{"Code": "SomethingNew"}]])
def test_a_reason_that_nobody_knows_is_tried_again_a_few_times(reasons: list[dict[str, str]]) -> None:
    found = verdict(reasons, 1)
    assert isinstance(found, Transient)
    assert found.cause == UNKNOWN


def test_what_dynamodb_says_of_a_value_is_not_passed_on() -> None:
    said = "The parameter cannot be converted to a numeric value: secret; Type mismatch for Index Key"
    assert "secret" not in poison_of(said).message
    assert "secret" not in poison_of("cannot be converted: secret").message


def test_a_key_of_another_schema_stops_the_process() -> None:
    assert isinstance(schema_error("The provided key element does not match the schema"), Fatal)
    assert isinstance(schema_error("One of the required keys was not given a value: missing the key pk"), Fatal)
    assert schema_error("Item size has exceeded the maximum allowed size") is None
