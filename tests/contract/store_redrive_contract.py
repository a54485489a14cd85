"""What every front-office store does with its parking lot: redrive, discard, edit.

An adapter's test module derives a class from `StoreRedriveContract`, and provides the fixture `office`.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress

import pytest

from isthmus.change import RAW_KEY_PREFIX, Change, Outcome, Verb
from isthmus.codec import decode
from isthmus.consumer.parking import event_bytes
from isthmus.consumer.redrive import Redriven, Redriver
from isthmus.consumer.stores.lot import Selection, Waiting
from isthmus.errors import Poison, Transient
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    FENCED,
    PARKED,
    STALE,
    World,
    event,
    marker,
    untranslated,
    upsert,
)

FILTERED = Outcome.FILTERED
WHO, WHY = "ada", "agreed with the registry"


class Mended:
    """Code of now: `good` are IDs that are fine since; the others are as they were."""

    def __init__(self, good: Collection[str] = ()) -> None:
        self.good = set(good)
        self.others: dict[str, list[Change]] = {}
        """By ID: what a row becomes instead."""
        self.meanwhile: list[Callable[[], object]] = []
        """What happens, one after another, each time that something is remade."""

    def __call__(self, waiting: Waiting) -> Sequence[Change]:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if waiting.txn in self.others:
            return self.others[waiting.txn]
        changes = [change for change in decode(waiting.event) if isinstance(change, Change)]
        if waiting.txn in self.good:
            return [_good(change) for change in changes]
        if any(change.verb is Verb.UNTRANSLATED for change in changes):
            raise Poison("no-airport", "BQN is unknown still")
        return changes


def _good(change: Change) -> Change:
    verb = change.verb
    if verb is Verb.UNTRANSLATED:
        verb = Verb.EVENT if change.entity == "posting" else Verb.UPSERT
    return change._replace(verb=verb, data={"size": 7, "note": "mended"})


def emptied(redriver: Redriver, key: str = "k", most: int = 500) -> list[Redriven]:
    """Redrive until nothing is left that can be."""
    found = [redriver.redrive(key, most=most)]
    while found[-1].left:
        found.append(redriver.redrive(key, most=most))
    return found


def _waiting(world: World, key: str = "k") -> list[Waiting]:
    return list(world.office.lot().parked_of(key))


class StoreRedriveContract:
    """Out of the lot."""

    @pytest.mark.parametrize("most", [500, 1, 2])
    def test_what_waits_behind_a_mended_event_takes_effect_in_its_order_and_once(self, world: World, most: int) -> None:
        world.apply(event(1), event(2, note="wrong"), event(3), event(4))
        with closing(world.redriver(Mended({"k-2"}))) as redriver:
            outcomes = emptied(redriver, most=most)
            assert sum(found.outcomes.get("applied", 0) for found in outcomes) == 3
            assert redriver.redrive("k") == Redriven()
        assert world.effects() == {"k-1": 1, "k-2": 1, "k-3": 1, "k-4": 1}
        assert [txn for txn, outcome in world.office.told() if outcome == "applied"] == ["k-1", "k-2", "k-3", "k-4"]
        assert world.parked() == []
        assert world.apply(event(2, note="wrong"), event(5)) == [DUPLICATE, APPLIED]

    def test_it_stops_at_the_first_that_is_poison_again_and_nothing_overtakes_it(self, world: World) -> None:
        world.apply(event(1, note="wrong"), event(2, note="wrong"), event(3))
        with closing(world.redriver(Mended({"k-1"}))) as redriver:
            found = redriver.redrive("k")
        assert found.stopped is not None
        assert (found.stopped.txn, found.stopped.reason) == ("k-2", "contract")
        assert (found.outcomes, found.left) == ({"applied": 1, "parked": 1}, False)
        assert world.effects() == {"k-1": 1}
        assert world.parked() == [("k-2", "contract"), ("k-3", "behind")]
        assert [(each.txn, each.attempts) for each in _waiting(world)] == [("k-2", 2), ("k-3", 1)]
        assert world.apply(event(4)) == [PARKED]

    def test_what_is_poison_again_keeps_its_event_and_says_its_newest_reason(self, world: World) -> None:
        world.apply(untranslated(1))
        (before,) = _waiting(world)
        remake = Mended()
        remake.others["k-1"] = [upsert(1, size=-1)]
        with closing(world.redriver(remake)) as redriver:
            assert redriver.redrive("k").outcomes == {"parked": 1}
        (after,) = _waiting(world)
        assert (after.event, after.attempts, after.first_at_ms) == (before.event, 2, before.first_at_ms)
        assert after.reason != before.reason
        assert len(world.office.own("outbox")) == 1

    def test_a_remake_that_fails_stops_the_key(self, world: World) -> None:
        world.apply(untranslated(1), untranslated(2))
        with closing(world.redriver(Mended({"k-2"}))) as redriver:
            found = redriver.redrive("k")
        assert found.stopped is not None
        assert (found.stopped.reason, found.stopped.stage) == ("no-airport", "translate")
        assert world.parked() == [("k-1", "no-airport"), ("k-2", "no-airport")]

    def test_states_take_effect_in_their_order_and_none_is_called_superseded(self, world: World) -> None:
        world.apply(upsert(1), untranslated(2), upsert(3, size=-1))
        with closing(world.redriver(Mended({"k-2", "k-3"}))) as redriver:
            assert redriver.redrive("k").outcomes == {"applied": 2}
        assert [outcome for _, outcome in world.office.told()] == ["applied"] * 3
        assert world.effects() == {"k-1": 1, "k-2": 1, "k-3": 1}

    def test_a_state_older_than_what_took_effect_is_stale_and_leaves_the_lot(self, world: World) -> None:
        # Of the same version: it was not freed, and is not newer.
        world.apply(untranslated(2)._replace(id="k-other"), upsert(2))
        with closing(world.redriver(Mended({"k-other"}))) as redriver:
            assert redriver.redrive("k").outcomes == {str(STALE): 1}
        assert world.parked() == []
        assert world.effects() == {"k-2": 1}

    def test_a_fence_is_not_asked(self, world: World) -> None:
        world.apply(untranslated(1), marker(2))
        assert world.apply(upsert(5, "late")) == [FENCED]
        with closing(world.redriver(Mended({"k-1"}))) as redriver:
            assert redriver.redrive("k").outcomes == {"applied": 1}

    def test_a_row_may_become_several_entities_or_none(self, world: World) -> None:
        world.apply(untranslated(1), untranslated(1, "gone"), event(1, "b", note="wrong"))
        remake = Mended()
        remake.others = {
            "k-1": [upsert(1), upsert(1, "second"), event(2, "b")._replace(id="b-2")],
            "gone-1": [],
        }
        with closing(world.redriver(remake)) as redriver:
            assert redriver.redrive("k").outcomes == {"applied": 2, "parked": 1}
            assert redriver.redrive("gone").outcomes == {str(FILTERED): 1}
        assert world.parked() == [("b-1", "contract"), ("b-2", "behind")]
        assert sorted(row["key"] for row in world.office.rows("thing")) == ["k", "second"]

    def test_a_row_whose_key_was_not_known_is_decided_under_its_real_key(self, world: World) -> None:
        raw = f"{RAW_KEY_PREFIX}raw/flights/1"
        world.apply(untranslated(1, raw), upsert(2))
        remake = Mended()
        remake.others[f"{raw}-1"] = [upsert(1)]
        with closing(world.redriver(remake)) as redriver:
            assert redriver.redrive(raw).outcomes == {str(STALE): 1}
        assert world.parked() == []

    def test_a_rehearsal_says_what_would_happen_and_leaves_nothing_behind(self, world: World) -> None:
        world.apply(event(1, note="wrong"), event(2), event(3, note="wrong"))
        before = world.state()
        with closing(world.redriver(Mended({"k-1"}))) as redriver:
            rehearsed = redriver.redrive("k", rehearse=True)
            assert world.state() == before
            assert redriver.redrive("k") == rehearsed
        assert rehearsed.outcomes == {"applied": 2, "parked": 1}

    def test_a_live_change_that_comes_meanwhile_neither_overtakes_nor_is_overtaken(self, world: World) -> None:
        world.apply(event(1, note="wrong"))
        remake = Mended({"k-1"})
        remake.meanwhile = [lambda: world.apply(event(2))]
        with closing(world.redriver(remake)) as redriver:
            emptied(redriver)
            emptied(redriver)
        assert world.effects() == {"k-1": 1, "k-2": 1}
        assert [txn for txn, outcome in world.office.told() if outcome == "applied"] == ["k-1", "k-2"]

    def test_a_newer_state_that_comes_meanwhile_wins(self, world: World) -> None:
        world.apply(untranslated(1))
        remake = Mended({"k-1"})
        remake.meanwhile = [lambda: world.apply(upsert(2))]
        with closing(world.redriver(remake)) as redriver:
            emptied(redriver)
        assert world.effects() == {"k-2": 1}
        assert world.parked() == []

    def test_two_redrives_at_once_take_effect_once(self, world: World) -> None:
        world.apply(event(1, note="wrong"), event(2))
        with closing(world.redriver(Mended({"k-1"}))) as first:
            remake = Mended({"k-1"})
            remake.meanwhile = [lambda: emptied(first)]
            with closing(world.redriver(remake)) as second:
                emptied(second)
        assert world.effects() == {"k-1": 1, "k-2": 1}

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_cut_off_at_any_statement_it_can_be_done_again(self, world: World, after: bool) -> None:  # noqa: FBT001 - a case
        for at in range(200):
            key = f"k{at}"
            world.apply(event(1, key, note="wrong"), event(2, key), untranslated(3, key, "posting"), event(4, key))
            remake = Mended({f"{key}-1", f"{key}-3"})
            with closing(world.redriver(remake)) as redriver:
                happened = world.office.break_at(redriver, at, world.office.outage(), after=after)
                with suppress(Transient):
                    emptied(redriver, key)
                broken = happened()
            with closing(world.redriver(remake)) as redriver:
                emptied(redriver, key)
            assert {txn: n for txn, n in world.effects().items() if txn.startswith(f"{key}-")} == {
                f"{key}-{n}": 1 for n in range(1, 5)
            }
            assert world.parked() == []
            if not broken:
                return
        raise AssertionError("there is no end to its statements")

    def test_what_is_discarded_never_takes_effect_and_is_kept_in_the_audit(self, world: World) -> None:
        world.apply(event(1, note="wrong"), event(2))
        (first, _) = _waiting(world)
        with closing(world.redriver(Mended())) as redriver:
            assert redriver.discard("k", ["k-1", "unknown"], who=WHO, why=WHY) == 1
            assert redriver.discard("k", ["k-1"], who=WHO, why=WHY) == 0
            assert world.parked() == [("k-2", "behind")]
            assert redriver.redrive("k").outcomes == {"applied": 1}
        (audited,) = world.office.own("audit")
        assert (audited["deed"], audited["who"], audited["why"], audited["txn"]) == ("discard", WHO, WHY, "k-1")
        assert (bytes(audited["event"]), audited["made"]) == (first.event, None)
        assert world.apply(event(1)) == [DUPLICATE]
        assert world.effects() == {"k-2": 1}

    def test_a_discarded_row_is_settled_under_its_real_key_too(self, world: World) -> None:
        raw = f"{RAW_KEY_PREFIX}raw/flights/1"
        world.apply(untranslated(1, raw)._replace(sourcekey="[1]"))
        with closing(world.redriver(Mended())) as redriver:
            assert redriver.discard(raw, [f"{raw}-1"], who=WHO, why=WHY) == 1
        assert world.apply(upsert(1)._replace(sourcekey="[1]"), upsert(2)._replace(sourcekey="[1]")) == [
            DUPLICATE,
            APPLIED,
        ]

    def test_an_edited_change_takes_effect_as_edited_and_its_id_is_settled(self, world: World) -> None:
        world.apply(upsert(1, size=-1))
        (old,) = _waiting(world)
        made = event_bytes(upsert(1, size=5, note="by hand"))
        with closing(world.redriver(Mended())) as redriver:
            assert redriver.edit("k", old, made, who=WHO, why=WHY)
            assert not redriver.edit("k", old, b"older view", who=WHO, why=WHY)
            assert world.apply(upsert(1, size=-1)) == [PARKED]
            assert redriver.redrive("k").outcomes == {"applied": 1}
        (row,) = world.office.rows("thing")
        assert (row["size"], row["note"]) == (5, "by hand")
        assert [each["txn"] for each in world.office.own("settled")] == ["k-1"]
        (audited,) = world.office.own("audit")
        assert (audited["deed"], bytes(audited["event"]), bytes(audited["made"])) == ("edit", old.event, made)
        assert world.apply(upsert(1, size=-1)) == [DUPLICATE]

    def test_an_edit_while_a_redrive_remakes_what_was_before_it_is_not_lost(self, world: World) -> None:
        world.apply(upsert(1, size=-1))
        (old,) = _waiting(world)
        with closing(world.redriver(Mended())) as editor:
            made = event_bytes(upsert(1, size=5))
            remake = Mended()
            remake.meanwhile = [lambda: editor.edit("k", old, made, who=WHO, why=WHY)]
            with closing(world.redriver(remake)) as redriver:
                assert [found.outcomes for found in emptied(redriver)] == [{}, {"applied": 1}]
        (row,) = world.office.rows("thing")
        assert row["size"] == 5

    def test_keys_are_found_by_what_is_said_of_them(self, world: World) -> None:
        world.apply(event(1, "a", note="wrong"), event(2, "a"), untranslated(1, "b"), untranslated(1, "b2"))
        lot = world.office.lot()
        assert [(each.key, each.changes, each.reason) for each in lot.parked_keys(Selection())] == [
            ("a", 2, "contract"),
            ("b", 1, "no-airport"),
            ("b2", 1, "no-airport"),
        ]

        def found(**said: object) -> list[str]:
            return [each.key for each in lot.parked_keys(Selection(**said))]  # type: ignore[arg-type]

        assert found(key="b") == ["b"]
        assert found(prefix="b") == ["b", "b2"]
        assert found(reason="contract") == ["a"]
        assert found(source="flights") == ["a", "b", "b2"]
        assert found(source="others") == []
        at = world.clock.now_ms()
        assert found(since_ms=at) == ["a", "b", "b2"]
        assert found(until_ms=at) == []
        assert [each.key for each in lot.parked_keys(Selection(), most=1)] == ["a"]
        assert [each.key for each in lot.parked_keys(Selection(), after="a", most=1)] == ["b"]
        assert [each.txn for each in lot.parked_of("a", skip=1)] == ["a-2"]
