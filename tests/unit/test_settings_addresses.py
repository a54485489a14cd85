"""The addresses in the settings: of databases, of AWS's region, of the metrics."""

from pathlib import Path

import pytest
from sqlalchemy.dialects import registry

from isthmus.errors import Fatal
from isthmus.producer.sources.sql_engine import read_only_engine
from isthmus.settings.databases import is_one_file
from tests.fakes.settings_file import RIGHT, Files, in_section

REFERENCES = "sources.flights.references.airports"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize("section", ["sources.flights", REFERENCES])
@pytest.mark.parametrize(
    "url, allowed",
    [
        ("postgresql://u:hush@host:notaport/db", "the port is a number from 1 to 65,535"),
        ("postgresql://u:hush@hush@host/db", "an @ in a password is written %40"),
        ("postgresql://u:hush@host:65536/db", "the port is a number from 1 to 65,535"),
        ("postgresql://u:hush@host:0/db", "the port is a number from 1 to 65,535"),
        ("postgresql+nosuch://u:hush@host/db", "names a dialect or driver that SQLAlchemy does not know"),
        ("postgresql+json://u:hush@host/db", "names a dialect or driver that SQLAlchemy does not know"),
        ("nosuch://u:hush@host/db", "names a dialect or driver that SQLAlchemy does not know"),
        ("sqlite+nosuch:///hush", "names a dialect or driver that SQLAlchemy does not know"),
        ("postgresql+asyncpg://u:hush@host/db", "must name a driver that is not for asyncio"),
        ("sqlite:///hush%00", "must name a file"),
        ("sqlite:///.", "must name a file, e.g."),
        ("sqlite:///hush/", "not a folder"),
    ],
)
def test_a_database_that_nobody_can_connect_to_is_a_mistake(files: Files, section: str, url: str, allowed: str) -> None:
    for line, environment in ((f'url = "{url}"', {}), ('url = {env = "URL"}', {"URL": url})):
        mistake = files.only_mistake(in_section(section, line), **environment)
        assert mistake.path == f"{section}.url"
        assert allowed in mistake.allowed
        assert "hush" not in str(mistake)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40%3A%2F@host:65535/db",
        "postgresql+psycopg://[::1]:1/db",
        "mssql+pyodbc://host/db?driver=ODBC+Driver+18+for+SQL+Server",
        "oracle+oracledb://host/?service_name=x",
    ],
)
def test_the_driver_of_a_database_need_not_be_installed_to_read_the_settings(files: Files, url: str) -> None:
    settings = files.load(in_section("sources.flights", f'url = "{url}"'))
    assert settings.sources["flights"].url.get_secret_value() == url


