"""A bad release under real processes: consumption holds, over restarts, until a person releases it."""

import signal
from collections.abc import Callable

import pytest

from tests.fakes.shop import Shop, until

LIMIT = 3
BURST = range(100, 140)


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    made = make_shop()
    made.set("[consumer]", f"[consumer]\npark_brake = {LIMIT}\nbatch_changes = 4")
    assert made.command("setup").code == 0
    return made


def parked(shop: Shop) -> int:
    ((count,),) = shop.read("SELECT count(DISTINCT key) FROM isthmus_parked")
    return int(count)


def test_a_bad_release_holds_every_process_until_a_person_releases_it(shop: Shop) -> None:
    assert shop.command("brake", "status").out == "The park brake was never on.\n"
    assert shop.ask("brake", "status") == []
    shop.start("produce")
    consumer = shop.start("consume")
    until(lambda: len(shop.read("SELECT key FROM customer")) >= 2, "the first customers are there")
    for number in BURST:
        # No country of that name: each of them is parked.
        shop.customer(number, country="XX")
    consumer.says("park_brake_on")
    until(lambda: shop.ask("brake", "status"), "the brake is noted")

    (on,) = shop.ask("brake", "status")
    assert (on["reason"], on["state"], on["number"], on["until"]) == ("translate-failed", "on", 1, None)
    assert [each["reason"] for each in shop.ask("status")["brake"]] == ["translate-failed"]
    assert "park brake: on for translate-failed since " in shop.command("status").out
    assert "translate-failed  on" in shop.command("brake", "status").out
    held = parked(shop)
    assert held <= LIMIT

    # The lease is kept, and a stop works as ever.
    assert shop.ask("status")["worker"]["life"] == "alive"
    consumer.child.signal(signal.SIGTERM)
    assert consumer.exits(10) == 143

    again = shop.start("consume")
    again.says("park_brake_on")
    assert parked(shop) == held
    a_release_says_who_when_and_why(shop)
    again.says("park_brake_released")
    until(lambda: parked(shop) >= len(BURST), "all of them are parked")
    shop.catches_up()
    assert again.events("park_brake_on") == ["park_brake_on"]


def a_release_says_who_when_and_why(shop: Shop) -> None:
    unknown = shop.command("brake", "release", "--reason", "nothing-such", "--why", "so")
    assert (unknown.code, "never on for 'nothing-such'" in unknown.err) == (3, True)
    (released,) = shop.ask("brake", "release", "--reason", "translate-failed", "--why", "a bad export", "--who", "ada")
    assert (released["state"], released["who"], released["why"]) == ("released", "ada", "a bad export")
    assert released["until"] is not None
    assert shop.ask("brake", "release", "--why", "twice") == []
    assert shop.command("brake", "release", "--why", "twice").out.startswith("The park brake is not on")
    assert shop.ask("brake", "status") == [released]
