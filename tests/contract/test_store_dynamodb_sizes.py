"""Where the DynamoDB store is special: sizes, capacity, fences, pruning."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import ClientError

from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.errors import Fatal, Missing, TargetDown, Transient
from isthmus.lifecycle import ThreadStop
from tests.contract.store_contract import world
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.dynamodb_desk import Desk, office, thing
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    FENCED,
    PARKED,
    World,
    delete,
    delivered,
    marker,
    untranslated,
    upsert,
)

__all__ = ["office", "world"]


# sizes


def noise(size: int) -> str:
    return random.Random(size).randbytes(size // 2).hex()


def test_an_item_over_400_kb_is_parked_whole(office: DynamoOffice) -> None:
    with closing(Desk(office, thing(office))) as desk:
        texts = ["x" * 500_000, noise(600_000), noise(2_400_000)]
        changes = [upsert(1, f"k{place}", note=text) for place, text in enumerate(texts)]
        assert desk.apply(*changes) == [PARKED] * 3
        assert desk.apply(*changes) == [PARKED] * 3
        assert desk.reasons() == ["too-large"] * 3
        held = [json.loads(row["event"])["data"]["note"] for row in office.own("parked")]
        assert held == texts
        assert [json.loads(row["event"])["data"]["note"] for row in office.own("outbox")] == texts


def test_an_item_that_the_front_office_has_made_too_large_is_parked(office: DynamoOffice) -> None:
    with closing(Desk(office, thing(office))) as desk:
        desk.apply(upsert(1))
        office.client.update_item(
            TableName=office.table("thing"),
            Key={"key": {"S": "k"}},
            UpdateExpression="SET basket = :basket",
            ExpressionAttributeValues={":basket": {"S": "x" * 300_000}},
        )
        assert desk.apply(upsert(2, note="x" * 200_000)) == [PARKED]
        assert desk.reasons() == ["too-large"]


def test_an_item_over_400_kb_is_claimed_by_setting_and_comes_back_whole(emulator: Emulator) -> None:
    payloads = MemoryPayloads()
    office = DynamoOffice(emulator.client("dynamodb"), payloads, oversize="claim")
    seen: list[Any] = []
    entity = thing(office, lambda _tx, _change, previous: seen.append(previous))
    with closing(Desk(office, entity)) as desk, closing(Desk(office, thing(office))) as plain:
        large = noise(500_000)
        assert desk.apply(upsert(1, note=large)) == [APPLIED]
        (item,) = office.items(office.table("thing"))
        assert "note" not in item
        assert item["isthmus_dataref"]["S"].startswith("memory://entities/")
        assert json.loads(payloads.get(item["isthmus_dataref"]["S"])) == {"size": 1, "note": large}
        assert desk.apply(upsert(2)) == [APPLIED]
        (item,) = office.items(office.table("thing"))
        assert "isthmus_dataref" not in item
        assert office.rows("thing") == [{"key": "k", "size": 2, "note": "fine"}]
        office.client.update_item(
            TableName=office.table("thing"),
            Key={"key": {"S": "k"}},
            UpdateExpression="SET basket = :basket",
            ExpressionAttributeValues={":basket": {"S": "x" * 300_000}},
        )
        assert plain.apply(upsert(3, note="y" * 200_000)) == [APPLIED]
        assert desk.apply(upsert(4)) == [APPLIED]
    assert [previous and len(previous["note"]) for previous in seen] == [None, 500_000, 200_000]


def test_a_parked_event_is_claimed_where_there_is_a_bucket(emulator: Emulator) -> None:
    payloads = MemoryPayloads()
    office = DynamoOffice(emulator.client("dynamodb"), payloads)
    with closing(Desk(office, thing(office))) as desk:
        assert desk.apply(upsert(1, note=noise(500_000))) == [PARKED]
    assert [name.rpartition("/")[0] for name in payloads.objects] == ["memory://parked"]
    assert json.loads(office.own("parked")[0]["event"])["id"] == "k-1"


def test_the_parts_of_an_event_are_forgotten_once_nothing_names_them(office: DynamoOffice) -> None:
    def bodies() -> int:
        return sum(item["pk"]["S"].startswith("body#") for item in office.items(office.settings.table))

    desk = Desk(office, thing(office))
    with closing(desk):
        desk.apply(upsert(1, note=noise(1_600_000)))
    parts = bodies()
    assert parts > 1
    store, later = office.store([thing(office)]), desk.clock.now_ms() + 1

    def prune(before_ms: int) -> None:
        store.prune(memory_before_ms=before_ms, history_before_ms=0, stop=FakeStop(FakeClock()))

    prune(later)
    assert bodies() == parts
    for item in office.items(office.settings.table):
        if item["sk"]["S"].startswith("p#") or item["pk"]["S"] == "outbox":
            office.client.delete_item(TableName=office.settings.table, Key={name: item[name] for name in ("pk", "sk")})
    prune(later - 1)
    assert bodies() == parts
    prune(later)
    assert bodies() == 0


# capacity


class Scripted:
    """A client that fails by a script before it lets requests through."""

    def __init__(self, client: Any, name: str, errors: Sequence[Exception]) -> None:
        self._client = client
        self._name = name
        self.errors = list(errors)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def send(**wanted: Any) -> Any:
            if name == self._name and self.errors:
                raise self.errors.pop(0)
            return getattr(self._client, name)(**wanted)

        return send


def refused(code: str, reasons: Sequence[Mapping[str, str]] = ()) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": ""}, "CancellationReasons": list(reasons)}
    return ClientError(response, "any")


@pytest.mark.parametrize(
    "error, halved",
    [
        (refused("ThrottlingException"), True),
        (refused("ProvisionedThroughputExceededException"), True),
        (refused("TransactionInProgressException"), False),
        (refused("TransactionCanceledException", [{"Code": "None"}, {"Code": "TransactionConflict"}]), False),
        (refused("TransactionCanceledException", [{"Code": "ThrottlingError"}, {"Code": "None"}]), True),
    ],
    ids=["throttled", "throughput", "in-progress", "conflict", "transaction-throttled"],
)
def test_what_says_nothing_is_sent_again_and_throttling_narrows_the_way(
    office: DynamoOffice, error: Exception, *, halved: bool
) -> None:
    with closing(Desk(office, thing(office, lambda *_: []))) as desk:
        scripted = Scripted(office.client, "transact_write_items", [error] * 3)
        desk.decider._requests._client = scripted
        assert desk.apply(upsert(1)) == [APPLIED]
        assert scripted.errors == []
        assert (desk.decider._width.now < office.settings.parallel) == halved


def test_a_way_that_stays_blocked_is_transient_and_a_stop_ends_the_wait(office: DynamoOffice) -> None:
    for stopped in (False, True):
        with closing(Desk(office, thing(office))) as desk:
            scripted = Scripted(office.client, "update_item", [refused("ThrottlingException")] * 99)
            desk.decider._requests._client = scripted
            if stopped:
                stop = desk.decider._requests._stop
                assert isinstance(stop, ThreadStop)
                stop.request()
            with pytest.raises(Transient) as caught:
                desk.apply(upsert(1))
            assert caught.value.cause == "throttled"
            assert len(scripted.errors) == 99 - (1 if stopped else office.settings.attempts)
            assert desk.reasons() == []


def test_what_a_batch_leaves_undone_is_sent_again(world: World, office: DynamoOffice) -> None:
    assert isinstance(world.decider, DynamoDecider)
    real = office.client

    class Half:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def batch_write_item(self, RequestItems: Any) -> Any:  # noqa: N803 - boto3's name
            ((table, wanted),) = RequestItems.items()
            real.batch_write_item(RequestItems={table: wanted[:1]})
            return {"UnprocessedItems": {table: wanted[1:]} if wanted[1:] else {}}

    world.decider._requests._client = Half()
    world.apply(*[upsert(1, f"k{number}") for number in range(5)])
    assert len(office.own("history")) == 5


def test_a_missing_table_and_missing_rights_stop_the_process(office: DynamoOffice) -> None:
    for code, error in (("ResourceNotFoundException", Missing), ("AccessDeniedException", Fatal)):
        with closing(Desk(office, thing(office))) as desk:
            desk.decider._requests._client = Scripted(office.client, "update_item", [refused(code)])
            with pytest.raises(error):
                desk.apply(upsert(1))
            assert desk.reasons() == []


# fences, settled IDs, batches


def test_a_fence_is_not_durable_before_what_precedes_its_marker(world: World) -> None:
    happened = world.office.break_at(world.decider, 0, world.office.outage(), only="transact_write_items")
    with pytest.raises(TargetDown):
        world.apply(upsert(1), marker(2))
    assert happened()
    assert world.office.own("fence") == []
    assert world.apply(upsert(1), marker(2), upsert(2), upsert(3, epoch=2)) == [APPLIED, None, FENCED, APPLIED]


def test_a_fence_that_another_has_raised_higher_stays(world: World, office: DynamoOffice) -> None:
    # It has read the fences already when the other one raises one.
    other = world.elsewhere()
    world.told.meanwhile["k-1"] = [lambda: other.apply([delivered(marker(5))])]
    assert world.apply(upsert(1), marker(2), upsert(2, epoch=3)) == [APPLIED, None, FENCED]
    other.close()
    assert [row["epoch"] for row in office.own("fence")] == [5]


def test_a_settled_id_of_a_type_without_handlers_is_a_duplicate_and_forgotten_with_the_memory(
    office: DynamoOffice,
) -> None:
    with closing(Desk(office, thing(office))) as desk:
        office.settle("k-1")
        assert desk.apply(upsert(1), upsert(1, "b")) == [DUPLICATE, APPLIED]
        office.store([]).prune(memory_before_ms=1, history_before_ms=0, stop=FakeStop(FakeClock()))
        # Only the number stays, by which deciders know what they have read of the list.
        left = [item for item in office.items(office.settings.table) if "settled" in (item["pk"]["S"], item["sk"]["S"])]
        assert [item["pk"]["S"] for item in left] == ["shared"]
        assert desk.apply(upsert(1)) == [APPLIED]
        office.settle("k-2")
        assert desk.apply(upsert(2), upsert(3)) == [DUPLICATE, APPLIED]


def test_a_flag_that_a_discarded_change_left_is_taken_away_by_the_next_one(office: DynamoOffice) -> None:
    with closing(Desk(office, thing(office))) as desk:
        desk.apply(untranslated(1), upsert(1, "b"), untranslated(2, "b"))
        for item in office.items(office.settings.table):
            if item["sk"]["S"].startswith(("p#", "lot")):
                key = {name: item[name] for name in ("pk", "sk")}
                office.client.delete_item(TableName=office.settings.table, Key=key)
        assert desk.apply(upsert(3), upsert(3, "b")) == [APPLIED, APPLIED]
        assert not any("isthmus_parked" in item for item in office.items(office.table("thing")))


def test_what_a_foreign_event_says_at_length_is_parked_or_applied_all_the_same(office: DynamoOffice) -> None:
    with closing(Desk(office, thing(office))) as desk:
        long = upsert(1)._replace(rowhash="x" * 500_000, time="y" * 500_000)
        assert desk.apply(long, untranslated(2)._replace(rowhash="x" * 500_000)) == [APPLIED, PARKED]
        assert desk.apply(long) == [DUPLICATE]


def test_many_older_changes_are_freed_together(office: DynamoOffice) -> None:
    with closing(Desk(office, thing(office))) as desk:
        assert desk.apply(*[untranslated(n) for n in range(1, 120)]) == [PARKED] * 119
        assert desk.apply(upsert(200)) == [APPLIED]
        assert desk.reasons() == []
        assert not any("isthmus_parked" in item for item in office.items(office.table("thing")))


# pruning


def test_what_comes_alive_while_it_is_pruned_keeps_its_guard(world: World, office: DynamoOffice) -> None:
    world.apply(delete(1))
    real = office.client

    class Meanwhile:
        def __getattr__(self, name: str) -> Any:
            if name == "delete_item":
                assert world.apply(upsert(2)) == [APPLIED]
            return getattr(real, name)

    store = office.store(world.entities)
    store._client = Meanwhile()  # type: ignore[assignment]
    now = world.clock.now_ms() + 1
    assert store.prune(memory_before_ms=now, history_before_ms=0, stop=FakeStop(world.clock)).guards == 0
    assert [row["key"] for row in office.own("guard")] == ["k"]