def test_a_dialect_that_lacks_a_module_of_its_own_is_left_to_who_connects(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking() -> None:
        raise ModuleNotFoundError(name="half")

    monkeypatch.setitem(registry.impls, "lacking", lacking)
    assert "flights" in files.load(in_section("sources.flights", 'url = "lacking://host/db"')).sources


def test_an_address_that_does_not_parse_is_fatal_to_the_engine_too_and_not_quoted() -> None:
    with pytest.raises(Fatal, match="address cannot be used") as caught:
        read_only_engine("postgresql://u:hush@host:notaport/db", 1.0)
    assert "hush" not in str(caught.value)


def test_a_store_that_is_a_folder_is_a_mistake(files: Files) -> None:
    (files.path.parent / "front.db").mkdir()
    mistake = files.only_mistake(in_section("store", 'url = "sqlite:///front.db"'))
    assert (mistake.path, mistake.value) == ("store.url", '"sqlite://…"')
    assert "not a folder" in mistake.allowed


@pytest.mark.parametrize(
    "written",
    [
        "sqlite:///back-office.db",
        "sqlite:///./sub/../back-office.db?mode=rw",
        "sqlite:///file:back%2Doffice.db?uri=true",
        "sqlite:///ABSOLUTE/back-office.db",
        "sqlite:///symbolic.db",
        "sqlite:///folder/back-office.db",
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_the_store_is_never_the_back_office_under_whatever_name(files: Files, written: str, there: bool) -> None:  # noqa: FBT001 - a parameter of the test
    folder = files.path.parent
    (folder / "symbolic.db").symlink_to(folder / "back-office.db")
    (folder / "folder").symlink_to(folder)
    if there:
        (folder / "back-office.db").touch()
    mistake = files.only_mistake(in_section("store", f'url = "{written.replace("ABSOLUTE", str(folder))}"'))
    assert mistake.path == "store.url"
    assert (
        mistake.allowed
        == "must be another file than that of sources.flights.url: nothing is written into a back office"
    )


def test_the_store_is_never_the_back_office_under_a_second_name_of_the_file(files: Files) -> None:
    (files.path.parent / "back-office.db").touch()
    (files.path.parent / "front-office.db").hardlink_to(files.path.parent / "back-office.db")
    assert files.only_mistake(RIGHT).path == "store.url"


def test_the_store_is_never_where_reference_tables_lie(files: Files) -> None:
    text = in_section(REFERENCES, 'url = "sqlite:///front-office.db"')
    assert "than that of sources.flights.references.airports.url:" in files.only_mistake(text).allowed
    both = text.replace("back-office", "front-office")
    assert "sources.flights.url and sources.flights.references.airports.url:" in files.only_mistake(both).allowed


def test_only_files_are_one_file() -> None:
    assert not is_one_file("postgresql://host/db", "postgresql://host/db")


def test_a_store_beside_a_server_s_database_is_right(files: Files) -> None:
    assert files.load(in_section("sources.flights", 'url = "postgresql://host/db"')).store.history


@pytest.mark.parametrize("region", ["nosuch region!", "-eu", "eu-", "eu.central", "1", "x" * 64, "eü"])
def test_a_region_that_cannot_be_one_is_a_mistake(files: Files, region: str) -> None:
    mistake = files.only_mistake(f"{RIGHT}[aws]\nregion = '{region}'")
    assert mistake.path == "aws.region"
    assert mistake.allowed == 'must be 1 to 63 letters, digits or -, e.g. "eu-central-1"'


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-east-1", "local", "x" * 63])
def test_a_region_is_a_label_of_a_host_name(files: Files, region: str) -> None:
    assert files.load(f'{RIGHT}[aws]\nregion = {{env = "REGION"}}', REGION=region).aws.access.region == region


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "0",
        "0x0",
        "127.1",
        "256.0.0.1",
        "::1",
        "[::1]",
        "a b",
        "-a",
        "a-",
        "a..b",
        ".a",
        "x" * 64,
        "a." * 127 + "ab",
    ],
)
def test_a_host_that_cannot_be_one_is_a_mistake(files: Files, host: str) -> None:
    mistake = files.only_mistake(f"{RIGHT}[metrics]\nhost = '{host}'")
    assert mistake.path == "metrics.host"
    assert mistake.allowed == 'must be an IPv4 address or a host name, e.g. "127.0.0.1"'


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0.0.0.0", "localhost", "metrics.example.com", "my_box", "3com", "10-0-0-1.local"],  # noqa: S104 - read, not bound
)
def test_a_host_is_an_address_or_a_name(files: Files, host: str) -> None:
    assert files.load(f"{RIGHT}[metrics]\nhost = '{host}'").metrics.host == host


def test_wrong_addresses_are_told_together_with_all_other_mistakes(files: Files) -> None:
    text = in_section("sources.flights", 'url = "nosuch://u:hush@host/db"').replace(
        "sqlite:///front-office.db", "sqlite:///."
    )
    mistakes = files.mistakes(f"{text}[aws]\nregion = '!'\n[metrics]\nhost = ''\n[log]\nlevel = 'loud'")
    assert [mistake.path for mistake in mistakes] == [
        "aws.region",
        "sources.flights.url",
        "store.url",
        "metrics.host",
        "log.level",
    ]
