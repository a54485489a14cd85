"""When a leader's lock may be taken away."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.checkpoint.kcl import KclLease, LeaderLock
from isthmus.checkpoint.ports import Holder
from isthmus.console.kcl.leader import STILL, LeaderWatch, Worker, worker_of

ME = Worker("here", "host-1", "boot-1", 10, "500", 3)
OTHER = Worker("there", "host-2", "boot-2", 10, "500", 1)
FAILOVER = 3.0


def lock(owner: object, version: str = "v") -> LeaderLock:
    return LeaderLock("table", "key", str(owner), version)


def leases(owner: object, *counters: int) -> Mapping[str, KclLease]:
    return {
        f"shard-{number}": KclLease(f"shard-{number}", "1", owner=str(owner), counter=counter)
        for number, counter in enumerate(counters)
    }


def watch(*, dead: bool | None = None) -> LeaderWatch:
    def is_dead(_: Holder) -> bool | None:
        return dead

    return LeaderWatch(FAILOVER, is_dead)


def looks(watching: LeaderWatch, standing: LeaderLock, *held: Mapping[str, KclLease]) -> list[str | None]:
    """Look once a failover time."""
    return [proof(watching, standing, each, number * FAILOVER) for number, each in enumerate(held)]


def proof(
    watching: LeaderWatch, standing: LeaderLock | None, held: Mapping[str, KclLease], at: float, took: float = 0.0
) -> str | None:
    return watching.proof(standing, held, ME, at, at + took)


def test_an_earlier_daemon_of_ours_is_gone() -> None:
    assert proof(watch(), lock(ME._replace(life=2)), {}, 0.0)


def test_our_own_daemon_leads_and_keeps_its_lock() -> None:
    assert proof(watch(dead=True), lock(ME), leases(ME, 1), 0.0) is None
    assert proof(watch(dead=True), None, {}, 0.0) is None


def test_another_process_of_this_boot_that_is_gone_is_proved_and_one_that_lives_is_not() -> None:
    beside = ME._replace(pid=11, started="501")
    assert proof(watch(dead=True), lock(beside), {}, 0.0)
    assert proof(watch(dead=False), lock(beside), {}, 0.0) is None
    assert proof(watch(dead=None), lock(beside), {}, 0.0) is None
    assert proof(watch(dead=True), lock(beside._replace(boot_id="boot-0")), {}, 0.0) is None


def test_an_owner_whose_leases_all_stand_still_is_gone_after_several_failover_times() -> None:
    held = leases(OTHER, 5, 6)
    assert [bool(proof) for proof in looks(watch(), lock(OTHER), *[held] * (STILL + 1))] == [False] * STILL + [True]


def test_one_lease_that_moves_is_a_life() -> None:
    moving = [leases(OTHER, 5, number) for number in range(10)]
    assert looks(watch(), lock(OTHER), *moving) == [None] * 10


def test_an_owner_without_a_lease_proves_nothing() -> None:
    assert looks(watch(), lock(OTHER), *[leases(ME, 1)] * 10) == [None] * 10


def test_a_lease_that_comes_or_goes_begins_the_time_anew() -> None:
    one, two = leases(OTHER, 5), leases(OTHER, 5, 6)
    assert looks(watch(), lock(OTHER), one, two, one, two, one) == [None] * 5


def test_the_time_that_an_answer_takes_is_no_stillness() -> None:
    watching, still = watch(), STILL * FAILOVER
    assert proof(watching, lock(OTHER), leases(OTHER, 5), 0.0, took=9.0) is None
    assert proof(watching, lock(OTHER), leases(OTHER, 5), 8.9 + still, took=100.0) is None
    assert proof(watching, lock(OTHER), leases(OTHER, 5), 9.0 + still)


def test_another_owner_begins_the_time_anew() -> None:
    watching, third = watch(), OTHER._replace(pid=12)
    both = {**leases(OTHER, 1), "shard-9": KclLease("shard-9", "1", owner=str(third), counter=1)}
    assert proof(watching, lock(OTHER), both, 0.0) is None
    assert proof(watching, lock(third), both, 100.0) is None
    assert proof(watching, lock(third), both, 100.0 + STILL * FAILOVER)


@pytest.mark.parametrize("text", ["", "host", "a/b/c/d@e", "a/1/c/d@e", "vm/2330/2ae7f98b9cc4", "a/1.x/c/d@e"])
def test_what_is_no_id_of_ours_names_no_process(text: str) -> None:
    assert worker_of(text) is None
    assert proof(watch(dead=True), lock(text), {}, 0.0) is None


@given(st.integers(1, 10**7), st.integers(0, 10**6), st.sampled_from(["h", "h/pid:[1]", "a.b-c"]))
def test_an_id_tells_who_it_is(pid: int, life: int, host: str) -> None:
    worker = Worker("name", host, "9f1b-77", pid, "12345", life)
    assert worker_of(str(worker)) == worker
