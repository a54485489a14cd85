"""Handlers that misbehave, in DynamoDB."""

import pytest

from tests.contract.handlers_contract import HandlersContract, desk, hurried
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator

__all__ = ["desk", "hurried"]


class TestHandlers(HandlersContract):
    @pytest.fixture
    def office(self, emulator: Emulator) -> DynamoOffice:
        return DynamoOffice(emulator.client("dynamodb"))
