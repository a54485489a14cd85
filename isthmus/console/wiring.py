"""What every composition root needs: settings become clients, checkpoints, entities and a stream that is ours."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ValidationError

from isthmus import aws
from isthmus.addresses import sqlite_file
from isthmus.attempts import Attempts, AttemptsByPart
from isthmus.aws_payloads import S3Payloads
from isthmus.chance import Chance, system_chance
from isthmus.change import Kind
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.tries import Tries
from isthmus.clock import Clock, SystemClock
from isthmus.codec import json_bytes
from isthmus.console.front_offices import (
    dynamo_decider,
    dynamo_reader,
    dynamo_redriver,
    dynamo_store,
    postgres_reader,
    postgres_store,
)
from isthmus.consumer.applier import Applier
from isthmus.consumer.braking import Braking
from isthmus.consumer.gates import Gatekeeper
from isthmus.consumer.lending import Deadline, Lending
from isthmus.consumer.limits import Limiting
from isthmus.consumer.redrive import Redriver, Remake, TransactionalRedriver
from isthmus.consumer.stores.lot import LotReader
from isthmus.consumer.stores.port import Decider, Entity, QuickSession, Store, TableMapping, TransactionalStore
from isthmus.consumer.stores.reading import StoreReader
from isthmus.contracts import field_bounds, field_types
from isthmus.errors import Missing, Poison, Refused, TargetDown
from isthmus.lifecycle import Stop, ThreadStop
from isthmus.metrics import Metrics
from isthmus.payloads import Payloads
from isthmus.pipeline import Pipeline
from isthmus.retry import Backoff
from isthmus.settings import Entity as EntitySection
from isthmus.settings import Settings, StoreKind, load_pipelines
from isthmus.stream import StreamFacts

T = TypeVar("T")
_SETUP = "Run `isthmus setup`."


@dataclass(frozen=True)
class Wiring:
    """One process's parts, by the settings."""

    settings: Settings
    stop: ThreadStop = field(default_factory=ThreadStop)
    clock: Clock = field(default_factory=SystemClock)
    chance: Chance = field(default_factory=system_chance)
    metrics: Metrics = field(default_factory=Metrics)
    patient: bool = True
    """False for commands that look and tell: what is away is an answer there, and not waited for."""
    _asking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def access(self) -> aws.AwsAccess:
        """Where AWS is, and how long an answer may take."""
        access = self.settings.aws.access
        return access if self.patient else replace(access, patience=aws.LOOKING_READ_SECONDS)

    @cached_property
    def attempts(self) -> AttemptsByPart:
        """What says, once for the whole process, that a part is away, and once that it is back."""
        return AttemptsByPart(self.metrics, self.clock)

    def patiently(self, watch: Attempts, action: Callable[[], T]) -> T:
        """Run the action until it goes."""
        if not self.patient:
            return action()
        return watch.until_done(action, stop=self.stop, chance=self.chance, backoff=Backoff())

    def checkpoints(self) -> DynamoCheckpoints:
        """Connect to what is remembered between lives."""
        client = aws.client(self.access, "dynamodb")
        return DynamoCheckpoints(client, self.settings.checkpoint.table, self.clock)

    def payloads(self) -> Payloads | None:
        """Connect to the claim-check bucket, where there is one."""
        bucket = self.settings.claim_check.bucket
        return S3Payloads(aws.client(self.access, "s3"), bucket) if bucket is not None else None

    def stream(self, checkpoints: DynamoCheckpoints, watch: Attempts | None = None) -> StreamFacts:
        """Ask what the stream is like, and refuse one that is not the stream that was set up.

        From any task, one after the other: what the first one waits for, the next one need not speak of. `watch` is
        passed by who may have found the stream away already, and said so.
        """
        with self._asking:
            return self._stream(checkpoints, watch or self.attempts.watch("kinesis"))

    def _stream(self, checkpoints: DynamoCheckpoints, watch: Attempts) -> StreamFacts:
        kinesis = aws.client(self.access, "kinesis")
        name = self.settings.stream.name
        facts = self.patiently(watch, lambda: aws.describe_stream(kinesis, name))
        if not facts.keeps_partition_keys:
            raise Refused(
                f"The stream {name} has RecordDistributionStrategy AUTO: it may ignore partition keys, and so order.",
                hint="Set it to PARTITION_KEY, or use another stream.",
            )
        recorded = self.patiently(self.attempts.watch("checkpoints"), checkpoints.stream.read)
        if recorded is None:
            raise Missing(f"Nothing is recorded about the stream {name} yet.", hint=_SETUP)
        if recorded.identity != facts.identity:
            raise Refused(
                f"The stream {name} was made anew at {facts.identity.created}; watermarks and checkpoints belong to "
                f"the one made at {recorded.identity.created}.",
                hint="Run `isthmus setup --new-stream`: it forgets them, and everything is detected and decided again.",
            )
        if recorded.lanes != self.settings.stream.lanes:
            raise Refused(
                f"stream.lanes is {self.settings.stream.lanes}, but {name} was set up with {recorded.lanes}: "
                "another number would move entities between shards and turn their order.",
                hint=f"Set lanes = {recorded.lanes} under [stream].",
            )
        return facts

    def check_front_office(self, store: Store, entities: list[Entity]) -> None:
        """Compare the user's tables with the settings.

        Raises `Missing` or `Refused`, naming the statement that mends it, and `TargetDown` when it is away.
        """
        if self.settings.store.kind is StoreKind.SQLITE:
            folder = store_path(self.settings).parent
            if not folder.is_dir():
                # A disk that is not mounted. A file that is missing in its folder is another matter: not made yet.
                raise TargetDown(f"The front office's folder {folder} is not there.", cause="no-folder")
        store.check(entities)

    def check_memory(self, facts: StreamFacts) -> None:
        """See that what decides is remembered for as long as the stream, as it really is, may give it again.

        Raises `Refused`: the stream may keep records for longer than the settings say.
        """
        needed = self.settings.store.memory_days_for(facts.retention_hours)
        if self.settings.store.delete_memory_days < needed:
            raise Refused(
                f"The stream {self.settings.stream.name} keeps records for {facts.retention_hours} h: with the longest "
                f"pause and parking, a change may come again after {needed} days, when store.delete_memory_days, "
                f"{self.settings.store.delete_memory_days}, has forgotten it.",
                hint=f"Set delete_memory_days = {needed} under [store].",
            )

    def pipelines(self) -> dict[str, Pipeline]:
        """Find the user's own code."""
        return load_pipelines(self.settings)


