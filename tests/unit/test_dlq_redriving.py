"""A redrive of letters: what takes effect, what stays in the queue, and what is told, wherever it is cut off."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from isthmus.checkpoint.gates import View
from isthmus.clock import SystemClock
from isthmus.console.commands.dlq_redrive import lines_of
from isthmus.console.dlq.redriving import HOLD, Wanted
from isthmus.consumer.deadletters.port import Letter
from isthmus.consumer.lending import Deadline, Patient
from isthmus.errors import Fatal, TargetDown
from isthmus.lifecycle import Stopped
from tests.contract.store_letters_contract import CLOSED, Gates
from tests.contract.store_redrive_contract import Mended
from tests.fakes.letters_desk import FOREIGN, Desk, letters_of
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import World, delivered, event, untranslated, upsert

_MOST_STEPS = 1000


class Killed(BaseException):
    """Nothing happens any more."""


@pytest.fixture
def office(tmp_path: Path) -> SqliteOffice:
    return SqliteOffice(tmp_path)


@pytest.fixture
def desk(office: SqliteOffice) -> Iterator[Desk]:
    made = Desk(office)
    yield made
    made.world.close()


def test_where_the_lot_was_lost_every_letter_takes_effect_once_and_its_message_goes(desk: Desk) -> None:
    desk.world.apply(untranslated(1), event(1, "e", note="wrong"))
    desk.lose_the_lot()
    desk.remake = Mended({"k-1", "e-1"})
    told = desk.run()
    assert (told.chosen, told.done, told.all_done) == (2, 2, True)
    assert told.outcomes == {"applied": 2}
    assert desk.world.effects() == {"k-1": 1, "e-1": 1}
    assert desk.mailbox.lying == {}
    assert desk.run().looked == 0


def test_a_letter_that_comes_twice_takes_effect_once(desk: Desk) -> None:
    desk.world.apply(untranslated(1))
    desk.mailbox.put(*letters_of(desk.world))
    desk.lose_the_lot()
    desk.remake = Mended({"k-1"})
    assert desk.run().outcomes == {"applied": 1, "duplicate": 1}
    assert desk.world.effects() == {"k-1": 1}
    assert desk.mailbox.lying == {}


def test_what_waits_in_the_lot_is_redriven_there_with_all_before_it_and_behind_it(desk: Desk) -> None:
    desk.world.apply(untranslated(1, entity="posting"), untranslated(2, entity="posting"), event(3))
    desk.mailbox.put(letters_of(desk.world)[1])
    desk.remake = Mended({"k-1", "k-2"})
    told = desk.run()
    assert (told.done, told.outcomes) == (1, {"applied": 3})
    assert [txn for txn, outcome in desk.world.office.told() if outcome == "applied"] == ["k-1", "k-2", "k-3"]
    assert desk.mailbox.lying == {}


def test_poison_before_it_in_the_lot_keeps_a_letter_and_its_message(desk: Desk) -> None:
    desk.world.apply(untranslated(1), untranslated(2))
    desk.mailbox.put(letters_of(desk.world)[1])
    desk.remake = Mended({"k-2"})
    told = desk.run()
    assert (told.done, told.parked) == (0, 1)
    assert list(told.stopped) == ["no-airport"]
    assert desk.mailbox.visible() == ["m0"]
    assert desk.world.effects() == {}


def test_what_is_poison_still_is_parked_before_its_message_goes_and_has_a_new_copy(desk: Desk) -> None:
    desk.world.apply(untranslated(1))
    desk.lose_the_lot()
    told = desk.run()
    assert (told.chosen, told.done, told.parked) == (1, 0, 1)
    assert desk.world.parked() == [("k-1", "no-airport")]
    assert desk.mailbox.lying == {}
    assert [letter.attributes["id"] for letter in letters_of(desk.world)] == ["k-1"]


def test_letters_of_a_key_are_taken_in_the_order_of_the_stream(desk: Desk) -> None:
    for number in (1, 2, 3):
        found = untranslated(number, entity="posting")
        # 9, 10, 11: numbers, and not texts.
        desk.world.decider.apply([delivered(found)._replace(sequence=str(8 + number))])
    letters = letters_of(desk.world)
    desk.mailbox.put(*reversed(letters))
    desk.world.close()
    desk.world = World(desk.world.office.fresh())
    desk.remake = Mended({"k-1", "k-2", "k-3"})
    desk.run()
    assert [txn for txn, _ in desk.world.office.told()] == ["k-1", "k-2", "k-3"]


def test_a_message_that_is_not_ours_is_named_counted_and_left_alone(desk: Desk) -> None:
    desk.world.apply(untranslated(1))
    (ours,) = letters_of(desk.world)
    liar = ours._replace(attributes={**ours.attributes, "id": "another"})
    nothing = ours._replace(body="no event")
    desk.mailbox.put(FOREIGN, liar, nothing, ours)
    before = dict(desk.mailbox.lying)
    desk.remake = Mended({"k-1"})
    told = desk.run()
    assert (told.chosen, told.done, told.foreign) == (1, 1, 3)
    assert [each["message"] for each in told.named] == ["m0", "m1", "m2"]
    assert all(each["why"] for each in told.named)
    assert desk.mailbox.lying == {name: before[name] for name in ("m0", "m1", "m2")}
    assert sorted(desk.mailbox.visible()) == ["m0", "m1", "m2"]


@pytest.mark.parametrize(
    "wanted, done",
    [
        (Wanted(), ["a-1", "b-1", "c-1"]),
        (Wanted(key="a"), ["a-1"]),
        (Wanted(reason="contract"), ["c-1"]),
        (Wanted(txns=frozenset({"a-1", "c-1"})), ["a-1", "c-1"]),
        (Wanted(key="a", reason="contract"), []),
    ],
)
def test_only_what_is_wanted_is_tried_and_the_rest_is_given_back(desk: Desk, wanted: Wanted, done: list[str]) -> None:
    desk.world.apply(untranslated(1, "a"), untranslated(1, "b"), event(1, "c", note="wrong"))
    desk.lose_the_lot()
    desk.remake = Mended({"a-1", "b-1", "c-1"})
    told = desk.run(wanted)
    assert (told.looked, told.chosen, told.done) == (3, len(done), len(done))
    assert sorted(desk.world.effects()) == done
    assert len(desk.mailbox.visible()) == 3 - len(done)


def test_a_dry_run_says_what_would_happen_and_changes_nothing(desk: Desk) -> None:
    desk.world.apply(untranslated(1), event(1, "e", note="wrong"))
    desk.lose_the_lot()
    desk.world.apply(event(5, "lot", note="wrong"))
    desk.mailbox.put(FOREIGN, *letters_of(desk.world))
    desk.remake = Mended({"e-1", "lot-5"})
    before, lying = desk.world.state(), dict(desk.mailbox.lying)
    rehearsed = desk.run(rehearse=True).as_json()
    assert desk.world.state() == before
    assert desk.mailbox.lying == lying
    assert len(desk.mailbox.visible()) == 4
    told = desk.run().as_json()
    assert rehearsed["letters"] == told["letters"] == {"chosen": 3, "done": 2, "parked": 1, "lost": 0, "old": 0}
    assert rehearsed["outcomes"] == told["outcomes"] == {"applied": 2, "parked": 1}


def test_a_letter_in_the_bucket_is_fetched(desk: Desk) -> None:
    desk.world.apply(untranslated(1))
    desk.mailbox.put(*letters_of(desk.world, desk.payloads, limit=10))
    desk.world.close()
    desk.world = World(desk.world.office.fresh())
    desk.remake = Mended({"k-1"})
    assert "dataref" in desk.mailbox.lying["m0"].attributes
    assert desk.run().outcomes == {"applied": 1}
    assert desk.mailbox.lying == {}


@pytest.mark.parametrize("bucket", [True, False], ids=["without its object", "without a bucket"])
def test_a_letter_without_its_event_is_left_until_something_is_known_of_its_change(desk: Desk, *, bucket: bool) -> None:
    desk.world.apply(untranslated(1), untranslated(1, "lot"))
    desk.mailbox.put(*letters_of(desk.world, desk.payloads if bucket else None, limit=10))
    if desk.payloads is not None:
        desk.payloads.objects.clear()
    with closing(desk.world.redriver(Mended({"k-1"}))) as redriver:
        redriver.redrive("k")
    lost = desk.mailbox.lying["m1"]
    desk.remake = Mended({"lot-1"})
    told = desk.run()
    assert (told.chosen, told.done, told.outcomes) == (2, 2, {"duplicate": 1, "applied": 1})
    desk.world.close()
    desk.world = World(desk.world.office.fresh())
    desk.mailbox.put(lost)
    told = desk.run()
    assert (told.lost, told.all_done) == (1, False)
    assert desk.mailbox.visible() == ["m2"]


def test_what_was_parked_too_long_ago_is_left(desk: Desk) -> None:
    desk.world.apply(untranslated(1))
    desk.lose_the_lot()
    desk.remake = Mended({"k-1"})
    desk.clock.move(15 * 24 * 3600)
    told = desk.run()
    assert (told.old, told.done, told.all_done) == (1, 0, False)
    assert desk.world.effects() == {}
    assert desk.mailbox.visible() == ["m0"]


def test_no_more_is_looked_at_than_was_said(desk: Desk) -> None:
    desk.mailbox.put(*[FOREIGN] * 50)
    told = desk.run(most=23)
    assert (told.looked, told.more) == (23, True)
    assert len(desk.mailbox.visible()) == 50
    assert not desk.run(most=51).more


def test_what_was_held_for_too_long_is_not_begun_and_comes_again(desk: Desk) -> None:
    desk.world.apply(*(untranslated(1, f"k{number}") for number in range(5)))
    desk.lose_the_lot()
    remake = Mended({f"k{number}-1" for number in range(5)})
    remake.meanwhile = [lambda: desk.clock.move(100)] * 5
    desk.remake = remake
    told = desk.run()
    assert (told.looked, told.chosen, told.done) == (5, 5, 5)
    assert sum(desk.world.effects().values()) == 5
    assert desk.mailbox.calls.count("delete") == 5
    assert max(desk.mailbox.receipts.values()) > 1


def test_a_message_that_was_deleted_by_an_old_receipt_is_deleted_again_and_not_tried_again(desk: Desk) -> None:
    desk.world.apply(untranslated(1))
    desk.lose_the_lot()
    remake = Mended({"k-1"})

    def others_get_it() -> None:
        desk.mailbox.receipts["m0"] += 1
        desk.mailbox.hidden_until["m0"] = 0

    remake.meanwhile = [others_get_it]
    desk.remake = remake
    assert desk.run().outcomes == {"applied": 1}
    assert desk.mailbox.lying == {}


def test_what_a_closed_gate_keeps_back_stays_in_the_queue_and_is_told(desk: Desk) -> None:
    desk.world.apply(untranslated(1))
    desk.lose_the_lot()
    desk.remake = Mended({"k-1"})
    desk.gates = Gates(View((CLOSED,), None, 0.0))
    told = desk.run()
    assert (told.done, list(told.stopped), told.all_done) == (0, ["gate-closed"], False)
    assert desk.mailbox.visible() == ["m0"]
    assert desk.world.effects() == {}
    desk.gates = None
    assert desk.run().done == 1


def test_a_handler_that_hangs_keeps_a_letter_in_the_queue_and_the_next_one_is_tried(desk: Desk) -> None:
    desk.world.apply(untranslated(1), untranslated(1, "b"))
    desk.lose_the_lot()
    desk.remake = Mended({"k-1", "b-1"})
    come_back = threading.Event()
    desk.world.told.meanwhile["b-1"] = [come_back.wait]
    desk.lending = lambda: Deadline(0.05, SystemClock())
    told = desk.run()
    come_back.set()
    assert (told.done, list(told.stopped), told.all_done) == (1, ["handler-hangs"], False)
    assert desk.world.effects() == {"k-1": 1}
    assert len(desk.mailbox.visible()) == 1
    desk.lending = Patient
    assert desk.run().done == 1
    assert desk.world.effects() == {"k-1": 1, "b-1": 1}


def test_a_stop_ends_it_between_two_letters_and_gives_the_rest_back(desk: Desk) -> None:
    desk.world.apply(untranslated(1, "a"), untranslated(1, "b"), untranslated(1, "c"))
    desk.lose_the_lot()
    remake = Mended({"a-1", "b-1", "c-1"})
    remake.meanwhile = [lambda: None, desk.stop.request]
    desk.remake = remake
    with pytest.raises(Stopped):
        desk.run()
    assert (desk.told.done, desk.world.effects()) == (2, {"a-1": 1, "b-1": 1})
    assert len(desk.mailbox.visible()) == 1


def test_a_queue_that_is_away_for_a_moment_is_waited_for_and_one_that_is_gone_ends_it(desk: Desk) -> None:
    desk.world.apply(untranslated(1))
    desk.lose_the_lot()
    desk.remake = Mended({"k-1"})
    troubles: list[Exception] = [TargetDown("away"), TargetDown("away")]

    def fail(_call: str) -> None:
        if troubles:
            raise troubles.pop(0)

    desk.mailbox.before = fail
    assert desk.run().done == 1
    troubles.append(Fatal("denied"))
    with pytest.raises(Fatal):
        desk.run()


def killing(at: int) -> tuple[Callable[[str], None], list[str]]:
    """Give what kills at a step, and from then on, and the steps that were made."""
    steps: list[str] = []

    def step(name: str) -> None:
        if len(steps) >= at:
            raise Killed
        steps.append(name)

    return step, steps


def _story(desk: Desk) -> None:
    """Letters of every kind: lost from the lot, in the lot, done already, poison still, and one that is not ours."""
    desk.world.apply(untranslated(1, "lost"), untranslated(1, "several"), untranslated(1, "poison"))
    desk.lose_the_lot()
    desk.world.apply(event(1, "lot", note="wrong"), event(2, "lot"), untranslated(1, "done"))
    desk.mailbox.put(FOREIGN, *letters_of(desk.world))
    with closing(desk.world.redriver(Mended({"done-1"}))) as redriver:
        redriver.redrive("done")
    remake = Mended({"lost-1", "lot-1"})
    remake.others["several-1"] = [upsert(1, "several"), upsert(1, "second")]
    desk.remake = remake


_EFFECTS = dict.fromkeys(["lost-1", "several-1", "second-1", "lot-1", "lot-2", "done-1"], 1)


def _holds(desk: Desk) -> None:
    assert desk.world.effects() == _EFFECTS
    assert desk.world.parked() == [("poison-1", "no-airport")]
    assert [letter.attributes["id"] for letter in letters_of(desk.world)].count("poison-1") == 1
    applied = [txn for txn, outcome in desk.world.office.told() if outcome == "applied"]
    assert sorted(applied) == sorted(_EFFECTS)
    assert applied.index("lot-1") < applied.index("lot-2")


def _done(step: Callable[[str], None], call: str) -> None:
    step(f"{call} done")


def _left(lying: Sequence[Letter]) -> list[str]:
    return [letter.attributes["id"] for letter in lying]


def test_killed_at_any_step_and_begun_again_nothing_is_lost_and_nothing_is_doubled(office: SqliteOffice) -> None:
    for at in range(_MOST_STEPS):
        desk = Desk(office.fresh())
        _story(desk)
        step, steps = killing(at)
        desk.cut, desk.mailbox.before, desk.mailbox.after = step, step, partial(_done, step)
        with suppress(Killed):
            desk.run()
        finished = len(steps) < at
        # Whoever was killed gives nothing back: what it had in hand is seen when its time is over.
        desk.cut = desk.mailbox.before = desk.mailbox.after = lambda _call: None
        desk.clock.move(HOLD)
        told = desk.run()
        assert told.foreign == 1
        _holds(desk)
        # Parked by the first run, its message may be there still: it waits in the lot.
        assert set(_left(list(desk.mailbox.lying.values()))) <= {"1", "poison-1"}
        assert len(desk.mailbox.visible()) == len(desk.mailbox.lying)
        desk.world.close()
        if finished:
            assert {"COMMIT", "COMMITTED", "receive done", "delete", "delete done", "release"} <= set(steps)
            return
    raise AssertionError("it never came to its end")


def test_a_person_is_told_what_became_of_the_letters(desk: Desk) -> None:
    _story(desk)
    told = desk.run().as_json()
    lines = lines_of(told, dry_run=False)
    assert lines[0] == "5 letters tried: 4 are done, 1 stopped"
    assert lines[1] == "changes: applied 5, duplicate 1, parked 1"
    assert lines[2].startswith("  no-airport: 1 letters, the first is of poison")
    assert lines[3] == "not ours, and left as they are: 1 messages"
    assert lines[-1] == "Why: isthmus parked show poison --try"
