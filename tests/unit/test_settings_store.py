"""The front-office store in the settings: its address, what is particular to each kind, how long it remembers."""

from pathlib import Path

import pytest

from isthmus.settings import StoreKind
from tests.fakes.settings_file import RIGHT, Files, in_section

POSTGRES = RIGHT.replace("sqlite:///front-office.db", "postgresql://localhost/shop")
DYNAMODB = RIGHT.replace("sqlite:///front-office.db", "dynamodb:")
KEYS = "[entities.flight]\n"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# Addresses


@pytest.mark.parametrize(
    "written, read",
    [
        ("postgresql://u:p@host:5432/db", "postgresql://u:p@host:5432/db"),
        ("postgres://u:p@host/db", "postgresql://u:p@host/db"),
        (
            "postgresql+psycopg://u:p%40%2F@host/db?sslmode=verify-full",
            "postgresql://u:p%40%2F@host/db?sslmode=verify-full",
        ),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql"),
        ("postgresql://u@%2Frun%2Fpostgresql/db", "postgresql://u@%2Frun%2Fpostgresql/db"),
        (
            "postgresql://one:1,two:65535/db?target_session_attrs=primary",
            "postgresql://one:1,two:65535/db?target_session_attrs=primary",
        ),
        ("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("postgresql://host?dbname=db", "postgresql://host?dbname=db"),
    ],
)
def test_an_address_of_postgresql_is_read_as_libpq_writes_it(files: Files, written: str, read: str) -> None:
    store = files.load(in_section("store", f'url = "{written}"')).store
    assert (store.kind, store.url.get_secret_value()) == (StoreKind.POSTGRESQL, read)


@pytest.mark.parametrize(
    "url, allowed",
    [
        ("postgresql+psycopg2://u:hush@host/db", 'must begin with "postgresql://": psycopg 3 is the driver'),
        ("postgresql+asyncpg://u:hush@host/db", 'must begin with "postgresql://": psycopg 3 is the driver'),
        ("postgresql:hush", 'must begin with "postgresql://"'),
        ("postgresql://u:hush@hush@host/db", "an @ in a password is written %40"),
        ("postgresql://u:hu/sh@host/db", "a / %2F"),
        ("postgresql://u:hush#@host/db", "must be as libpq writes it"),
        ("postgresql://u:hush%@host/db", "must be as libpq writes it"),
        ("postgresql://u:hush%00@host/db", "must be as libpq writes it"),
        ("postgresql://u:hush%ff@host/db", "must be as libpq writes it"),
        ("postgresql://u:hush@host:port/db", "the port is a number from 1 to 65,535"),
        ("postgresql://u:hush@host:0/db", "the port is a number from 1 to 65,535"),
        ("postgresql://u:hush@host:65536/db", "the port is a number from 1 to 65,535"),
        ("postgresql://u:hush@one,two:65536/db", "the port is a number from 1 to 65,535"),
        ("postgresql://u:hush@host/db?port=x", "the port is a number from 1 to 65,535"),
        ("postgresql://u:hush@[::1/db", "must be as libpq writes it"),
        ("postgresql://u:hush@host/", "must be as libpq writes it"),
        ("postgresql://u:hush@host", "must be as libpq writes it"),
        ("postgresql://u:hush@/db", "must name the host, or the socket's folder"),
        ("postgresql:///db", "the environment is not asked"),
        ("postgresql://one,/db", "the environment is not asked"),
        ("postgresql:///db?host=", "the environment is not asked"),
        ("postgresql://localhost/db?service=hush", "must name the host itself, and no service"),
        ("postgresql://localhost/db?servicefile=hush", "must name the host itself, and no service"),
        ("dynamodb://hush", 'must be "dynamodb:" alone: endpoint, region and credentials are those of [aws]'),
        ("dynamodb:hush", 'must be "dynamodb:" alone'),
        ("sqlite+pysqlite:///hush", 'must be "sqlite:///PATH", "postgresql://user:password@host:5432/database" or'),
        ("hush", 'must be "sqlite:///PATH"'),
    ],
)
def test_an_address_that_leads_to_no_store_is_a_mistake(files: Files, url: str, allowed: str) -> None:
    mistake = files.only_mistake(in_section("store", f'url = "{url}"'))
    assert mistake.path == "store.url"
    assert allowed in mistake.allowed
    assert "hush" not in str(mistake)


@pytest.mark.parametrize(
    "place", ["localhost", "127.0.0.2", "[::1]", "%2Frun", "localhost,[::1]:1", "/db?host=/run", "/db?host=@isthmus"]
)
def test_on_this_machine_the_address_says_itself_how_safe_it_is(files: Files, place: str) -> None:
    url = place if "?" in place else f"{place}/db?application_name=x"
    store = files.load(in_section("store", f'url = "postgresql://{url}&sslmode=disable&sslrootcert=x"')).store
    assert store.verifies_tls is False


@pytest.mark.parametrize(
    "place", ["host/db", "10.0.0.1/db", "localhost,host/db", "localhost/db?hostaddr=10.0.0.1", "/db?host=/run,host"]
)
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "VERIFY-FULL", ""])
def test_to_another_machine_less_than_a_verified_server_is_refused(files: Files, place: str, mode: str) -> None:
    also = "&" if "?" in place else "?"
    mistake = files.only_mistake(in_section("store", f'url = "postgresql://{place}{also}sslmode={mode}"'))
    assert mistake.allowed.startswith("must not ask for less than sslmode=verify-full")
    for fine in (place, f"{place}{also}sslmode=verify-full"):
        assert files.load(in_section("store", f'url = "postgresql://{fine}"')).store.verifies_tls


