"""Front-office stores whose drivers are loaded only where they are used: most processes need one of them, or none."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from isthmus import aws
from isthmus.checkpoint.tries import Tries
from isthmus.clock import Clock
from isthmus.consumer.braking import Braking
from isthmus.consumer.deadletters.redriving import LetterDecider
from isthmus.consumer.gates import Gatekeeper
from isthmus.consumer.lending import Lending
from isthmus.consumer.redrive import Redriver, Remake
from isthmus.consumer.stores.port import Decider, Entity, Store
from isthmus.consumer.stores.reading import StoreReader
from isthmus.consumer.unheld import Portions, Unheld
from isthmus.errors import Missing
from isthmus.lifecycle import Stop
from isthmus.metrics import Metrics
from isthmus.payloads import Payloads
from isthmus.settings import Settings

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
    from isthmus.consumer.stores.postgres.connection import PostgresAddress

_DAY_MS = 24 * 3600 * 1000


def postgres_store(settings: Settings, entities: Sequence[Entity]) -> Store:
    """Give the store in PostgreSQL. Raises `Missing` where its driver is not installed."""
    with _psycopg():
        from isthmus.consumer.stores.postgres.store import PostgresStore  # noqa: PLC0415 - loads the driver
    return PostgresStore(
        _postgres_address(settings), entities, lanes=settings.stream.lanes, application=settings.application
    )


def postgres_reader(settings: Settings) -> StoreReader:
    """Give the reading side of it. Raises as `postgres_store`."""
    with _psycopg():
        from isthmus.consumer.stores.postgres.reading import PostgresReader  # noqa: PLC0415 - loads the driver
    return PostgresReader(_postgres_address(settings))


def _postgres_address(settings: Settings) -> "PostgresAddress":
    from isthmus.consumer.stores.postgres.connection import PostgresAddress  # noqa: PLC0415 - loads the driver

    section = settings.store.postgres
    return PostgresAddress(
        url=settings.store.url.get_secret_value(),
        schema=section.schema_name,
        statement_timeout=section.statement_timeout,
        lock_timeout=section.lock_timeout,
        connect_timeout=section.connect_timeout,
        verify_tls=settings.store.verifies_tls,
        root_certificate=section.sslrootcert,
    )


@contextmanager
def _psycopg() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        # Not only the package: psycopg without its binary part asks the system for libpq, and says so in this way too.
        if not (error.name or "psycopg").startswith("psycopg"):
            raise
        raise Missing(
            "A front office in PostgreSQL needs psycopg 3, which is not installed here, or finds no libpq.",
            hint="Run: pip install 'isthmus[postgres]'",
        ) from error


def dynamo_store(settings: Settings, entities: Sequence[Entity]) -> Store:
    """Give the store in DynamoDB."""
    from isthmus.consumer.stores.dynamodb.store import DynamoStore  # noqa: PLC0415 - most processes do without it

    return DynamoStore(aws.client(settings.aws.access, "dynamodb"), _dynamo_settings(settings), entities)


def dynamo_reader(settings: Settings, entities: Sequence[Entity]) -> StoreReader:
    """Give the reading side of it."""
    from isthmus.consumer.stores.dynamodb.reading import DynamoReader  # noqa: PLC0415 - most processes do without it

    access = replace(settings.aws.access, patience=aws.LOOKING_READ_SECONDS)
    return DynamoReader(aws.client(access, "dynamodb"), _dynamo_settings(settings), entities)


def dynamo_decider(
    settings: Settings,
    entities: Mapping[str, Entity],
    clock: Clock,
    metrics: Metrics,
    *,
    payloads: Payloads | None,
    stop: Stop | None,
    brake: Braking | None = None,
    gates: Gatekeeper | None = None,
    lending: Lending | None = None,
) -> Decider:
    """Give what decides there."""
    from isthmus.consumer.stores.dynamodb.decider import DynamoDecider  # noqa: PLC0415 - most processes do without it

    return DynamoDecider(
        aws.client(settings.aws.access, "dynamodb"),
        _dynamo_settings(settings),
        entities,
        clock,
        metrics,
        history=settings.store.history,
        payloads=payloads,
        stop=stop,
        brake=brake,
        gates=gates,
        lending=lending,
    )


def dynamo_portions(  # noqa: PLR0917 - as the decider's
    settings: Settings,
    entities: Mapping[str, Entity],
    gates: Gatekeeper | None,
    unheld: Unheld,
    clock: Clock,
    metrics: Metrics,
    payloads: Payloads | None,
    stop: Stop,
    lending: Lending | None,
    brake: Braking | None,
    tries: Tries | None,
) -> Portions:
    """Give what decides there what is held."""
    from isthmus.consumer.stores.dynamodb.draining import DynamoPortions  # noqa: PLC0415 - most do without it

    return DynamoPortions(
        aws.client(settings.aws.access, "dynamodb"),
        _dynamo_settings(settings),
        entities,
        gates,
        unheld,
        clock=clock,
        metrics=metrics,
        history=settings.store.history,
        payloads=payloads,
        lending=lending,
        brake=brake,
        tries=tries,
        stop=stop,
    )


def dynamo_redriver(  # noqa: PLR0917 - as the decider's
    settings: Settings,
    entities: Mapping[str, Entity],
    remake: Remake,
    clock: Clock,
    payloads: Payloads | None,
    stop: Stop,
    gates: Gatekeeper | None,
    lending: Lending | None,
) -> Redriver:
    """Give what changes the parking lot there, by what `gates` say; None: all are open."""
    from isthmus.consumer.stores.dynamodb.redriving import DynamoRedriver  # noqa: PLC0415 - most processes do without it

    return DynamoRedriver(
        aws.client(settings.aws.access, "dynamodb"),
        _dynamo_settings(settings),
        entities,
        remake,
        clock,
        history=settings.store.history,
        payloads=payloads,
        stop=stop,
        gates=gates,
        lending=lending,
    )


def dynamo_letters(  # noqa: PLR0917 - as the decider's
    settings: Settings,
    entities: Mapping[str, Entity],
    remake: Remake,
    clock: Clock,
    payloads: Payloads | None,
    stop: Stop,
    gates: Gatekeeper | None,
    lending: Lending | None,
) -> LetterDecider:
    """Give what decides dead letters there, by what `gates` say; None: all are open."""
    from isthmus.consumer.stores.dynamodb.letters import DynamoLetters  # noqa: PLC0415 - most processes do without it

    return DynamoLetters(
        aws.client(settings.aws.access, "dynamodb"),
        _dynamo_settings(settings),
        entities,
        remake,
        clock,
        history=settings.store.history,
        payloads=payloads,
        stop=stop,
        gates=gates,
        lending=lending,
    )


def _dynamo_settings(settings: Settings) -> "DynamoSettings":
    from isthmus.consumer.stores.dynamodb.settings import DynamoSettings  # noqa: PLC0415 - beside its users

    section = settings.store.dynamodb
    return DynamoSettings(
        table=section.table,
        prefix=section.attribute_prefix,
        adopt=section.adopt,
        tombstones=section.tombstones,
        oversize=section.oversize,
        parallel=section.parallel,
        memory_ms=settings.store.delete_memory_days * _DAY_MS,
        history_ms=settings.store.history_days * _DAY_MS,
    )
