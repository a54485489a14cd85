"""What every front-office store does when sessions meet, crash, prune and read, driven by the real applier.

Used beside `StoreContract` (tests/contract/store_contract.py), with the same fixtures.
"""

import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest

from isthmus.change import Change, Outcome, version_of
from isthmus.consumer.deciding import Guard
from isthmus.consumer.stores.port import Decider, Pruned
from isthmus.errors import Transient
from tests.fakes.clock import FakeStop
from tests.fakes.store_model import ByModel, agrees
from tests.fakes.store_world import (
    APPLIED,
    BATCH,
    FrontOffice,
    World,
    delete,
    delivered,
    event,
    marker,
    untranslated,
    upsert,
)

AGAIN = (*BATCH[:-1], marker(1))
"""A batch that ends in a marker which fences nothing of it when it comes again."""


DEADLINE_SECONDS = 30.0


class Crash(BaseException):
    """The process is gone."""


def decided(decider: Decider, changes: Sequence[Change]) -> list[Outcome | None]:
    """Decide, again and again while another one is in the way."""
    while True:
        try:
            return decider.apply([delivered(change) for change in changes])
        except Transient:
            continue


class StoreLifeContract:
    """Sessions, crashes, pruning, reading and setting up."""

    # two at once

    def test_two_sessions_on_one_key_give_one_effect(self, world: World) -> None:
        second = world.another()
        changes = [upsert(n) for n in range(1, 31)]
        both = threading.Barrier(2)
        outcomes: list[list[Outcome | None]] = [[], []]

        def run(place: int, decider: Decider) -> None:
            both.wait()
            for change in changes:
                outcomes[place] += decided(decider, [change])

        threads = [threading.Thread(target=run, args=pair) for pair in enumerate((world.decider, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        second.close()
        assert sum(found.count(APPLIED) for found in outcomes) == len(world.effects())
        assert set(world.effects().values()) == {1}
        assert world.office.rows("thing")[0]["size"] == 30

    # crashes

    def test_a_crash_before_or_after_any_call_and_then_all_of_it_again_end_as_if_there_was_none(
        self, office: FrontOffice
    ) -> None:
        clean = World(office.fresh())
        with closing(clean):
            clean.apply(*AGAIN)
            expected = clean.state()
        for after in (False, True):
            for at in itertools.count():
                world = World(office.fresh())
                with closing(world):
                    happened = world.office.break_at(world.decider, at, Crash(), after=after)
                    with suppress(Crash):
                        world.apply(*AGAIN)
                    if not happened():
                        break
                    with suppress(Exception):
                        world.decider.close()
                    world.decider = world.another()
                    world.apply(*AGAIN)
                    assert world.state() == expected
                    assert set(world.effects().values()) == {1}
            assert at > len(AGAIN)

    def test_an_outage_before_or_after_any_call_parks_nothing_and_is_mended_by_the_next_attempt(
        self, office: FrontOffice
    ) -> None:
        clean = World(office.fresh())
        with closing(clean):
            clean.apply(*AGAIN)
            expected = clean.state()
        for after in (False, True):
            for at in itertools.count():
                world = World(office.fresh())
                with closing(world):
                    happened = world.office.break_at(world.decider, at, world.office.outage(), after=after)
                    with suppress(Transient):
                        world.apply(*AGAIN)
                    if not happened():
                        break
                    world.apply(*AGAIN)
                    assert world.state() == expected
                    assert set(world.effects().values()) == {1}
            assert at > len(AGAIN)

    def test_two_workers_on_the_same_keys_park_and_free_as_one_would(self, world: World) -> None:
        # Both are given everything, in turns that no test chooses: a worker that woke up late does the same.
        changes = [
            change
            for n in range(1, 25, 3)
            for change in (upsert(n), untranslated(n + 1), upsert(n + 2, "b"), event(n, "e"), delete(n + 1, "b"))
        ]
        second = world.another()
        both = threading.Barrier(2)
        errors: list[BaseException] = []

        def run(decider: Decider) -> None:
            both.wait()
            try:
                for begin in range(0, len(changes), 4):
                    decided(decider, changes[begin : begin + 4])
            except BaseException as error:
                errors.append(error)
                raise

        threads = [threading.Thread(target=run, args=(decider,)) for decider in (world.decider, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        second.close()
        model = ByModel()
        for change in changes:
            model.take(change)
        assert errors == []
        agrees(world, model)
        assert len(world.office.own("outbox")) == 8

    def test_a_worker_that_wakes_up_with_an_old_batch_changes_nothing(self, world: World) -> None:
        batch = [upsert(1), untranslated(2), delete(3), event(1, "e"), marker(2), upsert(4)]
        zombie = world.another()
        world.apply(*batch, *[change._replace(epoch=2) for change in (upsert(5), event(2, "e"))])
        before = world.state()
        zombie.apply([delivered(change) for change in batch])
        zombie.close()
        assert world.state() == before

    @pytest.mark.parametrize("dies", [False, True], ids=["goes on", "dies"])
    def test_a_worker_that_stands_still_inside_a_batch_while_another_decides_adds_nothing(
        self, world: World, *, dies: bool
    ) -> None:
        batch = [upsert(1), event(1, "e"), untranslated(2, "p"), upsert(1, "q")]
        newer = [upsert(2), event(2, "e"), delete(2, "q")]
        inside, go_on = threading.Event(), threading.Event()

        def stands_still() -> None:
            inside.set()
            assert go_on.wait(DEADLINE_SECONDS)
            if dies:
                # What else a handler raises, of whatever kind, is its change's trouble and ends nothing.
                raise KeyboardInterrupt

        world.told.meanwhile["k-1"] = [stands_still]
        with closing(world.elsewhere()) as zombie, ThreadPoolExecutor(2) as threads:
            old = threads.submit(decided, zombie, batch)
            try:
                assert inside.wait(DEADLINE_SECONDS)
                new = threads.submit(decided, world.decider, [*batch, *newer])
                if not world.office.transactional:
                    # Nothing is locked: the other one must come to its end while this one stands still.
                    new.result(DEADLINE_SECONDS)
            finally:
                go_on.set()
            assert (old.exception(DEADLINE_SECONDS) is not None) == dies
            new.result(DEADLINE_SECONDS)
        model = ByModel()
        for change in [*batch, *newer]:
            model.take(change)
        agrees(world, model)

    def test_a_worker_that_dies_between_two_batches_is_followed_by_one_that_decides_both(self, world: World) -> None:
        model = ByModel()
        # Nobody closes anything for it.
        dead = world.elsewhere()
        assert decided(dead, AGAIN[:4]) == [model.take(change) for change in AGAIN[:4]]
        before = world.state()
        assert world.apply(*AGAIN[:4]) == [model.take(change) for change in AGAIN[:4]]
        assert world.state() == before
        assert world.apply(*AGAIN[4:]) == [model.take(change) for change in AGAIN[4:]]
        agrees(world, model)
        dead.close()

    def test_an_answer_that_was_lost_is_found_when_another_has_decided_more_meanwhile(
        self, office: FrontOffice
    ) -> None:
        batch = [upsert(1), event(1, "e"), untranslated(2, "p"), delete(2, "q")]
        newer = [upsert(2), event(2, "e"), upsert(3, "p"), upsert(3, "q")]
        model = ByModel()
        for change in [*batch, *newer]:
            model.take(change)
        for at in itertools.count():
            world = World(office.fresh())
            with closing(world):
                happened = office.break_at(world.decider, at, office.outage(), after=True)
                with suppress(Transient):
                    world.apply(*batch)
                if not happened():
                    break
                with closing(world.elsewhere()) as other:
                    decided(other, [*batch, *newer])
                assert APPLIED not in decided(world.decider, batch)
                agrees(world, model)
        assert at > len(batch)

    # pruning

    def test_only_what_is_older_than_the_moment_is_forgotten_and_no_living_guard(self, world: World) -> None:
        old = (upsert(1, "a"), delete(2, "b"), event(1, "e"), untranslated(1, "p"), marker(2))
        world.apply(*old)
        world.apply(*[upsert(1, "c", epoch=2), delete(2, "d")._replace(epoch=2), event(2, "e", epoch=2)])
        # What was decided at the moment itself is not older.
        between = world.clock.now_ms()
        pruned = world.store.prune(memory_before_ms=between, history_before_ms=between, stop=FakeStop(world.clock))
        assert pruned == Pruned(guards=1, ledger=1, settled=0, history=3)
        assert [row["key"] for row in world.office.own("guard")] == ["a", "c", "d"]
        assert [row["txn"] for row in world.office.own("ledger")] == ["e-2"]
        assert world.history_of() == {"c-1": "applied", "d-2": "applied", "e-2": "applied"}
        assert len(world.office.own("parked")) == len(world.office.own("outbox")) == len(world.office.own("fence")) == 1

    def test_memory_and_history_are_forgotten_each_at_its_own_moment(self, world: World) -> None:
        world.apply(delete(1))
        after = world.clock.now_ms() + 1
        stop = FakeStop(world.clock)
        assert world.store.prune(memory_before_ms=0, history_before_ms=after, stop=stop) == Pruned(0, 0, 0, 1)
        assert world.store.prune(memory_before_ms=after, history_before_ms=0, stop=stop) == Pruned(1, 0, 0, 0)

    def test_a_trace_survives_that_what_is_older_is_forgotten(self, world: World) -> None:
        def told(key: str) -> list[tuple[str, str]]:
            trace = world.office.reader().trace(key)
            return [(row.txn, row.outcome) for row in trace.history] if trace is not None else []

        stop = FakeStop(world.clock)
        world.apply(marker(2), upsert(1), event(1, "e"), event(2, "e", epoch=2), upsert(1, "d", epoch=2))
        world.apply(upsert(2, epoch=2), upsert(1, epoch=2), delete(2, "d")._replace(epoch=2))
        assert told("k") == [("k-1", "fenced"), ("k-1", "stale"), ("k-2", "applied")]
        assert told("e") == [("e-1", "fenced"), ("e-2", "applied")]

        # The guard of what was deleted goes before its history, and all history goes in the end.
        world.store.prune(memory_before_ms=world.clock.now_ms() + 1, history_before_ms=0, stop=stop)
        assert told("d") == [("d-1", "applied"), ("d-2", "applied")]
        world.store.prune(memory_before_ms=0, history_before_ms=world.clock.now_ms() + 1, stop=stop)
        assert (told("k"), told("d"), told("e")) == ([], [], [])

        world.apply(upsert(3, epoch=2), event(3, "e", epoch=2), upsert(3, "d", epoch=2))
        world.apply(upsert(4, epoch=2), event(3, "f", epoch=1))
        assert told("k") == [("k-3", "applied"), ("k-4", "applied")]
        assert (told("d"), told("e"), told("f")) == ([("d-3", "applied")], [("e-3", "applied")], [("f-3", "fenced")])

    def test_a_trace_holds_what_was_told_of_its_key_and_of_no_other(self, world: World) -> None:
        def told(key: str) -> list[tuple[str, str]]:
            trace = world.office.reader().trace(key)
            return [(row.txn, row.outcome) for row in trace.history] if trace is not None else []

        # Later than what took effect, in a batch of its own.
        world.apply(upsert(2))
        world.apply(upsert(1))
        assert told("k") == [("k-1", "stale"), ("k-2", "applied")]

        # Fenced before anything took effect, then twice in effect.
        world.apply(marker(5), upsert(1, "b"))
        world.apply(upsert(2, "b", epoch=5))
        world.apply(upsert(3, "b", epoch=5))
        assert told("b") == [("b-1", "fenced"), ("b-2", "applied"), ("b-3", "applied")]

        # What all was forgotten of never shows another's.
        stop = FakeStop(world.clock)
        world.store.prune(memory_before_ms=0, history_before_ms=world.clock.now_ms() + 1, stop=stop)
        world.apply(upsert(1, "c", epoch=5), upsert(1, "d", epoch=5), upsert(1, "e", epoch=5))
        assert (told("k"), told("b"), told("c")) == ([], [], [("c-1", "applied")])

    def test_a_replay_tells_nothing_twice(self, world: World) -> None:
        changes = (upsert(1), untranslated(2), upsert(3), marker(2), upsert(4), upsert(4, epoch=2), event(1, "e"))
        for _ in range(3):
            world.apply(*changes)
        found = sorted(world.office.told(), key=lambda row: row[0])
        assert found == [
            ("e-1", "fenced"),
            ("k-1", "applied"),
            ("k-2", "superseded"),
            ("k-3", "applied"),
            ("k-4", "fenced"),
            ("k-4", "applied"),
        ]

    def test_settled_ids_are_forgotten_with_the_memory(self, world: World) -> None:
        world.office.settle("k-1")
        assert world.store.prune(memory_before_ms=1, history_before_ms=1, stop=FakeStop(world.clock)).settled == 1
        assert world.apply(upsert(1)) == [APPLIED]

    @pytest.mark.parametrize("portion", [1, 3, 7, 100])
    def test_pruning_in_any_portions_forgets_all(self, world: World, portion: int) -> None:
        world.apply(*[delete(1, f"k{number}") for number in range(7)], *[event(n, "e") for n in range(7)])
        after = world.clock.now_ms() + 1
        stop = FakeStop(world.clock)
        pruned = world.store.prune(memory_before_ms=after, history_before_ms=after, stop=stop, portion=portion)
        assert pruned == Pruned(7, 7, 0, 14)

    def test_pruning_ends_at_once_when_a_stop_is_requested(self, world: World) -> None:
        world.apply(delete(1))
        stop = FakeStop(world.clock)
        stop.request()
        after = world.clock.now_ms() + 1
        assert world.store.prune(memory_before_ms=after, history_before_ms=after, stop=stop) == Pruned(0, 0, 0, 0)

    # reading

    def test_the_reader_explains_what_became_of_a_key(self, world: World) -> None:
        world.apply(upsert(1), untranslated(2), event(1, "e"), event(2, "e", note="wrong"), event(3, "e"))
        reader = world.office.reader()
        by_key, by_txn, by_parked = reader.trace("k"), reader.trace("k-1"), reader.trace("k-2")
        assert by_key == by_txn == by_parked
        assert by_key is not None
        assert by_key.guard is not None
        assert by_key.guard._replace(entity="") == Guard(version_of(0, 1), "k-1", "hash-1", deleted=False)
        assert [(row.txn, row.outcome) for row in by_key.history] == [("k-1", "applied")]
        (parked,) = by_key.parked
        assert (parked.reason, parked.message, parked.stage) == ("no-airport", "BQN is unknown", "translate")
        assert parked.first_at_ms == world.clock.now_ms()
        took_effect = reader.trace("e-1")
        assert took_effect is not None
        assert (took_effect.key, took_effect.took_effect_ms) == ("e", world.clock.now_ms())
        assert [row.reason for row in took_effect.parked] == ["contract", "behind"]
        assert reader.trace("nobody") is None

    def test_the_reader_counts_what_is_parked_by_reason(self, world: World) -> None:
        world.apply(untranslated(1, "a"), untranslated(2, "a"), untranslated(1, "b"), upsert(1, "c", note="wrong"))
        world.apply(upsert(1, "d"), delete(2, "d"), event(1, "e"))
        reader = world.office.reader()
        assert [each[:3] for each in reader.parked_by_reason()] == [("no-airport", 2, 3), ("contract", 1, 1)]
        counts = {"guards": 1, "deleted": 1, "ledger": 1, "settled": 0, "outbox": 4, "parked_keys": 3}
        assert reader.counts() == {**counts, "parked_changes": 4, "history_applied": 3}

    def test_the_reader_tells_since_when_the_oldest_of_each_reason_is_parked(self, world: World) -> None:
        moments = []
        for changes in ([untranslated(1, "a"), event(1, "e", note="wrong")], [untranslated(1, "b")], [event(2, "e")]):
            world.clock.move(60)
            world.apply(*changes)
            moments.append(world.clock.now_ms())
        first, second, third = moments
        since = {each.reason: each.since_ms for each in world.office.reader().parked_by_reason()}
        # What waits behind another one is told with the moment of the key, where nothing else is known of it.
        assert since.pop("behind") in {first, third}
        assert since == {"no-airport": first, "contract": first}
        world.apply(upsert(2, "a"))
        since = {each.reason: each.since_ms for each in world.office.reader().parked_by_reason()}
        assert since["no-airport"] == second

    # setting up

    def test_prepare_may_be_repeated_and_keeps_what_is_there(self, world: World) -> None:
        world.apply(upsert(1))
        before = world.state()
        assert world.store.prepare(dry_run=True) == world.store.prepare()
        assert world.state() == before

    def test_check_accepts_tables_that_fit(self, world: World) -> None:
        world.store.check(world.entities)