def test_to_another_machine_what_the_sections_decide_does_not_stand_in_the_address(files: Files) -> None:
    for parameter, allowed in (("ssl=true", "less than sslmode=verify-full"), ("sslrootcert=x", "[store.postgres]")):
        mistake = files.only_mistake(in_section("store", f'url = "postgresql://host/db?{parameter}"'))
        assert allowed in mistake.allowed


def test_only_postgresql_elsewhere_speaks_tls(files: Files) -> None:
    for text in (RIGHT, POSTGRES, DYNAMODB):
        assert files.load(text).store.verifies_tls is False


# Sections


def test_each_store_has_defaults_of_its_own(files: Files) -> None:
    store = files.load(DYNAMODB).store
    assert store.kind is StoreKind.DYNAMODB
    assert (store.dynamodb.table, store.dynamodb.attribute_prefix) == ("isthmus-flights-store", "isthmus_")
    assert (store.dynamodb.adopt, store.dynamodb.tombstones, store.dynamodb.oversize) == (False, "item", "park")
    assert (store.postgres.schema_name, store.postgres.sslrootcert) == ("isthmus", "system")


def test_a_certificate_authority_s_file_lies_beside_the_settings(files: Files) -> None:
    for written, read in (("ca.pem", f"{files.path.parent}/ca.pem"), ("/etc/ca.pem", "/etc/ca.pem")):
        text = f"{POSTGRES}[store.postgres]\nsslrootcert = '{written}'"
        assert files.load(text).store.postgres.sslrootcert == read


@pytest.mark.parametrize(
    "text, section, line, allowed",
    [
        (POSTGRES, "postgres", "schema = 'pg_own'", "that does not begin with pg_"),
        (POSTGRES, "postgres", f"schema = '{'ä' * 32}'", "at most 63 bytes"),
        (POSTGRES, "postgres", "statement_timeout = 0", "must be from 1 to 3,600 seconds"),
        (POSTGRES, "postgres", "lock_timeout = 0.0", "must be from 0.1 to 3,600 seconds"),
        (POSTGRES, "postgres", "connect_timeout = 1", "must be from 2 to 300 seconds"),
        (POSTGRES, "postgres", "tls = 'off'", 'must be "verify": certificate and name of a server'),
        (POSTGRES, "postgres", "sslrootcert = ''", 'must be "system", or the file of a certificate authority'),
        (DYNAMODB, "dynamodb", "table = 'a b'", "must be 1 to 128 letters, digits, _ . or -"),
        (DYNAMODB, "dynamodb", "table = 'isthmus-flights'", "must differ from checkpoint.table"),
        (DYNAMODB, "dynamodb", "table = 'flight'", "must differ from store.dynamodb.table"),
        (DYNAMODB, "dynamodb", "tombstones = 'none'", 'must be "item" or "table"'),
        (DYNAMODB, "dynamodb", "oversize = 'claim'", 'must be "park", or claim_check.bucket must name a bucket'),
        (DYNAMODB, "dynamodb", "parallel = 65", "must be from 1 to 64"),
        (DYNAMODB, "dynamodb", "attribute_prefix = '1'", "must be 1 to 32 letters, digits, _ . or -"),
        (DYNAMODB, "dynamodb", "attribute_prefix = 'ke'", "must not have the attribute key: what begins with ke is"),
        (RIGHT, "postgres", "schema = 'own'", "is for another store than store.url names, which is sqlite"),
        (RIGHT, "dynamodb", "adopt = true", "is for another store than store.url names, which is sqlite"),
        (POSTGRES, "dynamodb", "adopt = true", "is for another store than store.url names, which is postgresql"),
        (DYNAMODB, "postgres", "schema = 'own'", "is for another store than store.url names, which is dynamodb"),
    ],
)
def test_a_wrong_line_of_a_store_s_section_is_one_mistake(
    files: Files, text: str, section: str, line: str, allowed: str
) -> None:
    mistake = files.only_mistake(f"{text}[store.{section}]\n{line}\n")
    assert mistake.path in {f"store.{section}", f"store.{section}.{line.split(maxsplit=1)[0]}", "entities.flight.table"}
    assert allowed in mistake.allowed


