"""The composition root of `isthmus consume` by the Kinesis Client Library: leases, then a daemon, looked after."""

import sys
from typing import Final

from isthmus import aws
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.kcl import KclLeases
from isthmus.checkpoint.ownership import worker_lease
from isthmus.checkpoint.ports import HandOver
from isthmus.checkpoint.process import this_process
from isthmus.console.bookkeeping import Bookkeeping
from isthmus.console.braking import brake_of
from isthmus.console.consuming import bookkeeping_of
from isthmus.console.declaring import start_probing
from isthmus.console.dlq.sending import sender_of
from isthmus.console.gating import drainer_of, gates_of
from isthmus.console.hearts import owning
from isthmus.console.housekeeping import Housekeeping
from isthmus.console.kcl import beginning, fanout
from isthmus.console.kcl.brakefile import keep_published, publish
from isthmus.console.kcl.daemon import Daemon
from isthmus.console.kcl.folder import Folder
from isthmus.console.kcl.java import command, jars_of, java_of
from isthmus.console.kcl.keeping import Keeper, held_by
from isthmus.console.kcl.leader import Worker
from isthmus.console.kcl.lines import write_whole_lines
from isthmus.console.kcl.metricfiles import MetricFiles
from isthmus.console.kcl.processes import adopt_orphans, end_orphans
from isthmus.console.kcl.properties import properties
from isthmus.console.wiring import Wiring, entities_of, reader_of, store_of
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.consumer.runtimes.port import Task
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.lifecycle import ThreadStop
from isthmus.log import get_logger
from isthmus.pipeline import Pipeline
from isthmus.retry import Backoff
from isthmus.settings import Settings
from isthmus.settings.load import environment
from isthmus.stream import StreamFacts

log = get_logger(__name__)

_LOOK_SECONDS: Final = 0.1
STOP_SECONDS: Final = 8.5
"""For the daemon to come to rest: its own grace (`properties.GRACE_MS`), and the end of its process."""
ORPHAN_SECONDS: Final = 2.0
"""For a child to see that its daemon is gone."""
_LIFE_SECONDS: Final = 60.0
"""Who lived so long has not failed at its start: the next start comes at once again."""
_LEVELS: Final = {"debug": "INFO", "info": "WARN", "warning": "WARN", "error": "ERROR"}
"""The least that the daemon says, by log.level. It tells of every batch at INFO."""
_BACKOFF: Final = Backoff(first=1.0, most=60.0)


def consume_by_kcl(wiring: Wiring, pipelines: dict[str, Pipeline], *, agreed: bool = False) -> None:
    """Look after a daemon until a stop is requested.

    Raises `Missing` and `Refused` when Java, the library, stream, leases or front office are not what is needed, and
    `HeldByAnother` while a worker of the local runtime lives that has not handed over yet.
    """
    settings = wiring.settings
    java, jars = java_of(settings), jars_of(settings)
    entities = entities_of(settings, pipelines)
    store = store_of(settings, entities)
    checkpoints = wiring.checkpoints()
    facts = wiring.stream(checkpoints)
    wiring.check_memory(facts)
    wiring.patiently(wiring.attempts.watch("front_office"), lambda: wiring.check_front_office(store, entities))
    books = bookkeeping_of(wiring, checkpoints, facts, counting=True)
    _begin(wiring, checkpoints, facts, books, agreed=agreed)
    _tell_left_over(wiring, facts)
    adopt_orphans()
    keeper = Keeper(
        KclLeases(aws.client(wiring.access, "dynamodb"), settings.kcl.table),
        settings.kcl.failover_time,
        clock=wiring.clock,
        watch=wiring.attempts.watch("leases"),
        seen=lambda leases, me: books.see(held_by(leases, str(me))),
    )
    resting = wiring.stop.part()
    house = Housekeeping(
        store,
        reader_of(settings, entities),
        settings.store,
        clock=wiring.clock,
        stop=resting,
        metrics=wiring.metrics,
        on_duty=lambda: keeper.leads,
    )
    sender = sender_of(wiring, store, resting, on_duty=lambda: keeper.leads)
    gates = gates_of(wiring, store)
    by_name = {entity.name: entity for entity in entities}
    # For what was held: it drains here, beside the shards' processes, and what of it is poison counts with theirs.
    brake = brake_of(wiring, checkpoints.brakes, checkpoints.brake_counts)
    drainer = drainer_of(
        wiring,
        store,
        by_name,
        gates,
        stop=resting,
        brake=brake,
        tries=checkpoints.tries,
        on_duty=lambda: keeper.leads,
    )
    write_whole_lines(sys.stderr)
    with Folder() as folder:
        folder.pass_on(_to_our_log)
        wiring.metrics.of_others = MetricFiles(folder.metrics).families
        words = command(java, jars, settings.kcl.heap_mb, folder.properties, folder.logging)
        if settings.consumer.park_brake:
            # Before any child: without the file each of them would ask for itself.
            wiring.patiently(wiring.attempts.watch("checkpoints"), lambda: publish(checkpoints.brakes, folder.path))
        keeping = ThreadTask("leases", lambda: keeper.run(resting))
        beside = [ThreadTask("housekeeping", house.run), ThreadTask("notes", lambda: books.run(resting))]
        if settings.consumer.park_brake:
            beside.append(ThreadTask("park-brake", lambda: keep_published(checkpoints.brakes, folder.path, resting)))
        if sender is not None:
            beside.append(ThreadTask("dead-letters", sender.run))
        if gates is not None:
            beside.append(ThreadTask("gates", lambda: gates.run(resting)))
            # Here for all shards of this worker: a shard's process reads what was said, and has no drivers.
            start_probing(wiring, checkpoints, resting)
        if drainer is not None and brake is not None:
            beside.append(ThreadTask("held-brake", lambda: brake.run(resting)))
        if drainer is not None:
            beside.append(ThreadTask("held", drainer.run))
        try:
            look_after(wiring, words, folder, keeper, keeping)
        finally:
            resting.request()
            for task in beside:
                task.result()
            # What the children counted up to their end.
            books.last()
            keeping.result()


