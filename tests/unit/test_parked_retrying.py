"""A redrive of many keys: how far it goes, how it rests, how long it waits, and what it tells."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from isthmus.chance import seeded_chance
from isthmus.console.commands.parked_retry import lines_of
from isthmus.console.lot.pacing import Pace
from isthmus.console.lot.patience import Patience
from isthmus.console.lot.retrying import Retrying
from isthmus.console.lot.walking import at_once, changes_of, keys_of
from isthmus.consumer.redrive import Redriven, StillPoison
from isthmus.consumer.stores.lot import ParkedKey, Selection, Waiting
from isthmus.errors import Fatal, TargetDown, Transient
from isthmus.lifecycle import Stopped
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.parked_desk import waiting

POISON = StillPoison("txn-1", "no-airport", "BQN is unknown.", "translate")
ALL = Selection()


class Lot:
    """Keys in a list, and what waits of one."""

    def __init__(self, *keys: str, changes: Sequence[Waiting] = ()) -> None:
        self.keys = sorted(keys)
        self.changes = list(changes)
        self.pages: list[tuple[Any, int]] = []

    def parked_keys(self, selection: Selection, *, after: str = "", most: int = 100) -> list[ParkedKey]:
        del selection
        self.pages.append((after, most))
        return [ParkedKey(key, 1, "r", "s", "e", 1) for key in self.keys if key > after][:most]

    def parked_of(self, key: str, *, skip: int = 0, most: int = 100) -> Sequence[Waiting]:
        del key
        self.pages.append((skip, most))
        return self.changes[skip : skip + most]


class Redrives:
    """Gives what it is told to, key by key, and takes time for it."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.seconds = 0.1
        self.answers: dict[str, list[Redriven | Exception]] = {}
        self.asked: list[str] = []
        self.portions: list[tuple[int, int]] = []
        self.meanwhile: Callable[[str], object] = lambda _key: None

    def redrive(self, key: str, *, most: int = 500, rehearse: bool = False) -> Redriven:
        del most, rehearse
        self.asked.append(key)
        self._clock.move(self.seconds)
        self.meanwhile(key)
        answer = self.answers[key].pop(0) if self.answers.get(key) else Redriven({"applied": 1})
        if isinstance(answer, Exception):
            raise answer
        return answer

    def redrive_all(self, keys: Sequence[str], *, each: int, rehearse: bool = False) -> dict[str, Redriven]:
        self.portions.append((len(keys), each))
        found: dict[str, Redriven] = {}
        for key in keys:
            try:
                found[key] = self.redrive(key, most=each, rehearse=rehearse)
            except (TargetDown, Transient):
                if not found:
                    raise
                break
        return found

    def discard(self, key: str, txns: Sequence[str], *, who: str, why: str) -> int:
        raise NotImplementedError

    def edit(self, key: str, old: Waiting, event: bytes, *, who: str, why: str) -> bool:
        raise NotImplementedError

    def close(self) -> None:
        pass


class Desk:
    def __init__(self, *keys: str, rate: float | None = None, rehearse: bool = False, wait: float = 60.0) -> None:
        self.clock = FakeClock()
        self.stop = FakeStop(self.clock)
        self.lot = Lot(*keys)
        self.redrives = Redrives(self.clock)
        self.said: list[str] = []
        self.retrying = Retrying(
            self.lot,
            self.redrives,
            ask=Patience(wait, clock=self.clock, stop=self.stop, chance=seeded_chance("1"), say=self.said.append),
            pace=Pace(rate, clock=self.clock, stop=self.stop),
            clock=self.clock,
            stop=self.stop,
            rehearse=rehearse,
        )

    def run(self) -> dict[str, Any]:
        self.retrying.run(ALL, lambda _told: None)
        return self.retrying.told.as_json()


def test_every_key_is_tried_until_it_is_free_or_stops() -> None:
    desk = Desk("a", "b", "c")
    desk.redrives.answers = {
        "a": [Redriven({"applied": 100}, left=True), Redriven({"applied": 3})],
        "b": [Redriven({"applied": 1, "parked": 1}, POISON)],
    }
    assert desk.run() == {
        "keys": {"tried": 3, "freed": 2, "stopped": 1, "unfinished": 0},
        "stopped": [{"reason": "no-airport", "keys": 1, "first": "b", "message": "BQN is unknown."}],
        "outcomes": {"applied": 105, "parked": 1},
        "elsewhere": 0,
    }
    assert desk.redrives.asked == ["a", "b", "c", "a"]
    assert not desk.retrying.told.all_free


