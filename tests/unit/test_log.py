"""What stands in a log, and what never does."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from isthmus.log import LONGEST_VALUE, Away, configure, get_logger
from tests.fakes.clock import FakeClock


@pytest.fixture(autouse=True)
def _quiet_afterwards() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Lines:
    """Logs as JSON into memory."""

    def __init__(self, level: Any = "debug") -> None:
        self._out = io.StringIO()
        configure("json", level, stream=self._out)
        self.log = get_logger("isthmus.producer.publisher")

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._out.getvalue().splitlines()]

    def last(self) -> dict[str, Any]:
        return self.all()[-1]


def test_a_json_line_holds_the_event_its_data_and_a_utc_time() -> None:
    lines = Lines()
    lines.log.info("bundle_acknowledged", lane=3, source="flights")
    line = lines.last()
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() == timedelta(0)
    assert line == {
        "event": "bundle_acknowledged",
        "lane": 3,
        "level": "info",
        "logger": "isthmus.producer.publisher",
        "source": "flights",
    }


def test_text_has_colours_on_a_terminal_only() -> None:
    for out, coloured in ((io.StringIO(), False), (Terminal(), True)):
        configure("text", "info", stream=out)
        get_logger("x").info("stream_ready", stream="flights")
        assert "stream_ready" in out.getvalue()
        assert ("\x1b[" in out.getvalue()) is coloured


def test_lines_go_to_stderr_and_never_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    get_logger("x").info("stream_ready")
    logging.getLogger("botocore").warning("retrying")
    out, err = capsys.readouterr()
    assert out == ""
    assert "stream_ready" in err
    assert "retrying" in err


def test_a_level_below_the_chosen_one_is_not_written() -> None:
    lines = Lines("warning")
    lines.log.info("quiet")
    lines.log.warning("loud")
    assert [line["event"] for line in lines.all()] == ["loud"]


def test_a_logger_made_before_logging_was_set_up_obeys_it() -> None:
    log = get_logger("early")
    lines = Lines()
    log.info("late")
    assert lines.last()["logger"] == "early"


@pytest.mark.parametrize(
    "key", ["password", "db_password", "secret", "secret_access_key", "Authorization", "SessionToken", "credentials"]
)
def test_a_value_whose_key_looks_secret_is_hidden(key: str) -> None:
    lines = Lines()
    lines.log.info("connected", **{key: "hush", "nested": [{key: "hush"}]})
    assert lines.last()[key] == "***"
    assert "hush" not in json.dumps(lines.all())


def test_a_secret_that_is_not_set_is_shown_as_such() -> None:
    lines = Lines()
    lines.log.info("connected", password=None)
    assert lines.last()["password"] is None


@pytest.mark.parametrize(
    "text, shown",
    [
        ("postgresql://u:hush@host/db", "postgresql://***@host/db"),
        ("at postgresql+psycopg://u:hu/sh@x@host/db now", "at postgresql+psycopg://***@host/db now"),
        ("http://127.0.0.1:4566/path", "http://127.0.0.1:4566/path"),
    ],
)
def test_who_logs_in_is_hidden_in_addresses_wherever_they_stand(text: str, shown: str) -> None:
    lines = Lines()
    lines.log.info("connected", url=text)
    assert lines.last()["url"] == shown
    logging.getLogger("sqlalchemy").warning("cannot connect: %s", text)
    assert lines.last()["event"] == f"cannot connect: {shown}"


def test_who_logs_in_is_hidden_in_a_traceback() -> None:
    lines = Lines()
    lines.log.error("failed", exc_info=ValueError("postgresql://u:hush@host/db"))
    assert "ValueError" in lines.last()["exception"]
    assert "hush" not in json.dumps(lines.all())


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()], ids=["a file", "a terminal"])
def test_a_traceback_in_text_is_plain(out: io.StringIO) -> None:
    configure("text", "info", stream=out)
    get_logger("x").error("failed", exc_info=ValueError("why"))
    assert "ValueError: why" in out.getvalue()


def test_a_long_value_is_cut_and_says_how_long_it_was() -> None:
    lines = Lines()
    lines.log.info("read", row="x" * 10_000, rows=["y" * 10_000], short="z" * LONGEST_VALUE)
    line = lines.last()
    assert line["row"] == "x" * LONGEST_VALUE + "… (10000 characters)"
    assert len(line["rows"]) < LONGEST_VALUE + 50
    assert line["short"] == "z" * LONGEST_VALUE


def test_bytes_are_never_written() -> None:
    lines = Lines()
    lines.log.info("read", data=b"somebody's data", memory=memoryview(b"their data"), nested=[b"more data"])
    assert "data" not in json.dumps([line["data"] for line in lines.all()])
    assert lines.last()["data"] == "(15 bytes)"
    assert lines.last()["memory"] == "(10 bytes)"
    assert lines.last()["nested"] == ["(9 bytes)"]


def test_libraries_are_heard_from_the_level_warning_up() -> None:
    lines = Lines("debug")
    logging.getLogger("botocore.endpoint").info("chatter")
    logging.getLogger("botocore.endpoint").warning("trouble")
    assert [(line["logger"], line["level"], line["event"]) for line in lines.all()] == [
        ("botocore.endpoint", "warning", "trouble")
    ]


def test_setting_up_again_replaces_what_was_there() -> None:
    first = Lines()
    second = Lines()
    logging.getLogger("botocore").warning("once")
    assert first.all() == []
    assert len(second.all()) == 1


def test_away_is_said_once_and_back_is_said_once_with_the_seconds() -> None:
    lines, clock = Lines(), FakeClock()
    away = Away("kinesis", lines.log, clock)
    away.recovered()
    assert lines.all() == []
    away.failed("throttled", shard="s-1")
    clock.move(2.5)
    away.failed("timeout")
    away.recovered()
    away.recovered()
    first, last = lines.all()
    assert (first["event"], first["level"], first["cause"], first["shard"]) == (
        "kinesis_away",
        "warning",
        "throttled",
        "s-1",
    )
    assert (last["event"], last["level"], last["seconds"]) == ("kinesis_back", "info", 2.5)


def test_it_knows_whether_it_is_away() -> None:
    away = Away("store", Lines().log, FakeClock())
    states = [away.is_away]
    away.failed("down")
    states.append(away.is_away)
    away.recovered()
    states.append(away.is_away)
    assert states == [False, True, False]


def test_a_second_outage_is_said_again() -> None:
    lines = Lines()
    away = Away("store", lines.log, FakeClock())
    for _ in range(2):
        away.failed("down")
        away.recovered()
    assert [line["event"] for line in lines.all()] == ["store_away", "store_back"] * 2
