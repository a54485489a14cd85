"""The settings that the demo writes are right settings, whatever runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.aws import AwsAccess
from isthmus.console.demo.plan import Place
from isthmus.console.demo.settings_file import FAILOVER_SECONDS, STREAM, Written
from isthmus.settings import load

ACCESS = AwsAccess("http://127.0.0.1:1", "us-east-1", "test", "test")
LOCAL = Written(ACCESS, 4, "sqlite", "sqlite:///front-office.db", 10, 11)
KCL = replace(
    LOCAL,
    access=replace(ACCESS, endpoints={"kinesis": "http://127.0.0.1:2"}),
    shards=2,
    runtime="kcl",
    jars='/a folder/with "quotes" and \\ in it',
    worker="worker-1",
)


def test_under_the_local_runtime_all_of_aws_is_at_one_place(tmp_path: Path) -> None:
    file = tmp_path / "isthmus.toml"
    file.write_text(LOCAL.text(str(file)))
    settings = load(file)
    assert settings.consumer.runtime == "local"
    assert settings.aws.access == ACCESS
    file.write_text(replace(LOCAL, access=replace(ACCESS, answer=2.0)).text(str(file)))
    assert load(file).aws.access.answer == 2.0
    assert (settings.stream.name, settings.stream.shards, settings.stream.lanes) == (STREAM, 4, 64)
    assert (settings.metrics.producer_port, settings.metrics.consumer_port) == (10, 11)


@pytest.mark.parametrize(
    "store, url",
    [
        ("sqlite", "sqlite:///front-office.db"),
        ("postgres", "postgresql://postgres@/x?host=/s"),
        ("dynamodb", "dynamodb:"),
    ],
)
def test_a_worker_of_the_kcl_has_a_name_jars_and_a_short_failover_time(tmp_path: Path, store: str, url: str) -> None:
    file = tmp_path / "worker-1.toml"
    file.write_text(replace(KCL, store=store, store_url=url).text(str(file)))
    settings = load(file)
    assert settings.consumer.runtime == "kcl"
    assert (settings.kcl.worker, settings.kcl.jars, settings.kcl.failover_time) == ("worker-1", KCL.jars, 3.0)
    assert FAILOVER_SECONDS == 3.0
    assert settings.aws.access.endpoint("kinesis") == "http://127.0.0.1:2"
    assert settings.aws.access.endpoint("dynamodb") == "http://127.0.0.1:1"
    assert settings.stream.lanes == 32


def test_who_is_not_named_is_called_as_its_host(tmp_path: Path) -> None:
    file = tmp_path / "isthmus.toml"
    file.write_text(replace(KCL, worker="", consumer_port=0).text(str(file)))
    assert load(file).kcl.worker is None


def test_an_older_run_under_the_kcl_is_removed_and_nothing_else(tmp_path: Path) -> None:
    place = Place(tmp_path)
    ours = [
        place.worker_settings("worker-1"),
        place.kinesis / "kinesis-mock.log",
        place.workers / "isthmus-kcl-x" / "child",
    ]
    others = [tmp_path / "worker-3.toml", place.workers / "mine", tmp_path / "notes.txt"]
    for file in (*ours, *others):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    place.make(force=True)
    assert not any(file.exists() for file in ours)
    assert all(file.exists() for file in others)


def test_a_folder_that_only_has_the_name_of_a_stand_in_stays(tmp_path: Path) -> None:
    mine = Place(tmp_path).kinesis / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("")
    Place(tmp_path).make(force=True)
    assert mine.exists()
