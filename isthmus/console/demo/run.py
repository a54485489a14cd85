"""The demo's story, from a schedule to a front office in step."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from isthmus.clock import Clock
from isthmus.console.demo import readings, standing
from isthmus.console.demo.ahead import Ahead
from isthmus.console.demo.episodes import Happened
from isthmus.console.demo.example import SOURCE, Expectation
from isthmus.console.demo.kills import Pending
from isthmus.console.demo.parts import Parts
from isthmus.console.demo.plan import Place, Plan
from isthmus.console.demo.settings_file import Runtime
from isthmus.console.demo.tempo import ToCome, kcl_tempo, reserve, tempo
from isthmus.console.demo.view import View
from isthmus.errors import Fatal, Transient

_QUICK_SECONDS = 0.1
"""Between two looks while a moment is to be met: the first change, the point of a kill."""
_CALM_SECONDS = 0.5
_LOOK_SECONDS: Final[Mapping[Runtime, float]] = {"local": _QUICK_SECONDS, "kcl": _CALM_SECONDS}
"""While kills are to come. Two workers tell twice as much, and a look costs them as much as us."""
_PATIENCE_SECONDS: Final[Mapping[Runtime, float]] = {"local": 120.0, "kcl": 600.0}
"""Without anything that is published or decided."""
_OVER: Final = object()
_SLOWEST = 20.0
"""Modifications a second. Whoever is slower, and publishes or decides something all the same, repeats itself."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the demo itself measured, for the summary; the rest is the oracle's."""

    scheduled: int
    """Rows of the schedule: the first load."""
    counts: dict[str, int]
    """Outcomes by name: at least that many."""
    expected: Expectation
    records: list[bytes]
    peak_rss_mb: dict[str, float]
    restarts: dict[str, int]
    faults: dict[str, int]
    """How often each planned fault happened; empty without chaos."""
    not_fired: dict[str, int]
    """How often planned faults did not happen."""
    shards: list[int]
    """How many shards were open, at the beginning and after each step of a reshard."""
    closed: int
    """How many shards were closed."""
    drained: int
    """How many of those were read to their end."""
    happened: Happened
    """What the episodes did."""


