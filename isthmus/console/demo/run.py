"""The demo's story, from an empty folder to a verdict."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from isthmus import aws
from isthmus.clock import Clock
from isthmus.console.commands.setup import prepare
from isthmus.console.demo import readings, standing
from isthmus.console.demo.office import Office
from isthmus.console.demo.pipeline import Pipeline, free_port
from isthmus.console.demo.plan import Place, Plan
from isthmus.console.demo.view import View
from isthmus.console.embedded import Emulator
from isthmus.console.tape import Tape
from isthmus.console.wiring import Wiring
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.errors import Fatal
from isthmus.lifecycle import Stop, Stopped
from isthmus.settings import load

_LOOK_SECONDS = 0.5
_EXAMPLES = "examples"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the demo itself measured, for the summary; the rest is the oracle's."""

    scheduled: int
    """Rows of the schedule: the first load."""
    counts: dict[str, int]
    records: list[bytes]
    peak_rss_mb: dict[str, float]


class Demo:
    """One run. `with demo.running()` starts everything; `play` tells the story; leaving the block ends everything."""

    def __init__(self, plan: Plan, place: Place, view: View, clock: Clock, stop: Stop) -> None:
        self._plan = plan
        self._place = place
        self._view = view
        self._clock = clock
        self._stop = stop
        self._ports = (free_port(), free_port())
        self._start = clock.monotonic()
        self._last_look: tuple[float, int] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start emulator, back office and pipeline."""
        place, plan = self._place, self._plan
        with ExitStack() as stack:
            self._office = Office(place.back_office, plan.days, plan.rate, place.logs / "back-office.log")
            stack.callback(self._office.child.end)
            self._emulator = stack.enter_context(Emulator(place.logs, stop=self._stop))
            place.write_settings(plan, self._emulator, self._ports, _EXAMPLES)
            settings = load(place.settings)
            _make_front_office(place)
            prepare(settings)
            self._wiring = Wiring(settings)
            self._checkpoints = self._wiring.checkpoints()
            self._tape = Tape(KinesisFeed(aws.client(settings.aws.access, "kinesis"), settings.stream.name))
            self._view.say(f"the emulator and the stream {settings.stream.name} are there")
            self._until(lambda: self._office.scheduled is not None)
            self._view.say(f"the back office holds {self._office.scheduled:,} flights")
            self._pipeline = Pipeline(place)
            stack.callback(self._pipeline.end)
            yield

    def play(self) -> Facts:
        """Load the schedule, live through the days, catch up, stop the pipeline; give what was measured."""
        scheduled = self._office.scheduled or 0
        self._view.phase("first load", scheduled)
        self._until(lambda: self._look(self._decided()) >= scheduled)
        self._view.say(f"the first load is applied: {scheduled:,} flights")

        self._office.live()
        self._until(lambda: self._office.planned is not None)
        planned = self._office.planned or 0
        self._view.phase("living through it", planned)
        self._until(lambda: self._look(self._office.modifications - scheduled) >= planned and self._office.done)

        self._view.phase("catching up", self._office.modifications)
        self._until(self._caught_up)
        counts = standing.outcome_counts(self._checkpoints)
        self._view.say("everything is decided")
        if not self._plan.stay:
            self._pipeline.end()
        return Facts(scheduled, counts, self._tape.records, self._pipeline.peak_rss_mb())

    def elapsed_s(self) -> float:
        """Give the seconds since the beginning."""
        return self._clock.monotonic() - self._start

    def stay(self) -> None:
        """Leave everything up until a stop is requested."""
        while not self._stop.wait(_LOOK_SECONDS):
            self._check()

    def _caught_up(self) -> bool:
        position = standing.watermark_position(self._checkpoints, "flights")
        self._look(position)
        if position < self._office.modifications:
            return False
        self._tape.read()
        return standing.decided_up_to(self._checkpoints, self._tape.last)

    def _decided(self) -> int:
        return standing.decided_entities(self._place.front_office)

    def _look(self, done: int) -> int:
        """Show how far it is; give the same number back."""
        now = self._clock.monotonic()
        found = readings.read(*self._ports)
        decided = sum(sum(shard.outcomes.values()) for shard in found.shards.values())
        rate = 0.0
        if self._last_look is not None and now > self._last_look[0]:
            rate = max(0.0, (decided - self._last_look[1]) / (now - self._last_look[0]))
        self._last_look = (now, decided)
        self._view.update(done, found, rate)
        return done

    def _until(self, reached: Callable[[], bool]) -> None:
        """Look again and again; whatever dies meanwhile ends the demo with its name."""
        while not reached():
            self._check()
            if self._stop.wait(_LOOK_SECONDS):
                raise Stopped

    def _check(self) -> None:
        if hasattr(self, "_emulator") and not self._emulator.alive():
            raise Fatal("The AWS emulator itself died: what it held is gone, and with it this demo. Run it again.")
        self._office.check()
        if hasattr(self, "_pipeline"):
            self._pipeline.check()


def _make_front_office(place: Place) -> None:
    from examples.flights.front_office import make_tables  # noqa: PLC0415 - the demo's data is an extra of its own

    make_tables(place.front_office)
