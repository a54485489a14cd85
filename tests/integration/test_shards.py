"""`isthmus shards` on a stream that reshards as AWS's do, while real processes produce and consume."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus import codec
from isthmus.chance import unique_name
from isthmus.change import lane_hash_key, lane_of, lane_partition_key
from isthmus.checkpoint.kcl import SHARD_END, KclLease, KclLeases
from isthmus.checkpoint.ports import HandOver, ShardCheckpoint
from isthmus.console.dev import kcl as library
from isthmus.console.resharding.cover import HASH_SPACE
from isthmus.console.resharding.kinesis import KinesisShards
from isthmus.console.wiring import Wiring
from isthmus.errors import TargetDown
from isthmus.lifecycle import ThreadStop
from isthmus.settings import load
from tests.fakes import kinesis_mock
from tests.fakes.emulator import Emulator
from tests.fakes.kinesis_mock import HOME, KinesisMock
from tests.fakes.shard_shop import asked, begun, client_of, long, opened, parts, shards, short, states
from tests.fakes.shop import Shop, until
from tests.fakes.wire import FLIGHT

ROOT = Path(__file__).parents[2]
CUSTOMERS = range(10, 60)
LONG = 120.0
"""Seconds: a daemon takes 3 to 10 s to come up, and several times that where others use the machine too."""


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KinesisMock]:
    if why := kinesis_mock.unavailable():
        pytest.skip(why)
    with KinesisMock(tmp_path_factory.mktemp("kinesis-mock")) as running:
        yield running


@pytest.fixture(scope="module")
def kinesis(mock: KinesisMock) -> Iterator[Any]:
    """Give a client of nothing of ours."""
    client = client_of(mock.url)
    yield client
    client.close()


@pytest.fixture
def unready(make_shop: Callable[..., Shop], mock: KinesisMock) -> Shop:
    """Give a shop whose stream was not set up."""
    shop = make_shop()
    shop.set('region = "us-east-1"', f'region = "us-east-1"\nendpoints.kinesis = "{mock.url}"')
    return shop


@pytest.fixture
def shop(unready: Shop) -> Shop:
    """Give a shop with 2 shards and 8 lanes."""
    said = unready.command("setup")
    assert said.code == 0, said
    return unready


def test_the_stream_is_resharded_while_everything_runs_and_nothing_is_lost_or_turned(shop: Shop) -> None:
    shop.start("produce")
    shop.start("consume")
    shop.catches_up()
    for round_, (count, steps) in enumerate([(4, 2), (3, 5)]):
        for number in CUSTOMERS:
            shop.customer(number, f"ROUND {round_}")
        answer = shop.ask("shards", "scale", str(count), "--yes")
        assert (answer["shards"]["after"], answer["done"], len(answer["steps"])) == (count, steps, steps)
        assert answer["drained"]["left"] == []
        assert answer["drained"]["read"]
        assert "draining" not in states(shop), "what was waited for is so"
        assert parts(shop) == pytest.approx([100 / count] * count, abs=0.001)
        for number in CUSTOMERS:
            shop.customer(number, f"AFTER {round_}")
    shop.catches_up()
    assert len(states(shop)["drained"]) == 4 + 2 * 3, "each that was split, and the two of each merge"


def test_what_was_broken_off_goes_on_with_the_same_command(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    real, after = KinesisShards.split, iter([None, TargetDown("The answer was lost."), KeyboardInterrupt()])

    def split(self: KinesisShards, shard: str, at: int) -> None:
        real(self, shard, at)
        if (error := next(after)) is not None:
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(KinesisShards, "split", split)
        said = shop.command("shards", "scale", "8", "--yes")
    assert said.code == 130
    assert "2 of 6 steps are done; one that Kinesis was asked for it completes by itself." in said.err
    answer = shop.ask("shards", "scale", "8", "--yes")
    assert (answer["shards"], answer["done"]) == ({"before": 5, "after": 8}, 3)
    assert parts(shop) == [12.5] * 8
    assert len(shards(shop)) == 2 + 2 * 6, "no step was taken twice"


def test_a_consumer_that_is_away_is_told_and_waited_for_with_the_same_command(shop: Shop) -> None:
    producer, consumer = shop.start("produce"), shop.start("consume")
    shop.catches_up()
    consumer.child.signal(signal.SIGTERM)
    consumer.exits()
    for number in CUSTOMERS:
        shop.customer(number)
    producer.child.end()
    said = shop.command("shards", "split", long(0), "--yes", "--no-wait")
    assert said.code == 0
    assert "2 open shards are 3 now. Not drained yet:" in said.out
    assert re.search(rf"{long(0)}: ([\d.,]+ s behind|all read, not saved yet)", said.out)
    assert "Nobody consumes now: start `isthmus consume`." in said.out

    waiting = begun(shop, "scale", "4", "--yes")
    until(lambda: f"waiting for {long(0)}" in waiting.text, f"it waits\n{waiting.text}")
    assert "nobody consumes now" in waiting.text
    waiting.child.signal(signal.SIGINT)
    assert waiting.exits() == 130
    assert "The shards are as they should be. The application goes on draining the parents." in waiting.text
    assert states(shop) == {"draining": ["0", "1"], "open": ["2", "3", "4", "5"]}

    waiting = begun(shop, "scale", "4", "--yes")
    until(lambda: f"waiting for {long(0)}" in waiting.text, f"it waits\n{waiting.text}")
    shop.start("consume")
    assert waiting.exits() == 0
    assert "4 open shards, as they should be; 2 parents are drained." in waiting.text
    assert states(shop) == {"drained": ["0", "1"], "open": ["2", "3", "4", "5"]}


def test_an_application_that_never_read_is_not_waited_for(shop: Shop) -> None:
    said = shop.command("shards", "scale", "3", "--yes")
    assert said.code == 0
    assert "2 open shards are 3 now." in said.out
    assert f"{shop.name} has never read this stream: no parent is waited for." in said.out
    answer = shop.ask("shards", "scale", "3", "--yes")
    assert (answer["done"], answer["drained"]) == (0, {"done": 0, "of": 0, "left": [], "lost": [], "read": False})
    shop.start("produce")
    shop.start("consume")
    shop.catches_up()
    until(lambda: "draining" not in states(shop), "parents are read before children, by whoever comes")


def test_parents_that_go_before_they_are_read_are_told_as_lost(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    assert shop.command("setup").code == 0
    checkpoints = Wiring(load(shop.config)).checkpoints()
    record = checkpoints.stream.read()
    assert record is not None
    for number in (0, 1):
        checkpoints.shards.save(ShardCheckpoint(long(number), record.identity))
    # The embedded emulator deletes the parent at once, and all that is in it.
    said = shop.command("shards", "split", long(0), "--yes")
    assert said.code == 1
    assert f"{long(0)} is gone, and not all of it was decided: records may be lost" in said.out
    again = shop.command("shards", "scale", "2", "--yes", "--json")
    assert again.code == 1
    assert json.loads(again.out)["drained"]["lost"] == [long(2), long(3)], "and not again what went before"
    assert states(shop)["lost"] == ["0"]


def test_the_plan_is_shown_and_nothing_is_done_without_consent(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shards(shop)
    said = shop.command("shards", "scale", "3", "--dry-run")
    assert said.code == 0
    assert f"{shop.name}: 2 open shards become 3 in 3 steps, at most 4 on the way" in said.out
    lines = [line.split() for line in said.out.splitlines() if line[:1].isdigit()]
    assert [(line[0], line[1]) for line in lines] == [("1", "split"), ("2", "split"), ("3", "merge")]
    assert long(0) in said.out
    assert "33.33 to 50.00 % and 50.00 to 66.67 %" in said.out
    plan = shop.ask("shards", "scale", "3", "--dry-run")
    assert (plan["shards"], plan["done"], plan["drained"]) == ({"before": 2, "after": 3}, 0, None)
    assert plan["steps"][2]["shards"] == [None, None]
    assert plan["steps"][0] == {
        "do": "split",
        "shards": [long(0)],
        "at": str(HASH_SPACE // 3),
        "makes": [[0.0, 33.3333], [33.3333, 50.0]],
    }
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _prompt: "n")
    said = shop.command("shards", "scale", "3")
    assert said.code == 1
    assert "Nothing was changed. With --yes nobody is asked." in said.err
    assert shards(shop) == before
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _prompt: "y")
    assert shop.command("shards", "scale", "1", "--no-wait").code == 0
    assert parts(shop) == [100.0]


def test_a_split_lies_where_it_was_asked_for(shop: Shop) -> None:
    assert shop.command("shards", "split", long(0), "--at", "lane-001", "--yes").code == 0
    assert parts(shop) == [12.5, 37.5, 50.0]
    said = shop.command("shards", "split", long(2), "--at", "customer/1", "--dry-run")
    assert said.code == 1
    assert (
        f"and not lane-{lane_of('customer/1', 8):03d}, the lane of customer/1. Of the lanes it has lane-000."
        in said.err
    )
    said = shop.command("shards", "split", long(2), "--dry-run")
    assert "No lane goes to 6.25 to 12.50 %: the shard there gets nothing." in said.out


@pytest.mark.parametrize(
    "arguments, code, sentence",
    [
        (("split", "shardId-9"), 2, "no shard shardId-9"),
        (("merge", long(0), "shardId-9"), 2, "no shard shardId-9"),
        (("split", long(0), "--at", "0"), 1, "the first half would be empty"),
        (("split", long(0), "--at", str(HASH_SPACE - 1)), 1, "Of the lanes it has lane-000 to lane-003"),
        (("scale", "9"), 1, "The stream has 8 lanes"),
        (("scale", "0"), 2, "0 is not in the range"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    shop: Shop, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    said = shop.command("shards", *arguments, "--yes")
    assert said.code == code
    assert sentence in said.err
    assert states(shop) == {"open": ["0", "1"]}


def test_closed_shards_and_such_as_are_no_neighbours_are_refused_with_those_that_can_be_changed(shop: Shop) -> None:
    assert shop.command("shards", "split", long(0), "--yes").code == 0
    said = shop.command("shards", "split", long(0), "--yes")
    assert said.code == 1
    assert f"{long(0)} is closed: {long(2)} and {long(3)} came after it." in said.err
    said = shop.command("shards", "merge", long(2), long(1), "--yes")
    assert said.code == 1
    assert f"Open beside {long(2)}: {long(3)}; beside {long(1)}: {long(3)}." in said.err


def test_a_stream_on_demand_is_left_to_kinesis(shop: Shop, kinesis: Any) -> None:
    arn = kinesis.describe_stream_summary(StreamName=shop.name)["StreamDescriptionSummary"]["StreamARN"]
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    said = shop.command("shards", "scale", "4", "--yes")
    assert said.code == 1
    assert "The stream is on demand: there Kinesis itself splits and merges shards" in said.err
    assert "on demand" in shop.command("shards", "list").out


def test_a_stream_that_was_not_set_up_is_missing(unready: Shop) -> None:
    for command in (["list"], ["scale", "4"], ["advise"]):
        said = unready.command("shards", *command)
        assert said.code == 3
        assert "isthmus setup" in said.err


def test_each_command_asks_for_what_the_documents_permit_and_for_all_of_it(shop: Shop, kinesis: Any) -> None:
    kinesis.put_record(StreamName=shop.name, Data=b"[]", PartitionKey="lane-000", ExplicitHashKey="0")
    identity = Wiring(load(shop.config)).checkpoints()
    record = identity.stream.read()
    assert record is not None
    identity.shards.save(ShardCheckpoint(long(0), record.identity))
    calls: dict[str, set[str]] = {}
    for name, arguments in {
        "list": (),
        "split": (long(0), "--yes", "--no-wait"),
        "scale": ("1", "--yes", "--no-wait"),
        "advise": (),
    }.items():
        with asked() as calls[f"shards {name}"]:
            assert shop.command("shards", name, *arguments).code == 0
    kinesis.split_shard(StreamName=shop.name, ShardToSplit=opened(shop)[0], NewStartingHashKey=str(HASH_SPACE // 2))
    until(lambda: len(opened(shop)) == 2, "somebody else split it")
    with asked() as calls["shards merge"]:
        assert shop.command("shards", "merge", *opened(shop), "--yes", "--no-wait").code == 0
    with asked() as seen:
        assert shop.command("shards", "scale", "2", "--yes", "--no-wait").code == 0
    calls["shards scale"] |= seen

    rows = re.findall(
        r"^\| `(shards \w+)` (.*)$", (ROOT / "docs" / "shards.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert calls == {name: set(re.findall(r"`(\w+)`", cells)) for name, cells in rows}


def test_the_list_shows_each_shard_with_its_kin_and_how_far_it_is_read(shop: Shop, kinesis: Any) -> None:
    for _ in range(3):
        kinesis.put_record(StreamName=shop.name, Data=b"[]", PartitionKey="lane-000", ExplicitHashKey="0")
    assert shop.command("shards", "scale", "3", "--yes", "--no-wait").code == 0
    found = {short(row["id"]): row for row in shards(shop)}
    assert [found[name]["undecided"] for name in ("0", "1", "2")] == [3, 0, 0]
    assert found["0"]["behind_ms"] > 0
    assert found["0"]["children"] == [long(2), long(3)]
    assert found["3"]["parents"] == [long(0)]
    assert [row["state"] for row in found.values()].count("open") == 3
    assert sum(len(row["lanes"]) for row in found.values() if row["state"] == "open") == 8
    said = shop.command("shards", "list")
    assert said.code == 0
    assert "ACTIVE, 3 open shards, 8 lanes" in said.out
    assert "OWNER" not in said.out
    assert "33.33 %" in said.out


def test_under_the_kinesis_client_library_leases_tell_how_far_it_is(shop: Shop, emulator: Emulator) -> None:
    wiring = Wiring(load(shop.config))
    checkpoints = wiring.checkpoints()
    table = f"kcl-{unique_name()}"
    leases = KclLeases(emulator.client("dynamodb"), table)
    leases.ensure(stop=ThreadStop())
    leases.seed([KclLease(long(0), "1", owner="worker-1"), KclLease(long(1), "1")])
    emulator.client("dynamodb").update_item(
        TableName=table,
        Key={"leaseKey": {"S": long(0)}},
        UpdateExpression="SET leaseOwner = :me",
        ExpressionAttributeValues={":me": {"S": "worker-1"}},
    )
    checkpoints.hand_overs.record(HandOver(table, wiring.stream(checkpoints).identity, complete=True))
    assert shop.ask("shards", "list")["reader"] == "kcl"
    assert [row["owner"] for row in shards(shop)] == ["worker-1", None]
    assert "worker-1" in shop.command("shards", "list").out
    drained = shop.ask("shards", "scale", "4", "--yes", "--no-wait")["drained"]
    assert [row["shard"] for row in drained["left"]] == [long(0), long(1)]

    leases.seed([KclLease(long(number), "TRIM_HORIZON") for number in (2, 3, 4, 5)])
    emulator.client("dynamodb").update_item(
        TableName=table,
        Key={"leaseKey": {"S": long(0)}},
        UpdateExpression="SET checkpoint = :end",
        ExpressionAttributeValues={":end": {"S": SHARD_END}},
    )
    assert states(shop)["draining"] == ["1"]
    emulator.client("dynamodb").delete_item(TableName=table, Key={"leaseKey": {"S": long(1)}})
    assert states(shop)["drained"] == ["0", "1"]
    answer = shop.ask("shards", "scale", "4", "--yes")
    assert answer["drained"] == {"done": 0, "of": 0, "left": [], "lost": [], "read": True}


def test_workers_of_the_library_drain_the_parents_of_a_reshard(shop: Shop) -> None:
    if why := library.unavailable(HOME):
        pytest.skip(why)
    shop.set("[metrics]", f'[kcl]\nfailover_time = 3.0\njars = "{library.jars(HOME)[0].parent}"\n[metrics]')
    shop.set("[consumer]\n", '[consumer]\nruntime = "kcl"\n')
    shop.start("produce")
    worker = shop.start("consume")
    until(shop.in_step, "the front office is in step", LONG)
    for number in CUSTOMERS:
        shop.customer(number)
    scaling = begun(shop, "scale", "4", "--yes")
    assert scaling.exits(LONG) == 0, f"{scaling.text}\n{worker.text}"
    assert "2 open shards are 4 now" in scaling.text
    standing = shop.ask("shards", "list")
    assert standing["reader"] == "kcl"
    assert [row["state"] for row in standing["shards"]] == ["drained"] * 2 + ["open"] * 4
    for number in CUSTOMERS:
        shop.customer(number, "AFTER")
    until(shop.in_step, "the children are read", LONG)
    shop.catches_up()


def test_advice_is_taken_from_what_lies_in_the_stream(shop: Shop) -> None:
    quiet = shop.ask("shards", "advise")
    assert (quiet["verdict"], quiet["sample"]["records"]) == ("quiet", 0)
    shop.start("produce")
    consumer = shop.start("consume")
    for number in CUSTOMERS:
        shop.customer(number)
    shop.catches_up()
    (port,) = re.findall(r'"metrics_served".*?"port": (\d+)', consumer.text)
    url = f"http://127.0.0.1:{port}/metrics"
    found = shop.ask("shards", "advise", "--metrics", url)
    assert (found["verdict"], found["equal"]) == ("fewer", 1)
    assert found["commands"] == [{"line": "isthmus shards scale 1", "steps": 1, "then": found["then"]}]
    assert sum(row["changes"] for row in found["shards"]) * 60 >= len(CUSTOMERS)
    assert found["sample"]["cut"] == []
    assert found["metrics"] == {"throttled": 0.0, "troubles": []}
    measured = shop.ask("shards", "advise", "--metrics", url, "--no-sample", "--seconds", "5")
    assert (measured["sample"], measured["metrics"]) == (None, {"throttled": 0.0, "troubles": []})
    said = shop.command("shards", "advise", "--no-sample")
    assert said.code == 1
    assert "Name them with --metrics" in said.err


def test_a_hot_key_is_named_as_what_no_reshard_mends(shop: Shop, kinesis: Any) -> None:
    lane = lane_of(FLIGHT.key, 8)
    bundle = codec.bundle([codec.encode(FLIGHT)] * 1000)
    for _ in range(2):
        kinesis.put_record(
            StreamName=shop.name,
            Data=bundle,
            PartitionKey=lane_partition_key(lane),
            ExplicitHashKey=lane_hash_key(lane, 8),
        )
    found = shop.ask("shards", "advise", "--fill", "1")
    assert found["verdict"] == "key"
    assert found["key"]["key"] == FLIGHT.key
    assert found["lane"]["name"] == lane_partition_key(lane)
    said = shop.command("shards", "advise", "--fill", "1")
    assert f"Most of it is one key, {FLIGHT.key}" in said.out
    assert "no number of shards changes that" in said.out
    assert "2 % of bytes, hot" in said.out