def test_a_section_that_is_no_table_is_one_mistake(files: Files) -> None:
    mistake = files.only_mistake(in_section("store", "dynamodb = 1"))
    assert (mistake.path, mistake.allowed) == ("store.dynamodb", "must be a table")


def test_a_store_that_is_no_table_or_not_there_is_one_mistake(files: Files) -> None:
    without = RIGHT.partition("[store]")[0]
    assert files.only_mistake(f"store = 1\n{without}").path == "store"
    assert files.only_mistake(without).allowed == "is required"


def test_an_empty_section_of_another_store_says_nothing(files: Files) -> None:
    assert files.load(f"{RIGHT}[store.postgres]\n[store.dynamodb]\n") == files.load(RIGHT)


def test_where_nothing_is_kept_in_dynamodb_the_checkpoints_may_have_any_table(files: Files) -> None:
    added = "[checkpoint]\ntable = 'isthmus-flights-store'\n"
    assert files.load(RIGHT + added).checkpoint.table == "isthmus-flights-store"
    assert files.only_mistake(DYNAMODB + added).path == "store.dynamodb.table"


def test_items_may_be_claimed_where_there_is_a_bucket(files: Files) -> None:
    text = f"{DYNAMODB}[store.dynamodb]\noversize = 'claim'\n[claim_check]\nbucket = 'payloads'\n"
    assert files.load(text).store.dynamodb.oversize == "claim"


# Memory


@pytest.mark.parametrize("retention, pause, parking, needed", [(24, 7, 14, 22), (168, 7, 14, 28), (25, 0, 0, 2)])
def test_what_decides_is_remembered_as_long_as_anything_can_come_again(
    files: Files, retention: int, pause: int, parking: int, needed: int
) -> None:
    def text(days: int) -> str:
        keys = f"delete_memory_days = {days}\nlongest_pause_days = {pause}\nlongest_parking_days = {parking}\n"
        return in_section("stream", f"retention_hours = {retention}").replace("[store]\n", f"[store]\n{keys}")

    mistake = files.only_mistake(text(needed - 1))
    assert (mistake.path, mistake.value) == ("store.delete_memory_days", str(needed - 1))
    assert mistake.allowed.startswith(f"must be at least {needed}: what comes again within stream.retention_hours")
    assert files.load(text(needed)).store.delete_memory_days == needed


# Entities


def test_an_entity_may_lie_in_a_schema_of_postgresql(files: Files) -> None:
    text = POSTGRES.replace(KEYS, f'{KEYS}schema = "public"\n')
    assert files.load(text).entities["flight"].schema_name == "public"
    second = f"{text}[entities.other]\ntable = 'flight'\nschema = 'other'\n"
    assert files.load(second).entities.keys() == {"flight", "other"}
    assert files.only_mistake(second.replace("'other'\n", "'PUBLIC'\n")).path == "entities.other.table"


