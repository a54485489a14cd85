"""What others write between look and write in a DynamoDB front office: handlers' conditions, what they were shown."""

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest

from isthmus.change import Change, Kind, Outcome
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.errors import Transient
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.store_world import APPLIED, DUPLICATE, PARKED, delete, delivered, event, untranslated, upsert


class Crash(BaseException):
    """The process is gone."""


@pytest.fixture(params=["item", "table"])
def office(emulator: Emulator, request: pytest.FixtureRequest) -> DynamoOffice:
    return DynamoOffice(emulator.client("dynamodb"), tombstones=request.param)


def thing(office: DynamoOffice, *handlers: Any, kind: Kind = Kind.STATE) -> Entity:
    mapping = TableMapping(office.table("thing"), columns={"size": "size", "note": "note"})
    return Entity("thing", kind, mapping, None, handlers)


def posting(*handlers: Any) -> Entity:
    return Entity("posting", Kind.EVENT, None, None, handlers)


def decider_of(office: DynamoOffice, entity: Entity) -> DynamoDecider:
    entities = {entity.name: entity}
    return DynamoDecider(office.client, office.settings, entities, FakeClock(), Metrics(), history=False)


def decide(office: DynamoOffice, entity: Entity, *changes: Change) -> list[Outcome | None]:
    with closing(decider_of(office, entity)) as decider:
        return decider.apply([delivered(change) for change in changes])


def write(office: DynamoOffice, table: str, key: Mapping[str, Any], name: str, value: Mapping[str, Any]) -> None:
    """Write as the front office does."""
    office.client.update_item(
        TableName=office.table(table),
        Key=key,
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


# a handler's own condition


class Counting:
    """A handler that reads a number and writes the next one, if nobody else has. `meanwhile` runs in between."""

    def __init__(self, office: DynamoOffice, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.runs = 0
        self._table = office.table("effect")
        self._meanwhile = meanwhile

    def __call__(self, tx: Any, _change: Change, _previous: Any) -> object:
        self.runs += 1
        found = tx.get(self._table, {"txn": "total"})
        old = found["times"] if found is not None else 0
        self._meanwhile()
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"txn": "total"},
            "UpdateExpression": "SET times = :new",
            "ConditionExpression": "attribute_not_exists(times) OR times = :old",
            "ExpressionAttributeValues": {":new": old + 1, ":old": old},
        }
        return [{"Update": update}]


def test_what_another_wrote_after_a_handler_had_read_it_makes_the_handler_run_again(office: DynamoOffice) -> None:
    others = iter([40, 41])

    def meanwhile() -> None:
        for value in others:
            write(office, "effect", {"txn": {"S": "total"}}, "times", {"N": str(value)})
            return

    counting = Counting(office, meanwhile)
    assert decide(office, posting(counting), event(1)) == [APPLIED]
    assert office.rows("effect") == [{"txn": "total", "times": 42}]
    assert counting.runs == 3


def test_changes_that_are_in_each_others_way_all_take_effect_once(office: DynamoOffice) -> None:
    entity = posting(Counting(office))
    batch = [event(1, f"k{number}") for number in range(12)]
    while True:
        with suppress(Transient):
            decide(office, entity, *batch)
            break
    assert office.rows("effect") == [{"txn": "total", "times": 12}]
    assert office.own("parked") == []


def test_a_condition_that_fails_while_nothing_moves_is_poison_at_its_second_time(office: DynamoOffice) -> None:
    runs: list[str] = []

    def impossible(tx: Any, change: Change, _previous: Any) -> object:
        runs.append(change.id)
        tx.get(office.table("effect"), {"txn": "total"})
        check = {"TableName": office.table("effect"), "Key": {"txn": "a"}, "ConditionExpression": "attribute_exists(b)"}
        return [{"ConditionCheck": check}]

    assert decide(office, thing(office, impossible), upsert(1)) == [PARKED]
    assert runs == ["k-1", "k-1"]
    assert [(row["reason"], row["stage"]) for row in office.own("parked")] == [("handler-condition", "handler")]


def test_a_condition_that_fails_while_others_write_all_the_time_is_transient(office: DynamoOffice) -> None:
    written = iter(range(100, 200))
    counting = Counting(
        office, lambda: write(office, "effect", {"txn": {"S": "total"}}, "times", {"N": str(next(written))})
    )
    with pytest.raises(Transient):
        decide(office, thing(office, counting), upsert(1))
    assert counting.runs == office.settings.attempts
    assert office.own("parked") == []
    assert office.rows("thing") == []


