"""Which stand-ins a command means, and the settings that use them."""

from pathlib import Path

import pytest

from isthmus.console.dev.catalogue import KINDS, choose, settings_of
from isthmus.errors import Missing
from isthmus.settings import Settings, load
from tests.fakes.settings_file import CUSTOMERS

KINESIS, DYNAMODB, ALL = "http://127.0.0.1:4567", "http://127.0.0.1:8000", "http://127.0.0.1:4566"
ANY, OWN = "test", "own"
DATABASE = "postgresql://postgres@/postgres?host=/tmp/s"


def test_without_a_name_all_but_localstack_are_meant_and_with_it_no_other_for_aws() -> None:
    assert choose([], {}, together=False).names == ["kinesis-mock", "dynamodb-local", "ministack", "postgresql"]
    assert choose([], {}, together=True).names == ["localstack", "postgresql"]


def test_what_is_named_is_meant_alone_and_begins_in_one_order() -> None:
    assert choose(["postgresql", "kinesis-mock"], {}, together=False).names == ["kinesis-mock", "postgresql"]


def test_what_cannot_run_is_left_out_and_said_as_long_as_something_stands_in_for_aws() -> None:
    choice = choose([], {"dynamodb-local": "no Java", "ministack": ""}, together=False)
    assert choice.names == ["kinesis-mock", "ministack", "postgresql"]
    assert choice.left_out == {"dynamodb-local": "no Java"}
    without_aws = {"kinesis-mock": "no Node", "dynamodb-local": "no Java", "ministack": "not installed"}
    with pytest.raises(Missing, match="no Node\nno Java\nnot installed"):
        choose([], without_aws, together=False)


def test_what_was_asked_for_by_name_and_cannot_run_is_an_error() -> None:
    with pytest.raises(Missing, match="no Java"):
        choose(["dynamodb-local", "ministack"], {"dynamodb-local": "no Java"}, together=False)
    with pytest.raises(Missing, match="no Python"):
        choose([], {"localstack": "no Python"}, together=True)
    assert choose(["postgresql"], {}, together=False).names == ["postgresql"]


def loaded(tmp_path: Path, addresses: dict[str, str], rest: str = CUSTOMERS) -> Settings:
    file = tmp_path / "isthmus.toml"
    file.write_text("\n".join(['application = "customers"', *settings_of(addresses), rest]), encoding="utf-8")
    return load(file, {"AWS_SECRET_ACCESS_KEY": OWN})


def test_the_settings_of_all_stand_ins_are_right_as_they_are(tmp_path: Path) -> None:
    addresses = {"kinesis-mock": KINESIS, "dynamodb-local": DYNAMODB, "ministack": ALL, "postgresql": DATABASE}
    settings = loaded(tmp_path, addresses)
    assert settings.aws.access.endpoint("kinesis") == KINESIS
    assert settings.aws.access.endpoint("dynamodb") == DYNAMODB
    assert settings.aws.access.endpoint("sqs") == ALL
    assert settings.aws.access.secret == ANY
    assert settings.store.kind.value == "postgresql"


def test_the_settings_of_one_service_alone_keep_their_secret_out_of_the_file(tmp_path: Path) -> None:
    store = '[store]\nurl = "sqlite:///front-office.db"\n'
    settings = loaded(tmp_path, {"kinesis-mock": KINESIS}, CUSTOMERS + store)
    assert settings.aws.access.endpoint("kinesis") == KINESIS
    assert settings.aws.access.endpoint("dynamodb") is None
    assert settings.aws.access.secret == OWN


def test_a_database_alone_and_nothing_at_all_have_settings_too() -> None:
    assert settings_of({"postgresql": DATABASE}) == ["[store]", f'url = "{DATABASE}"']
    assert settings_of({}) == []
    assert settings_of({"localstack": ALL})[:1] == ["[aws]"]


def test_each_kind_is_known_by_its_own_name() -> None:
    assert set(KINDS) == {"kinesis-mock", "dynamodb-local", "ministack", "localstack", "postgresql"}
