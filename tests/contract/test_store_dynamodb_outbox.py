"""Where the outbox in DynamoDB is special: events that lie elsewhere, and how it is read."""

import json
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from isthmus.consumer.deadletters.port import Copy
from isthmus.consumer.stores.port import HasOutbox
from isthmus.errors import Fatal
from isthmus.payloads import Payloads
from tests.contract.test_store_dynamodb_sizes import noise
from tests.fakes.dynamodb_desk import Desk, office, thing
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.store_world import PARKED, untranslated, upsert

__all__ = ["office"]

_MUCH = 64 * 1024 * 1024


def pending(office: DynamoOffice, payloads: Payloads | None = None, most: int = 10) -> Sequence[Copy]:
    store = office.store([])
    assert isinstance(store, HasOutbox)
    return store.outbox(payloads).pending(most, _MUCH)


def test_an_event_of_any_size_comes_out_whole(office: DynamoOffice) -> None:
    texts = ["x" * 500_000, noise(600_000), noise(2_400_000)]
    with closing(Desk(office, thing(office))) as desk:
        for place, text in enumerate(texts):
            assert desk.apply(upsert(1, f"k{place}", note=text)) == [PARKED]
    assert sorted(json.loads(copy.event)["data"]["note"] for copy in pending(office)) == sorted(texts)


def test_an_event_in_the_bucket_comes_out_of_it_and_without_one_it_waits(emulator: Emulator) -> None:
    payloads = MemoryPayloads()
    office = DynamoOffice(emulator.client("dynamodb"), payloads)
    with closing(Desk(office, thing(office))) as desk:
        desk.apply(upsert(1, note=noise(500_000)))
    (copy,) = pending(office, payloads)
    assert json.loads(copy.event)["id"] == "k-1"
    with pytest.raises(Fatal, match="the settings name none"):
        pending(office)
    assert len(office.own("outbox")) == 1


def test_an_event_that_is_lost_is_told_as_such_and_stands_in_nobodys_way(emulator: Emulator) -> None:
    payloads = MemoryPayloads()
    office = DynamoOffice(emulator.client("dynamodb"), payloads)
    with closing(Desk(office, thing(office))) as desk:
        desk.apply(upsert(1, "a", note=noise(500_000)))
        desk.apply(untranslated(1, "b"))
    payloads.objects.clear()
    found = {copy.key: (bool(copy.event), copy.lost) for copy in pending(office, payloads)}
    assert found == {"a": (False, "payload-missing"), "b": (True, "")}


def test_it_reads_no_more_than_it_was_asked_for_and_never_all_of_the_table(office: DynamoOffice) -> None:
    with closing(Desk(office, thing(office))) as desk:
        for number in range(20):
            desk.clock.move(1)
            desk.apply(untranslated(1, f"k{number:02d}"))
    asked: list[tuple[str, int | None]] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            def send(**wanted: Any) -> Any:
                asked.append((name, wanted.get("Limit")))
                return getattr(real, name)(**wanted)

            return send

    real, office.client = office.client, Watched()  # type: ignore[assignment]
    assert [copy.key for copy in pending(office, most=3)] == ["k00", "k01", "k02"]
    assert asked == [("query", 3)]
