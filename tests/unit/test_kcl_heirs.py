"""Who goes on with the shards of a leader that is gone."""

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from isthmus.checkpoint.kcl import SHARD_END, KclLease
from isthmus.console.kcl.heirs import heirs

DEAD, ME, MOVES, STANDS = "dead", "me", "moves", "stands"


def table(*owners: str, counter: int = 7) -> dict[str, KclLease]:
    return {
        f"shard-{number}": KclLease(f"shard-{number}", "1", owner=owner, counter=counter)
        for number, owner in enumerate(owners)
    }


def moved(leases: Mapping[str, KclLease]) -> dict[str, KclLease]:
    """Give them as they were before the owners that live raised their counters."""
    return {
        shard: lease._replace(counter=lease.counter - 1) if lease.owner in {ME, MOVES} else lease
        for shard, lease in leases.items()
    }


def given_to(leases: Mapping[str, KclLease], before: Mapping[str, KclLease] | None = None) -> Counter[str]:
    found = heirs(leases, moved(leases) if before is None else before, DEAD, ME)
    assert all(lease.owner == DEAD for lease, _ in found)
    return Counter(heir for _, heir in found)


def test_all_is_ours_where_nobody_else_lives() -> None:
    assert given_to(table(DEAD, DEAD, ME)) == {ME: 2}


def test_those_who_have_the_fewest_get_the_next() -> None:
    assert given_to(table(DEAD, DEAD, DEAD, MOVES, ME, ME)) == {MOVES: 2, ME: 1}


def test_whose_leases_stand_still_gets_none() -> None:
    assert given_to(table(DEAD, DEAD, STANDS, ME)) == {ME: 2}


def test_who_was_not_looked_at_before_gets_none() -> None:
    leases = table(DEAD, MOVES)
    assert given_to(leases, {}) == {ME: 1}
    assert given_to(leases, {"shard-1": leases["shard-1"]._replace(owner=STANDS, counter=1)}) == {ME: 1}


def test_a_shard_that_is_read_to_its_end_needs_nobody() -> None:
    leases = table(DEAD, DEAD)
    leases["shard-0"] = leases["shard-0"]._replace(checkpoint=SHARD_END)
    assert [lease.shard for lease, _ in heirs(leases, {}, DEAD, ME)] == ["shard-1"]


@given(st.lists(st.sampled_from([DEAD, ME, MOVES, STANDS, ""]), max_size=12))
def test_each_lease_of_the_dead_goes_once_to_somebody_who_lives_and_none_gets_two_more_than_another(
    owners: list[str],
) -> None:
    leases = table(*owners)
    found = heirs(leases, moved(leases), DEAD, ME)
    assert sorted(lease.shard for lease, _ in found) == sorted(
        shard for shard, lease in leases.items() if lease.owner == DEAD
    )
    living = {ME, *(owner for owner in owners if owner == MOVES)}
    gained = Counter(heir for _, heir in found)
    assert set(gained) <= living
    had = {worker: owners.count(worker) for worker in living}
    for worker in gained:
        assert all(had[worker] + gained[worker] - 1 <= had[other] + gained[other] for other in living)
