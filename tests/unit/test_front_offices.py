"""Which front office the settings make: store, reader and decider of each kind, and what an entity becomes."""

import sys
from contextlib import nullcontext
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pydantic import BaseModel, ConfigDict

from isthmus.change import Kind
from isthmus.clock import SystemClock
from isthmus.console import wiring
from isthmus.console.commands.check import _stream
from isthmus.console.exits import Exit, exit_of
from isthmus.console.wiring import Wiring, decider_of, entities_of, reader_of, store_of
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.dynamodb.reading import DynamoReader
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.port import TableMapping, TransactionalStore, Versioned
from isthmus.consumer.stores.sqlite.reading import SqliteReader
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.errors import Missing, Poison, Refused, TargetDown
from isthmus.lifecycle import ThreadStop
from isthmus.metrics import Metrics
from isthmus.pipeline import MAPPING, Pipeline, RowFunction
from isthmus.settings import Settings, StoreKind
from isthmus.stream import StreamFacts, StreamIdentity
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.settings_file import RIGHT, Files

POSTGRES = (
    RIGHT.replace("sqlite:///front-office.db", "postgresql://u:p@host/shop")
    + """
[store.postgres]
schema = "own"
statement_timeout = 61.0
lock_timeout = 11.0
connect_timeout = 12.0
sslrootcert = "/ca.pem"
"""
)
DRIVERS = ("psycopg", "isthmus.consumer.stores.postgres")


class Flight(BaseModel):
    model_config = ConfigDict(strict=True)
    tail: str | None
    fare: Decimal


def pipeline(**other: Any) -> Pipeline:
    parts: dict[str, Any] = {"entity": "flight", "contract": Flight, "key": str, "translate": lambda *_: []}
    return Pipeline(**(parts | other))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def undriven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no driver of PostgreSQL be there."""
    for name in list(sys.modules):
        if name.startswith(DRIVERS):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)


def test_a_sqlite_front_office_decides_batches(files: Files) -> None:
    settings = files.load()
    store = store_of(settings, [])
    assert isinstance(store, SqliteStore)
    assert isinstance(store, TransactionalStore)
    assert isinstance(store, Versioned)
    assert store._application == settings.application
    assert isinstance(reader_of(settings), SqliteReader)
    store.prepare()
    decider = decider_of(settings, store, {}, SystemClock(), Metrics())
    assert isinstance(decider, Applier)
    decider.close()


def test_a_postgresql_front_office_is_what_its_section_says(files: Files) -> None:
    settings = files.load(POSTGRES)
    store, reader = store_of(settings, []), reader_of(settings)
    assert isinstance(store, TransactionalStore)
    of: Any = store
    assert (of._application, of._lanes) == (settings.application, settings.stream.lanes)
    for made in (store, reader):
        address: Any = made._address  # type: ignore[union-attr] # the parts that were asked for
        assert (address.url, address.schema) == ("postgresql://u:p@host/shop", "own")
        assert (address.statement_timeout, address.lock_timeout, address.connect_timeout) == (61.0, 11.0, 12.0)
        assert (address.verify_tls, address.root_certificate) == (True, "/ca.pem")


def test_on_this_machine_nothing_is_verified(files: Files) -> None:
    store: Any = store_of(files.load(POSTGRES.replace("@host/", "@localhost/")), [])
    assert store._address.verify_tls is False


def test_without_its_driver_postgresql_is_missing_and_the_message_says_what_to_install(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = files.load(POSTGRES)
    undriven(monkeypatch)
    for make in (lambda: store_of(settings, []), lambda: reader_of(settings)):
        with pytest.raises(Missing, match=r"pip install 'isthmus\[postgres\]'") as caught:
            make()
        assert exit_of(caught.value) is Exit.MISSING


def test_a_module_of_ours_that_does_not_import_is_a_defect_and_no_missing_driver(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    undriven(monkeypatch)
    monkeypatch.setitem(sys.modules, "isthmus.consumer.stores.postgres", None)
    with pytest.raises(ImportError, match=r"isthmus\.consumer"):
        store_of(files.load(POSTGRES), [])


def test_other_front_offices_need_no_driver_of_postgresql(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = files.load()
    undriven(monkeypatch)
    assert isinstance(store_of(settings, []), SqliteStore)
    assert isinstance(reader_of(settings), SqliteReader)


DYNAMODB = (
    RIGHT.replace("sqlite:///front-office.db", "dynamodb:")
    + """delete_memory_days = 40