def source_attribute(application: str, source: str) -> str:
    """Give the CloudEvents `source` of a source's changes."""
    return f"/{application}/{source}"


def entities_of(settings: Settings, pipelines: Mapping[str, Pipeline]) -> list[Entity]:
    """Join what the settings say of an entity type with what its pipeline says."""
    return [_entity(settings, pipeline) for pipeline in pipelines.values()]


def _entity(settings: Settings, pipeline: Pipeline) -> Entity:
    section = settings.entities[pipeline.entity]
    return Entity(
        name=pipeline.entity,
        kind=Kind(pipeline.kind),
        mapping=_mapping(section, pipeline),
        validate=contract_check(pipeline.contract),
        handlers=tuple(pipeline.handlers),
        process=section.process or pipeline.entity,
        # What a row function gives is its own affair.
        types=field_types(pipeline.contract) if pipeline.row is None else {},
        bounds=field_bounds(pipeline.contract) if pipeline.row is None else {},
    )


def _mapping(section: EntitySection, pipeline: Pipeline) -> TableMapping | None:
    if section.table is None:
        return None
    row = pipeline.row
    if row is not None:
        columns = {column: column for column in row.columns}
    else:
        columns = {name: section.columns.get(name, name) for name in pipeline.contract.model_fields}
    return TableMapping(
        table=section.table,
        key_column=section.key_column,
        version_column=section.version_column,
        columns=columns,
        key_columns=section.key_columns,
        values=row.row if row is not None else None,
        schema=section.schema_name,
    )


def contract_check(contract: type[BaseModel]) -> Callable[[object], None]:
    """Give a function that raises `Poison` for data that does not keep the contract. Its message holds no value."""
    validate = contract.__pydantic_validator__.validate_json

    def check(data: object) -> None:
        try:
            validate(json_bytes(data))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Poison("contract", f"{where}: {first['type']}") from error

    return check


