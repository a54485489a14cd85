"""How a DynamoDB front office takes a mapping of the user's."""

from dataclasses import replace

import pytest

from isthmus.consumer.stores.port import Entity
from tests.contract.store_mapping_contract import StoreMappingContract
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator


class MappedOffice(DynamoOffice):
    """One that leaves the mapping as it is, but for the table's real name."""

    def _mine(self, entity: Entity) -> Entity:
        assert entity.mapping is not None
        return replace(entity, mapping=replace(entity.mapping, table=self.table(entity.mapping.table)))


@pytest.fixture
def office(emulator: Emulator) -> MappedOffice:
    return MappedOffice(emulator.client("dynamodb"))


class TestMapping(StoreMappingContract):
    pass
