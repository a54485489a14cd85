"""Where the DynamoDB store is special: handlers' actions, items of the user's own shape, values, sizes, capacity."""

import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

import pytest
from botocore.exceptions import ClientError

from isthmus.change import Change, Kind, version_of
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.port import Entity, Store, TableMapping
from isthmus.errors import Fatal, Missing, Poison, Refused, TargetDown, Transient
from isthmus.lifecycle import ThreadStop
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.dynamodb_office import DynamoOffice, make_table
from tests.fakes.emulator import Emulator
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    FENCED,
    PARKED,
    STALE,
    World,
    delete,
    delivered,
    event,
    marker,
    untranslated,
    upsert,
)


@pytest.fixture
def office(emulator: Emulator) -> DynamoOffice:
    return DynamoOffice(emulator.client("dynamodb"))


@pytest.fixture
def world(office: DynamoOffice) -> Iterator[World]:
    made = World(office)
    yield made
    made.close()


class Desk:
    """A decider of one entity type, of whatever kind and shape."""

    def __init__(self, office: DynamoOffice, entity: Entity, clock: FakeClock | None = None) -> None:
        self.office = office
        self.clock = clock or FakeClock()
        self.metrics = Metrics()
        self.decider = DynamoDecider(
            office.client,
            office.settings,
            {entity.name: entity},
            self.clock,
            self.metrics,
            history=False,
            payloads=office.payloads,
        )

    def apply(self, *changes: Change) -> list[Any]:
        return self.decider.apply([delivered(change) for change in changes])

    def close(self) -> None:
        self.decider.close()

    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.office.own("parked")]


def thing(office: DynamoOffice, *handlers: Any, kind: Kind = Kind.STATE, **mapping: Any) -> Entity:
    given = {"columns": {"size": "size", "note": "note"}, "key_column": "key", **mapping}
    return Entity("thing", kind, TableMapping(given.pop("table", office.table("thing")), **given), None, handlers)


def posting(*handlers: Any) -> Entity:
    return Entity("posting", Kind.EVENT, None, None, handlers)


# handlers


def add(office: DynamoOffice, txn: str) -> dict[str, Any]:
    nothing: Any = None
    actions: Any = office.effect(nothing, txn)
    return dict(actions[0])


def test_a_balance_is_exact_under_redeliveries_and_two_workers(office: DynamoOffice) -> None:
    def deduct(_tx: Any, change: Change, _previous: Any) -> object:
        action = add(office, "account")
        action["Update"]["ExpressionAttributeValues"] = {":one": -change.data["size"]}
        return [action]

    changes = [event(n, size=20) for n in range(1, 9)]
    both = threading.Barrier(2)

    def work() -> None:
        with closing(Desk(office, posting(deduct))) as desk:
            both.wait()
            for _ in range(3):
                for change in changes:
                    while True:
                        with suppress(Transient):
                            desk.apply(change)
                            break

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert office.rows("effect") == [{"txn": "account", "times": -160}]


@pytest.mark.parametrize(
    "returned",
    [
        "nonsense",
        42,
        {"Put": {}},
        ["nonsense"],
        [{}],
        [{"Put": {"TableName": "t", "Item": {"a": 1}}, "Update": {}}],
        [{"Destroy": {"TableName": "t", "Key": {"a": 1}}}],
        [{"Put": {"TableName": "t"}}],
        [{"Put": "nonsense"}],
        [{"Put": {"TableName": "t", "Item": [1]}}],
        [{"Put": {"TableName": "t", "Item": {"a": 1}, "Hint": 1}}],
        [{"Put": {"TableName": 7, "Item": {"a": 1}}}],
        [{"ConditionCheck": {"TableName": "t", "Key": {"a": "b"}}}],
        [{"Delete": {"TableName": "t", "Key": {"a": 10**39}}}],
    ],
)
def test_a_handler_that_returns_nonsense_parks_its_change(office: DynamoOffice, returned: object) -> None:
    with closing(Desk(office, thing(office, lambda *_: returned))) as desk:
        assert desk.apply(upsert(1)) == [PARKED]
        assert desk.reasons() in ([["handler-action"], ["value"]])
        assert office.own("parked")[0]["stage"] == "handler"
        assert office.rows("thing") == []


def test_an_action_that_dynamodb_does_not_take_parks_its_change(office: DynamoOffice) -> None:
    wrong = {"TableName": office.table("effect"), "Key": {"txn": "a"}, "UpdateExpression": "SET a = :gone"}
    with closing(Desk(office, thing(office, lambda *_: [{"Update": wrong}]))) as desk:
        assert desk.apply(upsert(1)) == [PARKED]
        assert desk.reasons() == ["handler-action"]