@pytest.mark.parametrize("name", ["{}", "arn:aws:dynamodb:eu-central-1:123456789012:table/{}"])
def test_isthmus_own_table_is_not_a_handlers_by_whatever_name(office: DynamoOffice, name: str) -> None:
    put = {"TableName": name.format(office.settings.table), "Item": {"pk": "shared", "sk": "fence#1#flights"}}
    assert decide(office, thing(office, lambda *_: [{"Put": put}]), upsert(1)) == [PARKED]
    (row,) = office.own("parked")
    assert (row["reason"], row["message"]) == ("handler-action", "a handler wants to write Isthmus's own table")


# what a handler was shown


class Showing:
    """A handler that notes what it was shown, and how large that was. `meanwhile` runs after it was shown."""

    def __init__(self, office: DynamoOffice) -> None:
        self.shown: list[Any] = []
        self.meanwhile: list[Callable[[], object]] = []
        self._office = office

    def __call__(self, _tx: Any, change: Change, previous: Any) -> object:
        self.shown.append(previous)
        if self.meanwhile:
            self.meanwhile.pop()()
        return self._office.effect(_tx, change.id)


@pytest.mark.parametrize("name", ["note", "basket"], ids=["mapped", "the front office's own"])
@pytest.mark.parametrize("change", [upsert(2), delete(2)], ids=["upsert", "delete"])
def test_what_the_front_office_writes_after_a_handler_was_shown_it_is_shown_again(
    office: DynamoOffice, change: Change, name: str
) -> None:
    showing = Showing(office)
    key: Any = {"key": {"S": "k"}}
    assert decide(office, thing(office, showing), upsert(1)) == [APPLIED]
    write(office, "thing", key, "basket", {"S": "empty"})
    showing.meanwhile = [lambda: write(office, "thing", key, name, {"S": "written meanwhile"})]
    assert decide(office, thing(office, showing), change) == [APPLIED]
    assert [row and row[name] for row in showing.shown[1:]] == [
        "fine" if name == "note" else "empty",
        "written meanwhile",
    ]
    assert office.rows("effect") == [{"txn": "k-1", "times": 1}, {"txn": "k-2", "times": 1}]


def test_events_are_shown_again_what_has_changed_too(office: DynamoOffice) -> None:
    showing = Showing(office)
    entity = thing(office, showing, kind=Kind.EVENT)
    assert decide(office, entity, event(1)._replace(entity="thing")) == [APPLIED]
    showing.meanwhile = [lambda: write(office, "thing", {"key": {"S": "k"}}, "size", {"N": "7"})]
    assert decide(office, entity, event(2)._replace(entity="thing")) == [APPLIED]
    assert [row and row["size"] for row in showing.shown] == [None, 1, 7]


def test_whatever_stands_there_is_seen_to_be_the_same(office: DynamoOffice) -> None:
    values: list[Any] = [None, True, "", 1.5, 10**37, [1, {"a": None}], {"b": ["x"]}, {}, []]
    showing = Showing(office)
    changes = [upsert(number, note=value) for number, value in enumerate(values, 1)]
    assert decide(office, thing(office, showing), *changes, delete(99)) == [APPLIED] * (len(values) + 1)
    sets: list[Any] = [{"SS": ["a", "b"]}, {"NS": ["1.10", "2"]}, {"B": b"\0"}, {"BS": [b"a"]}]
    for number, value in enumerate(sets):
        write(office, "thing", {"key": {"S": f"s{number}"}}, "isthmus_version", {"N": "1"})
        write(office, "thing", {"key": {"S": f"s{number}"}}, "isthmus_txn", {"S": "before"})
        write(office, "thing", {"key": {"S": f"s{number}"}}, "tags", value)
    assert decide(office, thing(office, showing), *[upsert(2, f"s{number}") for number in range(len(sets))]) == [
        APPLIED
    ] * len(sets)
    assert len(showing.shown) == len(values) + 1 + len(sets)


