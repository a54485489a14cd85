"""The SQL source, on SQLite files."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError

from isthmus.errors import Fatal, Missing, Refused, TargetDown, Transient
from isthmus.producer.sources.budget import QueryBudget
from isthmus.producer.sources.port import Source
from isthmus.producer.sources.sql import SqlSource, SqlTable
from isthmus.producer.sources.sql_engine import read_only_engine
from isthmus.producer.sources.watermarks import key_text, key_values
from tests.contract.source_contract import SourceContract, read_all
from tests.fakes.clock import FakeClock

TABLE = SqlTable("stock", cursor="seq", keys=("site", "item"))


class SqliteOffice:
    """A table `stock` with a key of two columns; the contract's key is the second of them."""

    def __init__(self, path: Path, key_type: str = "TEXT") -> None:
        self.path = path
        self.opened: list[SqlSource] = []
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute(
            f"CREATE TABLE stock (site {key_type}, item {key_type}, amount, seq INTEGER, PRIMARY KEY (site, item))"
        )
        self.connection.execute("CREATE INDEX stock_seq ON stock (seq)")

    def put(self, key: str, value: Any, *, cursor: int | None = None) -> int:
        if cursor is None:
            (highest,) = self.connection.execute("SELECT max(seq) FROM stock").fetchone()
            cursor = (highest or 0) + 1
        self.connection.execute("INSERT OR REPLACE INTO stock VALUES ('north', ?, ?, ?)", (key, value, cursor))
        return cursor

    def delete(self, key: str) -> None:
        self.connection.execute("DELETE FROM stock WHERE item = ?", (key,))

    def source(self, start: Literal["beginning", "now"] | int = "beginning") -> SqlSource:
        return self.open(start=start)

    def open(self, table: SqlTable = TABLE, **options: Any) -> SqlSource:
        source = SqlSource(f"sqlite:///{quote(str(self.path))}", table, **options)
        self.opened.append(source)
        return source

    def key_of(self, values: Mapping[str, Any]) -> str:
        return str(values["item"])

    def value_of(self, values: Mapping[str, Any]) -> Any:
        return values["amount"]

    def close(self) -> None:
        for source in self.opened:
            source.close()
        self.connection.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[SqliteOffice]:
    office = SqliteOffice(tmp_path / "back-office.db")
    yield office
    office.close()


class TestSqlSource(SourceContract):
    """The contract of a source, on SQLite."""


def test_the_contract_is_kept_for_a_source_on_sqlite(office: SqliteOffice) -> None:
    source: Source = office.source()
    assert source.start() is None


def test_a_watermark_is_the_cursor_and_the_key_as_a_json_array(office: SqliteOffice) -> None:
    office.put("x", 1, cursor=10**18)
    (row,) = read_all(office.source(), None, 10)
    assert json.loads(row.watermark) == [10**18, "north", "x"]
    assert json.loads(row.sourcekey) == ["north", "x"]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_null_and_mixed_types_in_key_columns_lose_no_row_over_page_edges(office: SqliteOffice, limit: int) -> None:
    office.connection.execute("CREATE TABLE odd (a, b, seq INTEGER)")
    keys = [(a, b) for a in (None, 1, 2.5, "x", b"\x00\xff") for b in (None, 1, "y")]
    office.connection.executemany("INSERT INTO odd VALUES (?, ?, 7)", keys)
    source = office.open(SqlTable("odd", "seq", ("a", "b")))
    rows = read_all(source, None, limit)
    assert [source.count(row.watermark, 7) for row in rows] == list(reversed(range(len(rows))))
    found = [(row.values["a"], row.values["b"]) for row in rows]
    assert len(found) == len(keys)
    assert set(found) == set(keys)


