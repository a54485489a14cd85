"""`isthmus dev` with the real stand-ins: installed once, on loopback alone, ended exactly."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from isthmus.aws import AwsAccess, client, describe_stream, ensure_stream
from isthmus.chance import unique_name
from isthmus.console.dev import dynamodb_local, kcl, ministack, postgresql
from isthmus.console.dev.folder import Folder
from isthmus.console.dev.listening import listening
from isthmus.console.main import invoke
from isthmus.lifecycle import ThreadStop
from isthmus.settings import load
from tests.fakes import kinesis_mock
from tests.fakes.kinesis_mock import HOME, KinesisMock
from tests.fakes.pids import ended, held
from tests.fakes.settings_file import CUSTOMERS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PARENT = """
import sys
from pathlib import Path
from tests.fakes.kinesis_mock import KinesisMock
running = KinesisMock(Path(sys.argv[1]))
print(running.pid, flush=True)
sys.stdin.read()
"""

Dev = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give an install folder in which everything is installed that the tests' own has."""
    for part in HOME.glob("[a-z]*-[0-9]*"):
        (tmp_path / part.name).symlink_to(part)
    return tmp_path


@pytest.fixture
def dev(home: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Dev]:
    """Give `isthmus dev ... --json`: what it printed."""

    def run(command: str, *arguments: str, code: int = 0) -> Any:
        assert invoke(["dev", command, "--dir", str(home), "--json", *arguments]) == code
        printed = capsys.readouterr()
        return json.loads(printed.out) if code == 0 else printed.err

    yield run
    run("down")


@pytest.fixture
def kinesis(tmp_path: Path) -> Iterator[KinesisMock]:
    if why := kinesis_mock.unavailable():
        pytest.skip(why)
    with KinesisMock(tmp_path / "kinesis") as running:
        yield running


def needs(*whys: str) -> None:
    if any(whys):
        pytest.skip(" ".join(whys))


def pids(told: Any) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in told["running"]}


def test_stand_ins_come_up_stay_as_they_are_and_go_down(dev: Dev) -> None:
    needs(kinesis_mock.unavailable(), ministack.unavailable())
    assert dev("status") == {"running": [], "settings": []}
    first = dev("up", "kinesis-mock", "ministack")
    assert [(row["name"], row["state"]) for row in first["running"]] == [
        ("kinesis-mock", "running"),
        ("ministack", "running"),
    ]
    assert pids(dev("up", "ministack")) == pids(first)
    assert dev("status") == {"running": first["running"], "settings": first["settings"]}
    with held(pids(first)["kinesis-mock"]) as kinesis, held(pids(first)["ministack"]) as emulator:
        assert dev("down", "ministack") == {"ended": ["ministack"]}
        assert ended(emulator)
        assert list(pids(dev("status"))) == ["kinesis-mock"]
        assert dev("down") == {"ended": ["kinesis-mock"]}
        assert ended(kinesis)
    assert dev("down") == {"ended": []}


def test_one_that_was_killed_is_seen_and_started_again_alone(dev: Dev) -> None:
    needs(kinesis_mock.unavailable(), ministack.unavailable())
    first = dev("up", "kinesis-mock", "ministack")
    with held(pids(first)["ministack"]) as emulator:
        os.kill(pids(first)["ministack"], signal.SIGKILL)
        assert ended(emulator)
    states = {row["name"]: row["state"] for row in dev("status")["running"]}
    assert states == {"kinesis-mock": "running", "ministack": "ended"}
    again = dev("up", "kinesis-mock", "ministack")
    assert pids(again)["kinesis-mock"] == pids(first)["kinesis-mock"]
    assert pids(again)["ministack"] != pids(first)["ministack"]
    assert {row["state"] for row in again["running"]} == {"running"}


def test_one_whose_start_was_cut_short_is_ended_before_it_is_started_again(dev: Dev, home: Path) -> None:
    needs(ministack.unavailable())
    first = pids(dev("up", "ministack"))["ministack"]
    folder = Folder(home / "dev")
    folder.note(replace(folder.entries()["ministack"], url=""))
    assert dev("status")["running"][0]["state"] == "starting"
    with held(first) as process:
        assert pids(dev("up", "ministack"))["ministack"] != first
        assert ended(process)


