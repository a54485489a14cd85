"""What goes wrong in the demo on purpose: when, and what is done about it."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from isthmus.console.demo.episodes import (
    EFFECTS_END_SECONDS,
    GATE,
    GATE_SECONDS,
    OUTAGE,
    OUTAGE_SECONDS,
    POISON,
    Episodes,
    Stage,
)
from isthmus.errors import Fatal
from tests.fakes.clock import FakeClock

LOOK = 0.1


class Played:
    """Everything that episodes act on, and a list of what was done."""

    def __init__(self, **wanted: bool) -> None:
        self.clock = FakeClock()
        self.done: list[str] = []
        self.held = [5, 2, 0]
        self.parked = 4
        self.deployed = True
        asked = dict.fromkeys(("outage", "gate", "poison"), False) | wanted
        stage = Stage(self.clock, lambda _text: None, self.away, self.deploy, lambda: self.deployed, self.ask)
        self.episodes = Episodes(stage, **asked)

    @contextmanager
    def away(self) -> Iterator[None]:
        self.done.append("away")
        try:
            yield
        finally:
            self.done.append("back")

    def deploy(self) -> None:
        self.done.append("deployed")

    def ask(self, *words: str) -> Generator[None, None, dict[str, Any]]:
        yield
        self.done.append(" ".join(words[:2]))
        match words[:2]:
            case ("status",):
                changes = self.held.pop(0)
                return {"held": [{"gate": "process=operations", "keys": 1, "changes": changes}] if changes else []}
            case ("parked", "list"):
                reasons = [{"reason": "defect", "keys": 1, "changes": self.parked}]
                return {"reasons": [*reasons, {"reason": "unknown-airport", "keys": 9, "changes": 99}]}
            case ("parked", "retry"):
                applied, self.parked = self.parked, 0
                return {"outcomes": {"applied": applied}}
            case _:
                return {}

    def play(self, share: float, seconds: float) -> None:
        """Look again and again for so long, at one share of the live phase."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.episodes.advance(share)
            self.clock.move(LOOK)

    def finish(self) -> None:
        for _ in self.episodes.last():
            self.clock.move(LOOK)


def test_nothing_happens_that_was_not_asked_for() -> None:
    played = Played()
    played.play(1.0, 5.0)
    played.finish()
    assert (played.done, played.episodes.left(), played.episodes.horizon()) == ([], False, 1.0)
    happened = played.episodes.happened
    assert (happened.outage, happened.gate, happened.poison) == (None, None, None)


def test_the_store_is_away_for_as_long_as_is_said_and_something_is_left_to_live() -> None:
    played = Played(outage=True)
    played.play(OUTAGE.due - 0.01, 5.0)
    assert (played.done, played.episodes.horizon()) == ([], OUTAGE.horizon)
    played.play(OUTAGE.due, OUTAGE_SECONDS - 1)
    assert (played.done, played.episodes.horizon()) == (["away"], OUTAGE.horizon)
    played.play(OUTAGE.due, 2.0)
    assert played.done == ["away", "back"]
    assert (played.episodes.left(), played.episodes.horizon()) == (False, 1.0)
    assert played.episodes.happened.outage == {"seconds": OUTAGE_SECONDS}


def test_what_was_away_is_there_again_when_the_demo_breaks_off() -> None:
    played = Played(outage=True)
    played.play(OUTAGE.due, 1.0)
    assert played.done == ["away"]
    played.episodes.close()
    assert played.done == ["away", "back"]


def test_a_gate_is_closed_long_enough_and_then_everything_comes_out() -> None:
    played = Played(gate=True)
    played.play(GATE.due, EFFECTS_END_SECONDS + GATE_SECONDS + 20 * LOOK)
    assert played.done == ["gate close", "status", "gate open", "status", "status"]
    gate = played.episodes.happened.gate
    assert gate is not None
    assert gate["held_changes"] == 5
    assert (gate["opened_ms"] - gate["closed_ms"]) / 1000 >= GATE_SECONDS
    assert not played.episodes.left()


def test_what_does_not_come_out_of_a_gate_ends_the_demo() -> None:
    played = Played(gate=True)
    played.held = [5] * 10_000
    with pytest.raises(Fatal, match="has not come out"):
        played.play(GATE.due, 2000.0)


def test_a_mended_translator_is_deployed_before_anything_is_redriven_and_the_rest_at_the_end() -> None:
    played = Played(poison=True)
    played.deployed = False
    played.play(POISON.due, 3.0)
    assert played.done == ["parked list", "deployed"]
    played.deployed = True
    played.play(POISON.due, 1.0)
    assert played.done[2:] == ["parked retry"]
    assert played.episodes.happened.poison == {"parked_changes": 4, "redriven": {"applied": 4}, "left": 4}
    played.parked = 1
    played.finish()
    assert played.episodes.happened.poison == {"parked_changes": 4, "redriven": {"applied": 5}, "left": 0}


def test_who_does_not_come_back_after_a_deploy_ends_the_demo() -> None:
    played = Played(poison=True)
    played.deployed = False
    with pytest.raises(Fatal, match="deployed anew"):
        played.play(POISON.due, 200.0)


def test_they_have_their_turns_one_after_the_other() -> None:
    played = Played(outage=True, gate=True, poison=True)
    played.play(1.0, 60.0)
    assert played.done[:2] == ["away", "back"]
    assert played.done.index("gate open") < played.done.index("deployed")
    assert not played.episodes.left()
