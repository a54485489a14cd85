"""What the demo's chaos decides: who is killed when, how fast the back office lives, what is still to come."""

from collections import Counter
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.console.demo import chaos as chaos_module
from isthmus.console.demo.chaos import EVERYTHING, WITH_KCL, Chaos, Scope, Upstream, times
from isthmus.console.demo.kills import BY_KCL, LOCAL, Kill, Pending, Victim, kills, number_of
from isthmus.console.demo.plan import Place
from isthmus.console.demo.tempo import BEFORE_LAST, RESERVE_SECONDS, SECONDS, ToCome, kcl_tempo, reserve, tempo
from isthmus.console.demo.watch import Watch
from isthmus.console.proxy.faults import STRIKES, Fault, Traffic
from isthmus.errors import Fatal, Refused
from isthmus.lifecycle import ThreadStop
from tests.fakes.clock import FakeClock, FakeStop

SEEDS = st.integers(0, 10**6)
BOTH = frozenset(LOCAL)


@given(SEEDS, st.integers(1, 365))
def test_each_process_is_killed_as_often_as_the_days_ask_and_in_both_phases(seed: int, days: int) -> None:
    planned = kills(seed, days)
    number = max(2, ceil(8 * days / 31))
    assert planned == kills(seed, days)
    assert {kill.victim for kill in (*planned.first_load, *planned.live)} == set(LOCAL)
    for victim in LOCAL:
        early, late = (sum(kill.victim is victim for kill in phase) for phase in (planned.first_load, planned.live))
        assert early + late == number
        assert early >= 1
        assert late >= 1


@given(SEEDS, st.integers(1, 365))
def test_under_the_kcl_workers_daemons_and_children_are_killed_too_each_in_the_live_phase(seed: int, days: int) -> None:
    planned = kills(seed, days, BY_KCL)
    assert planned == kills(seed, days, BY_KCL)
    for victim in BY_KCL:
        early, late = (sum(kill.victim is victim for kill in phase) for phase in (planned.first_load, planned.live))
        assert early + late == number_of(victim, days)
        assert late >= 1
    for victim in (Victim.WORKER, Victim.DAEMON, Victim.CHILD):
        assert number_of(victim, days) == ceil(4 * days / 31)


@given(SEEDS, st.integers(1, 365), st.sampled_from([LOCAL, BY_KCL]))
def test_every_kill_is_due_well_before_the_end_of_its_phase(seed: int, days: int, victims: tuple[Victim, ...]) -> None:
    planned = kills(seed, days, victims)
    assert all(0 <= kill.share <= 0.7 and 0 <= kill.pick < 1 for kill in (*planned.first_load, *planned.live))


def test_another_seed_kills_elsewhere() -> None:
    assert kills(1, 31) != kills(2, 31)


def test_a_kill_waits_for_its_point_and_for_its_victim_to_be_at_work() -> None:
    kill = Kill(0.5, Victim.PRODUCER)
    pending = Pending([kill], 100)
    assert pending.due(49, BOTH) == []
    assert pending.due(50, frozenset({Victim.CONSUMER})) == []
    assert pending
    assert pending.due(50, BOTH) == [kill]
    assert not pending
    assert pending.due(100, BOTH) == []


def test_a_kill_that_met_nobody_is_due_again() -> None:
    kill = Kill(0.5, Victim.CHILD, 0.25)
    pending = Pending([kill], 100)
    assert pending.due(50, frozenset({Victim.CHILD})) == [kill]
    pending.put_back(kill)
    assert pending
    assert pending.due(50, frozenset({Victim.CHILD})) == [kill]
    assert not pending


def test_one_process_is_killed_once_at_a_time_and_both_may_be() -> None:
    first, second, other = Kill(0.1, Victim.PRODUCER), Kill(0.2, Victim.PRODUCER), Kill(0.3, Victim.CONSUMER)
    pending = Pending([first, second, other], 10)
    assert pending.due(10, BOTH) == [first, other]
    assert pending.due(10, BOTH) == [second]


def test_the_pace_falls_with_what_is_left_so_that_it_never_runs_out() -> None:
    assert tempo(2000.0, 10**6) == 2000.0
    assert tempo(None, 10**6) == 10**6 / SECONDS
    left, seconds = 1680.0, 0.0
    while left >= 1:
        left -= 1
        seconds += 1 / (tempo(2000.0, int(left)) or 1)
    assert seconds > 5 * SECONDS
    assert (tempo(2000.0, 0) or 0) > 0


def test_something_is_kept_for_faults_that_meet_nobody_while_everybody_is_killed() -> None:
    left, seconds, faults = 1680.0, 0.0, 8
    while left >= 1:
        left -= 1
        seconds += 1 / (tempo(2000.0, int(left), reserve=reserve(faults, 1680)) or 1)
    assert seconds > 4 * RESERVE_SECONDS
    assert tempo(2000.0, 1680, reserve=reserve(0, 1680)) == tempo(2000.0, 1680)
    assert reserve(61, 1680) == 210


