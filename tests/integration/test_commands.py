"""The commands as real processes and on the emulator: what they do, say and leave behind."""

import json
import signal
import sqlite3
import urllib.request
from collections.abc import Callable
from contextlib import closing

import pytest
from cloudevents.core.formats.json import JSONFormat

from isthmus.console.commands import status as status_command
from tests.fakes.emulator import Emulator
from tests.fakes.forwarder import Forwarder
from tests.fakes.shop import Shop, until


def records(emulator: Emulator, stream: str) -> list[bytes]:
    """Read the whole stream with nothing of ours."""
    kinesis = emulator.client("kinesis")
    found = []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        place = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(StreamName=stream, **place)["ShardIterator"]
        found += [record["Data"] for record in kinesis.get_records(ShardIterator=iterator)["Records"]]
    return found


def test_kills_lose_nothing_and_double_nothing_and_every_command_tells_of_it(
    make_shop: Callable[..., Shop], emulator: Emulator
) -> None:
    shop = make_shop("a folder with 100 %20 signs")
    assert shop.command("setup").code == 0
    producer, consumer = shop.start("produce"), shop.start("consume")
    shop.catches_up()

    for number in range(10, 200):
        shop.customer(number)
    producer.child.signal(signal.SIGKILL)
    shop.customer(10, "RENAMED")
    producer = shop.start("produce")
    shop.catches_up()

    for number in range(200, 400):
        shop.customer(number, country="FR")
    consumer.child.signal(signal.SIGKILL)
    consumer = shop.start("consume")
    shop.catches_up()

    for number in range(10, 60):
        shop.customer(number, "RENAMED AGAIN")
    for running in (producer, consumer):
        running.child.signal(signal.SIGKILL)
        running.exits()
    producer, consumer = shop.start("produce"), shop.start("consume")
    shop.catches_up()

    tells_where_it_stands(shop)
    tells_what_became_of_an_entity(shop)
    tells_what_lies_in_the_stream(shop)
    a_foreign_reader_reads_all_of_it(shop, emulator)

    for running in (producer, consumer):
        running.child.signal(signal.SIGTERM)
    assert (producer.exits(10), consumer.exits(10)) == (143, 143)
    found = shop.ask("status")
    assert (found["worker"], found["sources"][0]["owner"]) == (None, None)
    assert found["sources"][0]["behind"] == 0
    assert all(shard["undecided"] == 0 for shard in found["shards"])


def tells_where_it_stands(shop: Shop) -> None:
    found = shop.ask("status")
    assert found["sources"][0]["behind"] <= 50
    assert found["worker"]["life"] == found["sources"][0]["owner"]["life"] == "alive"
    assert found["worker"]["process"] == shop.children[-1].child.pid
    assert [(row["reason"], row["keys"]) for row in found["parked"]] == [("translate-failed", 1)]
    assert {shard["trouble"] for shard in found["shards"]} == {""}
    said = shop.command("status")
    assert f"alive: process {shop.children[-2].child.pid} on " in said.out
    assert "…" not in said.out
    assert f"translate-failed: 1 keys, 1 changes, oldest since {found['parked'][0]['oldest_since']}\n" in said.out


def tells_what_became_of_an_entity(shop: Shop) -> None:
    found = shop.ask("trace", "customer/10")
    outcomes = [step["outcome"] for step in found["steps"]]
    assert outcomes[-1] == "applied"
    assert found["now"]["version"] == found["steps"][-1]["version"]
    assert shop.ask("trace", found["now"]["txn"])["key"] == "customer/10"
    streamed = shop.ask("trace", "customer/10", "--stream")["stream"]
    assert {step["txn"] for step in found["steps"]} <= {event["txn"] for event in streamed}
    parked = shop.command("trace", "customer/4")
    assert parked.code == 0
    assert "translate-failed (translate): " in parked.out
    assert "…" not in parked.out
    nobody = shop.command("trace", "customer/[/nobody]")
    assert (nobody.code, "add --stream" in nobody.err) == (1, True)
    assert shop.command("trace", "customer/nobody", "--stream").code == 1


def tells_what_lies_in_the_stream(shop: Shop) -> None:
    said = shop.command("peek", "--limit", "1000")
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert {"marker", "upsert", "untranslated"} == {line["verb"] for line in lines}
    assert all("data" not in line for line in lines)
    one = shop.command("peek", "--key", "customer/4", "--data")
    # A producer that was killed before its watermark was saved sends it again, as the same change.
    *again, line = [json.loads(line) for line in one.out.splitlines()]
    assert {each["id"] for each in again} <= {line["id"]}
    assert line["data"]["row"]["NAM1"] == "MARIE CURIE"
    rest = shop.command("peek", "--shard", line["shard"], "--after", line["sequence"], "--key", "customer/4")
    assert (rest.code, rest.out) == (0, "")
    assert shop.command("peek", "--after", "1").code == 2
    assert "there are shardId-" in shop.command("peek", "--shard", "shardId-9").err


def a_foreign_reader_reads_all_of_it(shop: Shop, emulator: Emulator) -> None:
    events = [
        JSONFormat().read(None, json.dumps(event))
        for record in records(emulator, shop.name)
        for event in json.loads(record)
    ]
    assert len(events) >= 450
    assert {event.get_source() for event in events} == {f"/{shop.name}/customers"}
    named = [event for event in events if event.get_subject() == "customer/10"]
    assert len({event.get_id() for event in named}) >= 2
    assert json.loads(json.dumps(named[-1].get_data()))["name"] == "Renamed Again"


