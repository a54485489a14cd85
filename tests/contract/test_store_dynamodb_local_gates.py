"""Gates and handlers before AWS's own DynamoDB Local, where Java and Maven are."""

import pytest

from tests.contract.handlers_contract import HandlersContract, desk, hurried
from tests.contract.store_gates_contract import StoreGatesContract
from tests.contract.store_gates_machine import run_machine
from tests.contract.test_store_dynamodb_local import local, office
from tests.fakes.dynamodb_office import DynamoOffice

__all__ = ["desk", "hurried", "local", "office"]


class TestGates(StoreGatesContract):
    pass


class TestHandlers(HandlersContract):
    pass


@pytest.mark.parametrize("plain", [False, True], ids=["with handlers", "by one write"])
def test_any_life_behind_gates_is_as_the_model_says(office: DynamoOffice, *, plain: bool) -> None:
    run_machine(office.fresh, few=office.few, plain=plain)