@pytest.mark.parametrize(
    "name", ['x"; DROP TABLE stock; --', "a b", "select", "100%", "x:y", "%(x)s", "[x]", "`x`", "Ünï", "?"]
)
def test_hostile_names_of_tables_and_columns_are_names_and_nothing_else(office: SqliteOffice, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    office.connection.execute(f"CREATE TABLE {quoted} ({quoted} INTEGER, k{quoted[1:-1].encode().hex()} TEXT)")
    key = f"k{quoted[1:-1].encode().hex()}"
    office.connection.execute(f"INSERT INTO {quoted} VALUES (1, 'a'), (2, 'b'), (2, 'c')")  # noqa: S608 - the test's own
    rows = read_all(office.open(SqlTable(name, name, (key,))), None, 1)
    assert [row.values for row in rows] == [{name: 1, key: "a"}, {name: 2, key: "b"}, {name: 2, key: "c"}]


def test_only_the_columns_asked_for_are_read_and_always_cursor_and_keys(office: SqliteOffice) -> None:
    office.put("x", 1)
    (row,) = office.open(SqlTable("stock", "seq", ("item",), columns=())).read(None, 5).rows
    assert set(row.values) == {"seq", "item"}
    (row,) = office.open(SqlTable("stock", "seq", ("item",), columns=("amount",))).read(None, 5).rows
    assert set(row.values) == {"seq", "item", "amount"}


def test_values_come_as_the_driver_gives_them_whatever_the_column_is_declared_as(office: SqliteOffice) -> None:
    office.connection.execute("CREATE TABLE odd (k TEXT, day DATE, at DATETIME, n NUMERIC, b BLOB, seq INTEGER)")
    values = ("k", 20130101, "no time at all", 1.5, b"\xff", 1)
    office.connection.execute("INSERT INTO odd VALUES (?, ?, ?, ?, ?, ?)", values)
    (row,) = office.open(SqlTable("odd", "seq", ("k",))).read(None, 5).rows
    assert tuple(row.values[name] for name in ("k", "day", "at", "n", "b", "seq")) == values


def test_the_back_office_cannot_be_written_to(office: SqliteOffice) -> None:
    engine = read_only_engine(f"sqlite:///{office.path}", 1.0)
    try:
        with engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
            connection.exec_driver_sql("DELETE FROM stock")
    finally:
        engine.dispose()


def test_a_file_whose_name_could_change_how_it_is_opened_is_still_only_read(tmp_path: Path) -> None:
    office = SqliteOffice(tmp_path / "x#y%20z?mode=rwc.db")
    try:
        office.put("a", 1)
        assert len(read_all(office.source(), None, 5)) == 1
    finally:
        office.close()


def test_a_database_file_that_is_not_there_is_away_and_is_not_made(tmp_path: Path) -> None:
    source = SqlSource(f"sqlite:///{tmp_path}/no.db", TABLE)
    with pytest.raises(TargetDown):
        source.read(None, 1)
    assert list(tmp_path.iterdir()) == []
    office = SqliteOffice(tmp_path / "no.db")
    try:
        office.put("a", 1)
        assert len(source.read(None, 5).rows) == 1, "it connects again by itself"
    finally:
        source.close()
        office.close()


@pytest.mark.parametrize(
    "table,named",
    [
        (SqlTable("nowhere", "seq", ("item",)), "nowhere"),
        (SqlTable("stock", "updated", ("item",)), "updated"),
        (SqlTable("stock", "seq", ("item", "shelf")), "shelf"),
        (SqlTable("stock", "seq", ("item",), columns=("colour",)), "colour"),
    ],
)
def test_a_missing_table_or_column_is_named(office: SqliteOffice, table: SqlTable, named: str) -> None:
    with pytest.raises(Missing, match=named):
        office.open(table).read(None, 1)


def test_a_column_that_vanishes_is_named_once_the_table_was_looked_at_again(office: SqliteOffice) -> None:
    office.put("a", 1)
    source = office.open(SqlTable("stock", "seq", ("item",), columns=("amount",)))
    source.read(None, 1)
    office.connection.execute("ALTER TABLE stock DROP COLUMN amount")
    with pytest.raises(Transient) as caught:
        source.read(None, 1)
    assert caught.value.cause == "changed"
    with pytest.raises(Missing, match="amount"):
        source.read(None, 1)


def test_a_locked_database_is_tried_again(office: SqliteOffice) -> None:
    office.put("a", 1)
    office.connection.execute("PRAGMA journal_mode = DELETE")
    source = office.open(timeout=0.01)
    office.connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Transient) as caught:
        source.read(None, 1)
    assert caught.value.cause == "locked"
    office.connection.execute("COMMIT")
    assert len(source.read(None, 1).rows) == 1


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_bytes(b"this is no database" * 100)
    source = SqlSource(f"sqlite:///{tmp_path}/text.db", TABLE)
    with pytest.raises(Refused, match="no database"):
        source.read(None, 1)
    source.close()