def test_a_key_that_somebody_else_emptied_is_free() -> None:
    desk = Desk("a")
    desk.redrives.answers = {"a": [Redriven()]}
    assert desk.run()["keys"]["freed"] == 1
    assert desk.retrying.told.all_free


def test_what_is_poison_under_another_key_is_told_as_such_and_is_not_free() -> None:
    desk = Desk("~record/s/1/0")
    desk.redrives.answers = {"~record/s/1/0": [Redriven({"applied": 2, "parked": 1})]}
    told = desk.run()
    assert (told["elsewhere"], told["keys"]["freed"], desk.retrying.told.all_free) == (1, 1, False)


def test_a_rehearsal_does_not_look_for_ever_at_the_same_changes() -> None:
    desk = Desk("a", "b", rehearse=True)
    desk.redrives.answers = {"a": [Redriven({"applied": 100}, left=True)]}
    told = desk.run()
    assert told["keys"] == {"tried": 2, "freed": 1, "stopped": 0, "unfinished": 1}


def test_keys_are_asked_for_in_pages_behind_the_last_one() -> None:
    lot = Lot(*"abcde")
    assert [each.key for each in keys_of(lot, ALL, page=2)] == list("abcde")
    assert lot.pages == [("", 2), ("b", 2), ("d", 2)]
    assert list(keys_of(Lot(), ALL)) == []


@pytest.mark.parametrize("size, pages", [(10, [(0, 10), (10, 500)]), (4_000_000, [(0, 10), (10, 4), (14, 4), (18, 4)])])
def test_changes_are_asked_for_in_pages_by_their_size(size: int, pages: list[tuple[int, int]]) -> None:
    one = waiting(event=bytes(size))
    lot = Lot(changes=[one._replace(txn=str(n)) for n in range(20)])
    assert [each.txn for each in changes_of(lot, "k")] == [str(n) for n in range(20)]
    assert lot.pages == pages


def test_a_stop_ends_it_between_two_transactions() -> None:
    desk = Desk(*(f"{n:04}" for n in range(100)))
    desk.redrives.meanwhile = lambda key: desk.stop.request() if key == "0003" else None
    with pytest.raises(Stopped):
        desk.run()
    first = desk.redrives.portions[0][0]
    assert len(desk.redrives.asked) == first < 100
    assert desk.retrying.told.as_json()["keys"] == {"tried": first, "freed": first, "stopped": 0, "unfinished": 0}


def test_keys_share_transactions_and_of_many_only_a_few_changes_each_are_taken() -> None:
    desk = Desk(*(f"{n:04}" for n in range(2000)))
    desk.redrives.seconds = 0.0
    desk.run()
    assert desk.redrives.asked == sorted(set(desk.redrives.asked))
    taken = [keys * each for keys, each in desk.redrives.portions]
    assert taken[:4] == [10, 20, 40, 80]
    assert max(taken) == 250


def test_large_events_go_a_few_at_a_time() -> None:
    desk = Desk(*(f"{n:04}" for n in range(100)))
    for key in desk.lot.keys:
        desk.redrives.answers[key] = [Redriven({"applied": 1}, size=4_000_000)]
    desk.run()
    assert [keys for keys, _ in desk.redrives.portions] == [10, *[4] * 22, 2]


def test_keys_that_were_not_in_the_answer_are_tried_again_and_counted_once() -> None:
    desk = Desk("a", "b", "c")
    desk.redrives.answers = {"b": [Transient("Busy."), Redriven({"applied": 1})]}
    assert desk.run()["keys"] == {"tried": 3, "freed": 3, "stopped": 0, "unfinished": 0}
    assert desk.redrives.asked == ["a", "b", "b", "c"]


