"""What every front-office store makes of a dead letter, wherever its change is by now.

An adapter's test module derives a class from `StoreLettersContract`, and provides the fixture `office`.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from isthmus.change import RAW_KEY_PREFIX, Outcome
from isthmus.checkpoint.gates import Closing, Covers, Mode, State, View
from isthmus.consumer.deadletters.letters import letter_of
from isthmus.consumer.deadletters.port import Copy, Message
from isthmus.consumer.deadletters.reading import waiting_in
from isthmus.consumer.deadletters.redriving import Decided, LetterDecider, TransactionalLetters
from isthmus.consumer.gates import Gatekeeper, Outdated
from isthmus.consumer.redrive import Remake
from isthmus.consumer.stores.dynamodb.letters import DynamoLetters
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.port import TransactionalStore
from isthmus.errors import Transient
from tests.contract.store_outbox_contract import outbox_of
from tests.contract.store_redrive_contract import WHO, WHY, Mended
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.gate_world import FakeGates
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    PARKED,
    World,
    delivered,
    event,
    marker,
    untranslated,
    upsert,
)

_MUCH = 1024 * 1024
_MOST_STATEMENTS = 200


CLOSED = Closing(Covers(entity="thing"), State.CLOSED, Mode.HOLD, "month end", WHO, 0)


class Gates:
    """A `Gatekeeper` that says one thing."""

    strict = False

    def __init__(self, said: View) -> None:
        self._said = said

    def view(self) -> View:
        return self._said

    def confirm(self, view: View) -> None:
        assert view.revision == self._said.revision


def decider_of_letters(world: World, remake: Remake, gates: Gatekeeper | None = None) -> LetterDecider:
    """Give one, as another process has one."""
    by_name = {entity.name: entity for entity in world.entities}
    store = world.office.store(world.entities)
    if isinstance(store, TransactionalStore):
        return TransactionalLetters(store.session(), by_name, remake, world.clock, history=world.history, gates=gates)
    assert isinstance(world.office, DynamoOffice)
    mine = {name: world.office._mine(entity) for name, entity in by_name.items()}
    client, settings = world.office.client, world.office.settings
    return DynamoLetters(client, settings, mine, remake, world.clock, history=world.history, gates=gates)


def message_of(copy: Copy, identity: str = "m") -> Message:
    letter = letter_of(copy, None)
    return Message(identity, "h", letter.body, letter.attributes, 0, 1)


def letters(world: World) -> list[Waiting]:
    """Give the letters that a sender would send now, as they are read."""
    with outbox_of(world) as outbox:
        return [waiting_in(message_of(copy), None) for copy in outbox.pending(100, _MUCH)]


def decided(world: World, remake: Remake, *read: Waiting, rehearse: bool = False) -> list[Decided]:
    with closing(decider_of_letters(world, remake)) as letters:
        return [letters.decide(each, rehearse=rehearse) for each in read]


def outcomes(found: Sequence[Decided]) -> list[dict[str, int]]:
    return [dict(each.outcomes) for each in found]


class StoreLettersContract:
    """Out of the queue."""

    @pytest.fixture
    def lost(self, world: World) -> Any:
        """Give a world in which nothing is remembered, and letters from before."""

        def lose() -> tuple[World, list[Waiting]]:
            read = letters(world)
            return World(world.office.fresh()), read

        return lose

    def test_a_gate_that_closes_while_a_letter_is_decided_undoes_it(self, world: World, lost: Any) -> None:
        world.apply(event(1, note="wrong"), untranslated(1, "b"))
        anew, read = lost()
        covers = {"k-1": Covers(entity="posting"), "b-1": Covers(entity="thing")}
        with closing(anew):
            before = anew.state()
            for letter in read:
                gates, cover = FakeGates(), covers[letter.txn]
                with closing(decider_of_letters(anew, Mended({"k-1", "b-1"}), gates)) as deciding:
                    gates.at_confirm.append(lambda gates=gates, cover=cover: gates.close(cover))
                    with pytest.raises(Outdated):
                        deciding.decide(letter)
                    assert deciding.decide(letter).closed.startswith(cover.name)
                    assert anew.state() == before
                    gates.open(cover)
                    gates.stand(waits=True)
                    assert deciding.decide(letter).closed
                    assert anew.state() == before
            assert outcomes(decided(anew, Mended({"k-1", "b-1"}), *read)) == [{"applied": 1}] * 2

    def test_a_letter_is_read_as_what_waits_in_the_lot(self, world: World) -> None:
        world.apply(untranslated(3))
        (letter,) = letters(world)
        (waiting,) = world.office.lot().parked_of("k")
        said_elsewhere: dict[str, Any] = {"arrived_ms": 0, "message": "", "stage": "", "last_at_ms": 0}
        assert letter._replace(**said_elsewhere) == waiting._replace(**said_elsewhere)

    def test_what_waits_in_the_lot_is_left_to_it(self, world: World) -> None:
        world.apply(event(1, note="wrong"), untranslated(1, "b"))
        before = world.state()
        assert decided(world, Mended({"k-1", "b-1"}), *letters(world)) == [Decided(waits=True)] * 2
        assert world.state() == before

    def test_where_the_lot_was_lost_a_mended_change_takes_effect_and_no_second_time(
        self, world: World, lost: Any
    ) -> None:
        world.apply(event(1, note="wrong"), untranslated(2, "b"))
        anew, read = lost()
        with closing(anew):
            remake = Mended({"k-1", "b-2"})
            assert outcomes(decided(anew, remake, *read)) == [{"applied": 1}] * 2
            assert outcomes(decided(anew, remake, *read)) == [{"duplicate": 1}] * 2
            assert anew.effects() == {"k-1": 1, "b-2": 1}
            assert anew.parked() == []
            assert sorted(anew.office.told()) == [("b-2", "applied"), ("k-1", "applied")]
            assert anew.apply(event(1, note="wrong")) == [DUPLICATE]

    def test_what_left_the_lot_is_a_duplicate_or_stale(self, world: World) -> None:
        world.apply(event(1, note="wrong"), untranslated(1, "old"), untranslated(1, "b"))
        read = letters(world)
        world.apply(upsert(2, "old"))
        with closing(world.redriver(Mended({"k-1", "b-1"}))) as redriver:
            redriver.redrive("k")
            redriver.redrive("b")
        found = {letter.txn: each for letter, each in zip(read, decided(world, Mended(), *read), strict=True)}
        said = {txn: dict(each.outcomes) for txn, each in found.items()}
        assert said == {"k-1": {"duplicate": 1}, "old-1": {"stale": 1}, "b-1": {"duplicate": 1}}
        assert world.effects() == {"k-1": 1, "old-2": 1, "b-1": 1}

    @pytest.mark.parametrize("key", ["k", f"{RAW_KEY_PREFIX}raw/flights/1"])
    def test_what_was_discarded_has_no_effect(self, world: World, key: str) -> None:
        world.apply(untranslated(1, key))
        read = letters(world)
        remake = Mended()
        remake.others[f"{key}-1"] = [upsert(1, "real")]
        with closing(world.redriver(Mended())) as redriver:
            assert redriver.discard(key, [f"{key}-1"], who=WHO, why=WHY) == 1
        assert outcomes(decided(world, remake, *read)) == [{"duplicate": 1}]
        assert world.effects() == {}

    def test_what_is_poison_still_is_parked_again_whole_with_a_copy_of_its_own(self, world: World, lost: Any) -> None:
        world.apply(untranslated(1), event(1, "b", note="wrong"), upsert(1, "c", size=-1))
        anew, read = lost()
        with closing(anew):
            found = decided(anew, Mended(), *read)
            assert outcomes(found) == [{"parked": 1}] * 3
            assert sorted(each.stopped.reason for each in found if each.stopped) == sorted(
                reason for _, reason in anew.parked()
            )
            assert sorted(letter.txn for letter in letters(anew)) == ["b-1", "c-1", "k-1"]
            assert {bytes(row["event"]) for row in anew.office.own("parked")} == {letter.event for letter in read}
            assert decided(anew, Mended(), *read) == [Decided(waits=True)] * 3

    def test_a_fence_is_not_asked(self, world: World, lost: Any) -> None:
        world.apply(untranslated(1))
        anew, read = lost()
        with closing(anew):
            anew.apply(marker(2))
            assert outcomes(decided(anew, Mended({"k-1"}), *read)) == [{"applied": 1}]
            assert len(anew.office.own("fence")) == 1

    def test_a_change_of_a_parked_key_waits_behind_it_in_its_order(self, world: World, lost: Any) -> None:
        world.apply(event(1, note="wrong"))
        anew, read = lost()
        with closing(anew):
            anew.apply(event(2, note="wrong"))
            assert outcomes(decided(anew, Mended({"k-1"}), *read, rehearse=True)) == [{"parked": 1}]
            assert outcomes(decided(anew, Mended({"k-1"}), *read)) == [{"parked": 1}]
            assert [each.txn for each in anew.office.lot().parked_of("k")] == ["k-1", "k-2"]

    def test_a_row_may_become_several_changes_or_none(self, world: World, lost: Any) -> None:
        world.apply(untranslated(1), untranslated(1, "gone"))
        anew, read = lost()
        remake = Mended()
        remake.others = {"k-1": [upsert(1), upsert(1, "second"), upsert(1, "bad", size=-1)], "gone-1": []}
        with closing(anew):
            by_txn = {letter.txn: letter for letter in read}
            (several,) = decided(anew, remake, by_txn["k-1"])
            assert several.outcomes == {"applied": 2, "parked": 1}
            assert several.stopped is not None
            assert several.stopped.txn == "bad-1"
            assert outcomes(decided(anew, remake, by_txn["gone-1"])) == [{str(Outcome.FILTERED): 1}]
            assert sorted(row["key"] for row in anew.office.rows("thing")) == ["k", "second"]

    def test_what_could_not_be_decoded_is_decided_under_its_real_key(self, world: World, lost: Any) -> None:
        key = f"{RAW_KEY_PREFIX}record/shard-0/1/0"
        unread = untranslated(1, key)._replace(source="", entity="", version="0" * 38, rowhash="")
        world.decider.apply([delivered(unread)._replace(raw=b"no event \xff")])
        anew, read = lost()
        with closing(anew):
            (letter,) = read
            assert (letter.key, letter.decodable, letter.event) == (key, False, b"no event \xff")
            remake = Mended()
            remake.others[letter.txn] = [upsert(1, "real")]
            assert outcomes(decided(anew, remake, letter)) == [{"applied": 1}]
            assert anew.apply(upsert(1, "real")) == [DUPLICATE]

    def test_a_rehearsal_says_what_would_happen_and_leaves_nothing_behind(self, world: World, lost: Any) -> None:
        world.apply(event(1, note="wrong"), untranslated(2, "b"), untranslated(3, "c"))
        anew, read = lost()
        with closing(anew):
            anew.apply(upsert(9, "c"))
            before = anew.state()
            rehearsed = decided(anew, Mended({"k-1"}), *read, rehearse=True)
            assert anew.state() == before
            assert outcomes(decided(anew, Mended({"k-1"}), *read)) == outcomes(rehearsed)
            assert {letter.txn: dict(each.outcomes) for letter, each in zip(read, rehearsed, strict=True)} == {
                "k-1": {"applied": 1},
                "b-2": {"parked": 1},
                "c-3": {"stale": 1},
            }

    def test_what_a_closed_gate_keeps_back_is_left_as_it_is(self, world: World, lost: Any) -> None:
        world.apply(untranslated(1), event(1, "e", note="wrong"))
        anew, read = lost()
        remake = Mended({"k-1", "e-1"})
        with closing(anew):
            before = anew.state()
            for view in (View((CLOSED,), None, 0.0), View((), CLOSED, 0.0)):
                with closing(decider_of_letters(anew, remake, Gates(view))) as letters_now:
                    found = [letters_now.decide(each) for each in read if each.key == "k"]
                assert found == [Decided(closed="entity=thing: month end")]
            assert anew.state() == before
            with closing(decider_of_letters(anew, remake, Gates(View((CLOSED,), None, 0.0)))) as letters_now:
                found = [letters_now.decide(each) for each in read if each.key == "e"]
            assert outcomes(found) == [{"applied": 1}]

    def test_what_comes_over_the_stream_while_it_is_remade_comes_before_it(self, world: World, lost: Any) -> None:
        world.apply(event(1, note="wrong"))
        anew, read = lost()
        with closing(anew):
            remake = Mended({"k-1"})
            remake.meanwhile = [lambda: anew.apply(event(1, note="wrong"))]
            assert decided(anew, remake, *read) == [Decided(waits=True)]
            assert anew.parked() == [("k-1", "contract")]

    def test_two_at_once_do_it_once(self, world: World, lost: Any) -> None:
        world.apply(event(1, note="wrong"))
        anew, read = lost()
        with closing(anew):
            remake = Mended({"k-1"})
            remake.meanwhile = [lambda: decided(anew, Mended({"k-1"}), *read)]
            assert outcomes(decided(anew, remake, *read)) == [{"duplicate": 1}]
            assert anew.effects() == {"k-1": 1}

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_broken_off_anywhere_and_begun_again_it_takes_effect_once(self, world: World, *, after: bool) -> None:
        world.apply(untranslated(1), event(2, "e", note="wrong"), untranslated(1, "p"))
        read = letters(world)
        for at in range(_MOST_STATEMENTS):
            anew = World(world.office.fresh())
            with closing(anew):
                remake = Mended({"e-2"})
                remake.others["k-1"] = [upsert(1), upsert(1, "second")]
                with closing(decider_of_letters(anew, remake)) as broken:
                    target: Any = getattr(broken, "_session", broken)
                    happened = anew.office.break_at(target, at, anew.office.outage(), after=after)
                    try:
                        for letter in read:
                            broken.decide(letter)
                    except Transient:
                        assert happened()
                decided(anew, remake, *read)
                assert anew.effects() == {"k-1": 1, "second-1": 1, "e-2": 1}
                assert anew.parked() == [("p-1", "no-airport")]
                assert [letter.txn for letter in letters(anew)] == ["p-1"]
                assert sorted(anew.office.told()) == [("e-2", "applied"), ("k-1", "applied"), ("second-1", "applied")]
                if not happened():
                    return
        raise AssertionError("it never came to its end")

    def test_what_waited_behind_another_has_its_copy_once_it_is_poison_itself(self, world: World) -> None:
        world.apply(event(1, note="wrong"), event(2, note="wrong"), event(3))
        assert [letter.txn for letter in letters(world)] == ["k-1"]
        with closing(world.redriver(Mended({"k-1"}))) as redriver:
            for _ in range(2):
                world.clock.move(1)
                redriver.redrive("k")
        assert [letter.txn for letter in letters(world)] == ["k-1", "k-2"]
        waiting = {each.txn: each.event for each in world.office.lot().parked_of("k")}
        assert letters(world)[1].event == waiting["k-2"]
        assert letters(world)[1].reason == "contract"

    def test_where_nothing_is_wrong_nothing_is_parked(self, world: World) -> None:
        assert world.apply(upsert(1), event(1, "e")) == [APPLIED, APPLIED]
        assert letters(world) == []
        assert PARKED not in world.apply(upsert(1))
