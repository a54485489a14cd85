"""The composition roots of the simulation: the same parts, put together as in `isthmus.console`, on virtual time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

from isthmus.attempts import AttemptsByPart
from isthmus.change import Kind
from isthmus.checkpoint.heart import Heart
from isthmus.checkpoint.ownership import acquire, source_lease, worker_lease
from isthmus.checkpoint.ports import Holder, Lease, ShardCheckpoint
from isthmus.checkpoint.resync import raise_generation
from isthmus.checkpoint.tries import TriesInMemory
from isthmus.console.wiring import decider_of
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.consumer.runtimes.local import LocalRuntime
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.target import Target
from isthmus.errors import OwnershipLost
from isthmus.lifecycle import Stopped
from isthmus.log import get_logger
from isthmus.metrics import Metrics
from isthmus.producer.lanes import Lanes, Limits
from isthmus.producer.publisher import Publisher
from isthmus.producer.service import Producer, ProducerSettings
from isthmus.producer.sources.references import NoReferences
from isthmus.producer.translator import Translator
from isthmus.retry import Backoff
from isthmus.settings import Consumer, Settings
from tests.fakes.shard_life import STREAM
from tests.simulation.office import ALIENS, ENTITY, MOVES, TABLES, THINGS, handle, pipeline, validate
from tests.simulation.ports import SimFeed, SimLeases, SimShardCheckpoints, SimSink, SimSource, SimStore
from tests.simulation.processes import GreenExecutor, Part, Process, ProcessClock

if TYPE_CHECKING:
    from tests.simulation.world import World

log = get_logger(__name__)

METRICS: Final = Metrics()
"""Nothing here reads them, and making them takes longer than a life."""
_BACKOFF: Final = Backoff(first=0.1, most=2.0)
_THING: Final = TableMapping("thing", version_column="version", columns={"size": "size", "fate": "fate"})


def _entities(*, handled: bool) -> Mapping[str, Entity]:
    return {
        ENTITY[table]: Entity(
            ENTITY[table],
            Kind.EVENT if table == MOVES else Kind.STATE,
            None if table == MOVES else _THING,
            validate,
            (handle,) if handled or table == MOVES else (),
        )
        for table in (*TABLES, ALIENS)
    }


ENTITIES: Final = {handled: _entities(handled=handled) for handled in (False, True)}
"""By whether those of kind `state` have a handler. An event always has one: it writes no table."""
SETTINGS: Final = {
    history: cast(
        "Settings",
        SimpleNamespace(
            store=SimpleNamespace(history=history),
            # Who may let go of a handler needs a thread beside it.
            consumer=Consumer.model_construct(handler_deadline=0.0),
        ),
    )
    for history in (False, True)
}
"""What the composition root asks the settings for, by whether history is kept."""


@contextmanager
def _owning(world: "World", process: Process, name: str, *, wait: bool) -> Iterator[tuple[Lease, Heart]]:
    leases = SimLeases(world, process)
    clock = ProcessClock(process, world.clock, world.now_ms)

    def is_dead(holder: Holder) -> bool | None:
        return None if holder.host != process.holder.host else not world.processes[holder.pid].alive

    lease = acquire(
        leases,
        name,
        STREAM,
        me=process.holder,
        clock=clock,
        stop=process,
        wait=wait,
        on_wait=lambda _holder: None,
        chance=process.chance,
        on_failure=lambda _error, _attempt: None,
        on_recovery=lambda _attempts: None,
        is_dead=is_dead,
        backoff=_BACKOFF,
    )
    heart = Heart(
        leases,
        lease,
        clock=clock,
        on_failure=lambda _error, _attempt: None,
        on_recovery=lambda _attempts: None,
    )
    resting = Part(process, apart=True)
    beating = process("heart", lambda: heart.run(resting))
    try:
        yield lease, heart
    finally:
        resting.request()
        beating.result()
        if not heart.lost:
            world.forgivingly(lambda: leases.give_back(name, lease.epoch))


def produce(world: "World", process: Process) -> None:
    """Be a producer of every source."""
    tasks = [process(table, partial(_produce_source, world, process, table)) for table in TABLES]
    for task in tasks:
        task.result()


def _produce_source(world: "World", process: Process, table: str) -> None:
    while not process.requested():
        try:
            with _owning(world, process, source_lease(table), wait=True) as (lease, heart):
                _producer(world, process, table, lease, heart).run()
        except OwnershipLost as error:
            world.note(process.name, f"lost {table}: {error.message}")
        except Stopped:
            return


def _producer(world: "World", process: Process, table: str, lease: Lease, heart: Heart) -> Producer:
    sizes = world.plan.sizes
    clock = ProcessClock(process, world.clock, world.now_ms)
    limits = Limits(max_bundle_events=sizes.bundle_events, shard_bytes_per_second=None, shard_records_per_second=None)
    return Producer(
        lease,
        source=SimSource(world, process, table, lease.epoch),
        translator=Translator(
            pipeline(table),
            source=table,
            name=table,
            key_columns=("id", "n") if table == MOVES else ("id",),
            generation=lease.generation,
            lanes=sizes.lanes,
            references=NoReferences(),
            clock=clock,
            metrics=METRICS,
        ),
        publisher=Publisher(
            Lanes(sizes.lanes, limits, _BACKOFF, process.chance),
            SimSink(world, process),
            GreenExecutor(process, world.clock),
            source=table,
            clock=clock,
            metrics=METRICS,
            requests_in_flight=sizes.requests,
        ),
        leases=SimLeases(world, process),
        lost=lambda: heart.lost,
        clock=clock,
        stop=process,
        chance=process.chance,
        metrics=METRICS,
        settings=ProducerSettings(
            source=table, poll_interval=1.0, page_size=sizes.page_size, watermark_interval=0.8, backoff=_BACKOFF
        ),
    )


def resync(world: "World", process: Process) -> None:
    """Be an operator who has the table of kind `state` read again."""
    raised = raise_generation(
        SimLeases(world, process),
        source_lease(THINGS),
        STREAM,
        clock=ProcessClock(process, world.clock, world.now_ms),
        stop=process,
        chance=process.chance,
        on_failure=lambda _error, _attempt: None,
        backoff=_BACKOFF,
    )
    world.note(process.name, f"has raised the generation to {raised.generation}")


def consume(world: "World", process: Process) -> None:
    """Be a consumer: one local runtime, until it loses its lease."""
    with _owning(world, process, worker_lease("sim"), wait=False) as (_, heart):
        _runtime(world, process, heart).run()


def _runtime(world: "World", process: Process, heart: Heart) -> LocalRuntime:
    sizes = world.plan.sizes
    clock = ProcessClock(process, world.clock, world.now_ms)
    entities = ENTITIES[sizes.handled]
    store = SimStore(world, process, list(entities.values()))
    stop = Part(process)
    attempts = AttemptsByPart(METRICS, clock)
    target = Target(attempts.watch("front_office"), METRICS, clock=clock, chance=process.chance)
    tries = TriesInMemory()

    def make_processor(shard: str, begin: ShardCheckpoint | None) -> ShardProcessor:
        return ShardProcessor(
            shard,
            decider_of(SETTINGS[sizes.history], store, entities, clock, METRICS, stop=stop, tries=tries),
            payloads=None,
            stop=stop,
            clock=clock,
            chance=process.chance,
            metrics=METRICS,
            attempts=attempts,
            settings=ProcessorSettings(batch_changes=sizes.batch_changes, backoff=_BACKOFF),
            counts=begin.counts if begin is not None else None,
            target=target,
        )

    return LocalRuntime(
        feed=SimFeed(world, process),
        checkpoints=SimShardCheckpoints(world, process),
        stream=STREAM,
        make_processor=make_processor,
        spawn=process,
        stop=stop,
        lost=lambda: heart.lost,
        clock=clock,
        chance=process.chance,
        metrics=METRICS,
        attempts=attempts,
        settings=LocalSettings(
            poll_interval=1.1,
            max_records=sizes.max_records,
            checkpoint_interval=0.8,
            shard_sync_interval=2.0,
            tick=0.6,
            backoff=_BACKOFF,
        ),
    )