def test_before_the_reshard_is_read_nothing_is_lived_that_shall_come_after_it() -> None:
    quiet = ToCome(0.4, kills=False, faults=False)
    rates = [kcl_tempo(2000.0, done, 1000, quiet) or 0 for done in range(400)]
    assert rates == sorted(rates, reverse=True)
    assert kcl_tempo(2000.0, 400, 1000, quiet) == kcl_tempo(2000.0, 900, 1000, quiet)
    assert 0 < (kcl_tempo(2000.0, 400, 1000, quiet) or 0) < 1


@given(st.integers(0, 1000))
def test_the_last_part_is_left_until_everybody_was_killed_and_is_lived_slowest(done: int) -> None:
    killing = kcl_tempo(2000.0, done, 1000, ToCome(1.0, kills=True, faults=True)) or 0
    assert killing == tempo(2000.0, int(1000 * BEFORE_LAST) - done)
    last = kcl_tempo(2000.0, done, 1000, ToCome(1.0, kills=False, faults=True)) or 0
    assert last < (tempo(2000.0, 1000 - done) or 0)


@given(st.integers(1, 365))
def test_each_fault_happens_several_times_and_not_without_end(days: int) -> None:
    assert 3 <= times(days) <= 20


class Silent:
    """A proxy that listens and says what it is told to say."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.stdout = iter(self.lines)
        self.log_tail = lambda: "the end of its log"
        self.end = lambda: 0
        self.poll = lambda: self.code

    lines: tuple[bytes, ...] = (b'{"event": "listening", "port": 7}',)
    code: int | None = None


def chaos(
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
    *lines: bytes,
    code: int | None = None,
    scope: Scope = EVERYTHING,
) -> Chaos:
    said = type("Said", (Silent,), {"lines": (*Silent.lines, *lines), "code": code})
    monkeypatch.setattr(chaos_module, "Child", said)
    started = Chaos(1, 1, Upstream(7), Path("log"), clock=clock, scope=scope)
    started._listener.join()
    return started


def test_what_is_planned_is_left_until_it_has_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    started = chaos(monkeypatch, FakeClock(), *[b'{"event": "fired", "fault": "put_500"}'] * 3)
    assert started.counts() == dict.fromkeys((fault.value for fault in Fault), 0) | {"put_500": 3}
    assert started.planned == sum(started.left().values()) + 3
    assert "put_500" not in started.left()
    assert (started.left()["put_partial"], started.left()["producer_killed"]) == (3, 2)
    for victim in LOCAL:
        started.killed(victim)
        started.killed(victim)
    assert Counter(started.counts())["consumer_killed"] == 2
    assert not {"producer_killed", "consumer_killed"} & started.left().keys()


def test_what_never_meets_the_proxy_is_not_planned_and_whoever_can_be_killed_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = chaos(monkeypatch, FakeClock(), scope=WITH_KCL)
    read = {fault.value for fault in STRIKES[Traffic.READ]}
    others = {fault.value: 3 for faults in STRIKES.values() for fault in faults if fault.value not in read}
    killed = {"producer_killed": 2, "worker_killed": 1, "daemon_killed": 1, "child_killed": 1}
    assert started.left() == others | killed
    for victim in BY_KCL:
        started.killed(victim)
    assert started.left() == others | {"producer_killed": 1}


def test_a_plan_in_which_nothing_happens_any_more_has_halted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    started = chaos(monkeypatch, clock)
    clock.move(59)
    assert not started.halted()
    started.killed(Victim.PRODUCER)
    clock.move(59)
    assert not started.halted()
    clock.move(1)
    assert started.halted()


def test_a_plan_that_is_done_has_not_halted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    started = chaos(monkeypatch, clock)
    started._planned = {}
    clock.move(3600)
    assert not started.halted()


def test_a_proxy_that_ended_by_itself_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Fatal, match="fault proxy ended with code 7"):
        chaos(monkeypatch, FakeClock(), code=7).check()


def test_a_proxy_that_never_listens_is_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Silent, "lines", ())
    with pytest.raises(Fatal, match="did not come up"):
        chaos(monkeypatch, FakeClock())


def test_an_error_that_follows_from_a_death_becomes_the_death() -> None:
    watch, dead = Watch(FakeStop(FakeClock())), iter([False, True])

    def check() -> None:
        if next(dead):
            raise Fatal("the emulator died")

    watch.add(check)
    with pytest.raises(Fatal, match="the emulator died"), watch.naming_the_dead():
        raise Fatal("connection refused")


def test_an_error_while_all_live_stays_what_it_is() -> None:
    with pytest.raises(Fatal, match="connection refused"), Watch(FakeStop(FakeClock())).naming_the_dead():
        raise Fatal("connection refused")


def test_whatever_dies_ends_a_wait() -> None:
    watch = Watch(ThreadStop())
    dying = SimpleNamespace(looks=0)

    def check() -> None:
        dying.looks += 1
        if dying.looks > 2:
            raise Fatal("gone")

    watch.add(check)
    with pytest.raises(Fatal, match="gone"):
        watch.until(lambda: False, 0.0)


def test_a_folder_that_cannot_be_made_is_refused_with_a_hint() -> None:
    with pytest.raises(Refused, match="cannot be used: No such file or directory") as caught:
        Place(Path("/proc/nope/x")).make(force=False)
    assert "--dir" in caught.value.hint