def test_types_may_share_a_table_of_dynamodb_and_no_other(files: Files) -> None:
    added = "[entities.other]\ntable = 'flight'\n"
    apart = "key_columns = { key = 'other#{2}' }\n"
    mapped = DYNAMODB.replace(KEYS, f"{KEYS}key_columns = {{ key = 'flight#{{2}}' }}\n")
    assert files.load(mapped + added + apart).entities.keys() == {"flight", "other"}
    for text in (RIGHT, POSTGRES):
        assert files.only_mistake(text + added).allowed == "must differ from the table of entities.flight"


@pytest.mark.parametrize(
    "first, second",
    [("", ""), ("{2}", "{2}"), ("{2}", "other#{2}"), ("flight#{2}", "{key}"), ("flight#{2}", "flight#x{2}")],
)
def test_types_that_share_a_table_never_make_the_same_item(files: Files, first: str, second: str) -> None:
    def key(template: str) -> str:
        return f"key_columns = {{ key = '{template}' }}\n" if template else ""

    text = DYNAMODB.replace(KEYS, f"{KEYS}{key(first)}") + f"[entities.other]\ntable = 'flight'\n{key(second)}"
    mistake = files.only_mistake(text)
    assert mistake.path == "entities.other.table"
    assert mistake.allowed.startswith("must differ from the table of entities.flight, or constant text in key_columns")


def test_a_table_is_not_named_with_its_schema_here_and_without_it_there(files: Files) -> None:
    text = POSTGRES.replace(KEYS, f'{KEYS}schema = "public"\n') + "[entities.other]\ntable = 'Flight'\n"
    mistake = files.only_mistake(text)
    assert mistake.path == "entities.other.table"
    assert mistake.allowed.startswith("must be named with its schema, and so must that of entities.flight")


@pytest.mark.parametrize(
    "text, lines, path, allowed",
    [
        (RIGHT, "schema = 'public'", "schema", "is for PostgreSQL only"),
        (POSTGRES, "schema = 'isthmus'", "schema", "must differ from store.postgres.schema"),
        (RIGHT, "key_column = 'k'\nkey_columns = {a = '{key}'}", "key_column", "must not stand beside key_columns"),
        (RIGHT, "key_columns = {a = '{1}', b = '{3}'}", "key_columns", "no key column takes part 2 of the key"),
        (RIGHT, "key_columns = {a = '{1}{2}'}", "key_columns", "must hold one place"),
        (RIGHT, "key_columns = {a = 'x'}", "key_columns", "all keys would be one row"),
        (RIGHT, "key_columns = {'' = '{key}'}", 'key_columns.""', "must be a name of 1 to 128"),
        (RIGHT, "key_columns = {a = 1}", "key_columns.a", "must be text in quotes"),
        (RIGHT, "key_columns = {a = '{key}'}\nversion_column = 'a'", "version_column", "must differ from key_columns"),
        (RIGHT, "key_columns = {a = '{key}'}\ncolumns = {x = 'a'}", "columns.x", "must be a column of its own"),
    ],
)
def test_a_wrong_place_of_an_entity_is_one_mistake(
    files: Files, text: str, lines: str, path: str, allowed: str
) -> None:
    mistake = files.only_mistake(text.replace(KEYS, f"{KEYS}{lines}\n"))
    assert mistake.path == f"entities.flight.{path}"
    assert allowed in mistake.allowed


@pytest.mark.parametrize(
    "line", ["schema = 'x'", "key_column = 'x'", "key_columns = {x = '{key}'}", "version_column = 'x'", "columns = {}"]
)
def test_without_a_table_there_are_no_columns(files: Files, line: str) -> None:
    text = POSTGRES.replace('[entities.flight]\ntable = "flight"\n', KEYS)
    assert files.load(text).entities["flight"].table is None
    mistake = files.only_mistake(text.replace(KEYS, f"{KEYS}{line}\n"))
    assert (mistake.path, mistake.allowed) == (
        f"entities.flight.{line.split(maxsplit=1)[0]}",
        "is nothing without a table",
    )


def test_a_template_leaves_out_only_the_name_of_the_type(files: Files) -> None:
    text = RIGHT.replace(KEYS, f"{KEYS}key_columns = {{ no = '{{2}}', day = 'd-{{3}}' }}\n")
    assert files.load(text).entities["flight"].keys == ("no", "day")
