"""`isthmus consume` by the Kinesis Client Library: the real daemon, on kinesis-mock and the emulator's DynamoDB."""

import os
import re
import signal
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from isthmus.console.dev import kcl as library
from isthmus.console.kcl.processes import children_of
from tests.fakes import kinesis_mock
from tests.fakes.emulator import Emulator
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


def told(shop: Shop) -> Counter[str]:
    """Give the outcomes that the front office knows of."""
    return Counter(dict(shop.read("SELECT outcome, count(*) FROM isthmus_history GROUP BY outcome")))


def counted(shop: Shop) -> Counter[str]:
    """Give the outcomes that `isthmus status` counts, of those that leave a row in the history."""
    shards = shop.ask("status")["shards"]
    found = sum((Counter(shard["outcomes"]) for shard in shards), Counter[str]())
    return Counter({name: number for name, number in found.items() if name != "parked"})


def dead_letters(shop: Shop) -> list[str]:
    """Give the keys of what lies in the dead-letter queue."""
    return [letter["key"] for letter in shop.ask("dlq", "list")["letters"]]


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

    until(lambda: metric(worker, r'isthmus_parked_keys\{reason="[^"]*"\}'), "what is parked is told by who leads", LONG)
    # What the local runtime counted, and what the children did: the books are those of the front office.
    until(lambda: counted(grown) == told(grown), "the outcomes of both runtimes are counted", LONG)
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
    until(lambda: dead_letters(grown) == ["customer/4"], "the leader has sent what is parked", LONG)

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


PLAIN = """
from isthmus.pipeline import Pipeline
from isthmus_examples.customers.pipeline import Customer, customer_key, translate

customers = Pipeline("customer", Customer, customer_key, translate)
"""


def test_a_front_office_in_dynamodb_keeps_in_step_and_its_books_balance_when_a_child_is_killed(
    grown: Shop, emulator: Emulator
) -> None:
    client, table = emulator.client("dynamodb"), f"{grown.name}-customer"
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    (grown.folder / "plain_customers.py").write_text(PLAIN, encoding="utf-8")
    grown.set("isthmus_examples.customers.pipeline:customers", "plain_customers:customers")
    grown.set('table = "customer"', f'table = "{table}"')
    grown.set("sqlite:///front/front-office.db", "dynamodb:")
    assert grown.command("setup").code == 0

    def names(*numbers: int) -> dict[str, str]:
        """Give what the front office shows of some customers."""
        found = (client.get_item(TableName=table, Key={"key": {"S": f"customer/{number}"}}) for number in numbers)
        return {item["key"]["S"]: item["name"]["S"] for answer in found if (item := answer.get("Item"))}

    grown.start("produce")
    worker = by_kcl(grown)
    many = range(100, 160)
    for number in many:
        grown.customer(number, f"NAME {number}")
    wanted = {f"customer/{number}": f"Name {number}" for number in many}
    until(lambda: names(*many) == wanted, f"all of them are there\n{worker.text}", LONG)
    until(lambda: dead_letters(grown) == ["customer/4"], "the leader has sent what is parked", LONG)
    child, *_ = children_of(daemon_of(worker))
    os.kill(child, signal.SIGKILL)
    worker.says("kcl_died")
    grown.customer(100, "ANOTHER NAME")
    until(lambda: names(100) == {"customer/100": "Another Name"}, f"it goes on\n{worker.text}", LONG)
    # Each lane has its fence: the markers of the producer passed before anything else.
    store = client.scan(TableName=f"isthmus-{grown.name}-store", ConsistentRead=True)["Items"]
    assert len([item for item in store if item["sk"]["S"].startswith("fence")]) == 8
    # Counts of what was decided just before a kill may be missing, and none is counted twice.
    applied = sum(item["outcome"]["S"] == "applied" for item in store if "outcome" in item)
    until(lambda: 0 < counted(grown)["applied"] <= applied, "the outcomes are counted", LONG)