def _begin(
    wiring: Wiring, checkpoints: DynamoCheckpoints, facts: StreamFacts, books: Bookkeeping, *, agreed: bool
) -> None:
    """See that every shard has a lease, made by this application; see `beginning`.

    `books` sees how the shards are before a daemon of ours reads any, and which of them retention took.
    """
    settings = wiring.settings
    leases = KclLeases(aws.client(wiring.access, "dynamodb"), settings.kcl.table)
    feed = KinesisFeed(aws.client(wiring.access, "kinesis"), settings.stream.name)
    watch = wiring.attempts.watch("checkpoints")
    made = wiring.patiently(watch, checkpoints.hand_overs.read)
    if made is None or not made.complete:
        name = worker_lease(settings.application)
        # Whoever holds this is the only one that reads: a worker of the local runtime, or we, for a moment.
        with owning(wiring, checkpoints, name, facts.identity, wiring.attempts.watch("lease", name), wait=False):
            _hand_over(wiring, checkpoints, leases, feed, facts, books, agreed=agreed)
        return
    beginning.check_hand_over(made, settings.kcl.table, facts.identity)
    held = wiring.patiently(watch, leases.read)
    shards = wiring.patiently(watch, feed.shards)
    gone = beginning.missing(shards, held)
    beginning.refuse_missing(gone, settings.kcl.table, agreed=agreed)
    books.see(held_by(held, owner=None))
    books.trimmed(*beginning.trimmed(shards, [each.shard for each in held.values() if not each.ended]))
    for shard in wiring.patiently(watch, lambda: leases.seed(beginning.again(gone))):
        log.warning("lease_made_again", shard=shard)


def _tell_left_over(wiring: Wiring, facts: StreamFacts) -> None:
    """Say that a consumer of fan-out is registered, and billed, that nobody reads by any more."""
    name = wiring.settings.kcl.table
    if wiring.settings.kcl.retrieval == "fan-out":
        return
    if fanout.is_registered(aws.client(wiring.access, "kinesis"), facts.identity.arn, name):
        log.warning("fan_out_left_over", consumer=name, stream=facts.name)


