"""What stands in `isthmus.toml`: one frozen model per section. `docs/isthmus.example.toml` explains each key.

Durations are seconds where the name says nothing else.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, SecretStr, model_validator

from isthmus.aws import ANSWER_SECONDS, AwsAccess
from isthmus.change import LANES_PER_SHARD, MAX_LANES
from isthmus.settings.declared import Declared
from isthmus.settings.errors import ErrorType
from isthmus.settings.gates import Gate, is_watched
from isthmus.settings.section import Section
from isthmus.settings.stores import Store
from isthmus.settings.values import (
    AwsName,
    BucketName,
    Columns,
    DatabaseUrl,
    Endpoint,
    Host,
    Identifier,
    Name,
    ObjectName,
    Order,
    QueueName,
    Region,
    Runtime,
    Secret,
    Start,
    Text,
    Word,
    between,
    is_name,
)

KIB = 1024
MIB = 1024 * KIB


class Endpoints(Section):
    """`[aws.endpoints]`: where single services are, if not at `endpoint_url`."""

    kinesis: Endpoint | None = None
    dynamodb: Endpoint | None = None
    sqs: Endpoint | None = None
    s3: Endpoint | None = None


class Aws(Section):
    """`[aws]`: where AWS is and who we are there. What is not given comes from AWS's own chain."""

    endpoint_url: Endpoint | None = None
    endpoints: Endpoints = Field(default_factory=Endpoints)
    region: Region | None = None
    access_key_id: Text | None = None
    secret_access_key: Secret | None = None
    # A lease is lost after 5 s without a beat, and a request may be tried again within a minute: more than that helps
    # nobody. Below a second, what is only slow would be sent twice.
    answer_timeout: Annotated[float, between(1, 60, "seconds")] = ANSWER_SECONDS

    @property
    def access(self) -> AwsAccess:
        """What `isthmus.aws.client` takes."""
        secret = self.secret_access_key
        return AwsAccess(
            endpoint_url=self.endpoint_url,
            region=self.region,
            access_key_id=self.access_key_id,
            secret=secret.get_secret_value() if secret else None,
            answer=self.answer_timeout,
            endpoints=self.endpoints.model_dump(exclude_none=True),
        )


class Stream(Section):
    """`[stream]`: the Kinesis stream between the two halves."""

    name: AwsName
    shards: Annotated[int, between(1, MAX_LANES)] = 1
    lanes: Annotated[int, between(1, MAX_LANES)] = Field(
        default_factory=lambda data: min(MAX_LANES, LANES_PER_SHARD * data["shards"])
    )
    # 8,760 h = 365 days: Kinesis, "Quotas and limits"
    retention_hours: Annotated[int, between(24, 8760, "hours")] = 24


class Checkpoint(Section):
    """`[checkpoint]`: the DynamoDB table with what is remembered between lives."""

    table: AwsName


class DeadLetters(Section):
    """`[dead_letters]`: the SQS queue with a copy of every poison change."""

    queue: QueueName


class ClaimCheck(Section):
    """`[claim_check]`: the S3 bucket for payloads too large for a record. Without a bucket it is off."""

    bucket: BucketName | None = None
    threshold_bytes: Annotated[int, between(KIB, 10 * MIB, "bytes")] = 192 * KIB


class ReferenceTable(Section):
    """`[sources.NAME.references.NAME]`: a table of the back office that the translator looks things up in."""

    table: Identifier
    key: Columns
    schema_name: Identifier | None = Field(default=None, alias="schema")
    reload_interval: Annotated[float, between(1, 86400, "seconds")] = 300.0
    url: DatabaseUrl | None = None
    """None: the source's."""


class Ownership(Section):
    """`[sources.NAME.ownership]`: what a producer does when another one holds the source."""

    wait: bool = True
    # The holder raises its counter every second: less than three beats would take a slow one for a dead one.
    take_over_after: Annotated[float, between(3, 300, "seconds")] = 5.0


class Source(Section):
    """`[sources.NAME]`: one table of the back office, read by its cursor."""

    pipeline: ObjectName
    url: DatabaseUrl
    table: Identifier
    key: Columns
    cursor: Identifier
    order: Order
    schema_name: Identifier | None = Field(default=None, alias="schema")
    columns: Columns | None = None
    time_column: Identifier | None = None
    start: Start = "beginning"
    poll_interval: Annotated[float, between(0.05, 86400, "seconds")] = 1.0
    page_size: Annotated[int, between(1, 10_000, "rows")] = 1000
    queries_per_minute: Annotated[int, between(1, 60_000)] = 600
    query_timeout: Annotated[float, between(0.1, 3600, "seconds")] = 30.0
    references: dict[Name, ReferenceTable] = Field(default_factory=dict)
    ownership: Ownership = Field(default_factory=Ownership)

    def reference_url(self, name: str) -> SecretStr:
        """Give the database address of a reference table: its own, or else the source's."""
        return self.references[name].url or self.url


