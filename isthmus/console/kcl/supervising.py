"""The composition root of `isthmus consume` by the Kinesis Client Library: leases, then a daemon, looked after."""

import sys
from typing import Final

from isthmus import aws
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.kcl import KclLeases
from isthmus.checkpoint.ownership import worker_lease
from isthmus.checkpoint.ports import HandOver
from isthmus.checkpoint.process import this_process
from isthmus.console.hearts import owning
from isthmus.console.kcl import beginning
from isthmus.console.kcl.daemon import Daemon
from isthmus.console.kcl.folder import Folder
from isthmus.console.kcl.java import command, jars_of, java_of
from isthmus.console.kcl.keeping import Keeper
from isthmus.console.kcl.leader import Worker
from isthmus.console.kcl.metricfiles import MetricFiles
from isthmus.console.kcl.processes import adopt_orphans, end_orphans
from isthmus.console.kcl.properties import properties
from isthmus.console.wiring import Wiring, entities_of, store_of
from isthmus.consumer.kinesis import KinesisFeed
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
    _begin(wiring, checkpoints, facts, agreed=agreed)
    adopt_orphans()
    leases = KclLeases(aws.client(wiring.access, "dynamodb"), settings.kcl.table)
    failover, watch = settings.kcl.failover_time, wiring.attempts.watch("leases")
    keeper = Keeper(leases, failover, clock=wiring.clock, watch=watch)
    resting = wiring.stop.part()
    with Folder() as folder:
        folder.pass_on(_to_our_log)
        files = MetricFiles(folder.metrics)
        wiring.metrics.of_others = files.families
        words = command(java, jars, settings.kcl.heap_mb, folder.properties, folder.logging)
        keeping = ThreadTask("leases", lambda: keeper.run(resting))
        try:
            _look_after(wiring, words, folder, keeper, keeping)
        finally:
            resting.request()
            keeping.result()


def _begin(wiring: Wiring, checkpoints: DynamoCheckpoints, facts: StreamFacts, *, agreed: bool) -> None:
    """See that every shard has a lease, made by this application; see `beginning`."""
    settings = wiring.settings
    leases = KclLeases(aws.client(wiring.access, "dynamodb"), settings.kcl.table)
    feed = KinesisFeed(aws.client(wiring.access, "kinesis"), settings.stream.name)
    watch = wiring.attempts.watch("checkpoints")
    made = wiring.patiently(watch, checkpoints.hand_overs.read)
    if made is None or not made.complete:
        name = worker_lease(settings.application)
        # Whoever holds this is the only one that reads: a worker of the local runtime, or we, for a moment.
        with owning(wiring, checkpoints, name, facts.identity, wiring.attempts.watch("lease", name), wait=False):
            _hand_over(wiring, checkpoints, leases, feed, facts, agreed=agreed)
        return
    beginning.check_hand_over(made, settings.kcl.table, facts.identity)
    gone = beginning.missing(wiring.patiently(watch, feed.shards), wiring.patiently(watch, leases.read))
    beginning.refuse_missing(gone, settings.kcl.table, agreed=agreed)
    for shard in wiring.patiently(watch, lambda: leases.seed(beginning.again(gone))):
        log.warning("lease_made_again", shard=shard)


def _hand_over(
    wiring: Wiring,
    checkpoints: DynamoCheckpoints,
    leases: KclLeases,
    feed: KinesisFeed,
    facts: StreamFacts,
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
    log.info("handed_over_to_kcl", table=table, shards=len(first), taken_over=len(saved))


def _look_after(wiring: Wiring, words: list[str], folder: Folder, keeper: Keeper, keeping: ThreadTask[None]) -> None:
    settings, variables = wiring.settings, _environment(wiring)
    failures, life = 0, 0
    while not wiring.stop.requested():
        begun, life = wiring.clock.monotonic(), life + 1
        keeper.me = worker = _worker(settings, life)
        # A lock of the daemon before this one would stand in its way for two minutes.
        keeper.look_now()
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