def test_a_condition_of_a_handler_that_does_not_hold_parks_its_change(office: DynamoOffice) -> None:
    check = {"TableName": office.table("effect"), "Key": {"txn": "a"}, "ConditionExpression": "attribute_exists(txn)"}
    with closing(Desk(office, thing(office, lambda *_: [{"ConditionCheck": check}]))) as desk:
        assert desk.apply(upsert(1)) == [PARKED]
        assert desk.reasons() == ["handler-condition"]
        office.client.put_item(TableName=office.table("effect"), Item={"txn": {"S": "a"}})
        assert desk.apply(upsert(2)) == [APPLIED]


def test_more_actions_than_a_transaction_has_park_the_change(office: DynamoOffice) -> None:
    def many(_tx: Any, change: Change, _previous: Any) -> object:
        return [add(office, f"{number}") for number in range(change.data["size"])]

    with closing(Desk(office, thing(office, many))) as desk:
        assert desk.apply(upsert(1, size=99), upsert(2, size=100)) == [APPLIED, PARKED]
        assert desk.reasons() == ["handler-action"]


def test_two_actions_on_one_item_park_the_change(office: DynamoOffice) -> None:
    own_item = {"Update": {"TableName": office.table("thing"), "Key": {"key": "k"}, "UpdateExpression": "SET a = size"}}
    put = {"Put": {"TableName": office.table("effect"), "Item": {"txn": "1", "times": 7}}}
    for number, actions in enumerate([[add(office, "1")] * 2, [own_item], [put, add(office, "1")], [put, put]]):
        with closing(Desk(office, thing(office, lambda *_, actions=actions: actions))) as desk:
            assert desk.apply(upsert(number + 1)) == [PARKED]
    assert {row["reason"] for row in office.own("parked")} == {"handler-action"}
    assert office.rows("effect") == []


def test_isthmus_own_table_is_not_a_handlers(office: DynamoOffice) -> None:
    put = {"Put": {"TableName": office.settings.table, "Item": {"pk": "shared", "sk": "fence#1#flights", "epoch": 9}}}
    with closing(Desk(office, thing(office, lambda *_: [put]))) as desk:
        assert desk.apply(upsert(1)) == [PARKED]


def test_a_handler_reads_what_stands_there_and_runs_no_statements(office: DynamoOffice) -> None:
    seen: list[Any] = []

    def reads(tx: Any, change: Change, _previous: Any) -> object:
        seen.append(tx.get(office.table("effect"), {"txn": "total"}))
        if change.data["note"] == "sql":
            tx.execute("SELECT 1")
        return [add(office, "total")]

    with closing(Desk(office, thing(office, reads))) as desk:
        assert desk.apply(upsert(1), upsert(2), upsert(3, note="sql")) == [APPLIED, APPLIED, PARKED]
        assert seen == [None, {"txn": "total", "times": 1}, {"txn": "total", "times": 2}]
        assert desk.reasons() == ["handler-statement"]


@pytest.mark.parametrize("then", [None, ValueError(), Poison("no-gate")])
def test_a_handler_that_swallows_an_outage_neither_writes_nor_parks(
    office: DynamoOffice, then: Exception | None
) -> None:
    def swallows(tx: Any, _change: Change, _previous: Any) -> None:
        with suppress(TargetDown):
            tx.get(office.table("effect"), {"txn": "total"})
        if then is not None:
            raise then

    with closing(Desk(office, thing(office, swallows))) as desk:
        office.break_at(desk.decider, 0, office.outage(), only="get_item")
        # The first of them reads what stands of the change.
        desk.decider._requests._client._only = "get_item"
        desk.decider._requests._client._left = 1
        with pytest.raises(TargetDown):
            desk.apply(upsert(1))
        assert office.rows("thing") == []
        assert desk.reasons() == []


def test_what_changes_between_look_and_write_is_looked_at_again(world: World) -> None:
    other = world.elsewhere()
    world.told.meanwhile["k-3"] = [lambda: other.apply([delivered(upsert(2))])]
    world.apply(upsert(1))
    assert world.apply(upsert(3)) == [APPLIED]
    other.close()
    assert [(txn, row and row["size"]) for txn, row in world.told.previous] == [
        ("k-1", None),
        ("k-3", 1),
        ("k-2", 1),
        ("k-3", 2),
    ]
    assert world.effects() == {"k-1": 1, "k-2": 1, "k-3": 1}


