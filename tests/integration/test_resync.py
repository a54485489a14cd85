"""`isthmus resync` with real processes: a wrong translator is mended, and the front office comes right."""

import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.shop import Running, Shop, until

ROOT = Path(__file__).parents[2]
RIGHT = "isthmus_examples.customers.pipeline:customers"
CUSTOMERS = range(10, 310)
OF_AN_EVENT = """
from isthmus.change import Kind
from isthmus.pipeline import Pipeline
from isthmus_examples.customers.pipeline import Customer, customer_key, translate

postings = Pipeline("customer", Customer, customer_key, translate, kind=Kind.EVENT)
"""


@pytest.fixture
def wrong(shop: Shop) -> Shop:
    """Give a shop whose translator takes everybody else for a VIP, and which has applied what it says."""
    text = (ROOT / "examples/customers/pipeline.py").read_text(encoding="utf-8")
    assert 'row["CLS"] == "A"' in text
    (shop.folder / "wrong_customers.py").write_text(
        text.replace('row["CLS"] == "A"', 'row["CLS"] != "A"'), encoding="utf-8"
    )
    shop.set(RIGHT, "wrong_customers:customers")
    for number in CUSTOMERS:
        shop.customer(number)
    return shop


def vips(shop: Shop) -> int:
    ((number,),) = shop.read("SELECT count(*) FROM customer WHERE vip = 1")
    return int(number)


def applied(shop: Shop) -> bool:
    return len(shop.read("SELECT key FROM customer")) == len(CUSTOMERS) + 2


def mended(shop: Shop, running: Running) -> Running:
    """Deploy the right translator: end the producer that has the wrong one, and start another."""
    running.child.signal(signal.SIGTERM)
    running.exits()
    shop.set("wrong_customers:customers", RIGHT)
    again = shop.start("produce")
    again.says("source_owned")
    return again


def generations(shop: Shop) -> set[int]:
    """Give the generations of what the front office holds."""
    return {int(version[:8]) for (version,) in shop.read("SELECT version FROM isthmus_guard WHERE deleted = 0")}


def source(shop: Shop) -> Any:
    return shop.ask("status")["sources"][0]


def checkpointed(shop: Shop) -> None:
    """Wait until the checkpoints count all that arrived: what is counted later would be taken for the resync's."""
    until(lambda: all(each["undecided"] == 0 for each in shop.ask("status")["shards"]), "all that arrived is counted")


def test_a_mended_translator_reaches_every_row_while_the_producer_runs(wrong: Shop) -> None:
    producer, consumer = wrong.start("produce"), wrong.start("consume")
    until(lambda: applied(wrong), "everything is applied, wrongly")
    producer = mended(wrong, producer)
    wrong.customer(10, "RENAMED")
    until(lambda: vips(wrong) == 1, "what is touched is right")
    assert not wrong.in_step()
    assert wrong.ask("resync", "customers", "--dry-run") == {
        "source": "customers",
        "generation": {"before": 0, "now": 1},
        "rows": {"again": 0, "of": len(CUSTOMERS) + 4},
        "outcomes": None,
    }
    assert source(wrong)["generation"] == 0
    checkpointed(wrong)

    answer = wrong.ask("resync", "customers", "--yes")

    assert wrong.in_step(), "what was waited for is done"
    assert answer["generation"] == {"before": 0, "now": 1}
    assert answer["rows"] == {"again": len(CUSTOMERS) + 4, "of": len(CUSTOMERS) + 4}
    assert answer["outcomes"] == {"applied": len(CUSTOMERS) + 1, "parked": 1, "unchanged": 1}
    assert generations(wrong) == {1}
    producer.says("source_lost")
    producer.says("source_owned", 2)
    assert producer.events("source_lost") == ["source_lost"]
    assert source(wrong)["generation"] == 1
    assert source(wrong)["owner"]["process"] == producer.child.pid
    for number in range(20, 40):
        wrong.customer(number, "RENAMED LATER")
    wrong.catches_up()
    assert consumer.child.poll() is None


def test_rows_that_change_meanwhile_arrive_with_their_newest_state(wrong: Shop) -> None:
    wrong.start("consume")
    producer = wrong.start("produce")
    until(lambda: applied(wrong), "everything is applied, wrongly")
    mended(wrong, producer)
    for turn in range(3):
        assert wrong.command("resync", "customers", "--yes", "--no-wait").code == 0
        for number in range(10 + turn, 310, 7):
            wrong.customer(number, f"RENAMED {turn}")
    wrong.catches_up()
    until(lambda: generations(wrong) == {3}, "everything stands at the newest generation")
    assert source(wrong)["generation"] == 3


