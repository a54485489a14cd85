"""The one home of boto3: how clients are made, what a stream is really like, and how resources are made."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload
from urllib.parse import urlsplit

from isthmus.addresses import endpoint_objection, is_loopback
from isthmus.aws_errors import classify, error_code
from isthmus.errors import Fatal, Missing, Refused, Transient
from isthmus.lifecycle import Stop, Stopped
from isthmus.stream import StreamFacts, StreamIdentity

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import CreateTableInputTypeDef, KeySchemaElementTypeDef
    from types_boto3_kinesis import KinesisClient
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

__all__ = [
    "AwsAccess",
    "classify",
    "client",
    "describe_stream",
    "describe_table",
    "ensure_bucket",
    "ensure_queue",
    "ensure_retention",
    "ensure_stream",
    "ensure_table",
    "error_code",
]

Service = Literal["kinesis", "dynamodb", "sqs", "s3"]

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
"""Kinesis and DynamoDB answer in milliseconds; an answer that takes 10 s is lost."""
SLOWER: dict[Service, float] = {"kinesis": 1.0, "dynamodb": 1.0, "sqs": 3.0, "s3": 3.0}
"""How many times as long a service may take: S3 moves megabytes, and SQS may wait 20 s for a message."""
LOOKING_CONNECT_SECONDS = 2.0
LOOKING_READ_SECONDS = 3.0
"""For commands that only look: a person waits, and an AWS that says nothing is an answer too."""
CONNECTIONS = 32
"""One for each request in flight and for each shard that is read; boto3's own 10 would make them queue."""
DEFAULT_RECORD_BYTES = 1024 * 1024
"""Kinesis, "Quotas and limits": 1 MiB unless the stream allows more."""
RETENTION_HOURS = 24
_POLL_SECONDS = 0.5
_POLLS = 600

_KEY_TYPES: tuple[Literal["HASH", "RANGE"], ...] = ("HASH", "RANGE")

_making = threading.Lock()


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """Where AWS is and who we are there. What is None comes from boto3's own chain of environment and profiles."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    patience: float | None = None
    """Seconds that an answer may take, for who only looks; None: what the service may need."""
    answer: float = ANSWER_SECONDS
    """Seconds that Kinesis and DynamoDB may take for an answer; the other services three times as long."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """By service, where it is not at `endpoint_url`."""

    def endpoint(self, service: str) -> str | None:
        """Give where a service is; None: at AWS."""
        return self.endpoints.get(service, self.endpoint_url)


class TableIndex(NamedTuple):
    """A global secondary index of a table that holds its own keys, all texts, and the table's, and nothing else."""

    name: str
    keys: tuple[str, ...]
    """Its partition key and, if it has one, its sort key."""


@overload
def client(access: AwsAccess, service: Literal["kinesis"]) -> "KinesisClient": ...
@overload
def client(access: AwsAccess, service: Literal["dynamodb"]) -> "DynamoDBClient": ...
@overload
def client(access: AwsAccess, service: Literal["sqs"]) -> "SQSClient": ...
@overload
def client(access: AwsAccess, service: Literal["s3"]) -> "S3Client": ...
def client(access: AwsAccess, service: Service) -> Any:
    """Make a client that tries each request once, with time limits. It may be used by many threads at once.

    Raises `Refused` for a plain `http://` endpoint elsewhere than on this machine, and `Fatal` where no region
    or profile is found.
    """
    on_this_machine, endpoint = False, access.endpoint(service)
    if endpoint is not None:
        if objection := endpoint_objection(endpoint):
            raise Refused(f"The AWS endpoint {objection}.", hint="Correct endpoint_url in [aws].")
        on_this_machine = is_loopback(urlsplit(endpoint).hostname or "")
    # Imported here: a process that never speaks to AWS does not pay 40 MB for it.
    from botocore.config import Config  # noqa: PLC0415 - see above

    config = Config(
        connect_timeout=CONNECT_SECONDS if access.patience is None else min(LOOKING_CONNECT_SECONDS, access.patience),
        read_timeout=access.answer * SLOWER[service] if access.patience is None else access.patience,
        # Our coordinators retry. A hidden second attempt would send a bundle twice and blur who waits for what.
        retries={"total_max_attempts": 1, "mode": "standard"},
        tcp_keepalive=True,
        max_pool_connections=CONNECTIONS,
        # 500 entries a call are checked by the publisher already; the other services carry users' names.
        parameter_validation=service != "kinesis",
        # A proxy of the environment must not stand between us and our own machine.
        proxies={} if on_this_machine else None,
        s3={"addressing_style": "path"} if on_this_machine else None,
    )
    try:
        with _making:  # making clients from one session is not safe in threads; using them is
            return _session().client(
                service,
                region_name=access.region,
                endpoint_url=endpoint,
                aws_access_key_id=access.access_key_id,
                aws_secret_access_key=access.secret,
                config=config,
            )
    except Exception as error:
        raise classify(error) from error


@cache
def _session() -> Any:
    import boto3  # noqa: PLC0415 - imported where it is paid for, see `client`

    return boto3.session.Session()