def test_what_is_parked_between_look_and_write_is_not_overtaken(world: World) -> None:
    other = world.elsewhere()
    world.told.meanwhile["k-2"] = [lambda: other.apply([delivered(event(1, note="wrong"))])]
    assert world.apply(event(2)) == [PARKED]
    other.close()
    assert world.parked() == [("k-1", "contract"), ("k-2", "behind")]
    assert world.effects() == {}


def test_what_is_poison_only_here_is_not_parked_once_another_applied_it(world: World) -> None:
    other = world.elsewhere()
    for change, expected in ((event(1, "e"), DUPLICATE), (upsert(1), STALE)):

        def meanwhile(change: Change = change) -> None:
            newer = change if change.key == "e" else upsert(2)
            assert other.apply([delivered(newer)]) == [APPLIED]
            world.told.raises[change.id] = [Poison("no-gate")]

        world.told.meanwhile[change.id] = [meanwhile]
        assert world.apply(change) == [expected]
    other.close()
    assert world.parked() == []


def test_what_is_parked_while_others_are_freed_keeps_its_key_parked(world: World, office: DynamoOffice) -> None:
    other = world.elsewhere()
    world.apply(untranslated(5))
    assert isinstance(world.decider, DynamoDecider)
    real, waiting = office.client, [event(1, note="wrong")]

    class Meanwhile:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def transact_write_items(self, TransactItems: Any) -> Any:  # noqa: N803 - boto3's name
            if waiting and any("Delete" in action for action in TransactItems):
                assert other.apply([delivered(waiting.pop())]) == [PARKED]
            return real.transact_write_items(TransactItems=TransactItems)

    world.decider._requests._client = Meanwhile()
    assert world.apply(upsert(6)) == [APPLIED]
    assert waiting == []
    other.close()
    assert world.apply(event(9)) == [PARKED]
    assert world.parked() == [("k-1", "behind"), ("k-9", "behind")]


# items of the user's own shape


def test_an_item_that_isthmus_did_not_write_is_adopted_only_by_setting(emulator: Emulator) -> None:
    for adopt, outcome in ((False, PARKED), (True, APPLIED)):
        for tombstones in ("item", "table"):
            office = DynamoOffice(emulator.client("dynamodb"), adopt=adopt, tombstones=tombstones)
            for change in (upsert(1, "a"), delete(1, "b")):
                item = {"key": {"S": change.key}, "basket": {"S": "full"}}
                office.client.put_item(TableName=office.table("thing"), Item=item)
                with closing(Desk(office, thing(office))) as desk:
                    assert desk.apply(change) == [outcome]
            if adopt:
                assert office.rows("thing") == [{"key": "a", "basket": "full", "size": 1, "note": "fine"}]
            else:
                assert {row["reason"] for row in office.own("parked")} == {"not-ours"}
                assert [row["basket"] for row in office.rows("thing")] == ["full", "full"]


def test_an_adopted_item_frees_what_was_parked_before(emulator: Emulator) -> None:
    office = DynamoOffice(emulator.client("dynamodb"))
    office.client.put_item(TableName=office.table("thing"), Item={"key": {"S": "k"}})
    with closing(Desk(office, thing(office))) as desk:
        assert desk.apply(upsert(1)) == [PARKED]
    office.settings = type(office.settings)(table=office.settings.table, adopt=True)
    with closing(Desk(office, thing(office))) as desk:
        assert desk.apply(upsert(2)) == [APPLIED]
        assert desk.reasons() == []


def test_events_leave_their_mark_on_the_item_and_no_guard(office: DynamoOffice) -> None:
    entity = thing(office, lambda *_: [], kind=Kind.EVENT)
    with closing(Desk(office, entity)) as desk:
        one = event(1)._replace(entity="thing")
        assert desk.apply(one, event(2)._replace(entity="thing"), one) == [APPLIED, APPLIED, DUPLICATE]
        assert office.rows("thing") == [{"key": "k", "size": 2, "note": "fine"}]
        assert office.own("guard") == []


def test_key_attributes_are_made_by_the_users_templates(office: DynamoOffice) -> None:
    table = office.table("orders")
    make_table(office.client, table, "pk", "sk")
    keys = {"pk": "CUSTOMER#{key}", "sk": "PROFILE"}
    entity = thing(office, table=table, key_columns=keys, version_column="v")
    with closing(Desk(office, entity)) as desk:
        office.store([]).prepare()
        assert desk.apply(upsert(1, "7"), upsert(1, "8"), delete(2, "8"), upsert(1, "8")) == [APPLIED] * 3 + [STALE]
    (live,) = [item for item in office.items(table) if "isthmus_deleted" not in item]
    assert (live["pk"], live["sk"], live["v"]) == ({"S": "CUSTOMER#7"}, {"S": "PROFILE"}, {"S": version_of(0, 1)})


