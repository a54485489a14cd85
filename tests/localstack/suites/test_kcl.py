"""`isthmus consume` by the real Kinesis Client Library: stream and leases both on LocalStack."""

from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.console.dev import kcl as library
from tests.fakes.kinesis_mock import HOME
from tests.fakes.shop import Shop, until
from tests.integration import test_kcl
from tests.integration.test_kcl import (
    by_kcl,
    in_step,
    test_a_worker_goes_on_where_the_local_runtime_ended_and_the_local_one_never_again,
    test_whoever_is_killed_nothing_is_left_over_and_everything_goes_on,
)
from tests.localstack.server import LocalStack

__all__ = [
    "test_a_worker_goes_on_where_the_local_runtime_ended_and_the_local_one_never_again",
    "test_whoever_is_killed_nothing_is_left_over_and_everything_goes_on",
]


LONG = 300.0
"""Seconds: every answer passes through one more process, in Python, than where the same tests run otherwise."""


@pytest.fixture
def grown(make_shop: Callable[[], Shop], monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Give a shop that may run under the library."""
    if why := library.unavailable(HOME):
        pytest.skip(why)
    monkeypatch.setattr(test_kcl, "LONG", LONG)
    shop = make_shop()
    jars: Path = library.jars(HOME)[0].parent
    shop.set("[metrics]", f'[kcl]\nfailover_time = 3.0\njars = "{jars}"\n[metrics]')
    said = shop.command("setup")
    assert said.code == 0, said
    return shop


def test_the_library_reads_a_split_shard_and_then_its_children(grown: Shop, emulator: LocalStack) -> None:
    grown.start("produce")
    by_kcl(grown)
    in_step(grown)
    kinesis = emulator.client("kinesis")
    kinesis.update_shard_count(StreamName=grown.name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    kinesis.get_waiter("stream_exists").wait(StreamName=grown.name, WaiterConfig={"Delay": 1})
    for number in range(20, 36):
        grown.customer(number)
    in_step(grown)
    until(lambda: ended(grown) == [True, True], "both parents are done", LONG)


def ended(shop: Shop) -> list[bool]:
    """Say of each shard that was split whether it is done."""
    return [shard["done"] for shard in shop.ask("status")["shards"] if shard["closed"]]
