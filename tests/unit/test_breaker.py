"""A breaker's life, and what a front office that is away meets when it comes back."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from isthmus.attempts import Attempts
from isthmus.chance import seeded_chance
from isthmus.consumer.breaker import PROBES, Breaker, Permit, State
from isthmus.consumer.target import FRONT_OFFICE, Target
from isthmus.errors import Fatal, TargetDown, Transient
from isthmus.lifecycle import Stopped
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop


class Askers(RuleBasedStateMachine):
    """Many askers at once, a target that comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(seeded_chance("askers"))
        self.now = 0.0
        self.out: list[Permit] = []
        self.opened = self.closed = 0

    @rule()
    def ask(self) -> None:
        answer = self.breaker.ask(self.now)
        if answer.permit is Permit.WAIT:
            assert answer.seconds > 0
        else:
            self.out.append(answer.permit)

    @rule(seconds=st.floats(0.01, 20))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.out)
    @rule(data=st.data(), up=st.booleans())
    def end(self, data: Any, *, up: bool) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        if permit is Permit.PROBE:
            answer = self.breaker.probed(self.now, answered=up)
            assert (answer.permit is Permit.TRIAL) == up
            if up:
                self.out.append(answer.permit)
        elif up:
            self.closed += self.breaker.answered(permit)
        else:
            self.opened += self.breaker.down(self.now, permit)

    @invariant()
    def at_most_one_probes_or_tries(self) -> None:
        exclusive = [permit for permit in self.out if permit is not Permit.GO]
        assert len(exclusive) <= 1
        assert bool(exclusive) == (self.breaker.state in {State.PROBING, State.HALF_OPEN})

    @invariant()
    def each_opening_is_told_once_and_closed_once(self) -> None:
        assert self.opened - self.closed == (self.breaker.state is not State.CLOSED)


TestAskers = Askers.TestCase


@given(failures=st.integers(1, 100), seed=st.text())
def test_the_next_probe_comes_after_a_pause_and_within_the_longest(failures: int, seed: str) -> None:
    breaker, now = Breaker(seeded_chance(seed)), 0.0
    assert breaker.down(now, Permit.GO)
    for number in range(1, failures):
        now += breaker.ask(now).seconds
        assert breaker.ask(now).permit is Permit.PROBE
        wait = breaker.probed(now, answered=False).seconds
        longest = min(PROBES.most, PROBES.first * PROBES.factor**number)
        assert longest / 2 <= wait <= longest


class Office:
    """A front office that is away until a moment; it notes who came, and when."""

    def __init__(self) -> None:
        self.clock, self.metrics = FakeClock(), Metrics()
        self.stop = FakeStop(self.clock)
        self.away_until = 0.0
        self.came: list[tuple[str, float]] = []
        self.target = Target(
            Attempts(FRONT_OFFICE, self.metrics, self.clock),
            self.metrics,
            clock=self.clock,
            chance=seeded_chance("office"),
        )

    def visit(self, who: str) -> Callable[[], str]:
        def action() -> str:
            self.came.append((who, self.clock.monotonic()))
            if self.clock.monotonic() < self.away_until:
                raise TargetDown("away")
            return who

        return action

    def reach(self, who: str) -> str:
        return self.target.reach(self.visit(who), self.visit("probe"), stop=self.stop)

    @property
    def is_open(self) -> float | None:
        return self.metrics.registry.get_sample_value("isthmus_breaker_open", {"target": FRONT_OFFICE})


def test_an_hour_away_costs_one_batch_and_probes_with_long_pauses() -> None:
    office = Office()
    office.away_until = 3600.0
    assert office.reach("batch") == "batch"
    assert [who for who, _ in office.came].count("batch") == 2
    probes = [at for who, at in office.came if who == "probe"]
    assert len(probes) < 3600 / (PROBES.most / 2) + 10
    assert probes[-1] - 3600 <= PROBES.most
    assert office.is_open == 0


def test_while_it_is_open_a_stop_ends_the_wait_at_once() -> None:
    office = Office()
    office.away_until = 3600.0
    office.clock.at(100, office.stop.request)
    with pytest.raises(Stopped):
        office.reach("batch")
    assert office.is_open == 1
    assert office.clock.monotonic() <= 100 + PROBES.most


@pytest.mark.parametrize("error", [Transient("a lock"), Fatal("a defect"), ValueError()], ids=repr)
def test_whatever_else_it_says_the_target_has_answered(error: Exception) -> None:
    office = Office()

    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        office.target.reach(fail, fail, stop=office.stop)
    assert office.reach("next") == "next"
    assert office.is_open == 0


def test_a_probe_that_fails_in_another_way_leaves_the_next_one_to_others() -> None:
    office = Office()
    office.away_until = 1.0

    def odd() -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the one above
        office.target.reach(office.visit("batch"), odd, stop=office.stop)
    office.clock.move(60)
    assert office.reach("next") == "next"


@settings(deadline=None)
@given(waiting=st.integers(2, 6))
def test_when_it_comes_back_one_batch_goes_before_all_others(waiting: int) -> None:
    office = Office()
    office.away_until = 5.0
    with pytest.raises(Stopped):
        office.target.reach(office.visit("first"), office.visit("probe"), stop=_Stopping())
    assert office.is_open == 1
    gone = threading.Event()
    order: list[str] = []

    def trial() -> str:
        # All others ask while the trial is under way.
        for number in range(waiting):
            with pytest.raises(Stopped):
                office.target.reach(lambda name=f"w{number}": order.append(name), lambda: None, stop=_Stopping())
        order.append("trial")
        gone.set()
        return "trial"

    office.clock.move(60)
    assert office.target.reach(trial, lambda: None, stop=office.stop) == "trial"
    assert order == ["trial"]
    assert office.reach("later") == "later"


class _Stopping:
    """Is asked to stop at the first wait."""

    def requested(self) -> bool:
        return True

    def wait(self, seconds: float) -> bool:
        assert seconds > 0
        return True