[store.dynamodb]
table = "ours"
adopt = true
tombstones = "table"
oversize = "claim"
parallel = 3
attribute_prefix = "own_"
[claim_check]
bucket = "payloads"
[aws]
endpoint_url = "http://127.0.0.1:1"
region = "eu-central-1"
access_key_id = "test"
secret_access_key = "test"
"""
)


def test_a_dynamodb_front_office_decides_change_by_change_as_its_section_says(files: Files) -> None:
    settings = files.load(DYNAMODB)
    store, reader = store_of(settings, []), reader_of(settings, [])
    assert not isinstance(store, TransactionalStore)
    assert isinstance(store, Versioned)
    stop, payloads = ThreadStop(), MemoryPayloads()
    decider = decider_of(settings, store, {}, SystemClock(), Metrics(), payloads=payloads, stop=stop)
    assert isinstance(decider, DynamoDecider)
    day_ms = 24 * 3600 * 1000
    expected = DynamoSettings("ours", "own_", True, "table", "claim", 3, memory_ms=40 * day_ms, history_ms=30 * day_ms)
    for made in (store, decider):
        parts: Any = made
        assert parts._settings == expected
    assert isinstance(reader, DynamoReader)
    assert reader._table == "ours"
    assert decider._requests._stop is stop
    decider.close()


def test_a_dynamodb_front_office_is_read_with_the_user_s_own_mapping(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = files.load(DYNAMODB)
    monkeypatch.setattr(wiring, "load_pipelines", lambda _: {"flights": pipeline()})
    for entities, known in ((None, 1), ([], 0)):
        reader: Any = reader_of(settings, entities)
        assert len(reader._states) == known


# What an entity becomes


def entity(settings: Settings, **other: Any) -> Any:
    (made,) = entities_of(settings, {"flights": pipeline(**other)})
    return made


def test_an_entity_is_a_row_field_by_field(files: Files) -> None:
    columns = 'version_column = "v"\ncolumns = { tail = "TAIL" }\nschema = "public"\n'
    text = POSTGRES.replace("[entities.flight]\n", f"[entities.flight]\n{columns}")
    made = entity(files.load(text))
    assert made.mapping == TableMapping("flight", "key", "v", {"tail": "TAIL", "fare": "fare"}, schema="public")
    assert made.types == {"tail": {"string", "null"}, "fare": {"decimal"}}
    assert made.bounds.keys() == {"tail", "fare"}
    assert (made.kind, made.process) == (Kind.STATE, "flight")


def test_an_entity_s_key_lies_in_several_columns(files: Files) -> None:
    text = RIGHT.replace("[entities.flight]\n", '[entities.flight]\nkey_columns = { no = "{2}", day = "{3}" }\n')
    assert entity(files.load(text)).mapping.keys == {"no": "{2}", "day": "{3}"}


def test_an_entity_is_a_row_by_a_function(files: Files) -> None:
    row = RowFunction(("b", "a"), lambda state: {"a": state["fare"], "b": 1})
    made = entity(files.load(), row=row)
    assert made.mapping.columns == {"b": "b", "a": "a"}
    assert made.mapping.values({"fare": "1.10"}) == (1, "1.10")
    with pytest.raises(Poison) as caught:
        made.mapping.values({})
    assert caught.value.reason == MAPPING
    assert made.types == made.bounds == {}


def test_an_entity_without_a_table_is_written_by_handlers_only(files: Files) -> None:
    settings = files.load(RIGHT.replace('[entities.flight]\ntable = "flight"\n', "[entities.flight]\n"))
    assert entity(settings, kind=Kind.EVENT, handlers=(print,)).mapping is None


# What is looked at before it starts


class Checked:
    def __init__(self) -> None:
        self.checked = 0

    def check(self, _: object) -> None:
        self.checked += 1


def test_only_a_file_s_folder_is_looked_for(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for = Mock(side_effect=wiring.store_path)
    monkeypatch.setattr(wiring, "store_path", looked_for)
    away = str(tmp_path / "not-mounted" / "office.db")
    for text, there in ((RIGHT.replace("front-office.db", away), False), (POSTGRES, True), (RIGHT, True)):
        store = Checked()
        made: Any = store
        parts = Wiring(files.load(text))
        if there:
            parts.check_front_office(made, [])
        else:
            with pytest.raises(TargetDown, match="not-mounted is not there"):
                parts.check_front_office(made, [])
        assert store.checked == there
    assert [call.args[0].store.kind for call in looked_for.call_args_list] == [StoreKind.SQLITE] * 2


@pytest.mark.parametrize("hours, enough", [(24, True), (168, True), (216, True), (217, False), (8760, False)])
def test_memory_is_compared_with_what_the_stream_really_keeps(
    files: Files, monkeypatch: pytest.MonkeyPatch, hours: int, *, enough: bool
) -> None:
    facts = StreamFacts("flights", StreamIdentity("arn", "then"), "ACTIVE", 1, hours, 1, keeps_partition_keys=True)
    parts = Wiring(files.load())
    monkeypatch.setattr(Wiring, "stream", lambda *_: facts)
    monkeypatch.setattr(Wiring, "checkpoints", lambda _: None)
    for ask in (partial(parts.check_memory, facts), partial(_stream, parts)):
        with nullcontext() if enough else pytest.raises(Refused, match=rf"for {hours} h.*Set delete_memory_days = "):
            ask()
