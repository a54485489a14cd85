"""The composition root of `isthmus produce`: one producer for each source, until a stop is requested."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from isthmus import aws
from isthmus.attempts import Attempts
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.ownership import source_lease
from isthmus.console.hearts import owning
from isthmus.console.wiring import Wiring, source_attribute
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.errors import IsthmusError, OwnershipLost
from isthmus.lifecycle import Stopped
from isthmus.log import get_logger
from isthmus.payloads import Payloads
from isthmus.pipeline import Pipeline
from isthmus.producer.kinesis import KinesisSink
from isthmus.producer.lanes import Lanes, Limits
from isthmus.producer.publisher import Publisher
from isthmus.producer.service import Producer, ProducerSettings, Watches
from isthmus.producer.sink import OwnedSink
from isthmus.producer.sources.budget import QueryBudget
from isthmus.producer.threads import ThreadExecutor
from isthmus.producer.translator import ReferenceTables, Translator
from isthmus.retry import Backoff
from isthmus.settings import Settings, Source
from isthmus.stream import StreamFacts

if TYPE_CHECKING:
    from isthmus.producer.sources.references import JoinedReferences, NoReferences
    from isthmus.producer.sources.sql import SqlSource

log = get_logger(__name__)


def produce(wiring: Wiring, pipelines: dict[str, Pipeline]) -> None:
    """Run every source's producer until a stop is requested. One that fails stops all; the first error is raised."""
    checkpoints = wiring.checkpoints()
    facts = wiring.stream(checkpoints)
    tasks = [
        ThreadTask(f"source {name}", partial(_produce_source, wiring, checkpoints, facts, name, pipeline))
        for name, pipeline in pipelines.items()
    ]
    errors: list[Exception] = []
    for task in tasks:
        try:
            task.result()
        except Exception as error:  # noqa: BLE001 - raised below, after the others have ended
            errors.append(error)
    for other in errors[1:]:
        log.error("source_failed_too", why=str(other) if isinstance(other, IsthmusError) else type(other).__name__)
    if errors:
        raise errors[0]


class _Watches(NamedTuple):
    """Who says once that something is away: across ownerships, for an outage may end one and pass in the next."""

    lease: Attempts
    kinesis: Attempts
    producer: Watches


def _produce_source(
    wiring: Wiring, checkpoints: DynamoCheckpoints, facts: StreamFacts, name: str, pipeline: Pipeline
) -> None:
    watches = _Watches(
        wiring.attempts.watch("lease", source_lease(name)),
        wiring.attempts.watch("kinesis", name),
        Watches.of(name, wiring.metrics, wiring.clock),
    )
    try:
        while not wiring.stop.requested():
            try:
                _own_source(wiring, checkpoints, facts, name, pipeline, watches)
            except OwnershipLost as error:
                # Another took over, or we could not say for too long that we live. Asking for it again tells which.
                log.warning("source_lost", source=name, why=str(error))
                facts = wiring.stream(checkpoints, watches.kinesis)
    except Stopped:
        return
    except BaseException:
        wiring.stop.request()
        raise


def _own_source(  # noqa: PLR0917 - wiring is where many parts meet
    wiring: Wiring,
    checkpoints: DynamoCheckpoints,
    facts: StreamFacts,
    name: str,
    pipeline: Pipeline,
    watches: _Watches,
) -> None:
    settings = wiring.settings
    section = settings.sources[name]
    attribute = source_attribute(settings.application, name)
    limits = _limits(settings, facts)
    executor = ThreadExecutor(settings.publisher.requests_in_flight, stop=wiring.stop, clock=wiring.clock)
    # One for both: what the back office has to bear for this source is all of it.
    budget = QueryBudget(section.queries_per_minute, wiring.clock)
    source = open_source(section, budget)
    references = open_references(wiring, section, budget)
    try:
        with owning(
            wiring,
            checkpoints,
            source_lease(name),
            facts.identity,
            watches.lease,
            wait=section.ownership.wait,
            take_over_after=section.ownership.take_over_after,
        ) as (lease, heart):
            translator = translator_of(
                wiring,
                name,
                pipeline,
                references,
                generation=lease.generation,
                payloads=wiring.payloads(),
                max_event_bytes=limits.max_event_bytes,
            )
            publisher = Publisher(
                Lanes(settings.stream.lanes, limits, Backoff(), wiring.chance),
                OwnedSink(_sink(settings), lambda: heart.lost),
                executor,
                source=name,
                clock=wiring.clock,
                metrics=wiring.metrics,
                away=watches.kinesis.away,
                max_unacknowledged_bytes=settings.publisher.max_unacknowledged_bytes,
                linger=settings.publisher.linger_ms / 1000,
                requests_in_flight=settings.publisher.requests_in_flight,
            )
            Producer(
                lease,
                source=source,
                translator=translator,
                publisher=publisher,
                leases=checkpoints.leases,
                lost=lambda: heart.lost,
                clock=wiring.clock,
                stop=wiring.stop,
                chance=wiring.chance,
                metrics=wiring.metrics,
                settings=ProducerSettings(
                    source=attribute,
                    name=name,
                    poll_interval=section.poll_interval,
                    page_size=section.page_size,
                ),
                watches=watches.producer,
                position_of=source.position,
            ).run()
    finally:
        executor.close()
        source.close()
        references.close()


