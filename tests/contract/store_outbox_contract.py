"""What every front-office store's outbox does."""

from isthmus.consumer.stores.port import HasOutbox
from tests.fakes.store_world import World, event, untranslated, upsert

_MUCH = 1024 * 1024


class StoreOutboxContract:
    """An adapter's test module derives a class from it, and provides the fixture `office`."""

    def test_each_poison_change_waits_there_whole_and_what_waits_behind_it_does_not(self, world: World) -> None:
        world.apply(event(1, note="wrong"), event(2), untranslated(3, "other"))
        assert isinstance(world.store, HasOutbox)
        outbox = world.store.outbox()
        found = outbox.pending(10, _MUCH)
        assert [(copy.key, copy.txn, copy.source, copy.reason) for copy in found] == [
            ("k", "k-1", "flights", "contract"),
            ("other", "other-3", "flights", "no-airport"),
        ]
        parked = {row["txn"]: bytes(row["event"]) for row in world.office.own("parked")}
        assert [copy.event for copy in found] == [parked["k-1"], parked["other-3"]]
        assert all(copy.written_ms == world.clock.now_ms() for copy in found)

    def test_what_was_sent_is_forgotten_also_when_it_is_said_twice(self, world: World) -> None:
        for number in range(5):
            world.apply(upsert(1, f"k{number}", size=-1))
        assert isinstance(world.store, HasOutbox)
        outbox = world.store.outbox()
        first = outbox.pending(3, _MUCH)
        assert [copy.key for copy in first] == ["k0", "k1", "k2"]
        outbox.sent(first[1:])
        outbox.sent(first[1:])
        assert [copy.key for copy in outbox.pending(10, _MUCH)] == ["k0", "k3", "k4"]
        assert len(world.parked()) == 5

    def test_no_more_bytes_are_given_than_asked_for_but_one_event(self, world: World) -> None:
        for number in range(4):
            world.apply(untranslated(1, f"k{number}"))
        assert isinstance(world.store, HasOutbox)
        outbox = world.store.outbox()
        (size, *_) = [len(copy.event) for copy in outbox.pending(10, _MUCH)]
        assert [copy.key for copy in outbox.pending(10, 1)] == ["k0"]
        assert [copy.key for copy in outbox.pending(10, 2 * size)] == ["k0", "k1"]
        assert outbox.pending(0, _MUCH) == []
