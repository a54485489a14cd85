"""A LocalStack that remembers what tests make in it: it may be somebody's own, and slows down as it fills."""

import contextlib
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

from tests.fakes.emulator import Endpoint, Service

_MADE: Final[dict[Service, tuple[str, str]]] = {
    "dynamodb": ("CreateTable", "TableName"),
    "kinesis": ("CreateStream", "StreamName"),
    "s3": ("CreateBucket", "Bucket"),
    "sqs": ("CreateQueue", "QueueName"),
}
"""By service: the operation that makes something, and where its name stands."""


class Made(NamedTuple):
    """Something that a test made, or was about to make."""

    service: Service
    name: str


class LocalStack(Endpoint):
    """One that runs. Tests share it: name what you make with `isthmus.chance.unique_name`."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.made: list[Made] = []

    def client(self, service: Service) -> Any:
        """Give the session's boto3 client of a service; what is made through it is remembered."""
        known = service in self._clients
        client = super().client(service)
        if not known:
            operation, name = _MADE[service]

            def note(params: dict[str, Any], **_: object) -> None:
                made = Made(service, params[name])
                # What is there already is made again by tests of just that, and stays whoever's it was.
                if made not in self.made:
                    self.made.append(made)

            client.meta.events.register(f"provide-client-params.{service}.{operation}", note)
        return client

    def named_like(self, fragment: str) -> list[Made]:
        """Give everything that has this in its name, whoever made it."""
        tables = self.client("dynamodb").get_paginator("list_tables").paginate().search("TableNames[]")
        streams = self.client("kinesis").get_paginator("list_streams").paginate().search("StreamNames[]")
        buckets = [bucket["Name"] for bucket in self.client("s3").list_buckets()["Buckets"]]
        queues = [url.rpartition("/")[2] for url in self.client("sqs").list_queues().get("QueueUrls", [])]
        found: list[tuple[Service, Any]] = [
            ("dynamodb", tables),
            ("kinesis", streams),
            ("s3", buckets),
            ("sqs", queues),
        ]
        return [Made(service, name) for service, names in found for name in names if fragment in name]

    def remove(self, made: Made) -> None:
        """Remove something, if it is there."""
        client = self.client(made.service)
        with contextlib.suppress(ClientError):
            match made.service:
                case "dynamodb":
                    client.delete_table(TableName=made.name)
                case "kinesis":
                    client.delete_stream(StreamName=made.name, EnforceConsumerDeletion=True)
                case "s3":
                    for page in client.get_paginator("list_objects_v2").paginate(Bucket=made.name):
                        for each in page.get("Contents", []):
                            client.delete_object(Bucket=made.name, Key=each["Key"])
                    client.delete_bucket(Bucket=made.name)
                case "sqs":
                    client.delete_queue(QueueUrl=client.get_queue_url(QueueName=made.name)["QueueUrl"])
