"""Everything that the demo starts, and how it all ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from isthmus import aws
from isthmus.clock import Clock
from isthmus.console.commands.setup import prepare
from isthmus.console.demo.asking import Commands
from isthmus.console.demo.chaos import EVERYTHING, WITH_KCL, Chaos, Upstream
from isthmus.console.demo.cloud import Cloud, SmallPages, library, open_cloud
from isthmus.console.demo.episodes import Episodes, Stage
from isthmus.console.demo.fronts import Front, open_front
from isthmus.console.demo.kills import Victim
from isthmus.console.demo.office import Office
from isthmus.console.demo.pipeline import Pipeline, Program, free_port
from isthmus.console.demo.plan import WORKERS, Place, Plan
from isthmus.console.demo.reshard import Reshard
from isthmus.console.demo.settings_file import PAGE_RECORDS, STREAM, Written
from isthmus.console.demo.standing import Standing
from isthmus.console.demo.targets import KclTargets, LocalTargets, Targets, below_worker
from isthmus.console.demo.view import View
from isthmus.console.demo.watch import Watch
from isthmus.console.tape import Tape
from isthmus.console.wiring import Wiring
from isthmus.consumer.feed import Feed
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.lifecycle import Stop
from isthmus.settings import Settings, load
from isthmus.settings.load import environment

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

_QUICK_SECONDS = 0.05


class Ports(NamedTuple):
    """Where processes serve their metrics."""

    producer: int
    consumers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs."""

    office: Office
    scheduled: int
    """Rows of the schedule: the first load."""
    pipeline: Pipeline
    targets: Targets
    chaos: Chaos | None
    reshard: Reshard | None
    episodes: Episodes
    standing: Standing
    front: Front
    feed: Feed
    tape: Tape
    ports: Ports
    watch: Watch


@contextmanager
def running(plan: Plan, place: Place, view: View, clock: Clock, stop: Stop) -> Iterator[Parts]:
    """Start everything; end everything with the block, whatever ends it.

    Raises `Fatal` when a part does not come up or dies, also inside the block; `Missing` where the KCL is wanted and
    cannot run; `Stopped`.
    """
    watch = Watch(stop)
    with ExitStack() as stack, watch.naming_the_dead():
        yield _Start(stack, watch, plan, place, view, clock, stop).start()


