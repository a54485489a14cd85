"""The dead-letter queue, and what else `isthmus setup` makes, on LocalStack."""

from isthmus.aws import ensure_queue
from isthmus.chance import unique_name
from tests.integration import test_aws_resources
from tests.localstack.server import LocalStack
from tests.localstack.suites.reuse import everything_of

globals().update(everything_of(test_aws_resources))

LARGEST = 256 * 1024
"""Bytes of a message that every release of SQS takes."""


def test_a_message_as_large_as_any_sqs_takes_is_kept_until_it_is_deleted(emulator: LocalStack) -> None:
    sqs, name = emulator.client("sqs"), f"queue-{unique_name()}"
    ensure_queue(sqs, name)
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    body = "é\n" * (LARGEST // 3)
    sqs.send_message(QueueUrl=url, MessageBody=body)

    def received() -> dict[str, str]:
        (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=10)["Messages"]
        return dict(message)

    assert received()["Body"] == body
    again = received()
    assert again["Body"] == body
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
