"""What every front-office store's outbox does."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from isthmus.consumer.deadletters.port import Outbox
from isthmus.consumer.stores.port import HasOutbox
from isthmus.errors import Transient
from tests.fakes.store_world import World, event, untranslated, upsert

_MUCH = 1024 * 1024
_MOST_STATEMENTS = 200


@contextmanager
def outbox_of(world: World) -> Iterator[Outbox]:
    assert isinstance(world.store, HasOutbox)
    with closing(world.store.outbox()) as outbox:
        yield outbox


def poison(world: World) -> list[str]:
    """Give the IDs of what is parked for what it is."""
    return sorted(txn for txn, reason in world.parked() if reason != "behind")


class StoreOutboxContract:
    """An adapter's test module derives a class from it, and provides the fixture `office`."""

    def test_each_poison_change_waits_there_whole_and_what_waits_behind_it_does_not(self, world: World) -> None:
        world.apply(event(1, note="wrong"), event(2))
        world.apply(untranslated(3, "other"))
        with outbox_of(world) as outbox:
            found = outbox.pending(10, _MUCH)
        assert [(copy.key, copy.txn, copy.source, copy.reason) for copy in found] == [
            ("k", "k-1", "flights", "contract"),
            ("other", "other-3", "flights", "no-airport"),
        ]
        parked = {row["txn"]: bytes(row["event"]) for row in world.office.own("parked")}
        assert [copy.event for copy in found] == [parked["k-1"], parked["other-3"]]
        assert [world.clock.now_ms() - copy.written_ms for copy in found] == [1000, 0]
        assert [(copy.shard, copy.sequence, copy.lost) for copy in found] == [("shard-0", "1", "")] * 2

    def test_what_was_sent_is_forgotten_also_when_it_is_said_twice(self, world: World) -> None:
        for number in range(5):
            world.apply(upsert(1, f"k{number}", size=-1))
        with outbox_of(world) as outbox:
            first = outbox.pending(3, _MUCH)
            assert [copy.key for copy in first] == ["k0", "k1", "k2"]
            outbox.sent(first[1:])
            outbox.sent(first[1:])
            assert [copy.key for copy in outbox.pending(10, _MUCH)] == ["k0", "k3", "k4"]
        assert len(world.parked()) == 5

    def test_no_more_bytes_are_given_than_asked_for_but_one_event(self, world: World) -> None:
        for number in range(4):
            world.apply(untranslated(1, f"k{number}"))
        with outbox_of(world) as outbox:
            (size, *_) = [len(copy.event) for copy in outbox.pending(10, _MUCH)]
            assert [copy.key for copy in outbox.pending(10, 1)] == ["k0"]
            assert [copy.key for copy in outbox.pending(10, 2 * size)] == ["k0", "k1"]
            assert outbox.pending(0, _MUCH) == []

    def test_an_empty_outbox_has_nothing_and_forgets_nothing(self, world: World) -> None:
        world.apply(upsert(1))
        with outbox_of(world) as outbox:
            assert outbox.pending(10, _MUCH) == []
            outbox.sent([])

    def test_it_goes_on_after_it_was_closed(self, world: World) -> None:
        world.apply(untranslated(1))
        with outbox_of(world) as outbox:
            before = outbox.pending(10, _MUCH)
            outbox.close()
            outbox.close()
            assert outbox.pending(10, _MUCH) == before
            outbox.sent(before)
            assert outbox.pending(10, _MUCH) == []

    def test_wherever_a_batch_breaks_off_what_is_parked_has_its_copy_and_nothing_else_has(self, world: World) -> None:
        for at in range(_MOST_STATEMENTS):
            broken = world.another()
            with closing(broken):
                happened = world.office.break_at(broken, at, world.office.outage())
                key = f"k{at}"
                world.decider, usual = broken, world.decider
                try:
                    world.apply(event(1, key, note="wrong"), event(2, key), upsert(1, f"s{at}", size=-1))
                except Transient:
                    assert happened()
                finally:
                    world.decider = usual
            with outbox_of(world) as outbox:
                assert sorted(copy.txn for copy in outbox.pending(1000, _MUCH)) == poison(world)
            if not happened():
                return
        raise AssertionError("it never came to its end")