def store_of(settings: Settings, entities: Sequence[Entity]) -> Store:
    """Give the front-office store. Connects to nothing yet.

    Raises `Missing` where the driver is not installed.
    """
    match settings.store.kind:
        case StoreKind.SQLITE:
            from isthmus.consumer.stores.sqlite.store import SqliteStore  # noqa: PLC0415 - loads SQLite

            return SqliteStore(store_path(settings), entities, application=settings.application)
        case StoreKind.POSTGRESQL:
            return postgres_store(settings, entities)
        case StoreKind.DYNAMODB:
            return dynamo_store(settings, entities)


def decider_of(
    settings: Settings,
    store: Store,
    entities: Mapping[str, Entity],
    clock: Clock,
    metrics: Metrics,
    *,
    payloads: Payloads | None = None,
    stop: Stop | None = None,
    gates: Gatekeeper | None = None,
    brake: Braking | None = None,
    tries: Tries | None = None,
) -> Decider:
    """Give what decides one shard's batches in the front office, by what `gates` say; None: all are open.

    `brake` is told before anything is parked. With `tries` errors that may come only so often at a change are counted.
    Where each change is a transaction of its own, `payloads` takes what is too large for the store, and `stop` ends
    the waits between two attempts.
    """
    if isinstance(store, TransactionalStore):
        session = store.session()
        quick = session if isinstance(session, QuickSession) else None
        history = settings.store.history
        decider: Decider = Applier(
            session,
            entities,
            clock,
            metrics,
            history=history,
            quick=quick,
            gates=gates,
            brake=brake,
            lending=lending_of(settings, clock),
        )
    else:
        decider = dynamo_decider(
            settings,
            entities,
            clock,
            metrics,
            payloads=payloads,
            stop=stop,
            brake=brake,
            gates=gates,
            lending=lending_of(settings, clock),
        )
    return Limiting(decider, tries) if tries is not None else decider


def lending_of(settings: Settings, clock: Clock) -> Lending | None:
    """Give what lends a handler its transaction for a while, for one decider alone; None: for as long as it likes."""
    seconds = settings.consumer.handler_deadline
    return Deadline(seconds, clock, attempts=settings.consumer.handler_attempts or None) if seconds else None


def redriver_of(wiring: Wiring, store: Store, entities: Mapping[str, Entity], remake: Remake) -> Redriver:
    """Give what changes the parking lot. Raises as the store's `session`."""
    from isthmus.console.gating import asked_gates_of  # noqa: PLC0415 - it needs this module

    settings = wiring.settings
    gates, lending = asked_gates_of(wiring, store), lending_of(settings, wiring.clock)
    if isinstance(store, TransactionalStore):
        return TransactionalRedriver(
            store.session(),
            entities,
            remake,
            wiring.clock,
            history=settings.store.history,
            gates=gates,
            lending=lending,
        )
    return dynamo_redriver(settings, entities, remake, wiring.clock, wiring.payloads(), wiring.stop, gates, lending)


@runtime_checkable
class Lot(StoreReader, LotReader, Protocol):
    """A front office for looking only, its parking lot too."""


def lot_of(settings: Settings) -> Lot:
    """Give the front office's parking lot for looking only. Raises as `reader_of`."""
    # What is parked is told without versions, and so without the user's own code.
    reader = reader_of(settings, [])
    if not isinstance(reader, Lot):
        raise TypeError(f"{type(reader).__name__} does not look into the parking lot")
    return reader


def store_path(settings: Settings) -> Path:
    """Give the file of a SQLite front office."""
    return Path(sqlite_file(settings.store.url.get_secret_value()))


def reader_of(settings: Settings, entities: Sequence[Entity] | None = None) -> StoreReader:
    """Give the front office for looking only. Raises as `store_of`.

    In DynamoDB versions lie on the entities' own items: without `entities` they are asked of the user's own code there,
    and with none of them nothing is told of versions.
    """
    match settings.store.kind:
        case StoreKind.SQLITE:
            from isthmus.consumer.stores.sqlite.reading import SqliteReader  # noqa: PLC0415 - loads SQLite

            return SqliteReader(store_path(settings))
        case StoreKind.POSTGRESQL:
            return postgres_reader(settings)
        case StoreKind.DYNAMODB:
            return dynamo_reader(
                settings, entities_of(settings, load_pipelines(settings)) if entities is None else entities
            )
