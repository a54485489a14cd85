"""The composition root of `isthmus consume`: the shards of the stream, decided in the front-office store."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from isthmus import aws
from isthmus.attempts import AttemptsByPart
from isthmus.chance import unique_name
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.heart import Heart
from isthmus.checkpoint.ownership import worker_lease
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.console.bookkeeping import Bookkeeping, held_locally
from isthmus.console.braking import brake_of
from isthmus.console.declaring import start_probing
from isthmus.console.dlq.sending import sender_of
from isthmus.console.gating import drainer_of, gates_of
from isthmus.console.hearts import owning
from isthmus.console.housekeeping import Housekeeping
from isthmus.console.wiring import Wiring, decider_of, entities_of, reader_of, store_of
from isthmus.consumer.braking import Braking
from isthmus.consumer.gates import Gatekeeper
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.consumer.runtimes.horizon import KinesisHorizon
from isthmus.consumer.runtimes.local import LocalRuntime
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.consumer.runtimes.threads import ThreadSpawn, ThreadTask
from isthmus.consumer.stores.port import Decider, Entity, Store
from isthmus.consumer.target import Target
from isthmus.errors import OwnershipLost, Refused
from isthmus.lifecycle import ThreadStop
from isthmus.log import get_logger
from isthmus.pipeline import Pipeline
from isthmus.stream import StreamFacts

log = get_logger(__name__)


def consume(wiring: Wiring, pipelines: dict[str, Pipeline], *, agreed: bool = False) -> None:
    """Read and decide until a stop is requested, by the runtime of the settings.

    Raises `HeldByAnother` when another worker of the application lives, `Missing` and `Refused` when stream or front
    office are not what the settings say. `agreed`: see `isthmus.console.kcl.supervising`.
    """
    if wiring.settings.consumer.runtime == "kcl":
        # Imported here: who does not use it does not pay for it.
        from isthmus.console.kcl.supervising import consume_by_kcl  # noqa: PLC0415 - see above

        consume_by_kcl(wiring, pipelines, agreed=agreed)
        return
    _consume_locally(wiring, pipelines)


def _consume_locally(wiring: Wiring, pipelines: dict[str, Pipeline]) -> None:
    entities = entities_of(wiring.settings, pipelines)
    store = store_of(wiring.settings, entities)
    checkpoints = wiring.checkpoints()
    facts = wiring.stream(checkpoints)
    wiring.check_memory(facts)
    attempts = wiring.attempts
    wiring.patiently(attempts.watch("front_office"), lambda: wiring.check_front_office(store, entities))
    name = worker_lease(wiring.settings.application)
    leasing = attempts.watch("lease", name)
    while not wiring.stop.requested():
        try:
            with owning(wiring, checkpoints, name, facts.identity, leasing, wait=False) as (_, heart):
                _refuse_handed_over(wiring, checkpoints)
                _decide(wiring, checkpoints, facts, heart, store, entities, attempts)
        except OwnershipLost as error:
            # Another took over, or we could not say for too long that we live. Asking for it again tells which.
            log.warning("worker_lost", why=str(error))
            facts = wiring.stream(checkpoints)
            wiring.check_memory(facts)


def _refuse_handed_over(wiring: Wiring, checkpoints: DynamoCheckpoints) -> None:
    """Raise `Refused` where the Kinesis Client Library reads: our checkpoints say no more how far the shards are.

    Asked while we hold the worker's lease, which a hand-over takes too: none can begin after this.
    """
    made = wiring.patiently(wiring.attempts.watch("checkpoints"), checkpoints.hand_overs.read)
    if made is not None:
        raise Refused(
            f"The shards of {wiring.settings.application} were handed over to the Kinesis Client Library, for good: "
            f"the leases are in the table {made.leases}.",
            hint='Set runtime = "kcl" under [consumer].',
        )


def _decide(  # noqa: PLR0917 - wiring is where many parts meet
    wiring: Wiring,
    checkpoints: DynamoCheckpoints,
    facts: StreamFacts,
    heart: Heart,
    store: Store,
    entities: list[Entity],
    attempts: AttemptsByPart,
) -> None:
    # The runtime stops itself when anything in it fails; the process shall live on when it only lost its lease.
    stop = wiring.stop.part()
    by_name = {entity.name: entity for entity in entities}
    books = bookkeeping_of(wiring, checkpoints, facts, counting=False)
    house = Housekeeping(
        store,
        reader_of(wiring.settings, entities),
        wiring.settings.store,
        clock=wiring.clock,
        stop=stop,
        metrics=wiring.metrics,
    )
    with _closing_all() as deciders:
        keeping = [ThreadTask("housekeeping", house.run), ThreadTask("notes", lambda: books.run(stop))]
        sender = sender_of(wiring, store, stop)
        if sender is not None:
            keeping.append(ThreadTask("dead-letters", sender.run))
        gates = gates_of(wiring, store)
        if gates is not None:
            keeping.append(ThreadTask("gates", lambda: gates.run(stop)))
            start_probing(wiring, checkpoints, stop)
        brake = brake_of(wiring, checkpoints.brakes)
        if brake is not None:
            keeping.append(ThreadTask("park-brake", lambda: brake.run(stop)))
        drainer = drainer_of(wiring, store, by_name, gates, stop=stop, brake=brake, tries=checkpoints.tries)
        if drainer is not None:
            keeping.append(ThreadTask("held", drainer.run))
        try:
            _runtime(
                wiring, checkpoints, facts, heart, store, by_name, deciders, stop, attempts, books, gates, brake
            ).run()
        finally:
            stop.request()
            for task in keeping:
                task.result()


def bookkeeping_of(
    wiring: Wiring, checkpoints: DynamoCheckpoints, facts: StreamFacts, *, counting: bool
) -> Bookkeeping:
    """Give what notes how far the shards are, and sees where records may be lost; see `Bookkeeping`."""
    client, name = aws.client(wiring.access, "kinesis"), wiring.settings.stream.name
    return Bookkeeping(
        checkpoints.notes,
        KinesisHorizon(client, name, KinesisFeed(client, name)),
        facts.identity,
        lambda: aws.describe_stream(client, name).retention_hours,
        teller=unique_name(),
        counting=counting,
        clock=wiring.clock,
        metrics=wiring.metrics,
        watch=wiring.attempts.watch("notes"),
    )


def _runtime(  # noqa: PLR0917 - wiring is where many parts meet
    wiring: Wiring,
    checkpoints: DynamoCheckpoints,
    facts: StreamFacts,
    heart: Heart,
    store: Store,
    entities: Mapping[str, Entity],
    deciders: list[Decider],
    stop: ThreadStop,
    attempts: AttemptsByPart,
    books: Bookkeeping,
    gates: Gatekeeper | None,
    brake: Braking | None,
) -> LocalRuntime:
    settings = wiring.settings
    payloads = wiring.payloads()
    target = Target(attempts.watch("front_office"), wiring.metrics, clock=wiring.clock, chance=wiring.chance)

    def make_processor(shard: str, begin: ShardCheckpoint | None) -> ShardProcessor:
        decider = decider_of(
            settings,
            store,
            entities,
            wiring.clock,
            wiring.metrics,
            payloads=payloads,
            stop=stop,
            gates=gates,
            brake=brake,
            tries=checkpoints.tries,
        )
        deciders.append(decider)
        return ShardProcessor(
            shard,
            decider,
            payloads=payloads,
            stop=stop,
            clock=wiring.clock,
            chance=wiring.chance,
            metrics=wiring.metrics,
            attempts=attempts,
            settings=ProcessorSettings(batch_changes=settings.consumer.batch_changes),
            counts=begin.counts if begin is not None else None,
            target=target,
            gates=gates,
            brake=brake,
        )

    return LocalRuntime(
        feed=KinesisFeed(aws.client(settings.aws.access, "kinesis"), settings.stream.name),
        checkpoints=checkpoints.shards,
        stream=facts.identity,
        make_processor=make_processor,
        spawn=ThreadSpawn(),
        stop=stop,
        lost=lambda: heart.lost,
        clock=wiring.clock,
        chance=wiring.chance,
        metrics=wiring.metrics,
        attempts=attempts,
        settings=LocalSettings(
            poll_interval=settings.consumer.poll_interval,
            reads_per_second=settings.consumer.reads_per_second,
            max_records=settings.consumer.max_records,
            checkpoint_interval=settings.consumer.checkpoint_interval,
        ),
        listed=lambda shards, saved: books.see(held_locally(shards, saved)),
        trimmed=books.trimmed,
    )


@contextmanager
def _closing_all() -> Iterator[list[Decider]]:
    """Give a list; close every decider that was put into it meanwhile."""
    deciders: list[Decider] = []
    try:
        yield deciders
    finally:
        for decider in deciders:
            decider.close()