class Demo:
    """One run over parts that run already. `begin` is when all began, by the monotonic clock."""

    def __init__(self, plan: Plan, place: Place, parts: Parts, view: View, *, clock: Clock, begin: float) -> None:
        self._plan = plan
        self._place = place
        self._parts = parts
        self._view = view
        self._clock = clock
        self._begin = begin
        self._last_look: tuple[float, int] | None = None
        self._reached = (0, 0)
        """How many modifications are published, and how many changes decided, when that was looked at last."""
        self._look_seconds = _LOOK_SECONDS[plan.runtime] if parts.chaos is not None else _CALM_SECONDS

    def play(self) -> Facts:
        """Load the schedule, live through the days, catch up, stop the pipeline; give what was measured."""
        self._load()
        ahead = Ahead(self._plan.days, self._parts.tape)
        try:
            self._live()
            return self._end(ahead)
        finally:
            ahead.abandon()

    def _load(self) -> None:
        parts, scheduled = self._parts, self._parts.scheduled
        self._view.say("producer and consumer are starting")
        parts.watch.until(parts.front.any_applied, _QUICK_SECONDS)
        self._view.say(f"first change applied after {self._clock.monotonic() - self._begin:.1f} s")
        self._view.phase("first load", scheduled)
        kills = Pending(parts.chaos.kills.first_load if parts.chaos is not None else (), scheduled)

        def loaded() -> bool:
            done = self._look(parts.front.decided(), kills)
            return done >= scheduled and not (kills and self._waits_for_faults())

        parts.watch.until(loaded, self._look_seconds)
        self._view.say(f"the first load is applied: {scheduled:,} flights")

    def _live(self) -> None:
        parts, office, scheduled = self._parts, self._parts.office, self._parts.scheduled
        # How many come is not known before it lives: a flight departs and arrives, or is cancelled.
        office.live(self._tempo(0, 2 * scheduled, kills=True))
        parts.watch.until(lambda: office.planned is not None, _QUICK_SECONDS)
        planned = office.planned or 0
        self._view.phase("living through it", planned)
        kills = Pending(parts.chaos.kills.live if parts.chaos is not None else (), planned)

        def lived() -> bool:
            done = self._look(office.modifications - scheduled, kills)
            if parts.reshard is not None:
                parts.reshard.advance(done / max(planned, 1))
            parts.episodes.advance(done / max(planned, 1))
            office.pace(self._tempo(done, planned, kills=bool(kills)))
            return done >= planned and office.done and not self._waits()

        parts.watch.until(lived, self._look_seconds)

    def _end(self, ahead: Ahead) -> Facts:
        parts, chaos = self._parts, self._parts.chaos
        # Whatever dies meanwhile is looked after.
        parts.watch.until(ahead.is_known, _QUICK_SECONDS)
        expected = ahead.finish()
        self._view.phase("catching up", parts.office.modifications)
        parts.watch.until(self._in_time(), _LOOK_SECONDS[self._plan.runtime])
        self._view.say("everything is decided")
        last = parts.episodes.last()
        parts.watch.until(lambda: next(last, _OVER) is _OVER, _QUICK_SECONDS)
        facts = Facts(
            scheduled=parts.scheduled,
            counts=self._counts(),
            expected=expected,
            records=parts.tape.records,
            peak_rss_mb=parts.pipeline.peak_rss_mb(),
            restarts=dict(parts.pipeline.restarts),
            faults=chaos.counts() if chaos is not None else {},
            not_fired=chaos.left() if chaos is not None else {},
            shards=parts.reshard.counts if parts.reshard is not None else [self._plan.shards],
            closed=parts.reshard.closed() if parts.reshard is not None else 0,
            drained=len(parts.reshard.drained()) if parts.reshard is not None else 0,
            happened=parts.episodes.happened,
        )
        if not self._plan.stay:
            parts.pipeline.end()
        return facts

    def _counts(self) -> dict[str, int]:
        kept = Counter(standing.outcome_counts(self._parts.standing.saved()))
        # Under the KCL they are noted every few seconds, and metrics die with their worker: each is the least.
        told = readings.read(*self._parts.ports).outcomes() if self._parts.reshard is not None else Counter[str]()
        return dict(kept | told)

    def _in_time(self) -> Callable[[], bool]:
        """Give the question whether all is decided. It raises `Fatal` when nothing moves on any more."""
        patience = _PATIENCE_SECONDS[self._plan.runtime]
        end = self._clock.monotonic() + self._parts.office.modifications / _SLOWEST + patience
        moved, seen = self._clock.monotonic(), (-1, -1)

        def caught_up() -> bool:
            nonlocal moved, seen
            # An emulator that keeps two consumers and a front office has us wait for a moment, too.
            done = False
            with suppress(Transient):
                done = self._caught_up()
            if self._reached != seen:
                moved, seen = self._clock.monotonic(), self._reached
            if not done and self._clock.monotonic() > min(end, moved + patience):
                waited = self._clock.monotonic() - moved
                what = f"nothing has moved for {waited:.0f} s" if waited > patience else "they repeat themselves"
                raise Fatal(f"Producer and consumer do not catch up: {what}. Their logs say why.")
            return done

        return caught_up

    def _caught_up(self) -> bool:
        parts = self._parts
        position = parts.standing.watermark(SOURCE)
        self._look(position, Pending((), 0))
        if position < parts.office.modifications:
            return False
        parts.tape.read()
        saved = parts.standing.saved()
        if parts.reshard is None:
            return standing.decided_up_to(saved, parts.tape.last)
        return not standing.not_done(parts.feed.shards(), saved, parts.tape.last)

    def _look(self, done: int, kills: Pending) -> int:
        """Show how far it is, and kill whose turn it is; give the same number back."""
        parts, now = self._parts, self._clock.monotonic()
        found = readings.read(*parts.ports)
        decided = found.outcomes().total()
        rate = 0.0
        if self._last_look is not None and now > self._last_look[0]:
            rate = max(0.0, (decided - self._last_look[1]) / (now - self._last_look[0]))
        self._last_look, self._reached = (now, decided), (done, decided)
        self._view.update(done, found, rate, self._chaos_so_far())
        if parts.chaos is not None:
            for kill in kills.due(done, parts.targets.at_work(found)):
                if parts.targets.kill(kill):
                    parts.chaos.killed(kill.victim)
                else:
                    kills.put_back(kill)
        return done

    def _chaos_so_far(self) -> str:
        chaos = self._parts.chaos
        return "" if chaos is None else f"{sum(chaos.counts().values())} of {chaos.planned} faults"

    def _waits_for_faults(self) -> bool:
        chaos = self._parts.chaos
        return chaos is not None and bool(chaos.left()) and not chaos.halted()

    def _waits(self) -> bool:
        """Say whether something is still to come in the live phase, so that there must be something left to live."""
        reshard = self._parts.reshard
        return self._waits_for_faults() or self._parts.episodes.left() or (reshard is not None and reshard.left())

    def _tempo(self, done: int, planned: int, *, kills: bool) -> float | None:
        if not self._waits():
            return self._plan.rate
        faults, reshard = self._waits_for_faults(), self._parts.reshard
        if reshard is None:
            chaos = self._parts.chaos
            kept = 0 if chaos is None else reserve(sum(chaos.left().values()), planned)
            left = int(planned * self._parts.episodes.horizon()) - done
            return tempo(self._plan.rate, left, reserve=kept)
        return kcl_tempo(self._plan.rate, done, planned, ToCome(reshard.horizon(), kills and faults, faults))
