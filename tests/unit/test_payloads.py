"""The payloads in memory are as good as real ones."""

import pytest

from isthmus.errors import TargetDown
from isthmus.payloads import payload_name
from tests.contract.payloads_contract import PayloadsContract, Subject
from tests.fakes.payloads import MemoryPayloads


class MemorySaboteur:
    def __init__(self, payloads: MemoryPayloads) -> None:
        self._payloads = payloads

    def remove(self, reference: str) -> None:
        del self._payloads.objects[reference]

    def replace(self, reference: str, content: bytes) -> None:
        self._payloads.objects[reference] = content


class TestMemoryPayloads(PayloadsContract):
    @pytest.fixture
    def subject(self) -> Subject:
        payloads, unreachable = MemoryPayloads(), MemoryPayloads()
        unreachable.failing = TargetDown("away")
        return Subject(payloads, unreachable, MemorySaboteur(payloads))


def test_a_payload_is_named_by_the_hash_of_its_content() -> None:
    assert payload_name(b"") == "payload/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
