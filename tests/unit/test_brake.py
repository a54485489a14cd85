"""The park brake's life, and what shards of one process and processes of one application meet."""

import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from isthmus.chance import seeded_chance
from isthmus.checkpoint.brakes import BrakeNote, Word
from isthmus.consumer.brake import TRIALS, WINDOW, Brake, Parked, Permit, State, is_at

MOST = 3
SHARDS = ("a", "b")
REASONS = ("constraint", "value")


def parked(key: str, reason: str = "constraint", shard: str = "a", sequence: int = 1) -> Parked:
    return Parked(reason, key, shard, str(sequence))


def many(count: int, **other: Any) -> list[Parked]:
    return [parked(f"k{number}", sequence=100 + number, **other) for number in range(count)]


def note(word: Word = Word.ON, number: int = 1, **other: Any) -> BrakeNote:
    made = BrakeNote("constraint", number, word, "a", "103", 3, 0)
    return replace(made, **other)


@pytest.fixture
def brake() -> Brake:
    made = Brake(MOST, seeded_chance("brake"))
    made.begin(0.0, {})
    return made


def put_on(brake: Brake, now: float = 0.0) -> None:
    assert not brake.may_park(now, many(MOST + 1))
    assert brake.states()["constraint"] is State.ON


class Applications(RuleBasedStateMachine):
    """Two processes that share notes, die and begin again; a person who releases; a cause that comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.notes: dict[str, BrakeNote] = {}
        self.lives = [self.life(), self.life()]
        self.log: dict[str, list[tuple[float, str]]] = {reason: [] for reason in REASONS}
        """What was parked while nobody had released anything: moment and key."""
        self.ever_released: set[str] = set()

    def life(self) -> Brake:
        brake = Brake(MOST, random.Random(1))
        brake.begin(self.now, self.notes)
        return brake

    @rule(seconds=st.floats(0.1, 90))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        who=st.integers(0, 1),
        found=st.lists(st.tuples(st.sampled_from(REASONS), st.integers(0, 9), st.integers(0, 99)), min_size=1),
    )
    def park(self, who: int, found: list[tuple[str, int, int]]) -> None:
        brake, shard = self.lives[who], SHARDS[who]
        permit = brake.ask(self.now, shard).permit
        if permit is Permit.WAIT:
            return
        before = brake.states()
        wanted = [Parked(reason, f"{who}/{key}", shard, str(place)) for reason, key, place in found]
        allowed = brake.may_park(self.now, wanted)
        if permit is Permit.TRIAL:
            brake.tried(self.now, shard, "99" if allowed else None)
        for each in wanted if allowed else []:
            assert before.get(each.reason) is not State.ON
            if before.get(each.reason) is not State.RELEASED:
                self.log[each.reason].append((self.now, each.key))
        if not allowed:
            assert State.ON in brake.states().values()

    @rule(who=st.integers(0, 1))
    def sync(self, who: int) -> None:
        brake = self.lives[who]
        for reason, word, number in brake.to_write():
            standing = self.notes.get(reason)
            on = brake.on(reason)
            if word is Word.ON and on is not None:
                if standing is None or standing.word is not Word.ON:
                    after = 1 if standing is None else standing.number + 1
                    self.notes[reason] = BrakeNote(reason, after, word, *on, 0)
            elif number is not None and standing is not None and (standing.number, standing.word) == (number, Word.ON):
                self.notes[reason] = replace(standing, word=word)
        brake.noted(self.now, self.notes)

    @precondition(lambda self: any(each.word is Word.ON for each in self.notes.values()))
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        reason = data.draw(st.sampled_from([each.reason for each in self.notes.values() if each.word is Word.ON]))
        self.notes[reason] = replace(self.notes[reason], word=Word.RELEASED, who="ada")
        self.ever_released.add(reason)

    @rule(who=st.integers(0, 1))
    def die(self, who: int) -> None:
        on = [reason for reason, each in self.notes.items() if each.word is Word.ON]
        self.lives[who] = self.life()
        # A restart lets nothing through that was not let through before.
        assert all(self.lives[who].states()[reason] is State.ON for reason in on)

    @invariant()
    def one_life_parks_no_more_than_the_limit_in_a_minute(self) -> None:
        for brake in self.lives:
            for reason, state in brake.states().items():
                if state is State.ARMED:
                    recent = brake._reasons[reason].parked
                    assert len(recent) <= MOST

    @invariant()
    def what_is_on_lets_nobody_go_but_who_tries(self) -> None:
        for brake, shard in zip(self.lives, SHARDS, strict=True):
            if State.ON in brake.states().values():
                assert brake.ask(self.now, shard).permit is not Permit.GO
            elif brake.states():
                assert brake.ask(self.now, shard).permit is Permit.GO


TestApplications = Applications.TestCase


def test_before_the_notes_were_read_nobody_goes() -> None:
    brake = Brake(MOST, seeded_chance("brake"))
    assert brake.ask(0.0, "a").permit is Permit.WAIT
    brake.begin(0.0, {})
    assert brake.ask(0.0, "a").permit is Permit.GO


def test_as_many_keys_as_allowed_may_be_parked_and_not_one_more(brake: Brake) -> None:
    assert brake.may_park(0.0, many(MOST))
    assert not brake.may_park(1.0, [parked("one more")])
    assert brake.on("constraint") == ("a", "1", MOST)
    assert brake.ask(1.0, "b").permit is Permit.WAIT


def test_a_key_counts_once_however_often_it_is_parked(brake: Brake) -> None:
    for moment in range(50):
        assert brake.may_park(float(moment), [*many(MOST), parked("k0")])


def test_reasons_count_apart(brake: Brake) -> None:
    assert brake.may_park(0.0, [*many(MOST), *many(MOST, reason="value")])


def test_what_is_refused_counts_for_no_other_reason(brake: Brake) -> None:
    assert not brake.may_park(0.0, [*many(MOST, reason="value"), *many(MOST + 1)])
    assert len(brake._reasons["value"].parked) == 0


def test_a_minute_later_there_is_room_again(brake: Brake) -> None:
    assert brake.may_park(0.0, many(MOST))
    assert brake.may_park(WINDOW, [parked(f"later {number}") for number in range(MOST)])


def test_who_met_it_tries_after_a_pause_and_all_others_wait(brake: Brake) -> None:
    put_on(brake)
    pause = brake.ask(0.0, "a").seconds
    assert 0 < pause <= 1.0
    assert brake.ask(TRIALS.first, "a").permit is Permit.TRIAL
    assert brake.ask(TRIALS.first, "b").permit is Permit.WAIT


@given(failures=st.integers(1, 100), seed=st.text())
def test_trials_come_after_ever_longer_pauses(failures: int, seed: str) -> None:
    brake, now = Brake(MOST, seeded_chance(seed)), 0.0
    brake.begin(now, {})
    brake.may_park(now, many(MOST + 1))
    for number in range(failures):
        longest = min(TRIALS.most, TRIALS.first * TRIALS.factor**number)
        assert brake.ask(now + longest * 0.49, "a").permit is Permit.WAIT
        now += longest
        assert brake.ask(now, "a").permit is Permit.TRIAL
        brake.tried(now, "a", None)


def test_the_cause_is_gone_when_what_set_it_on_went_through(brake: Brake) -> None:
    put_on(brake)
    brake.noted(0.0, {"constraint": note()})
    brake.tried(10.0, "a", "102")
    assert brake.ask(10.0, "a").permit is Permit.TRIAL, "a smaller batch that ends before it proves nothing"
    brake.tried(10.0, "a", "103")
    assert brake.ask(10.0, "b").permit is Permit.GO
    assert brake.to_write() == [("constraint", Word.ON, None), ("constraint", Word.EASED, 1)]


def test_when_it_eased_what_was_parked_within_the_minute_still_counts(brake: Brake) -> None:
    assert brake.may_park(0.0, many(MOST))
    assert not brake.may_park(1.0, [parked("more")])
    brake.tried(10.0, "a", "999")
    assert not brake.may_park(11.0, [parked("of another shard", shard="b")])
    assert brake.on("constraint") == ("b", "1", MOST)


def test_a_release_lets_all_of_it_through_until_it_has_come_to_an_end(brake: Brake) -> None:
    put_on(brake)
    brake.noted(0.0, {"constraint": note()})
    brake.noted(1.0, {"constraint": note(Word.RELEASED, who="ada")})
    for batch in range(10):
        assert brake.may_park(2.0 + batch, [parked(f"{batch}/{number}") for number in range(500)])
    assert brake.may_park(70.0, many(MOST)), "the minute before had too many of them: it counts anew"
    assert brake.may_park(140.0, many(MOST)), "the minute before had few: it is armed"
    assert not brake.may_park(141.0, [parked("more")])


def test_a_release_is_remembered_while_nothing_comes(brake: Brake) -> None:
    put_on(brake)
    brake.noted(0.0, {"constraint": note()})
    brake.noted(1.0, {"constraint": note(Word.RELEASED)})
    assert brake.may_park(10_000.0, many(500))


def test_a_restart_finds_it_on_and_lets_not_one_more_through(brake: Brake) -> None:
    brake = Brake(MOST, seeded_chance("next life"))
    brake.begin(0.0, {"constraint": note()})
    assert brake.ask(0.0, "b").permit is Permit.WAIT
    # Whoever reads that shard now may see at once whether the new release is better.
    assert brake.ask(0.0, "a").permit is Permit.TRIAL
    assert not brake.may_park(0.0, [parked("k0")])
    brake.tried(0.0, "a", None)
    assert brake.ask(0.0, "a").permit is Permit.WAIT


def test_a_release_of_days_ago_is_none_for_a_new_life() -> None:
    brake = Brake(MOST, seeded_chance("next life"))
    brake.begin(0.0, {"constraint": note(Word.RELEASED)})
    put_on(brake)
    brake.noted(1.0, {"constraint": note(Word.RELEASED)})
    assert brake.states()["constraint"] is State.ON


def test_a_release_that_was_noted_elsewhere_counts_here_too(brake: Brake) -> None:
    brake.noted(0.0, {"constraint": note(Word.RELEASED)})
    assert brake.may_park(0.0, many(500))


def test_an_old_reading_turns_nothing_on_or_off(brake: Brake) -> None:
    put_on(brake)
    brake.noted(0.0, {"constraint": note(number=2)})
    brake.noted(0.0, {"constraint": note(Word.RELEASED, number=1)})
    assert brake.on("constraint") is not None
    brake.noted(0.0, {"constraint": note(Word.EASED, number=2)})
    brake.noted(0.0, {"constraint": note(number=2)})
    assert brake.states()["constraint"] is State.ARMED


def test_each_change_is_told_once(brake: Brake) -> None:
    put_on(brake)
    brake.noted(0.0, {"constraint": note()})
    brake.may_park(0.0, many(9))
    assert [(told.word, told.place, told.keys) for told in brake.told()] == [(Word.ON, "a", 0)]
    released = note(Word.RELEASED, who="ada", why="why not")
    brake.noted(1.0, {"constraint": released})
    brake.noted(2.0, {"constraint": released})
    assert [(told.word, told.place, told.why) for told in brake.told()] == [(Word.RELEASED, "ada", "why not")]
    assert brake.told() == []


def test_what_could_not_be_written_is_written_later(brake: Brake) -> None:
    put_on(brake)
    (wanted,) = brake.to_write()
    quiet = brake.is_urgent
    brake.write_again(wanted)
    assert (quiet, brake.is_urgent) == (False, True)
    assert brake.to_write() == [wanted]


@pytest.mark.parametrize(
    "reached, place, is_there",
    [("9", "10", False), ("10", "9", True), ("0010", "10", True), ("", "10", True), ("x", "10", True)],
)
def test_sequence_numbers_are_compared_as_integers(reached: str, place: str, *, is_there: bool) -> None:
    assert is_at(reached, place) == is_there


def met(brake: Brake) -> None:
    put_on(brake)
    brake.noted(0.0, {"constraint": note()})


def went_through(brake: Brake) -> None:
    met(brake)
    brake.tried(10.0, "a", "103")


def was_released(brake: Brake) -> None:
    met(brake)
    brake.noted(0.0, {"constraint": note(Word.RELEASED)})


def was_quiet(brake: Brake) -> None:
    was_released(brake)
    brake.may_park(1.0, many(MOST))
    brake.may_park(2.0 + WINDOW, [parked("quiet")])


def was_released_elsewhere(brake: Brake) -> None:
    brake.may_park(0.0, many(1))
    brake.noted(0.0, {"constraint": note(Word.RELEASED)})


def was_met_elsewhere(brake: Brake) -> None:
    was_released(brake)
    brake.noted(0.0, {"constraint": note(number=2)})


MOVES = {
    ("armed", "on"): met,
    ("on", "armed"): went_through,
    ("on", "released"): was_released,
    ("released", "armed"): was_quiet,
    ("armed", "released"): was_released_elsewhere,
    ("released", "on"): was_met_elsewhere,
}


def test_the_drawing_shows_these_moves_and_no_other() -> None:
    text = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")
    section = text.split("## A park brake's life", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^ +(\w+) --> (\w+)", section, flags=re.MULTILINE)) == set(MOVES)
    assert set(re.findall(r"^\| `(\w+)`", section, flags=re.MULTILINE)) == {state.value for state in State}


@pytest.mark.parametrize("move", MOVES)
def test_each_move_that_is_drawn_happens(brake: Brake, move: tuple[str, str]) -> None:
    MOVES[move](brake)
    assert brake.states()["constraint"].value == move[1]


def test_a_note_of_before_a_life_puts_it_on() -> None:
    brake = Brake(MOST, seeded_chance("brake"))
    brake.begin(0.0, {"constraint": note()})
    assert brake.states()["constraint"] is State.ON


def test_a_brake_that_allows_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Brake(0, seeded_chance("none"))