def test_run_does_both_and_ends_with_130_on_ctrl_c(shop: Shop) -> None:
    running = shop.start("run")
    shop.catches_up()
    port = metrics_port(running.text)
    shown = (
        'isthmus_watermark_position{source="customers"} 4.0',
        'isthmus_source_bound_position{source="customers"} 4.0',
        'isthmus_changes_published_total{source="customers"}',
        'isthmus_changes_total{outcome="applied"',
        'isthmus_parked_keys{reason="translate-failed"} 1.0',
        'isthmus_parked_oldest_timestamp_seconds{reason="translate-failed"} ',
    )
    until(lambda: all(line in page(port, "metrics") for line in shown), f"{shown} in the metrics")
    assert page(port, "healthz") == "ok\n"
    running.child.signal(signal.SIGINT)
    assert running.exits(10) == 130
    assert running.events()[-1] == "ended"


def metrics_port(text: str) -> int:
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return int(next(line["port"] for line in lines if line["event"] == "metrics_served"))


def page(port: int, name: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def test_a_second_signal_ends_it_at_once(make_shop: Callable[..., Shop], forwarder: Forwarder) -> None:
    shop = make_shop(port=forwarder.port)
    assert shop.command("setup").code == 0
    running = shop.start("produce")
    running.says("source_owned")
    forwarder.cut()
    shop.customer(7)
    running.says("kinesis_away")
    # Softly, it would wait for 5 s that the stream takes the change.
    running.child.signal(signal.SIGTERM)
    running.says("stop_requested")
    running.child.signal(signal.SIGINT)
    assert running.exits(2) == 130


def test_a_process_tells_where_its_threads_stand_and_goes_on(shop: Shop) -> None:
    shop.start("produce")
    consumer = shop.start("consume")
    consumer.says("shard_started")
    consumer.child.signal(signal.SIGUSR1)
    until(lambda: "most recent call first" in consumer.text, "it tells where it stands")
    shop.catches_up()
    assert "customer/" not in consumer.text


def test_a_second_process_of_one_kind_is_refused_or_waits_its_turn(shop: Shop) -> None:
    consumer, producer = shop.start("consume"), shop.start("produce")
    consumer.says("shard_started")
    producer.says("source_owned")

    second = shop.start("consume")
    standby = shop.start("produce")
    assert second.exits() == 4
    assert f"process {consumer.child.pid}" in second.text
    standby.says("waiting_for_holder")
    shop.set("[sources.customers.ownership]\n", "[sources.customers.ownership]\nwait = false\n")
    impatient = shop.start("produce")
    assert impatient.exits() == 4
    assert f"is held by source/customers (host {shop.ask('status')['worker']['host']}" in impatient.text
    assert f"process {producer.child.pid}" in impatient.text

    producer.child.signal(signal.SIGTERM)
    assert producer.exits(10) == 143
    standby.says("source_owned")
    shop.customer(7)
    shop.catches_up()


def test_a_taken_metrics_port_is_no_reason_not_to_run(shop: Shop) -> None:
    shop.set("producer_port = 0", "producer_port = 65535")
    first = shop.start("produce")
    first.says("source_owned")
    second = shop.start("produce")
    second.says("metrics_port_taken")
    second.says("waiting_for_holder")
    first.child.signal(signal.SIGTERM)
    assert first.exits(10) == 143
    second.says("metrics_served")


@pytest.mark.parametrize(
    "command",
    [
        "",
        "check",
        "consume",
        "demo",
        "peek",
        "produce",
        "resync",
        "run",
        "setup",
        "status",
        "store",
        "store init",
        "trace",
    ],
)
def test_help_teaches_with_lines_kept_as_they_are(command: str, shop_less: Callable[..., str]) -> None:
    text = shop_less(*command.split(), "--help")
    assert "\n  isthmus " in text or "\n    isthmus " in text
    assert "\\b" not in text


@pytest.fixture
def shop_less(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    from isthmus.console.main import invoke  # noqa: PLC0415 - beside its only user

    def run(*arguments: str) -> str:
        assert invoke(arguments) == 0
        return capsys.readouterr().out

    return run


def test_status_documents_the_names_of_its_json(shop: Shop) -> None:
    found = shop.ask("status")
    text = status_command.status.help or ""
    names = {*found, *found["stream"], *found["sources"][0], *found["shards"][0], *found["front_office"]}
    assert {name for name in names if name not in text} == set()


def test_the_front_office_s_own_tables_are_made_apart_from_everything_else(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(port=1)
    shop.front.unlink()
    dry = shop.command("store", "init", "--dry-run")
    assert (dry.code, shop.front.exists()) == (0, False)
    assert shop.ask("store", "init", "--dry-run") | {"statements": []} == {
        "store": "sqlite",
        "dry_run": True,
        "before": None,
        "after": None,
        "statements": [],
    }

    said = shop.command("store", "init")
    assert (said.code, said.out.splitlines()[0]) == (0, "made   our own tables in the front office, schema version 1")
    found = shop.ask("store", "init")
    assert (found["before"], found["after"]) == (1, 1)
    assert [f"{' '.join(statement.split())};" for statement in found["statements"]] == dry.out.splitlines()
    assert shop.command("store", "init").out.startswith("there  our own tables")

    made = shop.front.read_bytes()
    shop.front.unlink()
    with closing(sqlite3.connect(shop.front)) as connection:
        connection.executescript(dry.out)
    assert len(shop.front.read_bytes()) == len(made)


def test_the_front_office_s_own_tables_are_not_made_where_a_newer_release_made_them(
    make_shop: Callable[..., Shop],
) -> None:
    shop = make_shop(port=1)
    assert shop.command("store", "init").code == 0
    with closing(sqlite3.connect(shop.front)) as connection, connection:
        connection.execute("UPDATE isthmus_meta SET value = '2'")
    said = shop.command("store", "init")
    assert (said.code, "was made by a newer release" in said.err) == (1, True)