def test_a_key_that_no_item_can_have_is_parked(office: DynamoOffice) -> None:
    table = office.table("orders")
    make_table(office.client, table, "pk", "sk")
    with closing(Desk(office, thing(office, table=table, key_columns={"pk": "{1}", "sk": "{2}"}))) as desk:
        keys = ["a", "a/", "/a", "a/b/c", "a/" + "x" * 1022]
        assert desk.apply(*[upsert(1, key, id=f"{place}") for place, key in enumerate(keys)]) == [PARKED] * 4 + [
            APPLIED
        ]
        assert sorted(desk.reasons()) == ["key-shape", "key-shape", "value", "value"]
        assert desk.apply(upsert(2, "a/", id="later")) == [PARKED]


def test_attributes_of_another_prefix_are_the_users(emulator: Emulator) -> None:
    office = DynamoOffice(emulator.client("dynamodb"), prefix="_i.")
    with closing(Desk(office, thing(office, columns={"size": "isthmus_size", "note": "note"}))) as desk:
        desk.apply(upsert(1))
        assert office.rows("thing") == [{"key": "k", "isthmus_size": 1, "note": "fine"}]
        assert desk.apply(upsert(1), delete(2), upsert(1)) == [DUPLICATE, APPLIED, STALE]


# values

EXACT = [
    "",
    "\0",
    "￿",
    True,
    None,
    0,
    -0.0,
    0.1,
    10**38 - 1,
    -(10**37),
    Decimal("1E-130"),
    Decimal("9.9E125"),
    {"a": [1, {"b": None}], "": 0} | {},
    ["", {}, []],
    "0001-01-01",
    "9999-12-31T23:59:59Z",
    "10000-01-01",
    "x" * 300_000,
]


@pytest.mark.parametrize("value", EXACT, ids=lambda value: repr(value)[:20])
def test_a_value_is_held_exactly_or_its_change_is_parked(office: DynamoOffice, value: Any) -> None:
    with closing(Desk(office, thing(office))) as desk:
        (outcome,) = desk.apply(upsert(1, note=value))
        if outcome is PARKED:
            assert desk.reasons() == ["value"]
            assert isinstance(value, dict)
        else:
            (row,) = office.rows("thing")
            held = row["note"]
            assert held in (value, Decimal(repr(value)) if isinstance(value, float) else value)
            assert isinstance(held, bool) == isinstance(value, bool)


@pytest.mark.parametrize("value", [10**38 + 1, Decimal("1E126"), 1e200, float("nan"), float("inf"), "\ud800"])
def test_a_value_that_dynamodb_has_no_place_for_is_parked(office: DynamoOffice, value: Any) -> None:
    with closing(Desk(office, thing(office))) as desk:
        assert desk.apply(upsert(1), upsert(2, note=value), upsert(3, "b")) == [APPLIED, PARKED, APPLIED]
        assert desk.reasons() == ["value"]
        assert [row["size"] for row in office.rows("thing")] == [3, 1]