def _hand_over(  # noqa: PLR0917 - wiring is where many parts meet
    wiring: Wiring,
    checkpoints: DynamoCheckpoints,
    leases: KclLeases,
    feed: KinesisFeed,
    facts: StreamFacts,
    books: Bookkeeping,
    *,
    agreed: bool,
) -> None:
    settings, watch = wiring.settings, wiring.attempts.watch("checkpoints")
    table = settings.kcl.table
    made = wiring.patiently(watch, checkpoints.hand_overs.read)
    saved = wiring.patiently(watch, checkpoints.shards.read_all)
    shards = wiring.patiently(watch, feed.shards)
    if made is None:
        beginning.refuse_foreign(table, wiring.patiently(watch, leases.read))
        beginning.refuse_latest(shards, saved, settings.kcl.start, agreed=agreed)
        # Before the first lease: from here on the local runtime refuses, and its checkpoints stand still.
        made = wiring.patiently(watch, lambda: checkpoints.hand_overs.record(HandOver(table, facts.identity)))
    beginning.check_hand_over(made, table, facts.identity)
    first = beginning.first_leases(shards, saved, settings.kcl.start)
    wiring.patiently(watch, lambda: leases.ensure(stop=wiring.stop))
    wiring.patiently(watch, lambda: leases.seed(first))
    wiring.patiently(watch, checkpoints.hand_overs.complete)
    books.see(held_by({lease.shard: lease for lease in first}, owner=None))
    books.trimmed(*beginning.trimmed(shards, [each.shard for each in saved.values() if not each.ended]))
    log.info("handed_over_to_kcl", table=table, shards=len(first), taken_over=len(saved))


def look_after(wiring: Wiring, words: list[str], folder: Folder, keeper: Keeper, keeping: Task[None]) -> None:
    """Start a daemon, again and again, until a stop is requested; it never waits for anybody but the daemon.

    Raises what ended `keeping`, the task that runs the keeper.
    """
    settings, variables = wiring.settings, _environment(wiring)
    failures, life = 0, 0
    while not wiring.stop.requested():
        begun, life = wiring.clock.monotonic(), life + 1
        worker = _worker(settings, life)
        # A lock of the daemon before this one would stand in its way for two minutes. The keeper's own task looks for
        # it: DynamoDB may take its question and say nothing, and the daemon shall start all the same.
        keeper.begin(worker)
        folder.write(properties(settings, str(worker), folder.program), settings.file, _LEVELS[settings.log.level])
        daemon = Daemon(words, folder, variables)
        log.info("kcl_started", daemon=daemon.pid, worker=str(worker), table=settings.kcl.table)
        try:
            while daemon.poll() is None and not keeping.done() and not wiring.stop.wait(_LOOK_SECONDS):
                pass
            if keeping.done():
                # It gave up: nobody would see a dead leader any more.
                keeping.result()
            if wiring.stop.requested():
                _stop_softly(wiring, daemon)
        finally:
            code = daemon.end()
            for pid in end_orphans([], wiring.clock, ORPHAN_SECONDS):
                log.warning("kcl_child_ended", child=pid, why="it lived on without its daemon")
        if wiring.stop.requested():
            log.info("kcl_ended", daemon=daemon.pid, code=code)
            return
        lived = wiring.clock.monotonic() - begun
        failures = 1 if lived > _LIFE_SECONDS else failures + 1
        delay = _BACKOFF.delay(failures, wiring.chance)
        log.warning("kcl_died", daemon=daemon.pid, code=code, seconds=round(lived, 1), again_in=round(delay, 1))
        wiring.stop.wait(delay)


def _worker(settings: Settings, life: int) -> Worker:
    me = this_process("")
    name = settings.kcl.worker or me.host.partition("/")[0]
    return Worker(name, me.host, me.boot_id, me.pid, me.started, life)


def _stop_softly(wiring: Wiring, daemon: Daemon) -> None:
    daemon.stop()
    until, pause = wiring.clock.monotonic() + STOP_SECONDS, ThreadStop()
    while daemon.poll() is None and wiring.clock.monotonic() < until:
        pause.wait(_LOOK_SECONDS)


def _environment(wiring: Wiring) -> dict[str, str]:
    """Give the daemon's environment: ours, and who we are to AWS."""
    access = wiring.access
    made = environment()
    if access.access_key_id is not None and access.secret is not None:
        made |= {"AWS_ACCESS_KEY_ID": access.access_key_id, "AWS_SECRET_ACCESS_KEY": access.secret}
        made.pop("AWS_SESSION_TOKEN", None)
    if access.region is not None:
        made["AWS_REGION"] = access.region
    if access.endpoint("kinesis") is not None:
        # Emulators answer in JSON.
        made["CBOR_ENABLED"] = "false"
    return made


def _to_our_log(lines: bytes) -> None:
    sys.stderr.buffer.write(lines)
    sys.stderr.buffer.flush()