def test_a_stop_ends_it_between_two_transactions_of_a_long_key() -> None:
    desk = Desk("a")
    desk.redrives.answers = {"a": [Redriven({"applied": 100}, left=True)]}
    desk.redrives.meanwhile = lambda _key: desk.stop.request()
    with pytest.raises(Stopped):
        desk.run()
    assert desk.retrying.told.as_json()["keys"] == {"tried": 1, "freed": 0, "stopped": 0, "unfinished": 1}


def test_it_rests_for_as_long_as_it_works() -> None:
    desk = Desk(*(f"{n:04}" for n in range(1000)))
    desk.redrives.seconds = 0.01
    desk.run()
    assert sum(desk.stop.waits) == pytest.approx(10.0, rel=0.05)
    assert 0.2 <= min(desk.stop.waits) <= max(desk.stop.waits) < 0.5


def test_a_slow_store_is_not_locked_for_long() -> None:
    desk = Desk(*(f"{n:04}" for n in range(1000)))
    desk.redrives.seconds = 0.001
    desk.run()
    assert max(keys for keys, _ in desk.redrives.portions) == pytest.approx(50, abs=1)


def test_it_does_not_rest_for_what_it_waited_for_others() -> None:
    desk = Desk(*(f"{n:04}" for n in range(1000)))

    def contended(key: str) -> None:
        if int(key) % 200 == 100:
            desk.clock.move(1.0)

    desk.redrives.seconds = 0.01
    desk.redrives.meanwhile = contended
    desk.run()
    assert sum(desk.stop.waits) == pytest.approx(10.0, rel=0.1)


@pytest.mark.parametrize("rate, seconds", [(2.0, 50.0), (1000.0, 10.0)])
def test_no_more_changes_go_a_second_than_was_asked_for(rate: float, seconds: float) -> None:
    desk = Desk(*(f"{n:04}" for n in range(100)), rate=rate)
    desk.run()
    assert desk.clock.monotonic() == pytest.approx(seconds)


def test_what_was_missed_while_it_waited_is_not_made_up_for() -> None:
    desk = Desk(*(f"{n:04}" for n in range(100)), rate=2.0)
    desk.redrives.meanwhile = lambda key: desk.clock.move(40.0) if key == "0000" else None
    desk.run()
    assert desk.clock.monotonic() == pytest.approx(90.0, rel=0.01)


def test_a_front_office_that_is_away_is_waited_for_and_told_of_once() -> None:
    desk = Desk("a", "b")
    desk.redrives.answers = {"a": [TargetDown("Nobody is there."), Transient("Busy."), Redriven({"applied": 1})]}
    assert desk.run()["keys"]["freed"] == 2
    assert desk.said == ["tried again, for at most 60 s: Nobody is there."]


def test_it_is_waited_for_for_so_long_and_what_was_done_is_told() -> None:
    desk = Desk("a", "b", wait=5.0)
    desk.redrives.answers = {"b": [TargetDown("Nobody is there.") for _ in range(1000)]}
    with pytest.raises(TargetDown, match="It was waited for, for 5 s"):
        desk.run()
    assert desk.retrying.told.as_json()["keys"] == {"tried": 1, "freed": 1, "stopped": 0, "unfinished": 0}
    assert 5.0 <= desk.clock.monotonic() < 15.0


def test_what_no_repeat_mends_ends_it_at_once() -> None:
    desk = Desk("a")
    desk.redrives.answers = {"a": [Fatal("no table")]}
    with pytest.raises(Fatal):
        desk.run()
    assert desk.redrives.asked == ["a"]


def test_asked_at_once_an_outage_is_the_answer() -> None:
    def away() -> None:
        raise TargetDown("Nobody is there.")

    with pytest.raises(TargetDown):
        at_once(away)


def test_a_person_is_told_in_words() -> None:
    desk = Desk("a", "b", "c")
    desk.redrives.answers = {"b": [Redriven({"parked": 2}, POISON)]}
    told = desk.run()
    assert lines_of(told, dry_run=False) == [
        "3 keys tried: 2 are free, 1 stopped: poison again",
        "changes: applied 2, parked 2",
        "  no-airport: 1 key, the first is b: BQN is unknown.",
        "  1 of the parked changes are parked under another key, known only now",
        "Why: isthmus parked show b --try",
    ]
    assert lines_of(told, dry_run=True)[0] == "3 keys tried: 2 would be free, 1 would stop: poison again"