@pytest.mark.parametrize("cursor", ["text", 1.5, -1, b"1", None])
def test_a_cursor_that_is_no_whole_number_is_fatal_and_its_column_is_named(office: SqliteOffice, cursor: Any) -> None:
    office.connection.execute("CREATE TABLE odd (k TEXT, pos)")
    office.connection.execute("INSERT INTO odd VALUES ('a', ?)", (cursor,))
    with pytest.raises(Fatal, match="pos") as caught:
        office.open(SqlTable("odd", "pos", ("k",))).read(None, 5)
    assert "text" not in str(caught.value).replace("'text'", "")


def test_a_row_that_loses_its_cursor_is_noticed_behind_any_watermark(office: SqliteOffice) -> None:
    office.put("a", 1)
    office.put("b", 1)
    source = office.source()
    watermark = source.read(None, 5).rows[-1].watermark
    office.connection.execute("UPDATE stock SET seq = NULL WHERE item = 'a'")
    with pytest.raises(Fatal, match="seq"):
        source.read(watermark, 5)


def test_a_cursor_of_more_than_thirty_digits_is_fatal_and_a_whole_decimal_is_a_number() -> None:
    source = SqlSource("sqlite:////nowhere", TABLE)
    assert source._cursor(Decimal(10**30 - 1)) == 10**30 - 1
    for wrong in (10**30, Decimal("1.5"), Decimal("NaN"), True):
        with pytest.raises(Fatal, match="seq"):
            source._cursor(wrong)
    source.close()


def test_a_watermark_of_other_key_columns_is_refused_with_the_way_out(office: SqliteOffice) -> None:
    office.put("a", 1)
    (row,) = office.source().read(None, 1).rows
    with pytest.raises(Refused, match="Reading a source again"):
        office.open(SqlTable("stock", "seq", ("item",))).read(row.watermark, 1)


def test_every_statement_is_paid_for_and_no_read_waits_by_itself(office: SqliteOffice) -> None:
    clock = FakeClock()
    source = office.open(budget=QueryBudget(6, clock))
    office.put("a", 1)
    waits = []
    for _ in range(3):
        source.read(None, 5)
        waits.append(source.ready_in())
    source.read('[1,"north","a"]', 5)
    waits.append(source.ready_in())

    assert waits == pytest.approx([0.0, 0.0, 0.0, 20.0]), "columns, three pages, an empty page and its bound"
    clock.move(20.0)
    assert source.ready_in() == 0.0


def test_where_now_lies_is_paid_for_too(office: SqliteOffice) -> None:
    source = office.open(start="now", budget=QueryBudget(1, FakeClock()))
    source.start()
    assert source.ready_in() == pytest.approx(120.0)


def test_a_count_is_one_query_of_the_budget(office: SqliteOffice) -> None:
    source = office.open(budget=QueryBudget(1, FakeClock()))
    source.count(None, 1)
    assert source.ready_in() == pytest.approx(120.0)
    source.count(None, 1)
    assert source.ready_in() == pytest.approx(180.0)


def test_without_a_budget_a_read_may_always_begin(office: SqliteOffice) -> None:
    source = office.source()
    for _ in range(10):
        source.read(None, 5)
    assert source.ready_in() == 0.0


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_text_that_is_not_utf_8_keeps_no_row_from_being_read_also_not_in_a_key(
    office: SqliteOffice, limit: int
) -> None:
    office.connection.execute("CREATE TABLE odd (k, note TEXT, seq INTEGER)")
    texts = (b"a", b"!\xff", b"caf\xe9", b"caf\xff", b"\xed\xa0\x80", "\u00e9".encode())
    for text in texts:
        office.connection.execute("INSERT INTO odd VALUES (CAST(? AS TEXT), CAST(? AS TEXT), 7)", (text, text))
    office.connection.execute("INSERT INTO odd VALUES (7, 'x', 7), (x'00', 'x', 7), (NULL, 'x', 7)")
    rows = read_all(office.open(SqlTable("odd", "seq", ("k",))), None, limit)
    assert len(rows) == len(texts) + 3
    found = [row.values for row in rows if isinstance(row.values["k"], str)]
    assert {values["k"].encode("utf-8", "surrogateescape") for values in found} == set(texts)
    assert all(values["note"] == values["k"] for values in found)


