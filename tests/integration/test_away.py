"""What a pipeline needs goes away, at the start and midway: it waits, says so once each way, and goes on."""

import signal
from collections.abc import Callable

from tests.fakes.forwarder import Forwarder
from tests.fakes.shop import Running, Shop, locked, until


def said_once_each_way(running: Running, *parts: str) -> None:
    for part in parts:
        running.says(f"{part}_back")
        assert running.events(f"{part}_away", f"{part}_back") == [f"{part}_away", f"{part}_back"]


def test_everything_is_away_at_the_start(make_shop: Callable[..., Shop], forwarder: Forwarder) -> None:
    shop = make_shop(port=forwarder.port)
    assert shop.command("setup").code == 0
    forwarder.cut()
    hidden, moved = shop.back.with_suffix(".hidden"), shop.folder / "moved"
    shop.back.rename(hidden)
    shop.front.parent.rename(moved)
    producer, consumer = shop.start("produce"), shop.start("consume")
    producer.says("kinesis_away")
    consumer.says("kinesis_away")
    assert shop.command("check").code == 1
    tells_everything_that_is_away(shop)

    forwarder.restore()
    producer.says("back_office_away")
    consumer.says("front_office_away")

    hidden.rename(shop.back)
    moved.rename(shop.front.parent)
    shop.catches_up()
    said_once_each_way(producer, "kinesis", "back_office")
    said_once_each_way(consumer, "kinesis", "front_office")


def tells_everything_that_is_away(shop: Shop) -> None:
    said = shop.command("status")
    assert said.code == 1
    assert "Could not connect to the endpoint" in said.out
    assert "The back office's database does not answer" in said.out
    assert "parked: There is no front office" in said.out
    assert shop.command("peek").code == 1
    assert shop.command("setup").code == 1


def test_the_offices_are_locked_and_gone_midway(shop: Shop) -> None:
    producer, consumer = shop.start("produce"), shop.start("consume")
    shop.catches_up()
    with locked(shop.front):
        shop.customer(7)
        with locked(shop.back):
            producer.says("back_office_away")
        producer.says("back_office_back")
        said_once_each_way(producer, "back_office")
        hidden = shop.back.with_suffix(".hidden")
        shop.back.rename(hidden)
        producer.says("back_office_away", 2)
        hidden.rename(shop.back)
        producer.says("back_office_back", 2)
        shop.customer(8)
        # It waits for a lock for 5 s before it calls it an outage.
        until(lambda: consumer.events("front_office_away"), "the front office is away")
    shop.catches_up()
    assert len(producer.events("back_office_away", "back_office_back")) == 4
    assert len(consumer.events("front_office_away", "front_office_back")) == 2


def test_a_front_office_that_is_moved_away_midway_is_waited_for(shop: Shop) -> None:
    _, consumer = shop.start("produce"), shop.start("consume")
    shop.catches_up()
    hidden = shop.front.with_suffix(".hidden")
    shop.front.rename(hidden)
    shop.customer(7)
    consumer.says("front_office_away")
    hidden.rename(shop.front)
    shop.catches_up()
    said_once_each_way(consumer, "front_office")


def test_the_stream_and_the_table_are_away_for_longer_than_the_leases_last(
    make_shop: Callable[..., Shop], forwarder: Forwarder
) -> None:
    shop = make_shop(port=forwarder.port)
    assert shop.command("setup").code == 0
    producer, consumer = shop.start("produce"), shop.start("consume")
    shop.catches_up()

    forwarder.cut()
    for number in range(10, 40):
        shop.customer(number)
    producer.says("source_lost")
    consumer.says("worker_lost")
    shop.customer(10, "CHANGED MEANWHILE")
    forwarder.restore()

    shop.catches_up()
    assert shop.read("SELECT key FROM isthmus_parked") == [("customer/4",)]
    said_once_each_way(producer, "kinesis", "lease")
    said_once_each_way(consumer, "lease")
    producer.says("source_owned", 2)
    shop.customer(11, "AND GOES ON")
    shop.catches_up()
    for running in (producer, consumer):
        running.child.signal(signal.SIGTERM)
    assert (producer.exits(10), consumer.exits(10)) == (143, 143)


def test_both_halves_of_one_process_say_it_once(make_shop: Callable[..., Shop], forwarder: Forwarder) -> None:
    shop = make_shop(port=forwarder.port)
    assert shop.command("setup").code == 0
    forwarder.cut()
    both = shop.start("run")
    both.says("kinesis_away")
    forwarder.restore()
    shop.catches_up()
    said_once_each_way(both, "kinesis")
