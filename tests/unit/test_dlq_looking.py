"""A look at the queue hides nothing for long, and leaves all as it is."""

import pytest

from isthmus.chance import seeded_chance
from isthmus.console.dlq.looking import LOOK_HOLD, look
from isthmus.consumer.deadletters.letters import letter_of
from isthmus.consumer.deadletters.port import Copy, Letter
from isthmus.errors import TargetDown
from tests.fakes.clock import FakeClock
from tests.fakes.mailbox import MemoryMailbox

FOREIGN = Letter("order 66", {"id": "1"})


def letter(number: int, event: bytes = b'{"id": "x"}') -> Letter:
    chance = seeded_chance(str(number))
    parked_ms = int(chance.random() * 1_000_000)
    return letter_of(Copy("1", f"k{number}", f"t{number}", "flights", "contract", "s", "1", event, parked_ms), None)


@pytest.fixture
def mailbox() -> MemoryMailbox:
    return MemoryMailbox(FakeClock())


def test_it_shows_everything_the_longest_parked_first_and_gives_it_back(mailbox: MemoryMailbox) -> None:
    mailbox.put(*(letter(number) for number in range(25)))
    seen = look(mailbox, 100, clock=mailbox._clock)
    assert sorted(row["txn"] for row in seen.letters) == sorted(f"t{number}" for number in range(25))
    assert [row["parked"] for row in seen.letters] == sorted(row["parked"] for row in seen.letters)
    assert (seen.foreign, seen.more) == ([], False)
    assert len(mailbox.visible()) == 25


def test_a_message_that_is_not_ours_is_named_and_stays(mailbox: MemoryMailbox) -> None:
    mailbox.put(FOREIGN, letter(1))
    seen = look(mailbox, 100, clock=mailbox._clock)
    (found,) = seen.foreign
    assert (found["message"], found["bytes"]) == ("m0", 8)
    assert "no attribute" in found["why"]
    assert len(seen.letters) == 1
    assert mailbox.visible() == ["m0", "m1"]


def test_it_looks_at_no_more_than_it_was_told_to_and_says_that_there_is_more(mailbox: MemoryMailbox) -> None:
    mailbox.put(*(letter(number) for number in range(100)))
    seen = look(mailbox, 12, clock=mailbox._clock)
    assert len(seen.letters) == 12
    assert seen.more
    assert mailbox.calls.count("receive") == 2
    assert len(mailbox.visible()) == 100


def test_one_empty_answer_is_no_proof(mailbox: MemoryMailbox) -> None:
    mailbox.put(letter(1))
    mailbox.answers_alone = 1
    assert len(look(mailbox, 100, clock=mailbox._clock).letters) == 1


def test_whatever_fails_what_was_seen_is_given_back(mailbox: MemoryMailbox) -> None:
    mailbox.put(letter(1))

    def fail(call: str) -> None:
        if call == "receive" and mailbox.calls.count(call) == 2:
            raise TargetDown("away")

    mailbox.before = fail
    with pytest.raises(TargetDown):
        look(mailbox, 100, clock=mailbox._clock)
    assert mailbox.visible() == ["m0"]


def test_a_slow_look_ends_before_what_it_saw_comes_again(mailbox: MemoryMailbox) -> None:
    mailbox.put(*(letter(number) for number in range(100)))
    mailbox.before = lambda _call: mailbox._clock.move(5)
    seen = look(mailbox, 1000, clock=mailbox._clock)
    assert seen.more
    assert mailbox._clock.monotonic() < LOOK_HOLD
    assert len({row["txn"] for row in seen.letters}) == len(seen.letters) == 40
    assert len(mailbox.visible()) == 100