@dataclass(frozen=True, slots=True)
class _Start:
    """The second half of `running`: one part after the other, each ended by the stack."""

    stack: ExitStack
    watch: Watch
    plan: Plan
    place: Place
    view: View
    clock: Clock
    stop: Stop

    def start(self) -> Parts:
        """Start all."""
        jars = library(self.view.say) if self.plan.runtime == "kcl" else None
        # First, for its schedule takes longest.
        office = Office(self.place.back_office, self.plan.days, self.plan.rate, self.place.logs / "back-office.log")
        self.stack.callback(office.child.end)
        cloud = open_cloud(self.stack, self.watch, self.place, jars, stop=self.stop)
        self.watch.add(office.check)
        chaos = self._chaos(cloud)
        front = open_front(self.plan.store, self.place, cloud.emulator, self.stop)
        self.stack.callback(front.stop)
        self.watch.add(front.check)
        ports = Ports(free_port(), tuple(free_port() for _ in (WORKERS if jars is not None else ("",))))
        written = self._write(cloud, chaos, front, ports)
        settings = _past_the_proxy(load(self.place.settings), cloud)
        prepare(settings)
        self.view.say(f"the emulator and the stream {STREAM} are there")
        self.watch.until(lambda: office.scheduled is not None, _QUICK_SECONDS)
        self.view.say(f"the back office holds {office.scheduled:,} flights")
        kinesis = aws.client(settings.aws.access, "kinesis")
        feed = KinesisFeed(kinesis, STREAM)
        standing = Standing(Wiring(settings))
        pipeline, targets = self._pipeline(standing)
        return Parts(
            office=office,
            scheduled=office.scheduled or 0,
            pipeline=pipeline,
            targets=targets,
            chaos=chaos,
            reshard=self._reshard(kinesis, feed, standing) if jars is not None else None,
            episodes=self._episodes(front, pipeline, written),
            standing=standing,
            front=front,
            feed=feed,
            tape=Tape(SmallPages(feed, PAGE_RECORDS) if jars is not None else feed),
            ports=ports,
            watch=self.watch,
        )

    def _chaos(self, cloud: Cloud) -> Chaos | None:
        seed = self.plan.seed
        if seed is None:
            return None
        chaos = Chaos(
            seed,
            self.plan.days,
            Upstream(cloud.emulator.port, cloud.kinesis_port),
            self.place.logs / "fault-proxy.log",
            clock=self.clock,
            scope=EVERYTHING if cloud.jars is None else WITH_KCL,
        )
        self.stack.callback(chaos.child.end)
        self.watch.add(chaos.check)
        self.view.say(f"chaos by the plan of seed {seed}: --seed {seed} replays it")
        return chaos

    def _write(self, cloud: Cloud, chaos: Chaos | None, front: Front, ports: Ports) -> Written:
        access = cloud.access if chaos is None else cloud.behind(chaos.port)
        everybody = Written(
            access=access,
            shards=self.plan.shards,
            store=self.plan.store,
            store_url=front.url,
            producer_port=ports.producer,
            consumer_port=ports.consumers[0],
            gates=self.plan.gate,
            broken=self.plan.poison,
        )
        if cloud.jars is None:
            self._write_settings(everybody)
            return everybody
        # Who starts one more worker by these gets any free port, and the host's name.
        everybody = replace(everybody, runtime="kcl", jars=str(cloud.jars), consumer_port=0)
        self._write_settings(everybody)
        # The daemon reads Kinesis past the proxy, see `chaos.WITH_KCL`; its leases do go through it.
        access = replace(access, endpoints=cloud.access.endpoints)
        for name, port in zip(WORKERS, ports.consumers, strict=True):
            file = self.place.worker_settings(name)
            file.write_text(replace(everybody, access=access, worker=name, consumer_port=port).text(str(file)))
        return everybody

    def _write_settings(self, everybody: Written) -> None:
        self.place.settings.write_text(everybody.text(str(self.place.settings)))

    def _episodes(self, front: Front, pipeline: Pipeline, written: Written) -> Episodes:
        def deploy() -> None:
            self._write_settings(replace(written, broken=False))
            pipeline.deploy()

        ask = Commands(self.place)
        stage = Stage(self.clock, self.view.say, front.away, deploy, pipeline.deployed, ask)
        episodes = Episodes(stage, outage=self.plan.outage, gate=self.plan.gate, poison=self.plan.poison)
        self.stack.callback(episodes.close)
        return episodes

    def _pipeline(self, standing: Standing) -> tuple[Pipeline, Targets]:
        place = self.place
        producer = {"producer": Program(Victim.PRODUCER, "produce", place.settings, place.logs / "produce.log")}
        if self.plan.runtime == "local":
            consumer = {"consumer": Program(Victim.CONSUMER, "consume", place.settings, place.logs / "consume.log")}
            pipeline = self._started(Pipeline(producer | consumer, self.view.say))
            return pipeline, LocalTargets(pipeline)
        place.workers.mkdir(exist_ok=True)
        variables = environment() | {"TMPDIR": str(place.workers.resolve())}
        first, *others = (
            (name, Program(Victim.WORKER, "consume", place.worker_settings(name), _log(place, name), variables))
            for name in WORKERS
        )
        pipeline = self._started(Pipeline(producer | dict([first]), self.view.say, below_worker))
        # The first one of an application makes the leases, and is alone with that: another one would end, and say so.
        self.watch.until(standing.handed_over, _QUICK_SECONDS)
        for name, program in others:
            pipeline.add(name, program)
        return pipeline, KclTargets(pipeline, WORKERS)

    def _reshard(self, kinesis: "KinesisClient", feed: Feed, standing: Standing) -> Reshard:
        return Reshard(kinesis, STREAM, feed, standing.saved, clock=self.clock, say=self.view.say)

    def _started(self, pipeline: Pipeline) -> Pipeline:
        self.stack.callback(pipeline.end)
        self.watch.add(pipeline.check)
        return pipeline


def _log(place: Place, worker: str) -> Path:
    return place.logs / f"consume-{worker}.log"


def _past_the_proxy(settings: Settings, cloud: Cloud) -> Settings:
    """Give the settings for the demo itself: what it does and reads is not to be disturbed."""
    access = cloud.access
    endpoints = settings.aws.endpoints.model_copy(update=dict(access.endpoints))
    return settings.model_copy(
        update={"aws": settings.aws.model_copy(update={"endpoint_url": access.endpoint_url, "endpoints": endpoints})}
    )