def test_an_item_of_very_many_attributes_is_written_all_the_same(office: DynamoOffice) -> None:
    showing = Showing(office)
    assert decide(office, thing(office, showing), upsert(1)) == [APPLIED]
    (item,) = office.items(office.table("thing"))
    many: Any = {f"a{number}": {"S": "x"} for number in range(300)}
    office.client.put_item(TableName=office.table("thing"), Item={**item, **many})
    showing.meanwhile = [lambda: write(office, "thing", {"key": {"S": "k"}}, "note", {"S": "written meanwhile"})]
    assert decide(office, thing(office, showing), upsert(2)) == [APPLIED]
    assert [row and row["note"] for row in showing.shown] == [None, "fine", "written meanwhile"]


# adoption


def parked_as_foreign(office: DynamoOffice, *changes: Change) -> None:
    write(office, "thing", {"key": {"S": "k"}}, "basket", {"S": "full"})
    assert decide(office, thing(office), *changes) == [PARKED] * len(changes)


@pytest.mark.parametrize("change", [upsert(3), delete(3)], ids=["upsert", "delete"])
@pytest.mark.parametrize("then", [upsert(3), upsert(4)], ids=["the same", "the next"])
def test_what_was_parked_before_an_item_was_adopted_is_freed_after_any_crash(
    office: DynamoOffice, change: Change, then: Change
) -> None:
    at, happened = 0, True
    while happened:
        office = office.fresh()
        parked_as_foreign(office, upsert(1), upsert(2))
        office.settings = replace(office.settings, adopt=True)
        with closing(decider_of(office, thing(office))) as decider:
            broken = office.break_at(decider, at, Crash())
            with suppress(Crash):
                decider.apply([delivered(change)])
            happened = broken()
        decide(office, thing(office), change)
        again = [DUPLICATE, APPLIED] if then.id == "k-3" else [APPLIED, APPLIED]
        assert decide(office, thing(office), then, upsert(5)) == again
        assert office.own("parked") == []
        assert office.reader().parked_by_reason() == []
        at += 1
    assert at > 3


@pytest.mark.parametrize(
    "change, meanwhile, outcome",
    [(upsert(2), untranslated(1), APPLIED), (untranslated(3), upsert(2), PARKED)],
    ids=["parked meanwhile", "applied meanwhile"],
)
@pytest.mark.parametrize("foreign", [True, False], ids=["adopted", "made"])
def test_what_is_parked_while_an_item_becomes_ours_is_freed_by_the_next_change(
    office: DynamoOffice, change: Change, meanwhile: Change, outcome: Outcome, *, foreign: bool
) -> None:
    if foreign:
        parked_as_foreign(office)
        office.settings = replace(office.settings, adopt=True)
    with closing(decider_of(office, thing(office))) as decider:
        decider._requests._client = Meanwhile(office, meanwhile)
        assert decider.apply([delivered(change)]) == [outcome]
    assert decide(office, thing(office), upsert(9)) == [APPLIED]
    assert office.own("parked") == []


class Meanwhile:
    """A client through which another one decides a change first, between look and write."""

    def __init__(self, office: DynamoOffice, change: Change) -> None:
        self._office = office
        self._waiting = [change]

    def __getattr__(self, name: str) -> Any:
        if name == "transact_write_items" and self._waiting:
            decide(self._office, thing(self._office), self._waiting.pop())
        return getattr(self._office.client, name)


# the list of what is parked


def test_what_is_parked_is_counted_without_reading_anything_else(office: DynamoOffice) -> None:
    class Unread:
        def __getattr__(self, name: str) -> Any:
            assert name == "query"
            return getattr(office.client, name)

    decide(office, thing(office), untranslated(1, "a"), untranslated(2, "a"), untranslated(1, "b"))
    reader = office.reader()
    reader._requests._client = Unread()
    assert [each[:3] for each in reader.parked_by_reason()] == [("no-airport", 2, 3)]
    decide(office, thing(office), upsert(3, "a"))
    assert [each[:3] for each in reader.parked_by_reason()] == [("no-airport", 1, 1)]


def test_a_crash_while_parked_changes_are_freed_leaves_no_line_of_them(office: DynamoOffice) -> None:
    at, happened = 0, True
    while happened:
        office = office.fresh()
        decide(office, thing(office), upsert(1), untranslated(2), untranslated(3))
        with closing(decider_of(office, thing(office))) as decider:
            broken = office.break_at(decider, at, Crash())
            with suppress(Crash):
                decider.apply([delivered(upsert(4))])
            happened = broken()
        decide(office, thing(office), upsert(4), upsert(5))
        assert office.own("parked") == []
        assert office.reader().parked_by_reason() == []
        at += 1
    assert at > 3
