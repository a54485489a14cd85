"""Where the DynamoDB store is special: setting up, and what is refused at the start."""

from contextlib import closing
from dataclasses import replace
from typing import Any, Literal

import pytest

from isthmus.consumer.stores.port import Entity, Store
from isthmus.errors import Fatal, Missing, Refused
from tests.contract.store_contract import world
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.dynamodb_desk import Desk, office, thing
from tests.fakes.dynamodb_office import DynamoOffice, make_table
from tests.fakes.emulator import Emulator
from tests.fakes.store_world import (
    APPLIED,
    STALE,
    delete,
    upsert,
)

__all__ = ["office", "world"]


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