def test_a_view_whose_table_is_gone_is_refused_and_named(office: SqliteOffice) -> None:
    office.connection.execute("CREATE TABLE base (item TEXT, seq INTEGER)")
    office.connection.execute("CREATE VIEW shown AS SELECT item, seq FROM base")
    source = office.open(SqlTable("shown", "seq", ("item",)))
    source.read(None, 1)
    office.connection.execute("DROP TABLE base")
    with pytest.raises(Transient):
        source.read(None, 1)
    for reader in (source, office.open(SqlTable("shown", "seq", ("item",)))):
        with pytest.raises(Refused, match=r"shown.*view"):
            reader.read(None, 1)


def test_bound_and_rows_are_of_one_snapshot_under_a_concurrent_writer(office: SqliteOffice) -> None:
    ended = threading.Event()

    def write() -> None:
        connection = sqlite3.connect(office.path, isolation_level=None, timeout=30)
        connection.execute("PRAGMA synchronous = OFF")
        for number in range(1, 1500):
            connection.execute("INSERT OR REPLACE INTO stock VALUES ('n', ?, 1, ?)", (f"{number % 50}", number))
        connection.close()
        ended.set()

    writer = threading.Thread(target=write)
    source = office.source()
    writer.start()
    try:
        while not ended.is_set():
            page = source.read(None, 1000)
            assert page.bound == (page.rows[-1].position if page.rows else None)
    finally:
        writer.join()


def test_what_is_written_while_an_empty_page_is_read_is_no_part_of_its_bound(office: SqliteOffice) -> None:
    office.put("a", 1)
    source = office.source()
    watermark = source.read(None, 5).rows[-1].watermark
    bound = source._bound

    def written_in_between(*arguments: Any) -> int | None:
        office.put("b", 1)
        return bound(*arguments)

    source._bound = written_in_between  # type: ignore[method-assign]
    page = source.read(watermark, 5)
    assert (page.rows, page.bound) == ([], 1)


def test_an_index_on_the_cursor_gives_start_and_order_of_a_page(office: SqliteOffice) -> None:
    source = office.source()
    source.read('[1,"a","b"]', 5)
    statement = str(source._pages[(object, object, object)].compile(source._engine))
    plan = office.connection.execute(f"EXPLAIN QUERY PLAN {statement}", [1] * statement.count("?")).fetchall()
    steps = [step[3] for step in plan]
    assert "SEARCH stock USING INDEX stock_seq (seq>?)" in steps
    assert not any(step == "USE TEMP B-TREE FOR ORDER BY" for step in steps)


@pytest.mark.parametrize("address", ["no address", "nosuch://x", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_cannot_be_a_back_office_is_fatal_and_not_repeated_in_the_message(address: str) -> None:
    with pytest.raises(Fatal) as caught:
        read_only_engine(address, 1.0)
    assert address not in str(caught.value)


def test_a_table_without_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="key column"):
        SqlSource("sqlite:////x", SqlTable("t", "seq", ()))


@pytest.mark.parametrize(
    "value",
    [
        1,
        -(10**40),
        "ä\ud800",
        None,
        True,
        1.5,
        float("inf"),
        Decimal("1.10"),
        b"\x00\xff",
        date(2013, 1, 1),
        datetime(2013, 1, 1, 10, 15, 0, 1, tzinfo=UTC),
        UUID(int=7),
    ],
)
def test_a_key_value_survives_its_text_exactly(value: Any) -> None:
    (back,) = key_values(key_text([value]))
    assert back == value
    assert type(back) is type(value)


def test_a_key_value_without_an_exact_text_is_refused() -> None:
    with pytest.raises(ValueError, match="complex"):
        key_text([complex(1, 2)])
