"""The settings' file: what is right in it, and a sentence for everything that is not."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from isthmus.addresses import sqlite_file
from isthmus.aws import AwsAccess
from isthmus.errors import WrongSettings
from isthmus.settings import load
from tests.fakes.settings_file import RIGHT, Files, in_section


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_what_is_not_written_has_a_default(files: Files) -> None:
    settings = files.load()
    assert settings.checkpoint.table == "isthmus-flights"
    assert settings.dead_letters.queue == "isthmus-flights-dead-letters"
    assert (settings.stream.shards, settings.stream.lanes, settings.stream.retention_hours) == (1, 16, 24)
    assert settings.sources["flights"].start == "beginning"
    assert settings.sources["flights"].ownership.wait
    assert settings.claim_check.bucket is None
    assert settings.metrics.host == "127.0.0.1"
    assert settings.aws.access.endpoint_url is None


def test_an_empty_section_is_as_good_as_none(files: Files) -> None:
    sections = ("aws", "checkpoint", "dead_letters", "claim_check", "consumer", "publisher", "metrics", "log")
    assert files.load(RIGHT + "".join(f"[{name}]\n" for name in sections)) == files.load()


def test_a_wrong_application_is_one_mistake(files: Files) -> None:
    mistake = files.only_mistake(RIGHT.replace('"flights"', '"Flights!"', 1))
    assert (mistake.path, mistake.value) == ("application", '"Flights!"')


@pytest.mark.parametrize("section", ["checkpoint", "dead_letters", "stream"])
def test_a_section_that_is_none_is_one_mistake(files: Files, section: str) -> None:
    text = RIGHT.replace('[stream]\nname = "flights"\n', "") if section == "stream" else RIGHT
    mistake = files.only_mistake(f"{section} = 1\n{text}")
    assert (mistake.path, mistake.value, mistake.allowed) == (section, "1", "must be a table")


@pytest.mark.parametrize("shards, lanes", [(1, 16), (4, 64), (16, 256), (17, 256), (256, 256)])
def test_there_are_16_lanes_for_a_shard_and_256_at_most(files: Files, shards: int, lanes: int) -> None:
    assert files.load(in_section("stream", f"shards = {shards}")).stream.lanes == lanes


def test_a_key_is_one_column_or_several(files: Files) -> None:
    source = files.load().sources["flights"]
    assert source.key == ("CARR", "FLTNO")
    assert source.references["airports"].key == ("FAA",)


def test_settings_cannot_be_changed(files: Files) -> None:
    settings = files.load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.stream.lanes = 3  # type: ignore[misc] # that is the point


def test_relative_databases_lie_beside_the_file(files: Files) -> None:
    settings = files.load()
    folder = files.path.parent
    assert settings.store.url.get_secret_value() == f"sqlite:///{folder}/front-office.db"
    assert settings.sources["flights"].url.get_secret_value() == f"sqlite:///{folder}/back-office.db"
    assert (settings.file, settings.folder) == (files.path, folder)


def test_a_relative_file_of_settings_gives_absolute_databases(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.load()
    monkeypatch.chdir(files.path.parent)
    url = load(Path("isthmus.toml")).store.url.get_secret_value()
    assert url == f"sqlite:///{files.path.parent}/front-office.db"


@pytest.mark.parametrize(
    "written, read",
    [
        ("sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        ("sqlite:///sub/x.db?mode=ro", "sqlite:///FOLDER/sub/x.db?mode=ro"),
        ("sqlite+pysqlite:///x.db", "sqlite+pysqlite:///FOLDER/x.db"),
        ("sqlite:///file:x.db?mode=ro&uri=true", "sqlite:///file:FOLDER/x.db?mode=ro&uri=true"),
        ("postgresql+psycopg://u:p@host/db", "postgresql+psycopg://u:p@host/db"),
    ],
)
def test_a_source_may_lie_anywhere(files: Files, written: str, read: str) -> None:
    settings = files.load(in_section("sources.flights", f'url = "{written}"'))
    url = settings.sources["flights"].url.get_secret_value()
    assert url == read.replace("FOLDER", str(files.path.parent))


def test_a_reference_lies_where_its_source_lies_unless_it_says_otherwise(files: Files) -> None:
    source = files.load().sources["flights"]
    assert source.reference_url("airports") == source.url
    other = files.load(in_section("sources.flights.references.airports", 'url = "sqlite:////x.db"')).sources["flights"]
    assert other.reference_url("airports").get_secret_value() == "sqlite:////x.db"


def test_a_value_may_come_from_the_environment_or_from_a_file(files: Files) -> None:
    (files.path.parent / "secret.txt").write_text("from file\n", encoding="utf-8")
    settings = files.load(
        RIGHT + '[aws]\naccess_key_id = {env = "ID"}\nsecret_access_key = {file = "secret.txt"}', ID="from environment"
    )
    access = settings.aws.access
    assert (access.access_key_id, access.secret) == ("from environment", "from file")


def test_the_process_s_own_environment_is_asked_where_no_other_is_given(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_TEST_STORE", "sqlite:////x.db")
    files.path.write_text(in_section("store", 'url = {env = "ISTHMUS_TEST_STORE"}'), encoding="utf-8")
    assert load(files.path).store.url.get_secret_value() == "sqlite:////x.db"


def test_no_secret_is_shown_by_the_settings(files: Files) -> None:
    text = in_section("sources.flights", 'url = "postgresql://u:hush@host/db"')
    settings = files.load(text + '[aws]\naccess_key_id = "x"\nsecret_access_key = {env = "S"}', S="hush")
    assert "hush" not in f"{settings!r} {settings} {settings.model_dump_json()} {settings.aws.access}"


def test_all_mistakes_are_told_at_once_with_key_path_value_and_what_is_allowed(files: Files) -> None:
    text = """
        applicaton = "flights"
        [stream]
        name = "two words"
        shards = 4
        lanes = 2
        [sources.flights]
        pipeline = "pipelines.flights"
        url = "sqlite:///back-office.db"
        table = "FLTMST"
        key = []
        cursor = 7
        order = "commit"
        poll_interval = "often"
        [entities.flight]
        table = "isthmus_guard"
        [store]
        url = {env = "NOT_SET"}
        history = 1
        [log]
        level = "loud"
    """
    assert {str(mistake).removeprefix(f"{files.path}: ") for mistake in files.mistakes(text)} == {
        "applicaton: is not known here; did you mean application?",
        "application: is required",
        'stream.name = "two words": must be 1 to 128 letters, digits, _ . or -',
        'sources.flights.pipeline = "pipelines.flights": must be "module:object", e.g. "pipelines:flights"',
        'sources.flights.key = []: must be a column name, or a list of them, e.g. ["CARR", "FLTNO"]',
        "sources.flights.cursor = 7: must be text in quotes",
        'sources.flights.poll_interval = "often": must be a number',
        'entities.flight.table = "isthmus_guard": must not begin with isthmus_: those tables are Isthmus\'s own',
        'store.url = {env = "NOT_SET"}: the environment variable NOT_SET is not set',
        "store.history = 1: must be true or false",
        'log.level = "loud": must be "debug", "info", "warning" or "error"',
    }


@pytest.mark.parametrize(
    "section, line, path, value, allowed",
    [
        ("stream", "shards = 0", "stream.shards", "0", "must be from 1 to 256"),
        ("stream", "shards = true", "stream.shards", "true", "must be a whole number"),
        ("stream", "shards = 4.0", "stream.shards", "4.0", "must be a whole number"),
        ("stream", "lanes = 257", "stream.lanes", "257", "must be from 1 to 256"),
        ("stream", "retention_hours = 23", "stream.retention_hours", "23", "must be from 24 to 8,760 hours"),
        (
            "sources.flights",
            "poll_interval = nan",
            "sources.flights.poll_interval",
            "nan",
            "must be from 0.05 to 86,400 seconds",
        ),
        ("sources.flights", 'table = ""', "sources.flights.table", '""', "must be a name of 1 to 128 printable"),
        ("sources.flights", 'table = "a\\u0000"', "sources.flights.table", '"a\x00"', "printable characters"),
        ("sources.flights", 'key = ["A", "A"]', "sources.flights.key", '["A", "A"]', "must not name a column twice"),
        ("sources.flights", "key = [1]", "sources.flights.key", "[1]", "must be a column name, or a list"),
        ("sources.flights", "start = -1", "sources.flights.start", "-1", "a whole number, 0 or more"),
        ("sources.flights", "start = true", "sources.flights.start", "true", "a whole number, 0 or more"),
        ("sources.flights", "start = 2013-01-01", "sources.flights.start", "2013-01-01", 'must be "beginning"'),
        ("sources.flights", 'order = "loose"', "sources.flights.order", '"loose"', "durable memory"),
        ("sources.flights", 'order = "none"', "sources.flights.order", '"none"', 'must be "commit"'),
        ("sources.flights", "ownership = 1", "sources.flights.ownership", "1", "must be a table"),
        ("sources.flights", 'url = "sqlite://"', "sources.flights.url", '"sqlite://…"', "must name a file"),
        ("sources.flights", 'url = "sqlite:///:memory:"', "sources.flights.url", '"sqlite://…"', "must name a file"),
        ("sources.flights", 'url = "hush"', "sources.flights.url", "***", "must be a database address"),
        ("sources.flights", 'url = ["hush"]', "sources.flights.url", "[***]", "must be text in quotes"),
        ("store", 'url = "mysql://u:hush@host/db"', "store.url", '"mysql://…"', '"sqlite:///PATH", "postgresql://user'),
        ("store", 'url = {env = "A", file = "B"}', "store.url", "{…}", '{env = "NAME"} or {file = "PATH"}'),
        ("store", 'url = {file = "not-there"}', "store.url", '{file = "not-there"}', "No such file"),
        ("store", 'url = {env = "EMPTY"}', "store.url", '{env = "EMPTY"}', "EMPTY is empty"),
        ("entities.flight", 'table = "ISTHMUS_x"', "entities.flight.table", '"ISTHMUS_x"', "must not begin with"),
        (
            "entities.flight",
            'version_column = "key"',
            "entities.flight.version_column",
            '"key"',
            "must differ from key_column",
        ),
    ],
)
def test_a_wrong_value_is_one_mistake(  # noqa: PLR0917 - a row of a table
    files: Files, section: str, line: str, path: str, value: str, allowed: str
) -> None:
    mistake = files.only_mistake(in_section(section, line), EMPTY="")
    assert (mistake.path, mistake.value) == (path, value)
    assert allowed in mistake.allowed
    assert "hush" not in str(mistake)


@pytest.mark.parametrize(
    "added, path, value, allowed",
    [
        (
            "[consumer]\nruntime = 'lambda'",
            "consumer.runtime",
            '"lambda"',
            '"lambda" is not built yet; use "local" or "kcl"',
        ),
        ("[consumer]\nruntime = 'x'", "consumer.runtime", '"x"', 'must be "local" or "kcl"'),
        ("[consumer]\nreads_per_second = 6", "consumer.reads_per_second", "6", "must be from 0.1 to 5"),
        ("[aws]\nendpoint_url = 'http://10.0.0.1:80'", "aws.endpoint_url", '"http://…"', "to this machine only"),
        ("[aws]\nendpoint_url = 'http://u:hush@localhost'", "aws.endpoint_url", '"http://…"', "a user name"),
        ("[aws]\nendpoint_url = 'http://localhost:x'", "aws.endpoint_url", '"http://…"', "is no address"),
        ("[aws]\naccess_key_id = 'x'", "aws.secret_access_key", "", "is required beside access_key_id"),
        ("[aws]\nsecret_access_key = {env = 'S'}", "aws.access_key_id", "", "is required beside secret_access_key"),
        (
            "[aws]\naccess_key_id = 'x'\nsecret_access_key = 'hush'",
            "aws.secret_access_key",
            "***",
            'must be {env = "NAME"} or {file = "PATH"}',
        ),
        (
            "[aws]\nendpoint_url = 'https://aws.example'\naccess_key_id = 'x'\nsecret_access_key = 'hush'",
            "aws.secret_access_key",
            "***",
            'must be {env = "NAME"} or {file = "PATH"}',
        ),
        ("[aws]\nsecret_acces_key = 'hush'", "aws.secret_acces_key", "", "did you mean secret_access_key?"),
        ("[aws]\nsecret_access_key = 5\naccess_key_id='x'", "aws.secret_access_key", "***", "must be text in quotes"),
        ("[log]\ncolour = 'hush'", "log.colour", "", "is not known here; known are format, level"),
        ("[nonsense]", "nonsense", "", "is not known here; known are application, aws,"),
        ("[sources.flights.ownership]\nwiat = 1", "sources.flights.ownership.wiat", "", "did you mean wait?"),
        ("[entities.Flight]\ntable = 'x'", "entities.Flight", "{…}", "lower-case letters"),
        ("[entities.f]\ntable = 'FLIGHT'", "entities.f.table", '"FLIGHT"', "must differ from the table of"),
        ("[entities.flight.columns]\na = 'key'", "entities.flight.columns.a", '"key"', "must be a column of its own"),
        ("[metrics]\nproducer_port = 9465", "metrics.consumer_port", "", "must differ from producer_port"),
        ("[metrics]\nproducer_port = 65536", "metrics.producer_port", "65536", "must be from 0 to 65,535"),
        (
            "[publisher]\nmax_bundle_bytes = 5_000_000",
            "publisher.max_bundle_bytes",
            "5000000",
            "must be at most max_request_bytes, 4,194,304",
        ),
        (
            "[publisher]\nmax_unacknowledged_bytes = 3_000_000",
            "publisher.max_request_bytes",
            "",
            "must be at most max_unacknowledged_bytes, 3,000,000",
        ),
        (
            "[claim_check]\nbucket = 'payloads'\nthreshold_bytes = 245_761",
            "claim_check.threshold_bytes",
            "245761",
            "must be at most 245,760",
        ),
        ("[claim_check]\nbucket = 'A'", "claim_check.bucket", '"A"', "3 to 63 lower-case letters"),
        ("[dead_letters]\nqueue = 'a.b'", "dead_letters.queue", '"a.b"', "1 to 80 letters"),
        ("[checkpoint]\ntable = 'a b'", "checkpoint.table", '"a b"', "1 to 128 letters"),
    ],
)
def test_a_wrong_addition_is_one_mistake(files: Files, added: str, path: str, value: str, allowed: str) -> None:
    mistake = files.only_mistake(RIGHT + added, S="hush")
    assert (mistake.path, mistake.value) == (path, value)
    assert allowed in mistake.allowed
    assert "hush" not in str(mistake)


def test_fewer_lanes_than_shards_are_refused(files: Files) -> None:
    mistake = files.only_mistake(in_section("stream", "shards = 4\nlanes = 3"))
    assert (mistake.path, mistake.value) == ("stream.lanes", "3")
    assert mistake.allowed.startswith("must be at least the number of shards, 4")
    assert files.load(in_section("stream", "shards = 4\nlanes = 4")).stream.lanes == 4


def test_a_plain_secret_is_allowed_for_an_emulator_on_this_machine(files: Files) -> None:
    aws = "[aws]\nendpoint_url = 'http://127.0.0.1:4566'\naccess_key_id = 'test'\nsecret_access_key = 'test'"
    assert files.load(RIGHT + aws).aws.access == AwsAccess("http://127.0.0.1:4566", None, "test", "test")


def test_ports_may_both_be_any_free_one(files: Files) -> None:
    assert files.load(RIGHT + "[metrics]\nproducer_port = 0\nconsumer_port = 0").metrics.producer_port == 0


def test_without_a_source_or_an_entity_there_is_nothing_to_do(files: Files) -> None:
    text = "application='x'\nstream={name='x'}\nsources={}\nentities={}\nstore={url='sqlite:///x'}"
    assert [(each.path, each.allowed[:26]) for each in files.mistakes(text)] == [
        ("sources", "must name at least one sou"),
        ("entities", "must name at least one ent"),
    ]


def test_a_file_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WrongSettings) as caught:
        load(tmp_path / "isthmus.toml", {})
    (mistake,) = caught.value.mistakes
    assert mistake.file == str(tmp_path / "isthmus.toml")
    assert "--config" in mistake.allowed
    assert "isthmus demo" in mistake.allowed


@pytest.mark.parametrize(
    "text, path, allowed",
    [
        (b"application = = 'x'", "line 1, column 15", "is not TOML: Invalid value"),
        (b"a = 1\na = 2\n", "line 2, column 6", "is not TOML: Cannot overwrite a value"),
        (b"application = '\xff'", "byte 15", "must be UTF-8 text"),
    ],
)
def test_what_is_not_toml_is_a_mistake_with_its_place(files: Files, text: bytes, path: str, allowed: str) -> None:
    files.path.write_bytes(text)
    with pytest.raises(WrongSettings) as caught:
        load(files.path, {})
    (mistake,) = caught.value.mistakes
    assert (mistake.path, mistake.value, mistake.allowed) == (path, "", allowed)


def test_a_folder_in_place_of_the_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(WrongSettings, match="Is a directory"):
        load(tmp_path, {})


def test_a_long_value_is_shown_shortened(files: Files) -> None:
    value = files.only_mistake(in_section("stream", f'name = "{"x" * 500}"')).value
    assert value == '"' + "x" * 59 + "…"


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "what? 100%20 #1"
    folder.mkdir()
    settings = Files(folder).load()
    assert sqlite_file(settings.store.url.get_secret_value()) == f"{folder}/front-office.db"