def translator_of(
    wiring: Wiring,
    name: str,
    pipeline: Pipeline,
    references: ReferenceTables,
    *,
    generation: int,
    payloads: Payloads | None,
    max_event_bytes: int,
) -> Translator:
    """Give what makes changes of a source's rows, by the settings. Loads nothing yet."""
    settings = wiring.settings
    section = settings.sources[name]
    return Translator(
        pipeline,
        source=source_attribute(settings.application, name),
        name=name,
        key_columns=section.key,
        generation=generation,
        lanes=settings.stream.lanes,
        references=references,
        clock=wiring.clock,
        payloads=payloads,
        claim_threshold=settings.claim_check.threshold_bytes,
        max_event_bytes=max_event_bytes,
        time_column=section.time_column,
        metrics=wiring.metrics,
    )


def open_source(section: Source, budget: QueryBudget | None = None) -> "SqlSource":
    """Open a source's table; connects at the first read. Without a budget it may be read at any pace."""
    from isthmus.producer.sources.sql import SqlSource, SqlTable  # noqa: PLC0415 - loads SQLAlchemy

    columns = section.columns
    if columns is not None and section.time_column is not None:
        columns = (*columns, section.time_column)
    return SqlSource(
        section.url.get_secret_value(),
        SqlTable(section.table, section.cursor, section.key, columns, section.schema_name),
        start=section.start,  # type: ignore[arg-type]  # the settings allow nothing else
        budget=budget,
        timeout=section.query_timeout,
    )


def open_references(
    wiring: Wiring, section: Source, budget: QueryBudget | None = None
) -> "JoinedReferences | NoReferences":
    """Open a source's reference tables; connects at the first load.

    Those of one database that are loaded equally often are loaded together.
    """
    from isthmus.producer.sources.references import (  # noqa: PLC0415 - loads SQLAlchemy
        JoinedReferences,
        NoReferences,
        ReferenceTable,
        SqlReferences,
    )

    if not section.references:
        return NoReferences()
    together: dict[tuple[str, float], dict[str, ReferenceTable]] = {}
    for name, table in section.references.items():
        place = (section.reference_url(name).get_secret_value(), table.reload_interval)
        together.setdefault(place, {})[name] = ReferenceTable(table.table, table.key, table.schema_name)
    return JoinedReferences(
        [
            SqlReferences(
                url,
                tables,
                clock=wiring.clock,
                budget=budget,
                reload_interval=interval,
                timeout=section.query_timeout,
            )
            for (url, interval), tables in together.items()
        ]
    )


def _sink(settings: Settings) -> KinesisSink:
    return KinesisSink(aws.client(settings.aws.access, "kinesis"), settings.stream.name, settings.stream.lanes)


def _limits(settings: Settings, facts: StreamFacts) -> Limits:
    publisher = settings.publisher
    limits = Limits(
        max_request_bytes=publisher.max_request_bytes,
        max_bundle_bytes=publisher.max_bundle_bytes,
        max_bundle_events=publisher.max_bundle_changes,
        max_record_bytes=min(facts.max_record_bytes, publisher.max_request_bytes),
    )
    if not publisher.pace_shards:
        limits = replace(limits, shard_bytes_per_second=None, shard_records_per_second=None)
    return limits
