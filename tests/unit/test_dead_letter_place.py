"""Whether there is a dead-letter queue, and that nobody asks for one that is not there."""

from pathlib import Path

import pytest
import structlog

from isthmus.console.commands import setup
from isthmus.console.dlq.place import queue_name
from isthmus.console.dlq.sending import sender_of
from isthmus.console.wiring import Wiring, store_of
from tests.fakes.settings_file import RIGHT, Files

HERE, NAME = "http://127.0.0.1:4566", "isthmus-flights-dead-letters"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def aws(*lines: str) -> str:
    return "\n".join((RIGHT, "[aws]", 'region = "us-east-1"', *lines))


@pytest.mark.parametrize(
    "lines, name",
    [
        ((), NAME),
        ((f'endpoint_url = "{HERE}"',), NAME),
        ((f'endpoints.sqs = "{HERE}"',), NAME),
        ((f'endpoints.kinesis = "{HERE}"', f'endpoints.sqs = "{HERE}"'), NAME),
        ((f'endpoints.kinesis = "{HERE}"',), None),
        ((f'endpoints.dynamodb = "{HERE}"',), None),
        ((f'endpoints.s3 = "{HERE}"',), None),
    ],
    ids=str,
)
def test_where_other_services_have_endpoints_and_sqs_has_none_there_is_no_queue(
    files: Files, lines: tuple[str, ...], name: str | None
) -> None:
    assert queue_name(files.load(aws(*lines))) == name


def test_without_a_queue_nothing_is_sent_nothing_is_made_and_the_log_says_why(files: Files) -> None:
    wiring = Wiring(files.load(aws(f'endpoints.kinesis = "{HERE}"', f'endpoints.dynamodb = "{HERE}"')))
    with structlog.testing.capture_logs() as told:
        assert sender_of(wiring, store_of(wiring.settings, []), wiring.stop) is None
    assert [line["event"] for line in told] == ["dead_letters_off"]
    assert not any("queue" in name for name, _ in setup._steps(wiring))


def test_with_a_queue_it_is_made_and_sent_to(files: Files) -> None:
    wiring = Wiring(files.load(aws(f'endpoint_url = "{HERE}"')))
    assert sender_of(wiring, store_of(wiring.settings, []), wiring.stop) is not None
    assert [name for name, _ in setup._steps(wiring) if "queue" in name] == [f"queue {NAME} in SQS"]


@pytest.mark.parametrize("url", ["sqlite:///front-office.db", "postgresql://front@127.0.0.1:1/office", "dynamodb:"])
def test_every_front_office_has_copies_to_send_and_nobody_is_asked_before_there_is_one(files: Files, url: str) -> None:
    # Nobody listens there.
    text = aws('endpoint_url = "http://127.0.0.1:1"', 'access_key_id = "test"', 'secret_access_key = "test"')
    wiring = Wiring(files.load(text.replace("sqlite:///front-office.db", url)))
    assert sender_of(wiring, store_of(wiring.settings, []), wiring.stop) is not None
