"""What `isthmus shards split`, `merge` and `scale` do around a reshard: what they refuse, wait for and tell."""

from types import SimpleNamespace
from typing import Any

import pytest

from isthmus.console.commands import shards_change as command
from isthmus.console.resharding.application import Unread
from isthmus.console.resharding.carrying import Seen
from isthmus.console.resharding.cover import cover, even_cuts
from isthmus.console.resharding.drain import Drain, Left
from isthmus.console.resharding.plan import plan
from isthmus.errors import IsthmusError, Refused, TargetDown
from isthmus.lifecycle import Stopped
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.reshardable import FakeShards

BUSY = Drain(1, [Left("a", Unread(1, 5000)), Left("b", None)], never=False, awake=True)
DONE = Drain(3, [], never=False, awake=True)
NEVER = Drain(0, [], never=True, awake=False)


@pytest.fixture
def wiring() -> Any:
    clock = FakeClock()
    settings = SimpleNamespace(application="shop")
    return SimpleNamespace(clock=clock, stop=FakeStop(clock), settings=settings)


class Looks:
    """Stands in for `Draining`: gives or raises one thing after the other."""

    def __init__(self, *answers: Drain | BaseException) -> None:
        self._answers = list(answers)

    def look(self, *, into_all: bool = False) -> Drain:
        self.into_all = into_all
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def follow(wiring: Any, *answers: Drain | BaseException) -> tuple[Drain, list[tuple[str, int, int]]]:
    told: list[tuple[str, int, int]] = []
    looks: Any = Looks(*answers)
    return command._follow(wiring, looks, lambda *each: told.append(each)), told


def test_parents_are_looked_at_once_a_second_until_all_are_drained(wiring: Any) -> None:
    drain, told = follow(wiring, BUSY, BUSY, DONE)
    assert drain == DONE
    assert told == [("waiting for a: 5.0 s behind", 1, 3)] * 2
    assert wiring.stop.waits == [1.0, 1.0]


def test_what_is_away_is_told_and_looked_at_again(wiring: Any) -> None:
    away = TargetDown("Nobody answers.")
    _, told = follow(wiring, away, BUSY, away, DONE)
    assert [words for words, _, _ in told] == ["Nobody answers.", "waiting for a: 5.0 s behind", "Nobody answers."]


def test_without_a_wait_it_is_looked_once_into_every_parent_when_that_can_be(wiring: Any) -> None:
    looks: Any = Looks(TargetDown("Nobody answers."), BUSY)
    told: list[str] = []
    assert command._once(wiring, looks, lambda words, _done, _of: told.append(words)) == BUSY
    assert (told, looks.into_all, wiring.stop.waits) == (["Nobody answers."], True, [1.0])
    wiring.stop.request()
    looks = Looks(TargetDown("Nobody answers."))
    with pytest.raises(Stopped):
        command._once(wiring, looks, lambda *_: None)


def test_who_never_read_is_not_waited_for(wiring: Any) -> None:
    assert follow(wiring, NEVER)[0] == NEVER
    assert wiring.stop.waits == []


@pytest.mark.parametrize("looks, left", [((), ""), ((BUSY,), "\n  a: 5.0 s behind\n  b: nobody knows how far behind")])
def test_ctrl_c_tells_what_is_not_drained(
    wiring: Any, capsys: pytest.CaptureFixture[str], looks: tuple[Drain, ...], left: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        follow(wiring, *looks, KeyboardInterrupt())
    told = capsys.readouterr().err
    assert told == f"The shards are as they should be. The application goes on draining the parents.{left}\n"


def test_a_stop_ends_the_waiting(wiring: Any) -> None:
    wiring.clock.at(3.5, wiring.stop.request)
    with pytest.raises(Stopped):
        follow(wiring, *[BUSY] * 9)


@pytest.mark.parametrize(
    "before, after, drain, words",
    [
        (2, 4, DONE, "2 open shards are 4 now; 3 parents are drained."),
        (4, 4, DONE._replace(done=0), "4 open shards, as they should be; no parent is left to be drained."),
        (
            2,
            4,
            NEVER,
            (
                "2 open shards are 4 now. shop has never read this stream: no parent is waited for. "
                "When it does, it reads parents before children."
            ),
        ),
        (
            2,
            4,
            BUSY._replace(awake=False),
            (
                "2 open shards are 4 now. Not drained yet:\n  a: 5.0 s behind\n  b: nobody knows how far behind\n"
                "Nobody consumes now: start `isthmus consume`."
            ),
        ),
    ],
)
def test_the_end_tells_how_it_stands(wiring: Any, before: int, after: int, drain: Drain, words: str) -> None:
    assert command._summary(wiring, {"shards": {"before": before, "after": after}}, drain) == words


def test_an_account_without_room_for_all_shards_on_the_way_is_refused_before_the_first_step() -> None:
    stream = FakeShards(FakeClock())
    for room in (None, 3, 4):
        stream.may_open = room
        command._check_room(stream, 3)
    stream.may_open = 2
    with pytest.raises(Refused, match=r"may open 2 more shards, and 3 more are needed.*higher quota"):
        command._check_room(stream, 3)


@pytest.mark.parametrize("error", [Refused("Not so."), KeyboardInterrupt(), Stopped()])
def test_whatever_breaks_it_off_the_steps_that_are_done_are_counted(
    wiring: Any, capsys: pytest.CaptureFixture[str], error: IsthmusError | KeyboardInterrupt | Stopped
) -> None:
    stream = FakeShards(wiring.clock)

    def broken_off() -> None:
        raise error

    wiring.clock.at(5.0, broken_off)
    told: list[tuple[str, int, int]] = []
    seen = Seen(stream.listed, cover(stream.listed))
    with pytest.raises(type(error)):
        command._carry(wiring, stream, seen, command.Asked(even_cuts(4), ""), 3, lambda *each: told.append(each))
    assert "1 of 3 steps are done; one that Kinesis was asked for it completes by itself." in capsys.readouterr().err
    assert told[-1][1:] == (1, 3)


def test_a_shard_that_a_step_before_makes_is_shown_by_its_part() -> None:
    stream = FakeShards(FakeClock(), even_cuts(2))
    seen = Seen(stream.shards(), cover(stream.shards()))
    told = command.moves(seen, plan(seen.cuts, even_cuts(3)))
    assert [[piece.id for piece in move.old] for move in told] == [
        ["shardId-000000000000"],
        ["shardId-000000000001"],
        ["", ""],
    ]
    assert [move.do for move in told] == ["split", "split", "merge"]
    assert [command._part(piece) for piece in told[2].old] == ["33.33 to 50.00 %", "50.00 to 66.67 %"]