def test_the_settings_that_are_printed_lead_to_each_stand_in(dev: Dev, tmp_path: Path) -> None:
    needs(kinesis_mock.unavailable(), dynamodb_local.unavailable(HOME), ministack.unavailable())
    told = dev("up", "kinesis-mock", "dynamodb-local", "ministack", "postgresql")
    file = tmp_path / "isthmus.toml"
    file.write_text("\n".join(['application = "customers"', *told["settings"], CUSTOMERS]), encoding="utf-8")
    settings = load(file)
    access = settings.aws.access
    with contextlib.closing(client(access, "kinesis")) as kinesis:
        assert ensure_stream(kinesis, "customers", 2, stop=ThreadStop())
    with contextlib.closing(client(access, "dynamodb")) as dynamodb:
        assert dynamodb.list_tables()["TableNames"] == []
    with contextlib.closing(client(access, "sqs")) as sqs:
        assert not sqs.list_queues().get("QueueUrls")
    with psycopg.connect(settings.store.url.get_secret_value()) as database:
        database.execute("CREATE TABLE kept (id int)")
    for row in told["running"]:
        assert all(address.on_loopback() for address in listening(row["pid"]) or [])
    dev("down", "postgresql")
    (row,) = (row for row in dev("up", "postgresql")["running"] if row["name"] == "postgresql")
    if os.geteuid() != 0:
        with psycopg.connect(row["url"]) as database:
            assert database.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_what_is_not_known_is_not_started_and_what_cannot_run_is_named(
    dev: Dev, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is not one of" in dev("up", "docker", code=2)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "ministack is not installed" in dev("up", "ministack", code=3)
    assert capsys.readouterr().out == ""


def test_elsewhere_than_on_linux_it_says_what_to_use_instead(dev: Dev, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sys, "platform", "darwin")
        assert "Use docker compose" in dev("up", code=1)


def test_people_get_a_table_and_lines_to_paste(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs(postgresql.unavailable())
    assert invoke(["dev", "status", "--dir", str(home)]) == 0
    assert "Nothing runs. Next: isthmus dev up" in capsys.readouterr().out
    assert invoke(["dev", "up", "postgresql", "--dir", str(home)]) == 0
    printed = capsys.readouterr()
    assert "starting postgresql" in printed.err
    assert '[store]\n  url = "postgresql://' in printed.out
    assert invoke(["dev", "status", "--dir", str(home)]) == 0
    assert "running" in capsys.readouterr().out
    assert invoke(["dev", "down", "--dir", str(home)]) == 0
    assert invoke(["dev", "down", "--dir", str(home)]) == 0
    assert capsys.readouterr().out == "ended  postgresql\nNothing was running.\n"


def test_kinesis_mock_reshards_and_only_its_two_loopback_ports_listen(kinesis: KinesisMock) -> None:
    name = unique_name()
    access = access_to(kinesis.url)
    with contextlib.closing(client(access, "kinesis")) as stream:
        ensure_stream(stream, name, 1, stop=ThreadStop())
        stream.update_shard_count(StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
        stream.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
        assert describe_stream(stream, name).open_shards == 2
    found = listening(kinesis.pid) or []
    assert [str(address.host) for address in found] == ["127.0.0.1", "127.0.0.1"]


def access_to(url: str) -> AwsAccess:
    return AwsAccess(endpoint_url=url, region="us-east-1", access_key_id="test", secret="test")  # noqa: S106 - it takes any


def test_a_stand_in_that_is_tied_ends_with_its_parent_whatever_ends_that(tmp_path: Path) -> None:
    needs(kinesis_mock.unavailable())
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        with held(int(parent.stdout.readline())) as process:
            parent.kill()
            assert ended(process)


def test_the_jars_of_the_kcl_are_built_and_hash_to_what_is_pinned() -> None:
    needs(kcl.unavailable(HOME))
    jars = kcl.jars(HOME)
    assert len(jars) == 79
    assert any(jar.name.startswith("amazon-kinesis-client-multilang-") for jar in jars)


@pytest.mark.skipif(
    not any(HOME.glob("localstack-*")), reason="isthmus dev up --localstack --dir build/dev installs it"
)
def test_localstack_serves_everything_on_loopback_and_leaves_nothing_behind(dev: Dev, home: Path) -> None:
    told = dev("up", "localstack")
    (row,) = told["running"]
    access = access_to(row["url"])
    with contextlib.closing(client(access, "kinesis")) as kinesis, contextlib.closing(client(access, "sqs")) as sqs:
        ensure_stream(kinesis, "customers", 2, stop=ThreadStop())
        sqs.list_queues()
    with contextlib.closing(client(access, "dynamodb")) as dynamodb:
        assert dynamodb.list_tables()["TableNames"] == []
    mark = f"ISTHMUS_DEV={Folder(home / 'dev').entries()['localstack'].mark}".encode()
    family = [int(place.name) for place in Path("/proc").glob("[0-9]*") if mark in environment_of(place)]
    assert len(family) >= 3
    for pid in family:
        assert all(address.on_loopback() for address in listening(pid) or [])
    dev("down")
    assert not any(mark in environment_of(place) for place in Path("/proc").glob("[0-9]*"))


def environment_of(place: Path) -> list[bytes]:
    with contextlib.suppress(OSError):
        return (place / "environ").read_bytes().split(b"\0")
    return []