def test_an_index_that_refuses_a_value_parks_its_change(office: DynamoOffice) -> None:
    table = office.table("indexed")
    office.client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "key", "AttributeType": "S"},
            {"AttributeName": "note", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-note",
                "KeySchema": [{"AttributeName": "note", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    either: tuple[tuple[Any, ...], ...] = ((), (lambda *_: [],))
    for handlers in either:
        with closing(Desk(office, thing(office, *handlers, table=table))) as desk:
            key = f"k{len(handlers)}"
            assert desk.apply(upsert(1, key, note=7), upsert(2, key)) == [PARKED, APPLIED]
            assert desk.metrics.parked.labels("constraint")._value.get() == 1


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
        assert not [item for item in office.items(office.settings.table) if item["sk"]["S"] == "settled"]


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


# setting up


def test_our_table_is_described_made_once_and_forgets_by_itself(office: DynamoOffice) -> None:
    store = office.store([])
    assert [line.split(":")[0].split()[0] for line in store.prepare(dry_run=True)] == [
        "create-table",
        "update-time-to-live",
        "put-item",
    ]
    assert store.versions() == (1, 1)
    found = office.client.describe_time_to_live(TableName=office.settings.table)["TimeToLiveDescription"]
    assert found.get("AttributeName") == "expires"


def test_where_deletions_are_remembered_changes_only_while_none_is_forgotten(emulator: Emulator) -> None:
    office = DynamoOffice(emulator.client("dynamodb"))

    def use(tombstones: Literal["item", "table"]) -> Store:
        office.settings = replace(office.settings, tombstones=tombstones)
        return office.store([thing(office)])

    with closing(Desk(office, thing(office))) as desk:
        desk.apply(upsert(1), delete(2))
    store = use("table")
    with pytest.raises(Refused, match="prepared for") as caught:
        store.check([])
    assert "isthmus store init" in caught.value.hint
    store.prepare()
    store.check([])
    with closing(Desk(office, thing(office))) as desk:
        assert desk.apply(upsert(1), upsert(3), delete(4)) == [STALE, APPLIED, APPLIED]
    store = use("item")
    for ask in (store.prepare, lambda: store.check([])):
        with pytest.raises(Refused, match="remembered in") as caught:
            ask()
        assert 'tombstones = "table"' in caught.value.hint
    use("table").prune(memory_before_ms=desk.clock.now_ms() + 1, history_before_ms=0, stop=FakeStop(FakeClock()))
    store = use("item")
    with pytest.raises(Refused):
        store.check([])
    store.prepare()
    store.check([])


def test_our_attributes_keep_the_name_by_which_versions_are_found(office: DynamoOffice) -> None:
    office.settings = replace(office.settings, prefix="own_")
    for ask in (office.store([]).prepare, lambda: office.store([]).check([])):
        with pytest.raises(Refused, match="attribute_prefix is 'own_'"):
            ask()


def test_a_dry_run_makes_nothing(emulator: Emulator) -> None:
    office = DynamoOffice(emulator.client("dynamodb"))
    office.client.delete_table(TableName=office.settings.table)
    store = office.store([])
    store.prepare(dry_run=True)
    assert store.versions() == (None, 1)
    with pytest.raises(Missing):
        office.reader().counts()


def test_a_newer_releases_table_and_somebody_elses_are_refused(office: DynamoOffice) -> None:
    schema = {"pk": {"S": "shared"}, "sk": {"S": "schema"}, "version": {"N": "2"}}
    office.client.put_item(TableName=office.settings.table, Item=schema)
    for ask in (office.store([]).prepare, lambda: office.store([]).check([])):
        with pytest.raises(Refused, match="newer release"):
            ask()
    office.client.delete_table(TableName=office.settings.table)
    make_table(office.client, office.settings.table, "id")
    with pytest.raises(Refused, match="is another one: its keys are"):
        office.store([]).prepare()


CHECKS: list[tuple[dict[str, Any], type[Fatal], str]] = [
    ({"table": "nowhere"}, Missing, "--table-name nowhere .*AttributeName=key,KeyType=HASH"),
    ({"key_column": "id"}, Refused, r"the key of table .* is 'key', and the settings name 'id'"),
    ({"key_columns": {"key": "{1}", "sk": "{2}"}}, Refused, r"is 'key', and the settings name 'key' and 'sk'"),
    ({"key_columns": {"a": "{1}", "b": "{2}", "c": "{3}"}}, Refused, "at most 2"),
    ({"key_columns": {"key": "always"}}, Refused, "all keys would be one row"),
    ({"columns": {"size": "key"}}, Refused, "'key' .*two values"),
    ({"columns": {"size": "isthmus_size"}}, Refused, "Isthmus's own"),
]


@pytest.mark.parametrize("mapping, error, says", CHECKS)
def test_a_mapping_that_does_not_fit_its_table_is_refused_with_what_mends_it(
    office: DynamoOffice, mapping: dict[str, Any], error: type[Fatal], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        checked(office, thing(office, **mapping))
    assert caught.value.hint


def checked(office: DynamoOffice, entity: Entity) -> None:
    from isthmus.consumer.stores.dynamodb.store import DynamoStore  # noqa: PLC0415 - the office's own checks others

    DynamoStore(office.client, office.settings, [entity]).check([entity])


def test_a_table_whose_keys_are_numbers_is_refused(office: DynamoOffice) -> None:
    table = office.table("numbers")
    make_table(office.client, table, "key", kinds="N")
    with pytest.raises(Refused, match="is a number, and keys are text"):
        checked(office, thing(office, table=table))


def test_our_own_table_is_no_business_table(office: DynamoOffice) -> None:
    with pytest.raises(Refused, match="Isthmus's own"):
        checked(office, thing(office, table=office.settings.table))
