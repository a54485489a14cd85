"""What is refused of a user's table in PostgreSQL before anything is written there: what each refusal says mends it."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from isthmus.change import Kind
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.postgres.store import PostgresStore
from isthmus.contracts import Bounds
from isthmus.errors import Missing, Refused
from isthmus.metrics import Metrics
from tests.contract.store_types_contract import GuardTableContract
from tests.fakes.clock import FakeClock
from tests.fakes.postgres_office import LANES, PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import APPLIED, delete, delivered, upsert

FIELDS = {"size": "size", "note": "note"}
PLAIN = TableMapping("thing", "key", "version", FIELDS, schema="shop")
COMPOSITE = TableMapping("thing", "-", None, FIELDS, schema="shop", key_columns={"kind": "{1}", "name": "{2}"})
TABLE = "CREATE TABLE shop.thing (key text {key}, size {size}, note text, version text{more})"
LIKE_TABLE = TABLE.format(key="PRIMARY KEY", size="text", more="{}")
BLIND = 'CREATE COLLATION shop.blind FROM "C"'
BLIND_INDEX = "CREATE UNIQUE INDEX ON shop.thing (key COLLATE shop.blind)"
SURE = "CREATE DOMAIN shop.sure AS integer"
# The embedded server is built without ICU, which has all collations that take different texts for equal.
BLINDED = "UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'blind'"


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> PostgresOffice:
    database.run("DROP SCHEMA IF EXISTS nowhere CASCADE; DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop")
    return database.fresh()


def thing(mapping: TableMapping, types: Mapping[str, frozenset[str]] | None = None) -> Entity:
    return Entity("thing", Kind.STATE, mapping, None, types=types or {})


def refusal(office: PostgresOffice, entity: Entity) -> Missing | Refused:
    with pytest.raises((Missing, Refused)) as found:
        PostgresStore(office.address, [entity], lanes=LANES).check([entity])
    assert isinstance(found.value, Missing | Refused)
    return found.value


def works(office: PostgresOffice, entity: Entity, key: str = "thing/a") -> None:
    """See that the check accepts it, and that rows are written and deleted."""
    store = PostgresStore(office.address, [entity], lanes=LANES)
    store.check([entity])
    with closing(store.session()) as session:
        applier = Applier(session, {"thing": entity}, FakeClock(), Metrics(), history=False, quick=session)
        for change in (upsert(1, key, size="7"), upsert(2, key, size="8"), delete(3, key)):
            assert applier.apply([delivered(change)]) == [APPLIED]


MENDED = {
    "no table": ("", PLAIN, "no table 'thing'"),
    "no schema": ("", TableMapping("thing", "key", "version", FIELDS, schema="nowhere"), "no table 'thing'"),
    "no column": ("CREATE TABLE shop.thing (key text PRIMARY KEY, size text, version text)", PLAIN, "no column 'note'"),
    "key of numbers": ("CREATE TABLE shop.thing (key integer PRIMARY KEY, size text, note text, version text)",
                       PLAIN, "'key' of table 'thing' is integer"),
    "short version": ("CREATE TABLE shop.thing (key text PRIMARY KEY, size text, note text, version varchar(10))",
                      PLAIN, "'version' of table 'thing' is character varying; it must hold 38 characters"),
    "no key": (TABLE.format(key="", size="text", more=""), PLAIN, "no unique index on 'key'"),
    "partial": (TABLE.format(key="", size="text", more="")
                + "; CREATE UNIQUE INDEX ON shop.thing (key) WHERE note = 'x'", PLAIN, "for all rows"),
    "deferrable": (TABLE.format(key="PRIMARY KEY INITIALLY DEFERRED", size="text", more=""), PLAIN, "asked at once"),
    "expression": (TABLE.format(key="", size="text", more="") + "; CREATE UNIQUE INDEX ON shop.thing (lower(key))",
                   PLAIN, "no unique index"),
    "more than the key": (LIKE_TABLE.format(", UNIQUE (key, note)").replace("PRIMARY KEY", ""),
                          PLAIN, "'key' alone"),
    "blind column": (f"{BLIND}; {TABLE.format(key='COLLATE shop.blind PRIMARY KEY', size='text', more='')}; {BLINDED}",
                     PLAIN, "takes different keys for equal"),
    "blind index": (f"{BLIND}; {LIKE_TABLE.format('')}; {BLIND_INDEX}; {BLINDED}", PLAIN, "different keys for equal"),
    "half a composite key": ("CREATE TABLE shop.thing (kind text, name text UNIQUE, size text, note text)",
                             COMPOSITE, "no unique index on 'kind', 'name' alone"),
    "no composite table": ("", COMPOSITE, "no table 'thing'"),
    "not null": (LIKE_TABLE.format(", more integer NOT NULL"), PLAIN, "'more' (integer) of table 'thing' needs"),
    "not null by its domain": (f"{SURE} NOT NULL; {LIKE_TABLE.format(', more shop.sure')}",
                               PLAIN, "'more' (shop.sure) of table 'thing' needs a value"),
    "bytes": (TABLE.format(key="PRIMARY KEY", size="bytea", more=""), PLAIN, "'size' of table 'thing' is bytea"),
    "list of numbers": (TABLE.format(key="PRIMARY KEY", size="integer[]", more=""), PLAIN, "is integer[]"),
    "name": (TABLE.format(key="PRIMARY KEY", size="name", more=""), PLAIN, "is name"),
    "interval of hours": (TABLE.format(key="PRIMARY KEY", size="interval hour", more=""), PLAIN, "is interval"),
}  # fmt: skip


@pytest.mark.parametrize("name", MENDED)
def test_each_refusal_names_the_statement_after_which_it_is_accepted(office: PostgresOffice, name: str) -> None:
    tables, mapping, words = MENDED[name]
    if tables:
        office.run(tables)
    error = refusal(office, thing(mapping))
    assert error.message.startswith("Entity thing: ")
    assert words in error.message
    office.run(error.hint.partition("un: ")[2])
    works(office, thing(mapping))


@pytest.mark.parametrize(
    "column, types",
    [
        ("integer", {"string"}),
        ("bigint", {"date", "null"}),
        ("numeric", {"boolean"}),
        ("boolean", {"integer"}),
        ("date", {"integer"}),
        ("timestamptz", {"object"}),
        ("uuid", {"number"}),
        ("text[]", {"string"}),
        ("shop.color", {"integer", "null"}),
    ],
)
def test_a_column_that_no_value_of_its_field_fits_is_refused_and_text_takes_all(
    office: PostgresOffice, column: str, types: set[str]
) -> None:
    office.run("CREATE TYPE shop.color AS ENUM ('red')")
    office.run(TABLE.format(key="PRIMARY KEY", size=column, more=""))
    entity = thing(PLAIN, {"size": frozenset(types)})
    error = refusal(office, entity)
    assert f"field 'size' holds {' or '.join(sorted(types - {'null'}))}" in error.message
    office.run(error.hint.partition("un: ")[2])
    works(office, entity)


@pytest.mark.parametrize(
    "column, types",
    [
        ("integer", {"integer", "null"}),
        ("numeric", {"decimal"}),
        ("date", {"date"}),
        ("timestamptz", {"date-time"}),
        ("uuid", {"uuid"}),
        ("jsonb", {"object", "array"}),
        ("shop.color", {"string"}),
        ("double precision", {"string", "number"}),
        ("text", {"object"}),
    ],
)
def test_a_column_that_fits_its_field_is_accepted(office: PostgresOffice, column: str, types: set[str]) -> None:
    office.run("CREATE TYPE shop.color AS ENUM ('red')")
    office.run(TABLE.format(key="PRIMARY KEY", size=column, more=""))
    entity = thing(PLAIN, {"size": frozenset(types)})
    PostgresStore(office.address, [entity], lanes=LANES).check([entity])


def test_a_column_with_a_default_of_its_own_or_of_its_domain_needs_no_field(office: PostgresOffice) -> None:
    office.run(f"{SURE} DEFAULT 7 NOT NULL")
    office.run(LIKE_TABLE.format(", a shop.sure NOT NULL, b integer NOT NULL DEFAULT 1, c serial"))
    works(office, thing(PLAIN))


NOT_TABLES = {
    "a view": "CREATE VIEW shop.thing AS SELECT * FROM shop.real",
    "a materialized view": "CREATE MATERIALIZED VIEW shop.thing AS SELECT * FROM shop.real",
    "a foreign table": "CREATE FOREIGN DATA WRAPPER {w}; CREATE SERVER {w} FOREIGN DATA WRAPPER {w}; "
    "CREATE FOREIGN TABLE shop.thing (key text, size text, note text, version text) SERVER {w}",
    "a sequence": "CREATE SEQUENCE shop.thing",
    "something else": "CREATE INDEX thing ON shop.real (key)",
}


@pytest.mark.parametrize("what", NOT_TABLES)
def test_what_is_no_table_is_refused_by_its_kind(office: PostgresOffice, what: str) -> None:
    office.run(LIKE_TABLE.format("").replace("shop.thing", "shop.real"))
    office.run(NOT_TABLES[what].format(w="shop_wrapper"))
    error = refusal(office, thing(PLAIN))
    office.run("DROP FOREIGN DATA WRAPPER IF EXISTS shop_wrapper CASCADE")
    assert f"'thing' is {what}, and not a table" in error.message
    assert "[entities.thing] table" in error.hint


@pytest.mark.parametrize(
    "tables, mapping, words",
    [
        (LIKE_TABLE.format(", made text GENERATED ALWAYS AS (note) STORED"),
         TableMapping("thing", "key", None, {"note": "made"}, schema="shop"), "'made' of table 'thing' is made by"),
        (LIKE_TABLE.format(", made bigint GENERATED ALWAYS AS IDENTITY"),
         TableMapping("thing", "key", None, {"note": "made"}, schema="shop"), "'made' of table 'thing' is made by"),
        (LIKE_TABLE.format(""),
         TableMapping("thing", "key", None, {"note": "note", "size": "note"}, schema="shop"), "would get two values"),
        (LIKE_TABLE.format(""), TableMapping("thing", "key", "key", {}, schema="shop"), "would get two values"),
        (LIKE_TABLE.format("") + "; CREATE RULE r AS ON INSERT TO shop.thing DO ALSO SELECT 1", PLAIN, "has rules"),
    ],
)  # fmt: skip
def test_what_no_statement_mends_is_refused_in_words(
    office: PostgresOffice, tables: str, mapping: TableMapping, words: str
) -> None:
    office.run(tables)
    assert words in refusal(office, thing(mapping)).message


@pytest.mark.parametrize("kind", ["", " PARTITION BY HASH (key)"])
def test_a_table_that_a_crash_would_empty_is_refused_also_where_only_a_part_of_it_is_such(
    office: PostgresOffice, kind: str
) -> None:
    office.run(LIKE_TABLE.format("") + kind)
    name = "shop.thing"
    if kind:
        name = "shop.part"
        office.run(f"CREATE TABLE {name} PARTITION OF shop.thing FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    office.run(f"ALTER TABLE {name} SET UNLOGGED")
    error = refusal(office, thing(PLAIN))
    assert f"{name} is unlogged or temporary" in error.message
    office.run(error.hint.partition("un: ")[2])
    works(office, thing(PLAIN))


@pytest.mark.parametrize("name", ["guard", "ledger_older"])
def test_a_table_of_ours_that_a_crash_would_empty_is_refused(office: PostgresOffice, name: str) -> None:
    office.run(f"ALTER TABLE isthmus.{name} SET UNLOGGED")
    with pytest.raises(Refused, match="unlogged or temporary") as found:
        office.store([]).check([])
    office.run(found.value.hint.partition("un: ")[2])
    office.store([]).check([])


def test_a_partitioned_table_is_a_table(office: PostgresOffice) -> None:
    office.run(f"{LIKE_TABLE.format('')} PARTITION BY HASH (key)")
    office.run("CREATE TABLE shop.part PARTITION OF shop.thing FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    works(office, thing(PLAIN))


def test_a_key_in_several_columns_is_written_and_deleted_by_all_of_them(office: PostgresOffice) -> None:
    office.run(
        "CREATE TABLE shop.thing (kind text, name text, size text, note text, UNIQUE (name, kind) INCLUDE (note))"
    )
    works(office, thing(COMPOSITE))


BETWEEN: Mapping[str, Any] = {"lowest": Decimal(0), "places": 0}


@pytest.mark.parametrize(
    "column, bounds, words",
    [
        ("varchar(3)", Bounds(longest=4), "holds 3 characters, and may get 4"),
        ("char(3)", Bounds(shortest=10), "holds 3 characters, and may get 10"),
        ("smallint", Bounds(highest=Decimal(32768), **BETWEEN), "does not hold 32768"),
        ("smallint", Bounds(lowest=Decimal(-32769), places=0), "does not hold -32769"),
        ("integer", Bounds(highest=Decimal("1E+30"), **BETWEEN), "does not hold 1000000000000000000000000000000"),
        ("integer", Bounds(places=4), "holds 0 decimal places, and may get 4"),
        ("numeric(5,2)", Bounds(highest=Decimal(1000), **BETWEEN), "does not hold 1000"),
        ("numeric(5,2)", Bounds(places=3), "holds 2 decimal places, and may get 3"),
    ],
)
def test_a_column_that_is_too_small_for_its_contract_is_refused_with_the_statement_that_mends_it(
    office: PostgresOffice, column: str, bounds: Bounds, words: str
) -> None:
    office.run(LIKE_TABLE.format("").replace("size text", f"size {column}"))
    entity = replace(thing(PLAIN), bounds={"size": bounds})
    refused = refusal(office, entity)
    assert words in refused.message
    office.run(refused.hint.partition("un: ")[2])
    PostgresStore(office.address, [entity], lanes=LANES).check([entity])


@pytest.mark.parametrize(
    "column, bounds",
    [
        ("varchar(4)", Bounds(shortest=1, longest=4)),
        ("varchar(3)", Bounds()),
        ("text", Bounds(longest=10**9)),
        ("smallint", Bounds(lowest=Decimal(-32768), highest=Decimal(32767), places=0)),
        ("smallint", Bounds(places=0)),
        ("numeric", Bounds(highest=Decimal("1E+30"), places=9)),
        ("numeric(5,2)", Bounds(lowest=Decimal("-999.99"), highest=Decimal("999.99"), places=2)),
        ("double precision", Bounds(highest=Decimal("1E+30"), places=9)),
    ],
)
def test_a_column_that_is_just_large_enough_is_accepted(office: PostgresOffice, column: str, bounds: Bounds) -> None:
    office.run(LIKE_TABLE.format("").replace("size text", f"size {column}"))
    entity = replace(thing(PLAIN), bounds={"size": bounds})
    PostgresStore(office.address, [entity], lanes=LANES).check([entity])


def test_our_own_tables_must_be_there_and_of_a_version_that_this_release_knows(office: PostgresOffice) -> None:
    store = office.store([])
    office.run("UPDATE isthmus.meta SET value = '2' WHERE name = 'schema_version'")
    try:
        for refused in (store.prepare, lambda: store.check([])):
            with pytest.raises(Refused, match=r"made by a newer release"):
                refused()
        assert store.versions() == (2, 1)
    finally:
        office.run("UPDATE isthmus.meta SET value = '1' WHERE name = 'schema_version'")
    office.run("ALTER TABLE isthmus.fence RENAME TO hidden")
    try:
        with pytest.raises(Missing, match=r"no table isthmus\.fence of ours") as missing:
            store.check([])
        assert missing.value.hint == "Run `isthmus store init`."
    finally:
        office.run("ALTER TABLE isthmus.hidden RENAME TO fence")
    store.check([])
    assert store.versions() == (1, 1)


class TestGuards(GuardTableContract):
    guard = "isthmus.guard"
