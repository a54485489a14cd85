"""Where the DynamoDB store is special: handlers' actions, items of the user's own shape, values."""

import threading
from contextlib import closing, suppress
from decimal import Decimal
from typing import Any

import pytest

from isthmus.change import Change, Kind, version_of
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.errors import Poison, TargetDown, Transient
from tests.contract.store_contract import world
from tests.fakes.dynamodb_desk import Desk, office, posting, thing
from tests.fakes.dynamodb_office import DynamoOffice, make_table
from tests.fakes.emulator import Emulator
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    PARKED,
    STALE,
    World,
    delete,
    delivered,
    event,
    untranslated,
    upsert,
)

__all__ = ["office", "world"]


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
