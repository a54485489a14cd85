"""`isthmus gate`: real processes hold what a closed gate covers, and let it go in order when it opens."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from isthmus.console.exits import Exit
from tests.fakes.forwarder import Forwarder
from tests.fakes.shop import Shop, until

WATCHED = "[gate]\nwatched = true\n"


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    """Give a shop that watches gates, and was set up."""
    made = make_shop()
    made.set("[metrics]", f"{WATCHED}[metrics]")
    made.set('table = "customer"', 'table = "customer"\nprocess = "sales"')
    assert made.command("setup").code == Exit.DONE
    return made


def gates(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.ask("gate", "list")["gates"]
    return found


def held(shop: Shop) -> list[tuple[str, str]]:
    return shop.read("SELECT key, gate FROM isthmus_held ORDER BY place")


def test_a_closed_process_holds_everything_goes_on_behind_it_and_all_of_it_drains_in_order(shop: Shop) -> None:
    producer, consumer = shop.start("produce"), shop.start("consume")
    shop.catches_up()

    said = shop.command("gate", "close", "--process", "sales", "--reason", "closing the books")
    assert (said.code, said.out) == (Exit.DONE, "The gate process=sales is closed. It counts within 2 s.\n")
    consumer.says("gate_closed")
    for number in range(10, 40):
        shop.customer(number)
    until(lambda: len(held(shop)) == 30, "30 held")
    shop.customer(10, "RENAMED")
    until(lambda: len(held(shop)) == 31, "31 held")
    assert shop.read("SELECT count(*) FROM customer WHERE key = 'customer/10'") == [(0,)]

    (row,) = gates(shop)
    assert (row["gate"], row["state"], row["reason"], row["held_keys"]) == (
        "process=sales",
        "closed",
        "closing the books",
        30,
    )
    found = shop.ask("status")
    assert [(each["gate"], each["keys"], each["changes"]) for each in found["held"]] == [("process=sales", 30, 31)]
    assert "held for process=sales: 30 keys, 31 changes since " in shop.command("status").out
    assert "gate process=sales: closed since " in shop.command("status").out

    assert shop.command("gate", "open", "--process", "sales").code == Exit.DONE
    until(lambda: held(shop) == [], "drained")
    assert shop.read("SELECT name FROM customer WHERE key = 'customer/10'") == [("Renamed",)]
    welcomed = dict(shop.read("SELECT customer, count(*) FROM welcome GROUP BY customer"))
    assert {welcomed[f"customer/{number}"] for number in range(10, 40)} == {1}
    shop.customer(41)
    until(lambda: shop.read("SELECT 1 FROM customer WHERE key = 'customer/41'"), "live again")
    deeds = shop.ask("gate", "history")["history"]
    assert [(deed["did"], deed["gate"]) for deed in deeds] == [("opened", "process=sales"), ("closed", "process=sales")]
    assert producer.child.poll() is consumer.child.poll() is None


def test_while_everything_waits_the_lease_is_kept_and_a_shutdown_ends_the_wait_at_once(shop: Shop) -> None:
    shop.start("produce")
    consumer = shop.start("consume")
    shop.catches_up()
    assert shop.command("gate", "close", "--everything", "--wait", "--reason", "moving").code == Exit.DONE
    consumer.says("gate_closed")
    shop.customer(50)
    until(lambda: any(shard["undecided"] for shard in shop.ask("status")["shards"]), "a record that waits")
    assert shop.ask("status")["worker"]["life"] == "alive"
    assert held(shop) == []
    consumer.child.signal(15)
    assert consumer.exits(10) == Exit.TERMINATED

    again = shop.start("consume")
    again.says("gate_closed")
    assert shop.command("gate", "open", "--everything").code == Exit.DONE
    until(lambda: shop.read("SELECT 1 FROM customer WHERE key = 'customer/50'"), "what had waited")


def test_while_gates_cannot_be_read_nothing_takes_effect(make_shop: Callable[..., Shop], forwarder: Forwarder) -> None:
    shop = make_shop("away", forwarder.port)
    shop.set("[metrics]", f"{WATCHED}[metrics]")
    assert shop.command("setup").code == Exit.DONE
    producer, consumer = shop.start("produce"), shop.start("consume")
    shop.catches_up()
    forwarder.cut()
    consumer.says("gates_away")
    consumer.says("gate_closed")
    forwarder.restore()
    consumer.says("gate_opened")
    shop.customer(60)
    until(lambda: shop.read("SELECT 1 FROM customer WHERE key = 'customer/60'"), "live again")
    assert producer.child.poll() is None


def test_a_gate_of_a_name_that_nobody_has_is_refused(shop: Shop) -> None:
    said = shop.command("gate", "close", "--process", "slaes", "--reason", "x")
    assert (said.code, "the settings know sales" in said.err) == (2, True)
    for wrong in (["--reason", "x"], ["--everything", "--process", "sales", "--reason", "x"], ["--process", "sales"]):
        assert shop.command("gate", "close", *wrong).code == 2
    assert shop.command("gate", "close", "--process", "sales", "--wait", "--reason", "x").code == 2
    assert shop.command("gate", "close", "--everything", "--reason", "x", "--until", "2012-01-01T00:00:00Z").code == 2
    assert gates(shop) == []


def test_where_nobody_watches_gates_none_can_be_closed(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    assert shop.command("setup").code == Exit.DONE
    said = shop.command("gate", "close", "--everything", "--reason", "x")
    assert (said.code, "watched = true" in said.err) == (Exit.FAILED, True)
    assert shop.command("gate", "list").out == "no gate was ever closed\n"


def test_a_gate_opens_by_itself_and_closing_it_again_gives_it_another_end(shop: Shop) -> None:
    closed = shop.ask("gate", "close", "--process", "sales", "--reason", "x", "--until", "1s")
    assert closed["state"] == "closed"
    until(lambda: gates(shop)[0]["state"] == "open", "opened by itself")
    assert shop.command("gate", "open", "--process", "sales").out == "The gate process=sales is open already.\n"
    again = shop.ask("gate", "close", "--process", "sales", "--reason", "y", "--until", "2h")
    assert (again["reason"], again["state"]) == ("y", "closed")


def test_a_strict_gate_counts_as_soon_as_the_command_returns(shop: Shop) -> None:
    shop.set("watched = true", "watched = true\nstrict = true")
    said = shop.command("gate", "close", "--process", "sales", "--reason", "x")
    assert said.out.endswith("Nothing that it covers takes effect from now on.\n")
    assert shop.read("SELECT name, closed FROM isthmus_gate") == [("process=sales", 1)]
    shop.start("produce")
    consumer = shop.start("consume")
    until(lambda: held(shop), "held")
    assert shop.read("SELECT count(*) FROM customer") == [(0,)]
    assert shop.command("gate", "open", "--process", "sales").code == Exit.DONE
    until(lambda: held(shop) == [], "drained")
    assert "Traceback" not in consumer.text
    assert json.loads(shop.command("gate", "list", "--json").out)["gates"][0]["state"] == "open"