def describe_stream(kinesis: "KinesisClient", name: str) -> StreamFacts:
    """Ask what the stream is like (DescribeStreamSummary: 20 calls a second and account).

    Raises `Missing`, `Transient`, `TargetDown` or `Fatal`.
    """
    try:
        answer = kinesis.describe_stream_summary(StreamName=name)
    except Exception as error:
        raise classify(error) from error
    # Read as a plain mapping: an older botocore or an emulator may not know the newer members.
    summary: dict[str, Any] = dict(answer["StreamDescriptionSummary"])
    created: datetime = summary["StreamCreationTimestamp"]
    return StreamFacts(
        name=name,
        identity=StreamIdentity(arn=str(summary["StreamARN"]), created=f"{created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"),
        status=str(summary["StreamStatus"]),
        open_shards=int(summary.get("OpenShardCount", 0)),
        retention_hours=int(summary.get("RetentionPeriodHours", RETENTION_HOURS)),
        max_record_bytes=int(summary.get("MaxRecordSizeInKiB") or DEFAULT_RECORD_BYTES // 1024) * 1024,
        keeps_partition_keys=summary.get("RecordDistributionStrategy") != "AUTO",
    )


def ensure_stream(kinesis: "KinesisClient", name: str, shards: int, *, stop: Stop) -> bool:
    """Make the provisioned stream where it is not there, and wait until it can be written. True: it was made now.

    A stream that is there keeps its shards. Raises `Stopped`, and `Fatal` when it is not active after 5 minutes.
    """
    made = _make(
        lambda: kinesis.create_stream(
            StreamName=name, ShardCount=shards, StreamModeDetails={"StreamMode": "PROVISIONED"}
        ),
        there="ResourceInUseException",
    )
    _wait_until(lambda: _is_active(kinesis, name), f"The stream {name} did not become active.", stop)
    return made


def ensure_retention(kinesis: "KinesisClient", name: str, hours: int, *, stop: Stop) -> bool:
    """Raise the stream's retention to so many hours. True: it was raised now.

    Never lowers it: that would delete records.
    """
    if describe_stream(kinesis, name).retention_hours >= hours:
        return False
    try:
        kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=hours)
    except Exception as error:
        raise classify(error) from error
    _wait_until(lambda: _is_active(kinesis, name), f"The stream {name} did not become active.", stop)
    return True


def ensure_queue(sqs: "SQSClient", name: str) -> bool:
    """Make the queue where it is not there, with the longest retention (14 days). True: it was made now."""
    if _is_there(lambda: sqs.get_queue_url(QueueName=name)):
        return False
    return _make(
        lambda: sqs.create_queue(QueueName=name, Attributes={"MessageRetentionPeriod": str(14 * 24 * 3600)}),
        there="QueueAlreadyExists",
    )


def ensure_bucket(s3: "S3Client", name: str) -> bool:
    """Make the bucket where it is not there, closed to the public. True: it was made now."""
    if _is_there(lambda: s3.head_bucket(Bucket=name)):
        return False
    region = s3.meta.region_name
    # us-east-1 is the one region that must not be named (S3 API, CreateBucket, LocationConstraint).
    place: Any = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    return _make(lambda: s3.create_bucket(Bucket=name, **place), there="BucketAlreadyOwnedByYou")


def ensure_table(
    dynamodb: "DynamoDBClient",
    name: str,
    keys: tuple[str, ...],
    hint: str,
    *,
    stop: Stop,
    index: TableIndex | None = None,
) -> bool:
    """Make a table with text keys, paid by request, where it is not there, and wait until it can be used.

    `keys` are the names of its partition key and, if it has one, its sort key; `index` is made with the table, and
    never for one that is there. True: it was made now. Raises `Refused`, with the hint, where another table has the
    name, `Stopped`, and `Fatal` when it is not active after 5 minutes.
    """
    attributes = dict.fromkeys((*keys, *(index.keys if index is not None else ())))
    asked: CreateTableInputTypeDef = {
        "TableName": name,
        "KeySchema": _key_schema(keys),
        "AttributeDefinitions": [{"AttributeName": attribute, "AttributeType": "S"} for attribute in attributes],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if index is not None:
        asked["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index.name,
                "KeySchema": _key_schema(index.keys),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ]
    made = _make(lambda: dynamodb.create_table(**asked), there="ResourceInUseException")

    def is_active() -> bool:
        try:
            return describe_table(dynamodb, name, keys, hint) == "ACTIVE"
        except Missing:  # just made, and not seen everywhere yet
            return False

    _wait_until(is_active, f"The table {name} did not become active.", stop)
    return made


def describe_table(dynamodb: "DynamoDBClient", name: str, keys: tuple[str, ...], hint: str) -> str:
    """Give a table's status, e.g. `ACTIVE` (DynamoDB API, TableStatus).

    Raises `Missing` where it is not there, `Refused`, with the hint, where it is a table of somebody else: one with
    other keys.
    """
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except Exception as error:
        raise classify(error) from error
    found = {part["AttributeName"]: part["KeyType"] for part in table.get("KeySchema", [])}
    if found != dict(zip(keys, _KEY_TYPES, strict=False)):
        raise Refused(
            f"The table {name} is another one: its keys are {', '.join(found)}.",
            hint=hint,
        )
    return table["TableStatus"]


def _key_schema(keys: tuple[str, ...]) -> "list[KeySchemaElementTypeDef]":
    return [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, _KEY_TYPES, strict=False)]


def _is_there(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except Exception as error:
        wrong = classify(error)
        if isinstance(wrong, Missing):
            return False
        raise wrong from error
    return True


def _make(create: Callable[[], object], *, there: str) -> bool:
    try:
        create()
    except Exception as error:
        if error_code(error) == there:
            return False
        raise classify(error) from error
    return True


def _is_active(kinesis: "KinesisClient", name: str) -> bool:
    try:
        return describe_stream(kinesis, name).status == "ACTIVE"
    except (Missing, Transient):  # just made, and not seen everywhere yet; or asked too often
        return False


def _wait_until(ready: Callable[[], bool], otherwise: str, stop: Stop) -> None:
    for _ in range(_POLLS):
        if ready():
            return
        if stop.wait(_POLL_SECONDS):
            raise Stopped
    raise Fatal(otherwise, hint="Look at it in the AWS console, then run `isthmus setup` again.")
