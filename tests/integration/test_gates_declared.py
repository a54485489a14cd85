"""Gates that the settings declare, in front of real processes: a probe that changes its mind, and a window."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from isthmus.console.exits import Exit
from tests.fakes.shop import Shop, until

PROBE = """
[gates.books]
process = "customer"
reason = "the books are closed"
owner = "finance"
sql = "SELECT count(*) FROM CLOSING"
database_of = "customers"
interval = 1.0
timeout = 0.5
"""


def window(begins_in: timedelta, ends_in: timedelta) -> str:
    now = datetime.now(UTC)
    begin, end = now + begins_in, now + ends_in
    return f"""
[gates.weekend]
mode = "wait"
reason = "nobody is there"
closed_from = "{begin:%M %H} * * *"
closed_until = "{end:%M %H} * * *"
time_zone = "UTC"
"""


def declared(shop: Shop, text: str, *, strict: bool = False) -> Shop:
    shop.set("[metrics]", f"{text}[gate]\nstrict = true\n[metrics]" if strict else f"{text}[metrics]")
    assert shop.command("setup").code == Exit.DONE
    return shop


def gate(shop: Shop) -> dict[str, Any]:
    (row,) = shop.ask("gate", "list")["gates"]
    found: dict[str, Any] = row
    return found


def held(shop: Shop) -> list[tuple[str, str]]:
    return shop.read("SELECT key, gate FROM isthmus_held ORDER BY place")


def arrived(shop: Shop, number: int) -> bool:
    return bool(shop.read(f"SELECT 1 FROM customer WHERE key = 'customer/{number}'"))  # noqa: S608 - a number


@pytest.mark.parametrize("strict", [False, True])
def test_a_gate_closes_while_its_query_says_so_and_when_nobody_can_say(
    make_shop: Callable[..., Shop], *, strict: bool
) -> None:
    shop = make_shop()
    shop.write("CREATE TABLE CLOSING (MONTH TEXT)")
    declared(shop, PROBE, strict=strict)
    assert "ok     gate books: open now: the query's first column is false" in shop.command("check").out
    assert gate(shop)["state"] == "unknown"
    assert "nobody has asked yet" in shop.command("gate", "list").out
    shop.start("produce")
    consumer = shop.start("consume")
    shop.catches_up()

    before = len(consumer.events("gate_closed"))
    shop.write("INSERT INTO CLOSING VALUES ('2013-01')")
    consumer.says("gate_closed", before + 1)
    shop.customer(10)
    until(lambda: held(shop) == [("customer/10", "books")], "held")
    row = gate(shop)
    assert (row["kind"], row["who"], row["probe"]["said"]) == ("probe", "finance", "the query's first column is true")
    assert (row["held_changes"], row["probe"]["trouble"]) == (1, "")
    assert "gate books: closed since " in shop.command("status").out
    if strict:
        assert shop.read("SELECT name, closed FROM isthmus_gate") == [("books", 1)]

    refused = shop.command("gate", "open", "--process", "customer")
    assert (refused.code, "change [gates.books] in the settings" in refused.err) == (Exit.FAILED, True)

    shop.write("DELETE FROM CLOSING")
    until(lambda: held(shop) == [], "drained")
    assert arrived(shop, 10)

    shop.write("DROP TABLE CLOSING")
    consumer.says("gate_probe_away")
    consumer.says("gate_closed", before + 2)
    assert gate(shop)["state"] == "unknown"
    shop.customer(11)
    until(lambda: held(shop) == [("customer/11", "books")], "held again")
    assert "refuses" in gate(shop)["probe"]["trouble"]
    wrong = shop.command("check")
    assert (wrong.code, "WRONG  gate books: " in wrong.out) == (Exit.FAILED, True)

    shop.write("CREATE TABLE CLOSING (MONTH TEXT)")
    consumer.says("gate_probe_back")
    until(lambda: arrived(shop, 11), "drained again")


def test_a_window_that_is_open_lets_pass_and_one_that_is_closed_does_not(make_shop: Callable[..., Shop]) -> None:
    shop = declared(make_shop(), window(timedelta(hours=-2), timedelta(hours=2)))
    shop.start("produce")
    consumer = shop.start("consume")
    consumer.says("gate_closed")
    until(lambda: any(shard["undecided"] for shard in shop.ask("status")["shards"]), "a record that waits")
    assert shop.read("SELECT count(*) FROM customer") == [(0,)]
    row = gate(shop)
    assert (row["gate"], row["kind"], row["state"], row["mode"]) == ("weekend", "window", "closed", "wait")
    assert row["until"] == row["changes"]
    assert "ok     gate weekend: closed until " in shop.command("check").out
    consumer.child.signal(15)
    assert consumer.exits(10) == Exit.TERMINATED

    text = shop.config.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("closed_")]
    opened = [line for line in window(timedelta(hours=2), timedelta(hours=4)).splitlines() if "closed_" in line]
    lines[lines.index("[gates.weekend]") + 1 : lines.index("[gates.weekend]") + 1] = opened
    shop.config.write_text("\n".join(lines), encoding="utf-8")
    shop.start("consume")
    shop.catches_up()
    assert (gate(shop)["state"], "closes " in shop.command("gate", "list").out) == ("open", True)
    assert "gate weekend: open, closes " in shop.command("status").out


def test_a_retry_asks_the_probe_itself_and_obeys_it(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.write("CREATE TABLE CLOSING (MONTH TEXT)")
    declared(shop, PROBE)
    shop.customer(20, country="XX")
    producer, consumer = shop.start("produce"), shop.start("consume")
    shop.catches_up()
    for running in (producer, consumer):
        running.child.signal(15)
        running.exits()
    shop.write("INSERT INTO CLOSING VALUES ('2013-01')")
    shop.write("INSERT INTO COUNTRY VALUES ('XX', 'Nowhere')")
    until(lambda: gate(shop)["state"] == "unknown", "nobody asks any more")
    said = shop.command("parked", "retry", "--key", "customer/20", "--json")
    assert "gate-closed" in said.out
    shop.write("DELETE FROM CLOSING")
    until(lambda: (shop.command("parked", "retry", "--key", "customer/20"), arrived(shop, 20))[1], "retried, gate open")
