"""The queue in SQS: for whoever sends letters, and for whoever reads them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from isthmus.aws import classify
from isthmus.consumer.deadletters.port import MOST_LETTERS, Letter, Message

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef

_WAIT_SECONDS = 1
"""Any wait at all lets SQS ask all of its servers; without one it asks some, and says nothing of what others hold
(SQS, "Amazon SQS short and long polling"). A command that only looks waits 3 s for an answer, and no longer."""


class _Named:
    """A queue by its name, in the account of the credentials."""

    def __init__(self, sqs: "SQSClient", name: str) -> None:
        self._sqs = sqs
        self._name = name
        self._found: str | None = None

    @contextmanager
    def _asked(self) -> Iterator[str]:
        """Give the queue's address. Raises our error for the client's."""
        try:
            if self._found is None:
                self._found = self._sqs.get_queue_url(QueueName=self._name)["QueueUrl"]
            yield self._found
        except Exception as error:
            # It may be a queue made anew, at another address.
            self._found = None
            raise classify(error) from error


class SqsQueue(_Named):
    """`isthmus.consumer.deadletters.port.Queue`."""

    def send(self, letters: Sequence[Letter]) -> list[bool]:
        """Send the letters in one request (SQS API, SendMessageBatch): some may be taken and others not."""
        with self._asked() as url:
            answer = self._sqs.send_message_batch(
                QueueUrl=url,
                Entries=[
                    {
                        "Id": str(place),
                        "MessageBody": letter.body,
                        "MessageAttributes": {
                            name: {"DataType": "String", "StringValue": value}
                            for name, value in letter.attributes.items()
                        },
                    }
                    for place, letter in enumerate(letters)
                ],
            )
        taken = {entry["Id"] for entry in answer.get("Successful", [])}
        return [str(place) in taken for place in range(len(letters))]


class SqsMailbox(_Named):
    """`isthmus.consumer.deadletters.port.Mailbox`."""

    def receive(self, most: int, hold: int) -> list[Message]:
        """Give some messages."""
        with self._asked() as url:
            answer = self._sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(most, MOST_LETTERS),
                VisibilityTimeout=hold,
                WaitTimeSeconds=_WAIT_SECONDS,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            )
        return [_message(found) for found in answer.get("Messages", [])]

    def delete(self, message: Message) -> None:
        """Forget a message."""
        with self._asked() as url:
            self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message.handle)

    def release(self, messages: Sequence[Message]) -> None:
        """Let others get them at once. What is not held any more is refused, one by one, and is as it shall be."""
        for begin in range(0, len(messages), MOST_LETTERS):
            portion = messages[begin : begin + MOST_LETTERS]
            with self._asked() as url:
                self._sqs.change_message_visibility_batch(
                    QueueUrl=url,
                    Entries=[
                        {"Id": str(place), "ReceiptHandle": message.handle, "VisibilityTimeout": 0}
                        for place, message in enumerate(portion)
                    ],
                )

    def size(self) -> int:
        """Give about how many messages lie there."""
        with self._asked() as url:
            answer = self._sqs.get_queue_attributes(
                QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            )
        return sum(int(number) for number in answer.get("Attributes", {}).values())


def _message(found: "MessageTypeDef") -> Message:
    told = found.get("Attributes", {})
    return Message(
        identity=found["MessageId"],
        handle=found["ReceiptHandle"],
        body=found.get("Body", ""),
        attributes={
            name: value["StringValue"]
            for name, value in found.get("MessageAttributes", {}).items()
            if "StringValue" in value
        },
        sent_ms=int(told.get("SentTimestamp", 0)),
        receipts=int(told.get("ApproximateReceiveCount", 1)),
    )
