"""What several processes say of themselves, as one reading."""

import math

from isthmus.console.demo.readings import Readings, take


def told(readings: Readings, shard: str, outcome: str, number: int) -> None:
    take(readings, "isthmus_changes_total", {"shard": shard, "outcome": outcome}, float(number))


def test_what_two_workers_counted_of_one_shard_is_added() -> None:
    found = Readings()
    told(found, "s1", "applied", 3)
    told(found, "s1", "applied", 4)
    told(found, "s2", "parked", 1)
    assert found.shards["s1"].outcomes["applied"] == 7
    assert found.outcome("applied") == 7
    assert found.outcomes() == {"applied": 7, "parked": 1}


def test_of_how_far_behind_a_shard_is_the_worst_counts() -> None:
    found = Readings()
    for seconds in (2.0, 0.0):
        take(found, "isthmus_shard_behind_seconds", {"shard": "s1"}, seconds)
    assert found.shards["s1"].behind_s == 2.0


def test_freshness_is_that_of_all_processes_together() -> None:
    found = Readings()
    for _ in range(2):
        for bound, count in (("0.1", 5), ("1.0", 9), ("+Inf", 10)):
            take(found, "isthmus_freshness_seconds_bucket", {"le": bound}, float(count))
    assert found.freshness == {0.1: 10, 1.0: 18, math.inf: 20}
    assert found.freshness_quantile(0.5, Readings()) == 0.1
    assert found.freshness_quantile(0.9, Readings()) == 1.0


def test_counts_that_went_down_with_a_killed_process_say_nothing() -> None:
    before, after = Readings(), Readings()
    take(before, "isthmus_freshness_seconds_bucket", {"le": "+Inf"}, 10.0)
    take(after, "isthmus_freshness_seconds_bucket", {"le": "+Inf"}, 3.0)
    assert after.freshness_quantile(0.5, before) is None
    assert Readings().freshness_quantile(0.5, Readings()) is None
