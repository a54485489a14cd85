"""Dead letters in a real SQS interface."""

import contextlib

import pytest

from isthmus.aws import AwsAccess, client, ensure_queue
from isthmus.chance import unique_name
from isthmus.consumer.deadletters.letters import event_of, letter_of, requests_of, size_of
from isthmus.consumer.deadletters.port import MOST_BYTES, Copy, Letter
from isthmus.consumer.deadletters.sqs import SqsQueue
from isthmus.errors import Missing, TargetDown
from tests.fakes.emulator import Emulator

NOBODY = "http://127.0.0.1:9"
"""The discard port: nobody listens there."""


@pytest.fixture
def name(emulator: Emulator) -> str:
    name = f"letters-{unique_name()}"
    assert ensure_queue(emulator.client("sqs"), name)
    return name


def copy(event: bytes, number: int = 1) -> Copy:
    return Copy(str(number), f"flight/{number}/ü", f"t-{number}", "/flights", "contract", "shard-0", "1", event, 0)


def received(emulator: Emulator, name: str, expected: int) -> dict[str, bytes]:
    sqs = emulator.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found: dict[str, bytes] = {}
    while len(found) < expected:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5, MessageAttributeNames=["All"]
        )
        messages = answer["Messages"]
        for message in messages:
            attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
            found[attributes["id"]] = event_of(message["Body"], attributes, None)
    return found


def test_every_letter_arrives_with_its_event_byte_for_byte(emulator: Emulator, name: str) -> None:
    events = {"t-1": b'{"id": "t-1"}', "t-2": b"\xff\x00 no text", "t-3": "ünïcode \x01".encode(), "t-4": b""}
    letters = [letter_of(copy(event, int(txn[2:])), None) for txn, event in events.items()]
    assert SqsQueue(emulator.client("sqs"), name).send(letters) == [True] * len(letters)
    assert received(emulator, name, len(events)) == events


def test_a_letter_of_the_largest_size_is_taken(emulator: Emulator, name: str) -> None:
    without = size_of(letter_of(copy(b"x"), None)) - 1
    largest = letter_of(copy(b"x" * (MOST_BYTES - without)), None)
    assert size_of(largest) == MOST_BYTES
    assert requests_of([largest, largest]) == [[0], [1]]
    assert SqsQueue(emulator.client("sqs"), name).send([largest]) == [True]


def test_a_queue_that_is_not_there_is_named_with_the_command_that_makes_it(emulator: Emulator) -> None:
    with pytest.raises(Missing, match="isthmus setup"):
        SqsQueue(emulator.client("sqs"), f"nowhere-{unique_name()}").send([Letter("{}", {"id": "1"})])


def test_a_queue_that_was_made_anew_is_found_again(emulator: Emulator, name: str) -> None:
    sqs = emulator.client("sqs")
    queue = SqsQueue(sqs, name)
    assert queue.send([letter_of(copy(b"{}"), None)]) == [True]
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    with pytest.raises(Missing):
        queue.send([letter_of(copy(b"{}"), None)])
    ensure_queue(sqs, name)
    assert queue.send([letter_of(copy(b"{}"), None)]) == [True]


def test_a_queue_that_is_away_is_waited_for(emulator: Emulator) -> None:
    nobody = AwsAccess(NOBODY, emulator.region, "test", "test")
    with contextlib.closing(client(nobody, "sqs")) as away, pytest.raises(TargetDown):
        SqsQueue(away, "letters").send([Letter("{}", {"id": "1"})])
