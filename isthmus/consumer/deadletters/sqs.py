"""The queue in SQS."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.aws import classify
from isthmus.consumer.deadletters.port import Letter

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


class SqsQueue:
    """`isthmus.consumer.deadletters.port.Queue` by its name, in the account of the credentials."""

    def __init__(self, sqs: "SQSClient", name: str) -> None:
        self._sqs = sqs
        self._name = name
        self._found: str | None = None

    def send(self, letters: Sequence[Letter]) -> list[bool]:
        """Send the letters in one request (SQS API, SendMessageBatch): some may be taken and others not."""
        try:
            answer = self._sqs.send_message_batch(
                QueueUrl=self._url(),
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
        except Exception as error:
            # It may be a queue made anew, at another address.
            self._found = None
            raise classify(error) from error
        taken = {entry["Id"] for entry in answer.get("Successful", [])}
        return [str(place) in taken for place in range(len(letters))]

    def _url(self) -> str:
        if self._found is None:
            self._found = self._sqs.get_queue_url(QueueName=self._name)["QueueUrl"]
        return self._found
