"""Names and keys in a PostgreSQL front office, however they are written."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.change import Kind
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.lot import Selection
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.postgres.names import beyond, bytes_array, number_array, quoted, text_array
from isthmus.consumer.stores.postgres.reading import PostgresReader
from isthmus.consumer.stores.postgres.store import PostgresStore
from isthmus.metrics import Metrics
from isthmus.pipeline import Row
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.postgres_office import LANES, PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import APPLIED, DUPLICATE, PARKED, delete, delivered, event, untranslated, upsert

NAMES = ['100% "%s" %(a)s %% {s}', "it's a\\b.$1 -- x", "select", "größe Aa 😀"]
KEYS = [
    "",
    " ",
    "  x  ",
    "NULL",
    "null",
    '"',
    "\\",
    '\\"',
    "{",
    "}",
    "{}",
    "a,b",
    '","',
    "'",
    "%s",
    "$1",
    "\n",
    "é😀",
    "a\tb",
    "\\x00",
]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> PostgresOffice:
    return database.fresh()


@pytest.mark.parametrize("name", NAMES)
def test_a_table_a_schema_a_column_and_a_type_may_have_any_name(office: PostgresOffice, name: str) -> None:
    own = replace(office.address, schema=f"ours {name}")
    q, schema, kind = quoted(name), quoted(f"theirs {name}"), quoted(f"kind {name}")
    office.run(f"CREATE SCHEMA {schema}; CREATE TYPE {schema}.{kind} AS ENUM ('fine')")
    mapping = TableMapping(
        name, "-", f"{name} v", {"note": name}, schema=f"theirs {name}", key_columns={f"{name} k": "{key}"}
    )
    seen: list[Row | None] = []
    entities = {
        "thing": Entity("thing", Kind.STATE, mapping, None),
        "heard": Entity("heard", Kind.STATE, mapping, None, (lambda _, __, row: seen.append(row),)),
        "posting": Entity("posting", Kind.EVENT, None, None),
    }
    store = PostgresStore(own, list(entities.values()), lanes=LANES)
    store.prepare()
    columns = f"{quoted(f'{name} k')} text PRIMARY KEY, {q} {schema}.{kind}, {quoted(f'{name} v')} text"
    office.run(f"CREATE TABLE {schema}.{q} ({columns})")
    store.check(list(entities.values()))
    with closing(store.session()) as session:
        applier = Applier(session, entities, FakeClock(), Metrics(), history=True, quick=session)
        heard = [upsert(n, "h")._replace(entity="heard") for n in (1, 3)]
        for change in (upsert(1), upsert(2), *heard, event(1, "e"), delete(5)):
            assert applier.apply([delivered(change)]) == [APPLIED]
        assert applier.apply([delivered(untranslated(6)), delivered(upsert(7)), delivered(upsert(7))]) == [
            PARKED,
            APPLIED,
            DUPLICATE,
        ]
    assert [row and row[name] for row in seen] == [None, "fine"]
    assert sorted(row[:2] for row in office.run(f"TABLE {schema}.{q}")) == [("h", "fine"), ("k", "fine")]
    reader = PostgresReader(own)
    assert reader.counts()["guards"] == 2
    assert reader.parked_keys(Selection(prefix="k", reason="no-airport", source="nobody")) == []
    assert reader.parked_of("k") == []
    found = reader.trace("k")
    assert found is not None
    assert len(found.history) == 5
    pruned = store.prune(memory_before_ms=2**60, history_before_ms=2**60, stop=FakeStop(FakeClock()))
    assert (pruned.ledger, pruned.history) == (1, 8)
    assert store.versions() == (1, 1)
    office.run(f"DROP SCHEMA {schema} CASCADE; DROP SCHEMA {quoted(own.schema)} CASCADE")


def test_every_key_is_its_own_row(office: PostgresOffice) -> None:
    for history in (True, False):
        office.fresh()
        entity = Entity("thing", Kind.STATE, TableMapping("thing", "key", None, {"size": "size"}), None)
        with closing(office.store([entity]).session()) as session:
            applier = Applier(session, {"thing": entity}, FakeClock(), Metrics(), history=history, quick=session)
            batch = [delivered(upsert(n, key)) for n, key in enumerate(KEYS)]
            assert applier.apply(batch) == [APPLIED] * len(KEYS)
            assert {row["key"]: row["size"] for row in office.rows("thing")} == {key: n for n, key in enumerate(KEYS)}
            assert applier.apply(batch) == [DUPLICATE] * len(KEYS)
            assert applier.apply([delivered(delete(99, key)) for key in KEYS]) == [APPLIED] * len(KEYS)
        assert office.rows("thing") == []


def test_a_key_that_its_column_would_cut_is_parked(office: PostgresOffice) -> None:
    office.run("CREATE TABLE IF NOT EXISTS short (key varchar(3) PRIMARY KEY, size text)")
    for handlers in ((), (lambda _, __, ___: None,)):
        entity = Entity("short", Kind.STATE, TableMapping("short", columns={"size": "size"}), None, handlers)
        office.fresh()
        with closing(office.store([entity]).session()) as session:
            applier = Applier(session, {"short": entity}, FakeClock(), Metrics(), history=False, quick=session)
            changes = [upsert(1, key)._replace(entity="short") for key in ("abc", "abc ", "ab  ", "abcd", "é😀x")]
            expected = [APPLIED, PARKED, PARKED, PARKED, APPLIED]
            assert applier.apply([delivered(change) for change in changes]) == expected
        assert [row["key"] for row in office.rows("short")] == ["abc", "é😀x"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.none() | TEXTS | st.sampled_from(KEYS)),
    numbers=st.lists(st.integers(-(2**63), 2**63 - 1)),
    data=st.lists(st.none() | st.binary(max_size=6)),
)
def test_an_array_is_read_as_it_was_meant(
    office: PostgresOffice, texts: list[str | None], numbers: list[int], data: list[bytes | None]
) -> None:
    arrays = text_array(texts), number_array(numbers), bytes_array(data)
    assert office.run("SELECT %s::text[], %s::bigint[], %s::bytea[]", arrays) == [(texts, numbers, data)]


@given(prefix=TEXTS | st.sampled_from(["a\ud7ff", "\U0010ffff", "b\U0010ffff\U0010ffff"]), rest=TEXTS, other=TEXTS)
def test_all_texts_that_begin_so_lie_below_what_is_beyond_and_no_others(prefix: str, rest: str, other: str) -> None:
    behind = beyond(prefix)
    for text in (prefix + rest, prefix + other, other, rest):
        encoded = text.encode()
        is_between = encoded >= prefix.encode() and (behind is None or encoded < behind.encode())
        assert is_between is text.startswith(prefix)


def test_an_identifier_with_a_nul_is_none() -> None:
    with pytest.raises(ValueError, match="NUL"):
        quoted("a\0b")
