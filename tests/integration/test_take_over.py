"""An owner that stands still is followed by another; when it goes on, nothing that it still does takes effect."""

import signal

from tests.fakes.shop import Shop


def test_a_producer_that_was_stopped_and_goes_on_changes_nothing_after_the_new_ones_marker(shop: Shop) -> None:
    old, consumer = shop.start("produce"), shop.start("consume")
    shop.catches_up()
    for number in range(10, 400):
        shop.customer(number)
    # Somewhere in the middle of it: what it has read and not sent goes out after the new owner's marker.
    old.child.signal(signal.SIGSTOP)
    new = shop.start("produce")
    new.says("waiting_for_holder")
    for number in range(10, 60):
        shop.customer(number, "RENAMED")
    new.says("source_owned")
    shop.catches_up()

    old.child.signal(signal.SIGCONT)
    old.says("source_lost")
    old.says("waiting_for_holder")
    shop.customer(10, "RENAMED AGAIN")
    shop.catches_up()
    assert shop.ask("status")["sources"][0]["owner"]["process"] == new.child.pid
    assert consumer.child.poll() is None


def test_a_consumer_that_was_stopped_and_goes_on_says_who_followed_it_and_decides_nothing_twice(shop: Shop) -> None:
    producer, old = shop.start("produce"), shop.start("consume")
    shop.catches_up()
    for number in range(10, 400):
        shop.customer(number)
    old.child.signal(signal.SIGSTOP)
    new = shop.start("consume")
    new.says("shard_started")
    for number in range(10, 60):
        shop.customer(number, "RENAMED")

    # A lock that it holds in the front office is let go only now.
    old.child.signal(signal.SIGCONT)
    assert old.exits() == 4
    assert str(new.child.pid) in old.text
    shop.catches_up()
    assert producer.child.poll() is None