def test_an_owner_that_stood_still_over_a_resync_neither_moves_the_watermark_nor_undoes_anything(wrong: Shop) -> None:
    wrong.start("consume")
    old = wrong.start("produce")
    until(lambda: applied(wrong), "everything is applied, wrongly")
    for number in CUSTOMERS:
        wrong.customer(number, "RENAMED")
    # In the middle of it: what it has read goes out, wrongly translated, when it goes on.
    old.child.signal(signal.SIGSTOP)
    wrong.set("wrong_customers:customers", RIGHT)
    said = wrong.command("resync", "customers", "--yes", "--no-wait")
    assert "generation 0 becomes 1" in said.out
    assert source(wrong)["watermark"] is None

    new = wrong.start("produce")
    new.says("source_owned")
    assert "waiting_for_holder" not in new.events()
    wrong.catches_up()
    until(lambda: source(wrong)["watermark"] is not None and source(wrong)["behind"] == 0, "all is acknowledged")
    watermark = source(wrong)["watermark"]
    old.child.signal(signal.SIGCONT)
    old.says("source_lost")
    old.says("waiting_for_holder")
    wrong.customer(10, "RENAMED AGAIN")
    wrong.catches_up()
    until(lambda: source(wrong)["watermark"] == watermark + 1, "one more is acknowledged, and none comes again")
    assert generations(wrong) == {1}


def test_a_source_that_began_now_is_read_from_its_beginning(shop: Shop) -> None:
    shop.set('order = "commit"', 'order = "commit"\nstart = "now"')
    shop.start("produce")
    shop.start("consume")
    until(lambda: source(shop)["watermark"] == 4, "where now was is saved")
    shop.customer(10)
    until(lambda: shop.read("SELECT key FROM customer") == [("customer/10",)], "what came later is applied")
    assert shop.command("resync", "customers", "--yes").code == 0
    shop.catches_up()


def test_it_tells_how_many_of_how_many_to_who_has_no_terminal(shop: Shop) -> None:
    shop.start("produce")
    shop.start("consume")
    shop.catches_up()
    checkpointed(shop)
    said = shop.command("resync", "customers", "--yes")
    assert said.code == 0
    assert "customers: 4 rows, up to position 4; generation 0 becomes 1" in said.out
    assert "4 of 4 rows read again; decided since it began, of all sources: parked 1, unchanged 2" in said.out
    table = shop.command("status").out
    assert "GENERATION" in table


def test_a_generation_that_was_lost_is_given_again(shop: Shop) -> None:
    assert shop.ask("resync", "customers", "--yes", "--no-wait", "--generation", "7")["generation"]["now"] == 7
    assert shop.ask("resync", "customers", "--yes", "--no-wait", "--generation", "7")["generation"]["now"] == 8
    assert source(shop)["generation"] == 8


def test_who_does_not_agree_changes_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _prompt: "n")
    said = shop.command("resync", "customers")
    assert said.code == 1
    assert "Nothing was changed" in said.err
    assert source(shop)["generation"] is None
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _prompt: "y")
    assert shop.command("resync", "customers", "--no-wait").code == 0
    assert source(shop)["generation"] == 1


def test_nobody_to_ask_changes_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    said = shop.command("resync", "customers")
    assert said.code == 130
    assert "With --yes nobody is asked" in said.err
    assert source(shop)["generation"] is None


def test_it_is_refused_for_kind_event(shop: Shop) -> None:
    (shop.folder / "postings.py").write_text(OF_AN_EVENT, encoding="utf-8")
    shop.set(RIGHT, "postings:postings")
    said = shop.command("resync", "customers", "--yes")
    assert said.code == 1
    assert "customers is of kind event" in said.err
    assert source(shop)["generation"] is None


def test_it_is_refused_for_an_unknown_source_and_an_application_that_was_not_set_up(
    make_shop: Callable[..., Shop],
) -> None:
    shop = make_shop()
    said = shop.command("resync", "nobody", "--yes")
    assert said.code == 2
    assert "no source nobody; they know: customers" in said.err
    said = shop.command("resync", "customers", "--yes")
    assert said.code == 3
    assert "isthmus setup" in said.err


def test_a_back_office_that_is_away_is_told_before_anything_changes(shop: Shop) -> None:
    shop.back.rename(shop.back.with_suffix(".hidden"))
    said = shop.command("resync", "customers", "--yes")
    assert said.code == 1
    assert "back office" in said.err
    shop.back.with_suffix(".hidden").rename(shop.back)
    assert source(shop)["generation"] is None
