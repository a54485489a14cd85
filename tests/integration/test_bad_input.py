"""What is wrong or missing is told in a sentence, with what mends it and an exit code, and nothing else happens."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from isthmus.console.commands import check as check_command
from tests.fakes.emulator import Emulator
from tests.fakes.shop import Shop, until

NOWHERE = 9
"""The discard port: nobody listens there."""


def run_on(shop: Shop, statement: str) -> None:
    with closing(sqlite3.connect(shop.front)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize("command", ["produce", "consume", "run", "check", "setup", "status", "peek"])
def test_wrong_settings_are_told_all_at_once_and_nothing_is_started(
    make_shop: Callable[..., Shop], command: str
) -> None:
    shop = make_shop(port=NOWHERE)
    shop.set("shards = 2", "shards = 0")
    shop.set("poll_interval = 0.1\nquery", "poll_intervall = 0.1\nquery")
    said = shop.command(command)
    assert said.code == 2
    assert "nothing was started" in said.err
    assert f"{shop.config}: stream.shards = 0: must be from 1 to 256" in said.err
    assert "did you mean poll_interval?" in said.err
    assert said.out == ""


@pytest.mark.parametrize("command", ["produce", "consume", "run", "check", "setup"])
def test_a_pipeline_that_is_not_there_is_a_wrong_setting(make_shop: Callable[..., Shop], command: str) -> None:
    shop = make_shop(port=NOWHERE)
    shop.set("pipeline:customers", "pipeline:custommers")
    said = shop.command(command)
    assert said.code == 2
    assert "did you mean customers?" in said.err


def test_settings_that_are_not_there_name_the_way_to_some(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(port=NOWHERE)
    shop.config.unlink()
    said = shop.command("run")
    assert said.code == 2
    assert "isthmus demo" in said.err


def test_a_dry_run_asks_nobody_and_shows_every_statement(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(port=NOWHERE)
    shop.front.unlink()
    said = shop.command("setup", "--dry-run")
    assert said.code == 0
    assert f"stream {shop.name}, 2 shards" in said.out
    assert "CREATE TABLE" in said.out
    assert not shop.front.exists()


def test_what_was_not_set_up_is_missing_and_setup_makes_it(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    producer, consumer = shop.start("produce"), shop.start("consume")
    for said in (shop.command("check"), shop.command("status"), shop.command("peek")):
        assert said.code == 3
        assert "Run `isthmus setup`" in said.out + said.err
    for running in (producer, consumer):
        assert running.exits() == 3
        assert "Run `isthmus setup`" in running.text

    assert shop.command("setup").code == 0
    again = shop.command("setup")
    assert (again.code, "made" in again.out.split("record")[0]) == (0, False)
    said = shop.command("check")
    assert (said.code, "WRONG" in said.out) == (0, False)
    assert shop.ask("check")["ok"] is True


@pytest.mark.parametrize(
    "breaks, code, hint",
    [
        ("DROP TABLE customer", 3, 'Run: CREATE TABLE "customer" ("key" TEXT PRIMARY KEY, "name", "country", "vip");'),
        ("ALTER TABLE customer DROP COLUMN vip", 3, 'Run: ALTER TABLE "customer" ADD COLUMN "vip";'),
        ("ALTER TABLE customer ADD COLUMN age INTEGER NOT NULL DEFAULT 0", 0, ""),
    ],
)
def test_a_front_office_that_does_not_fit_is_told_with_the_statement_that_mends_it(
    shop: Shop, breaks: str, code: int, hint: str
) -> None:
    run_on(shop, breaks)
    said = shop.command("check")
    assert (said.code, hint in said.out) == (code, True)


def test_a_statement_that_was_told_mends_it(shop: Shop) -> None:
    run_on(shop, "ALTER TABLE customer DROP COLUMN country")
    consumer = shop.start("consume")
    assert consumer.exits() == 3
    run_on(shop, consumer.text.split("Run: ")[1].splitlines()[0])
    assert shop.command("check").code == 0


@pytest.mark.parametrize(
    "old, new, missing",
    [
        ('table = "CUST"', 'table = "KUNDEN"', "has no table KUNDEN"),
        ('cursor = "CHGNO"', 'cursor = "LFDNR"', "has no column LFDNR"),
        ('table = "COUNTRY"', 'table = "LAND"', "has no table LAND"),
    ],
)
def test_a_back_office_that_does_not_fit_is_missing_something(shop: Shop, old: str, new: str, missing: str) -> None:
    shop.set(old, new)
    said = shop.command("check")
    assert (said.code, missing in said.out) == (3, True)


def test_a_producer_ends_where_its_table_is_not_there(shop: Shop) -> None:
    shop.set('table = "CUST"', 'table = "KUNDEN"')
    producer = shop.start("produce")
    assert producer.exits() == 3
    assert "The back office has no table KUNDEN. Look at" in producer.text


def test_a_stream_made_anew_is_refused_until_the_named_command_has_run(shop: Shop, emulator: Emulator) -> None:
    running = shop.start("run")
    shop.catches_up()
    running.child.end()
    unchanged = shop.command("setup", "--new-stream")
    assert unchanged.code == 0
    before = shop.ask("status")["sources"][0]
    assert before["watermark"] is not None, "a stream that is the same is not forgotten"

    made_anew(emulator, shop.name)
    producer, consumer = shop.start("produce"), shop.start("consume")
    said = [shop.command(command) for command in ("check", "status", "setup")]
    ends = [(each.code, each.out + each.err) for each in said]
    ends += [(each.exits(), each.text) for each in (producer, consumer)]
    for code, text in ends:
        assert code == 1
        assert "isthmus setup --new-stream" in text

    assert shop.command("setup", "--new-stream").code == 0
    shop.customer(9)
    shop.start("run")
    shop.catches_up()
    assert shop.ask("status")["sources"][0]["epoch"] > before["epoch"]


def made_anew(emulator: Emulator, name: str) -> None:
    kinesis = emulator.client("kinesis")

    def created() -> int:
        summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        return int(summary["StreamCreationTimestamp"].timestamp())

    old = created()

    def again() -> bool:
        kinesis.delete_stream(StreamName=name)
        kinesis.create_stream(StreamName=name, ShardCount=2)
        # Creation times are compared to the second.
        return created() != old

    until(again, "the stream has another creation time")


def test_another_number_of_lanes_is_refused_and_the_right_one_named(shop: Shop) -> None:
    shop.set("lanes = 8", "lanes = 4")
    for said in (shop.command("check"), shop.command("setup")):
        assert said.code == 1
        assert "Set lanes = 8 under [stream]." in said.out + said.err


def test_a_password_in_an_address_gets_nowhere(make_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE", "postgresql+psycopg://clerk:hush-hush-4711@127.0.0.1:9/shop")
    shop = make_shop()
    assert shop.command("setup").code == 0
    shop.set('url = "sqlite:///back/back-office.db"', 'url = {env = "SHOP_DATABASE"}')
    said = [shop.command(*words) for words in (["check"], ["status"], ["--debug", "check"], ["check", "--json"])]
    assert {each.code for each in said} <= {0, 1}
    running = shop.start("run")
    until(
        lambda: "back_office" in running.text or running.child.poll() is not None,
        "the back office is away, or no driver",
    )
    # That none of this holds the password is asserted wherever text is read, and of every log at the end.


def test_a_defect_is_one_line_and_its_way_only_on_request(
    make_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_shop(port=NOWHERE)

    def fail(*_: object) -> None:
        raise RuntimeError("row of Ada")

    monkeypatch.setattr(check_command, "_steps", fail)
    said = shop.command("check")
    assert said.code == 1
    assert said.err.startswith("isthmus: a defect: RuntimeError at ")
    assert "Traceback" not in said.err
    assert "Ada" not in said.err
    assert "Traceback" in shop.command("--debug", "check").err
