"""Everything that the demo starts, and how it all ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from isthmus import aws
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.clock import Clock
from isthmus.console.commands.setup import prepare
from isthmus.console.demo.chaos import Chaos
from isthmus.console.demo.fronts import Front, open_front
from isthmus.console.demo.office import Office
from isthmus.console.demo.pipeline import Pipeline, free_port
from isthmus.console.demo.plan import Place, Plan
from isthmus.console.demo.view import View
from isthmus.console.demo.watch import Watch, emulator_check
from isthmus.console.embedded import HOST, Emulator
from isthmus.console.tape import Tape
from isthmus.console.wiring import Wiring
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.lifecycle import Stop
from isthmus.settings import Settings, load

_QUICK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs."""

    office: Office
    scheduled: int
    """Rows of the schedule: the first load."""
    pipeline: Pipeline
    chaos: Chaos | None
    checkpoints: DynamoCheckpoints
    front: Front
    tape: Tape
    ports: tuple[int, int]
    """Where producer and consumer serve their metrics."""
    watch: Watch


@contextmanager
def running(plan: Plan, place: Place, view: View, clock: Clock, stop: Stop) -> Iterator[Parts]:
    """Start everything; end everything with the block, whatever ends it.

    Raises `Fatal` when a part does not come up or dies, also inside the block; `Stopped`.
    """
    watch = Watch(stop)
    with ExitStack() as stack, watch.naming_the_dead():
        yield _start(stack, watch, plan, place, view, clock, stop)


def _start(  # noqa: PLR0917 - it is the one caller's own second half
    stack: ExitStack, watch: Watch, plan: Plan, place: Place, view: View, clock: Clock, stop: Stop
) -> Parts:
    # First, for its schedule takes longest.
    office = Office(place.back_office, plan.days, plan.rate, place.logs / "back-office.log")
    stack.callback(office.child.end)
    emulator = stack.enter_context(Emulator(place.logs, stop=stop))
    watch.add(emulator_check(emulator))
    watch.add(office.check)
    chaos = _chaos(plan, place, emulator, clock)
    if chaos is not None:
        stack.callback(chaos.child.end)
        watch.add(chaos.check)
        view.say(f"chaos by the plan of seed {chaos.seed}: --seed {chaos.seed} replays it")
    ports = (free_port(), free_port())
    endpoint = emulator.url if chaos is None else f"http://{HOST}:{chaos.port}"
    front = open_front(plan.store, place, emulator, stop)
    stack.callback(front.stop)
    watch.add(front.check)
    place.write_settings(plan, endpoint, emulator.access, ports, front.url)
    settings = _directly(load(place.settings), emulator)
    prepare(settings)
    view.say(f"the emulator and the stream {settings.stream.name} are there")
    watch.until(lambda: office.scheduled is not None, _QUICK_SECONDS)
    view.say(f"the back office holds {office.scheduled:,} flights")
    checkpoints = Wiring(settings).checkpoints()
    pipeline = Pipeline(place, view.say)
    stack.callback(pipeline.end)
    watch.add(pipeline.check)
    return Parts(
        office=office,
        scheduled=office.scheduled or 0,
        pipeline=pipeline,
        chaos=chaos,
        checkpoints=checkpoints,
        front=front,
        tape=Tape(KinesisFeed(aws.client(settings.aws.access, "kinesis"), settings.stream.name)),
        ports=ports,
        watch=watch,
    )


def _chaos(plan: Plan, place: Place, emulator: Emulator, clock: Clock) -> Chaos | None:
    if plan.seed is None:
        return None
    return Chaos(plan.seed, plan.days, emulator.port, place.logs / "fault-proxy.log", clock)


def _directly(settings: Settings, emulator: Emulator) -> Settings:
    """Give the settings past the proxy: what the demo itself does and reads is not to be disturbed."""
    return settings.model_copy(update={"aws": settings.aws.model_copy(update={"endpoint_url": emulator.url})})
