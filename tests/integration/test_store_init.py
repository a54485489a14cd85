"""`isthmus store init` on real servers, and what the settings make of them."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from isthmus.chance import unique_name
from isthmus.clock import SystemClock
from isthmus.console.main import invoke
from isthmus.console.wiring import decider_of, reader_of, store_of
from isthmus.consumer.stores.port import TransactionalStore
from isthmus.metrics import Metrics
from isthmus.settings import load
from tests.fakes.emulator import Emulator
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.settings_file import RIGHT

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def run(*arguments: str) -> tuple[int, str]:
        code = invoke([*arguments])
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "isthmus.toml"


@pytest.fixture
def address(postgres: PostgresServer, config: Path) -> str:
    """Give the address of a new database in PostgreSQL, which the settings name."""
    url = postgres.database()
    config.write_text(RIGHT.replace("sqlite:///front-office.db", url_of(url)), encoding="utf-8")
    return url


def url_of(conninfo: str) -> str:
    """Write an address with a socket's folder, or of a host, as the settings take it."""
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    user, password = parts.get("user", ""), parts.get("password", "")
    rest = "&".join(f"{name}={parts[name]}" for name in ("host", "port") if name in parts)
    return f"postgresql://{user}:{password}@/{parts['dbname']}?{rest}".replace(":@", "@")


def test_in_postgresql_a_schema_is_made_once_and_decided_in(address: str, config: Path, say: Say) -> None:
    where = ("--config", str(config))
    assert say("store", "init", "--dry-run", *where)[0] == 0
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT to_regclass('isthmus.parked')").fetchone() == (None,)

    code, out = say("store", "init", *where)
    assert (code, "our own tables in the front office" in out.splitlines()[0]) == (0, True)
    assert say("store", "init", *where)[0] == 0

    settings = load(config)
    store = store_of(settings, [])
    assert isinstance(store, TransactionalStore)
    store.check([])
    assert reader_of(settings).counts()["parked_keys"] == 0
    decider = decider_of(settings, store, {}, SystemClock(), Metrics())
    assert decider._at_once is not None  # type: ignore[attr-defined] # the applier's way for what is plainly new
    decider.close()


def test_the_statements_of_a_dry_run_are_what_is_run_in_postgresql(address: str, config: Path, say: Say) -> None:
    code, script = say("store", "init", "--dry-run", "--config", str(config))
    assert code == 0
    with psycopg.connect(address, autocommit=True) as connection:
        for line in script.splitlines():
            connection.execute(line.encode())
    store_of(load(config), []).check([])


def test_in_dynamodb_one_table_is_made_once(emulator: Emulator, config: Path, say: Say) -> None:
    table = f"own-{unique_name()}"
    config.write_text(
        f"""{RIGHT.replace("sqlite:///front-office.db", "dynamodb:")}
[store.dynamodb]
table = "{table}"
[aws]
endpoint_url = "{emulator.url}"
region = "{emulator.region}"
access_key_id = "test"
secret_access_key = "test"
""",
        encoding="utf-8",
    )
    where = ("--config", str(config))
    code, described = say("store", "init", "--dry-run", *where)
    assert (code, table in described) == (0, True)
    assert table not in emulator.client("dynamodb").list_tables()["TableNames"]

    assert say("store", "init", *where)[1].startswith("made   our own tables in the front office, schema version 1\n")
    assert say("store", "init", *where)[1].startswith("there  our own tables in the front office, schema version 1\n")
    found = json.loads(say("store", "init", "--json", *where)[1])
    assert (found["store"], found["before"], found["after"]) == ("dynamodb", 1, 1)
    assert reader_of(load(config), []).parked_by_reason() == []
