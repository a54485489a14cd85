"""`isthmus consume` by the Kinesis Client Library: the real daemon, on kinesis-mock and the emulator's DynamoDB."""

import os
import re
import signal
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from isthmus.console.dev import kcl as library
from isthmus.console.kcl.processes import children_of
from tests.fakes import kinesis_mock
from tests.fakes.kinesis_mock import HOME, KinesisMock
from tests.fakes.shop import Running, Shop, until

LONG = 120.0
"""Seconds: a daemon takes 3 to 10 s to come up, and several times that where others use the machine too."""
GONE = 15.0
"""Seconds in which nothing of a worker may be left, on a busy machine. Where it is measured, 2."""
pytestmark = pytest.mark.usefixtures("jars")


@pytest.fixture(scope="module")
def jars() -> Path:
    """Give the folder of the library's jars."""
    for why in (library.unavailable(HOME), kinesis_mock.unavailable()):
        if why:
            pytest.skip(why)
    return library.jars(HOME)[0].parent


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory, jars: Path) -> Iterator[KinesisMock]:
    del jars
    with KinesisMock(tmp_path_factory.mktemp("kinesis-mock")) as running:
        yield running


@pytest.fixture
def grown(make_shop: Callable[..., Shop], mock: KinesisMock, jars: Path) -> Shop:
    """Give a shop whose stream reshards as AWS's do, and which may run under the library."""
    shop = make_shop()
    shop.set('region = "us-east-1"', f'region = "us-east-1"\nendpoints.kinesis = "{mock.url}"')
    shop.set("[metrics]", f'[kcl]\nfailover_time = 3.0\njars = "{jars}"\n[metrics]')
    said = shop.command("setup")
    assert said.code == 0, said
    return shop


def by_kcl(shop: Shop) -> Running:
    if 'runtime = "kcl"' not in shop.config.read_text(encoding="utf-8"):
        shop.set("[consumer]\n", '[consumer]\nruntime = "kcl"\n')
    return shop.start("consume")


def in_step(shop: Shop) -> None:
    try:
        until(shop.in_step, "the front office is in step", LONG)
    except AssertionError:
        for each in shop.children:
            each.child.signal(signal.SIGUSR1)
            each.child.wait(1.0)
        raise AssertionError("\n".join(each.text for each in shop.children)) from None
    shop.catches_up()


def daemon_of(worker: Running) -> int:
    until(lambda: children_of(worker.child.pid), "the daemon is there", LONG)
    (daemon,) = children_of(worker.child.pid)
    return daemon


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def metric(worker: Running, pattern: str) -> list[float]:
    """Give the values of the series that match."""
    (port,) = re.findall(r'"metrics_served".*?"port": (\d+)', worker.text)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return [float(value) for value in re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE)]


def test_a_worker_goes_on_where_the_local_runtime_ended_and_the_local_one_never_again(grown: Shop) -> None:
    grown.start("produce")
    local = grown.start("consume")
    grown.catches_up()
    refused = by_kcl(grown)
    assert refused.exits(LONG) == 4
    assert f"process {local.child.pid}" in refused.text
    local.child.signal(signal.SIGTERM)
    local.exits()

    worker = by_kcl(grown)
    grown.customer(10)
    in_step(grown)
    worker.says("handed_over_to_kcl")
    decided = partial(metric, worker, r'isthmus_records_total\{shard="[^"]*"\}')
    until(lambda: sum(decided()) > 0, "what children count is told in one place")
    again = metric(worker, r'isthmus_changes_total\{outcome="(?:duplicate|stale)",shard="[^"]*"\}')
    assert sum(again) == 0, "what the local runtime had applied came again"

    standing = grown.ask("status")
    assert {shard["owner"] for shard in standing["shards"]} == {standing["kcl"]["leader"]}
    assert all(shard["checkpoint"].isdecimal() for shard in standing["shards"])
    assert "leases in isthmus-" in grown.command("status").out

    daemon, begun = daemon_of(worker), os.times().elapsed
    children = children_of(daemon)
    assert len(children) == 2
    worker.child.signal(signal.SIGTERM)
    assert worker.exits() == 143
    assert os.times().elapsed - begun < 10 + GONE
    assert all(map(is_gone, [daemon, *children]))
    assert "kcl_child_ended" not in worker.events()

    grown.set('runtime = "kcl"\n', "")
    back = grown.start("consume")
    assert back.exits(LONG) == 1
    assert "handed over to the Kinesis Client Library" in back.text


def test_whoever_is_killed_nothing_is_left_over_and_everything_goes_on(grown: Shop) -> None:
    grown.start("produce")
    worker = by_kcl(grown)
    in_step(grown)

    daemon = daemon_of(worker)
    children = children_of(daemon)
    os.kill(daemon, signal.SIGKILL)
    until(lambda: all(map(is_gone, [daemon, *children])), "the daemon's children see that it is gone", GONE)
    worker.says("kcl_died")
    grown.customer(11)
    in_step(grown)
    worker.says("kcl_leader_removed")

    daemon = daemon_of(worker)
    child, *others = children_of(daemon)
    os.kill(child, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    until(lambda: all(map(is_gone, [daemon, child, *others])), "who is stopped is ended", GONE)
    worker.says("kcl_child_ended")
    grown.customer(12)
    in_step(grown)

    daemon = daemon_of(worker)
    left = [daemon, *children_of(daemon)]
    worker.child.signal(signal.SIGKILL)
    until(lambda: all(map(is_gone, left)), "nothing outlives who looks after it", GONE)
    by_kcl(grown)
    grown.customer(13)
    in_step(grown)