class Entity(Section):
    """`[entities.NAME]`: where an entity type lies in the front-office store."""

    table: Identifier | None = None
    """None: nowhere (kind `event` with handlers only)."""
    schema_name: Identifier | None = Field(default=None, alias="schema")
    key_column: Identifier = "key"
    key_columns: dict[Identifier, str] = Field(default_factory=dict)
    """Template by column, see `isthmus.keytemplates`; in place of `key_column`."""
    version_column: Identifier | None = None
    columns: dict[str, Identifier] = Field(default_factory=dict)
    """Column by contract field, where they differ."""
    process: Name | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns."""
        return tuple(self.key_columns) or (self.key_column,)


class Consumer(Section):
    """`[consumer]`: how shards are read and decided."""

    runtime: Runtime = "local"
    poll_interval: Annotated[float, between(0.01, 60, "seconds")] = 0.2
    # 5 reads a second and shard, 10,000 records a read: Kinesis, "Quotas and limits"
    reads_per_second: Annotated[float, between(0.1, 5)] = 5.0
    max_records: Annotated[int, between(1, 10_000, "records")] = 1000
    batch_changes: Annotated[int, between(1, 10_000, "changes")] = 500
    checkpoint_interval: Annotated[float, between(0.1, 60, "seconds")] = 1.0
    # Half a minute for one change is a hang for a handler that runs a few statements; 0: none.
    handler_deadline: Annotated[float, between(0, 3600, "seconds")] = 30.0
    handler_attempts: Annotated[int, between(0, 1_000_000)] = 0
    """0: for ever."""
    # A bad release parks every change it meets, hundreds a second; 0: none. A day's odd rows come far apart.
    park_brake: Annotated[int, between(0, 1_000_000, "keys")] = 1000


class Kcl(Section):
    """`[kcl]`: the Kinesis Client Library, where `consumer.runtime` is `kcl`."""

    table: AwsName
    retrieval: Literal["polling", "fan-out"] = "polling"
    start: Literal["trim-horizon", "latest"] = "trim-horizon"
    # KCL's own default is 10 s (amazon-kinesis-client, LeaseManagementConfig.failoverTimeMillis).
    failover_time: Annotated[float, between(1, 300, "seconds")] = 10.0
    worker: Name | None = None
    java: Text | None = None
    jars: Text | None = None
    heap_mb: Annotated[int, between(64, 16_384, "MB")] = 192


class Publisher(Section):
    """`[publisher]`: how changes are put into the stream."""

    max_bundle_bytes: Annotated[int, between(32 * KIB, 10 * MIB, "bytes")] = 256 * KIB
    max_bundle_changes: Annotated[int, between(1, 10_000, "changes")] = 500
    # Kinesis takes 10 MiB a request, the embedded emulator 5.
    max_request_bytes: Annotated[int, between(64 * KIB, 10 * MIB, "bytes")] = 4 * MIB
    max_unacknowledged_bytes: Annotated[int, between(64 * KIB, 1024 * MIB, "bytes")] = 8 * MIB
    linger_ms: Annotated[int, between(0, 10_000, "milliseconds")] = 20
    requests_in_flight: Annotated[int, between(1, 32)] = 4
    pace_shards: bool = True


class Metrics(Section):
    """`[metrics]`: where `/metrics` and `/healthz` listen."""

    host: Host = "127.0.0.1"
    producer_port: Annotated[int, between(0, 65535)] = 9464
    consumer_port: Annotated[int, between(0, 65535)] = 9465


class Log(Section):
    """`[log]`: how logs are written."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


def named_after_the_application(written: Mapping[str, Any]) -> dict[str, Any]:
    """Give the file as it was read, with the names that nobody chose."""
    application = written.get("application")
    # A wrong name is one mistake, not three: nobody sees what is made from its stand-in.
    name = f"isthmus-{application if is_name(application) else 'unnamed'}"
    named = {
        section: {key: default} | table
        for section, key, default in (
            ("checkpoint", "table", name),
            ("dead_letters", "queue", f"{name}-dead-letters"),
            ("kcl", "table", f"{name}-kcl"),
        )
        if isinstance(table := written.get(section, {}), dict)
    }
    store = written.get("store")
    if isinstance(store, dict) and isinstance(dynamodb := store.get("dynamodb", {}), dict):
        named["store"] = store | {"dynamodb": {"table": f"{name}-store"} | dynamodb}
    return {**written, **named}


class Settings(Section):
    """The whole file. Made by `isthmus.settings.load`."""

    application: Name
    aws: Aws = Field(default_factory=Aws)
    stream: Stream
    checkpoint: Checkpoint
    dead_letters: DeadLetters
    claim_check: ClaimCheck = Field(default_factory=ClaimCheck)
    sources: dict[Name, Source]
    entities: dict[Name, Entity]
    store: Store
    consumer: Consumer = Field(default_factory=Consumer)
    kcl: Kcl
    gate: Gate = Field(default_factory=Gate)
    gates: dict[Name, Declared] = Field(default_factory=dict)
    publisher: Publisher = Field(default_factory=Publisher)
    metrics: Metrics = Field(default_factory=Metrics)
    log: Log = Field(default_factory=Log)
    errors: dict[Word, ErrorType] = Field(default_factory=dict)

    _file: Path = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _name_after_the_application(cls, written: dict[str, Any]) -> dict[str, Any]:
        return named_after_the_application(written)

    def model_post_init(self, context: Any, /) -> None:
        """Remember where the settings were read."""
        self._file = context.file

    @property
    def watches_gates(self) -> bool:
        """Whether consumers look at gates."""
        return is_watched(self.gate, self.gates)

    @property
    def file(self) -> Path:
        """The settings' file."""
        return self._file

    @property
    def folder(self) -> Path:
        """The folder of the settings' file: relative paths start there."""
        return self._file.parent
