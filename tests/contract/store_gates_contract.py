"""What holding does in every store where a batch is one transaction.

A test module of a store derives from `StoreGatesContract`, gives the fixture `office`, and runs the machine beside it.
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from isthmus.change import Change, Outcome
from isthmus.checkpoint.gates import Covers, Gate
from isthmus.codec import encode
from isthmus.consumer.gates import Outdated
from isthmus.consumer.redrive import GATE_CLOSED
from isthmus.consumer.stores.held import HeldGate, Holding
from isthmus.consumer.stores.port import Delivered, Refusal
from isthmus.errors import Poison, TargetDown, Transient
from tests.contract.store_redrive_contract import Mended
from tests.fakes.gate_world import BILLING, BOARDS, GateWorld
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    PARKED,
    STALE,
    FrontOffice,
    delete,
    event,
    marker,
    untranslated,
    upsert,
)

HELD = Outcome.HELD


class StoreGatesContract:
    @pytest.fixture
    def world(self, office: FrontOffice) -> Iterator[GateWorld]:
        made = GateWorld(office)
        yield made
        made.close()

    # What is held

    def test_what_a_closed_gate_covers_is_held_and_all_else_takes_effect(self, world: GateWorld) -> None:
        world.gates.close(BILLING)
        assert world.apply(upsert(1), event(1, "e"), upsert(2, "b")) == [APPLIED, HELD, APPLIED]
        assert world.effects() == {"k-1": 1, "b-2": 1}
        (held,) = world.whole_held("e")
        assert (held.txn, held.gate, held.entity, held.source) == ("e-1", "process=billing", "posting", "flights")
        assert (held.shard, held.sequence, held.decodable) == ("shard-0", "1", True)
        assert world.office.own("parked") == world.office.own("outbox") == world.office.own("ledger") == []

    def test_what_is_held_comes_again_and_is_held_once(self, world: GateWorld) -> None:
        world.gates.close(BILLING)
        assert world.apply(event(1)) == [HELD]
        assert world.apply(event(1), event(1)) == [HELD, HELD]
        assert world.held() == ["k-1"]
        assert world.metrics.hash_alarms._value.get() == 0

    def test_the_same_id_with_another_row_hash_is_an_alarm_and_the_first_one_stays(self, world: GateWorld) -> None:
        world.gates.close(BILLING)
        world.apply(event(1))
        assert world.apply(event(1, rowhash="other")) == [HELD]
        assert [held.rowhash for held in world.whole_held()] == ["hash-1"]
        assert world.metrics.hash_alarms._value.get() == 1

    def test_what_took_effect_or_is_stale_or_settled_is_not_held(self, world: GateWorld) -> None:
        world.apply(upsert(2), event(1, "e"))
        world.office.settle("s-1")
        world.gates.close(Covers())
        assert world.apply(upsert(2), upsert(1), event(1, "e"), event(1, "s")) == [
            DUPLICATE,
            STALE,
            DUPLICATE,
            DUPLICATE,
        ]

    def test_a_fence_rises_behind_a_closed_gate_and_fences(self, world: GateWorld) -> None:
        world.gates.close(Covers())
        assert world.apply(marker(2), event(1)) == [None, Outcome.FENCED]
        assert world.office.own("fence") == [{"source": "flights", "lane": 1, "epoch": 2}]

    def test_what_could_not_be_translated_or_decoded_is_held_and_parked_when_it_drains(self, world: GateWorld) -> None:
        world.gates.close(Covers())
        raw = Change("x", "", "", untranslated(1).verb, "~record/s/1/0", "0" * 38, -1, 0, "", {"reason": "not-json"})
        undecoded = Delivered(raw, "s", "1", 1, b"{{{")
        assert world.apply(untranslated(1)) == [HELD]
        assert world.deliver(undecoded) == [HELD]
        assert world.whole_held("~record/s/1/0")[0].event == b"{{{"
        world.gates.open(Covers())
        assert world.drain() == 2
        assert world.parked() == [("k-1", "no-airport"), ("x", "not-json")]
        assert sorted(bytes(row["event"]) for row in world.office.own("parked"))[1] == b"{{{"

    # A held key

    def test_a_key_of_which_anything_is_held_holds_all_that_comes_gate_open_or_not(self, world: GateWorld) -> None:
        world.gates.close(BOARDS)
        world.apply(upsert(1))
        world.gates.open(BOARDS)
        assert world.apply(upsert(2), event(3)) == [HELD, HELD]
        assert world.effects() == {}
        assert [(held.txn, held.gate) for held in world.whole_held()] == [
            ("k-1", "process=boards"),
            ("k-2", "behind"),
            ("k-3", "behind"),
        ]

    def test_a_newer_state_frees_nothing_that_is_held(self, world: GateWorld) -> None:
        world.gates.close(BOARDS)
        world.apply(upsert(1), upsert(2))
        world.gates.open(BOARDS)
        assert world.apply(upsert(3), delete(4)) == [HELD, HELD]
        assert world.drain() == 4
        assert world.effects() == {"k-1": 1, "k-2": 1, "k-3": 1, "k-4": 1}
        assert [txn for txn, outcome in world.office.told() if outcome == "applied"] == ["k-1", "k-2", "k-3", "k-4"]

    def test_held_is_asked_before_parked(self, world: GateWorld) -> None:
        assert world.apply(event(1, note="wrong")) == [PARKED]
        world.gates.close(BILLING)
        assert world.apply(event(2)) == [HELD]
        assert world.parked() == [("k-1", "contract")]
        world.gates.open(BILLING)
        world.drain()
        assert world.parked() == [("k-1", "contract"), ("k-2", "behind")]
        assert world.apply(event(3)) == [PARKED]

    # Draining

    def test_what_drains_goes_in_order_through_the_whole_decision(self, world: GateWorld) -> None:
        world.apply(upsert(2))
        world.gates.close(BOARDS)
        world.apply(upsert(3), upsert(5, size=-1), upsert(4), upsert(6), upsert(1, "b"))
        world.gates.open(BOARDS)
        assert world.drain() == 5
        assert world.effects() == {"k-2": 1, "k-3": 1, "k-4": 1, "k-6": 1, "b-1": 1}
        assert world.office.own("held") == []
        assert world.history_of()["k-5"] == "superseded"
        assert world.metrics.drained.labels("applied")._value.get() == 4
        assert world.metrics.drained.labels("parked")._value.get() == 1
        assert world.apply(upsert(7)) == [APPLIED]

    def test_an_event_that_is_poison_when_it_drains_has_the_next_ones_of_its_key_behind_it(
        self, world: GateWorld
    ) -> None:
        world.gates.close(BILLING)
        world.apply(event(1, note="wrong"), event(2), event(1, "e"))
        world.gates.open(BILLING)
        assert world.drain() == 3
        assert world.parked() == [("k-1", "contract"), ("k-2", "behind")]
        assert [row["txn"] for row in world.office.own("outbox")] == ["k-1"]
        assert world.effects() == {"e-1": 1}

    def test_of_a_key_nothing_overtakes_a_change_whose_gate_is_closed_still(self, world: GateWorld) -> None:
        world.gates.close(BILLING)
        world.gates.close(BOARDS)
        world.apply(upsert(1), event(2), upsert(3), upsert(1, "b"))
        world.gates.open(BOARDS)
        assert world.drain() == 2
        assert world.effects() == {"k-1": 1, "b-1": 1}
        assert world.held() == ["k-2", "k-3"]
        assert world.drain() == 0
        world.gates.open(BILLING)
        assert world.drain() == 2
        assert world.effects() == {"k-1": 1, "b-1": 1, "k-2": 1, "k-3": 1}

    def test_a_sweep_drains_many_changes_of_many_keys_a_portion_at_a_time(self, world: GateWorld) -> None:
        world.gates.close(BOARDS)
        keys = [f"key-{number:03d}" for number in range(60)]
        world.apply(*[upsert(1, key) for key in keys], *[upsert(number, "k") for number in range(1, 8)])
        world.gates.open(BOARDS)
        assert world.drainer(portion=5).sweep() == 67
        assert world.office.own("held") == []
        assert set(world.effects().values()) == {1}
        assert len(world.effects()) == 67

    def test_a_drain_that_breaks_off_anywhere_is_begun_again_and_every_change_takes_effect_once(
        self, world: GateWorld
    ) -> None:
        world.gates.close(Covers())
        batch = [upsert(1), event(1, "e"), upsert(2), event(2, "e")]
        world.apply(*batch)
        world.gates.open(Covers())
        for at in range(0, 24, 2):
            drainer = world.drainer(portion=2)
            happened = world.office.break_at(drainer, at, world.office.outage())  # type: ignore[arg-type]
            try:
                drainer.sweep()
            except Transient:
                assert happened()
        world.drain()
        assert world.effects() == {"k-1": 1, "e-1": 1, "k-2": 1, "e-2": 1}
        assert world.office.own("held") == []

    def test_while_the_shards_stand_nothing_drains(self, world: GateWorld) -> None:
        world.gates.close(BOARDS)
        world.apply(upsert(1))
        world.gates.open(BOARDS)
        world.gates.stand(waits=True)
        assert world.drain() == 0
        assert world.held() == ["k-1"]

    # The commit

    def test_a_gate_that_closes_while_a_batch_is_decided_undoes_it(self, world: GateWorld) -> None:
        before = world.state()
        world.gates.at_confirm.append(lambda: world.gates.close(BOARDS))
        with pytest.raises(Outdated):
            world.apply(upsert(1))
        assert world.state() == before
        assert world.apply(upsert(1)) == [HELD]

    def test_a_gate_that_closes_while_a_batch_goes_the_quick_way_undoes_it(self, world: GateWorld) -> None:
        quick = world.without_handlers()
        before = quick.state()
        quick.gates.at_confirm.append(lambda: quick.gates.close(BOARDS))
        with pytest.raises(Outdated):
            quick.apply(upsert(1))
        assert quick.state() == before
        assert quick.apply(upsert(1)) == [HELD]

    def test_a_gate_that_closes_while_something_drains_undoes_that(self, world: GateWorld) -> None:
        world.gates.close(BOARDS)
        world.apply(upsert(1))
        world.gates.open(BOARDS)
        before = world.state()
        world.gates.at_confirm.append(lambda: world.gates.close(BOARDS))
        with pytest.raises(Outdated):
            world.drain()
        assert world.state() == before
        assert world.held() == ["k-1"]
        assert world.drain() == 0

    def test_a_batch_that_finds_the_shards_standing_changes_nothing(self, world: GateWorld) -> None:
        world.gates.stand(waits=True)
        with pytest.raises(Outdated):
            world.apply(upsert(1))
        assert world.effects() == {}

    # The quick way

    def test_the_quick_way_takes_what_is_open_and_leaves_what_is_held(self, world: GateWorld) -> None:
        quick = world.without_handlers()
        quick.gates.close(Covers(prefix="b"))
        assert quick.apply(upsert(1), upsert(1, "b")) == [APPLIED, HELD]
        assert quick.apply(upsert(2), upsert(1, "c")) == [APPLIED, APPLIED]
        quick.gates.open(Covers(prefix="b"))
        assert quick.apply(upsert(3), upsert(2, "b")) == [APPLIED, HELD]
        assert quick.drain() == 2
        assert [row["size"] for row in quick.office.rows("thing")] == [2, 1, 3]

    # The mirror

    def test_a_gate_that_is_mirrored_as_closed_holds_whatever_the_reading_says(self, office: FrontOffice) -> None:
        strict = GateWorld(office, strict=True).without_handlers()
        store = strict.office.store(strict.entities)
        assert isinstance(store, Holding)
        shut = Gate(BOARDS, closed=True, since_ms=1, revision=1)
        opened = Gate(BOARDS, closed=False, since_ms=2, revision=2)
        store.mirror([shut])
        assert strict.apply(upsert(1)) == [HELD]
        assert strict.drain() == 0
        store.mirror([opened])
        store.mirror([shut])
        assert strict.drain() == 1
        assert strict.apply(upsert(2)) == [APPLIED]
        strict.close()

    def test_a_gate_that_is_mirrored_says_nothing_where_nobody_asked_for_it(self, world: GateWorld) -> None:
        store = world.office.store(world.entities)
        assert isinstance(store, Holding)
        store.mirror([Gate(Covers(), closed=True, since_ms=1, revision=1)])
        assert world.apply(upsert(1)) == [APPLIED]

    # Payloads

    def test_a_payload_is_fetched_when_it_drains_and_one_that_is_missing_parks_the_change(
        self, world: GateWorld
    ) -> None:
        world.gates.close(BOARDS)
        payloads = MemoryPayloads()
        there = payloads.put(b'{"size": 7, "note": "fine"}')
        missing = Refusal(Poison("payload-missing", "gone"), "decode")
        for key, ref in (("k", there), ("b", "claim:gone")):
            change = upsert(1, key)._replace(data=None, dataref=ref)
            raw = encode(change)
            assert world.deliver(Delivered(change, "s", "1", 1, raw, missing)) == [HELD]
        world.gates.open(BOARDS)
        assert world.drainer(payloads).sweep() == 2
        assert [row["size"] for row in world.office.rows("thing")] == [7]
        assert world.parked() == [("b-1", "payload-missing")]

    def test_while_the_payloads_are_away_a_change_stays_held(self, world: GateWorld) -> None:
        world.gates.close(BOARDS)
        payloads = MemoryPayloads()
        change = upsert(1)._replace(data=None, dataref=payloads.put(b'{"size": 7, "note": "fine"}'))
        world.deliver(Delivered(change, "s", "1", 1, encode(change)))
        world.gates.open(BOARDS)
        payloads.failing = TargetDown("away")
        with pytest.raises(TargetDown):
            world.drainer(payloads).sweep()
        assert world.held() == ["k-1"]

    # Redrive

    def test_a_redrive_applies_nothing_that_a_gate_keeps_back(self, world: GateWorld) -> None:
        world.apply(event(1, note="wrong"), event(2), untranslated(1, "b"))
        world.gates.close(BILLING)
        before = world.state()
        with closing(world.gated_redriver(Mended({"k-1", "b-1"}))) as redriver:
            found = redriver.redrive("k")
            assert found.stopped is not None
            assert (found.stopped.txn, found.stopped.reason) == ("k-1", GATE_CLOSED)
            assert found.outcomes == {"parked": 1}
            assert world.state() == before
            assert redriver.redrive("b").outcomes == {"applied": 1}
            world.gates.open(BILLING)
            assert redriver.redrive("k").outcomes == {"applied": 2}

    def test_a_gate_that_closes_while_something_is_redriven_undoes_that(self, world: GateWorld) -> None:
        world.apply(event(1, note="wrong"))
        before = world.state()
        world.gates.at_confirm.append(lambda: world.gates.close(BILLING))
        with closing(world.gated_redriver(Mended({"k-1"}))) as redriver, pytest.raises(Outdated):
            redriver.redrive("k")
        assert world.state() == before

    def test_what_is_parked_comes_before_what_is_held_of_its_key(self, world: GateWorld) -> None:
        world.apply(event(1, note="wrong"))
        world.gates.close(BILLING)
        world.apply(event(2))
        world.gates.open(BILLING)
        with closing(world.gated_redriver(Mended({"k-1"}))) as redriver:
            assert redriver.redrive("k").outcomes == {"applied": 1}
        assert world.held() == ["k-2"]
        world.drain()
        assert [txn for txn, outcome in world.office.told() if outcome == "applied"] == ["k-1", "k-2"]

    def test_a_change_whose_key_was_not_known_goes_behind_what_is_held_of_its_real_key(self, world: GateWorld) -> None:
        raw = untranslated(1)._replace(key="~raw/flights/1", id="raw-1")
        world.apply(raw)
        world.gates.close(BOARDS)
        world.apply(upsert(2))
        world.gates.open(BOARDS)
        remake = Mended()
        remake.others["raw-1"] = [upsert(3)]
        with closing(world.gated_redriver(remake)) as redriver:
            assert redriver.redrive("~raw/flights/1").outcomes == {"held": 1}
        assert world.held() == ["k-2", "k-3"]
        assert world.parked() == []

    # Looking

    def test_what_is_held_of_a_key_is_told_in_its_order_by_its_key_and_by_each_of_its_ids(
        self, world: GateWorld
    ) -> None:
        world.gates.close(BILLING)
        world.apply(event(1), event(2))
        for asked in ("k", "k-1", "k-2"):
            found = world.office.reader().trace(asked)
            assert found is not None
            assert [(held.txn, held.gate) for held in found.held] == [
                ("k-1", "process=billing"),
                ("k-2", "process=billing"),
            ]

    def test_how_much_is_held_is_told_by_gate(self, world: GateWorld) -> None:
        world.gates.close(BILLING)
        world.apply(event(1), event(1, "e"), event(2, "e"), upsert(9))
        since = world.clock.now_ms()
        found = world.held_reader().held_by_gate()
        assert found == [HeldGate("process=billing", 2, 3, since), HeldGate("behind", 1, 1, since)]
