"""Errors that may come only so often at a change, met while what was held is drained, on every store.

An adapter's test module derives a class from `DrainLimitsContract` and provides the fixture `office`.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from isthmus.checkpoint.tries import TriesInMemory
from isthmus.clock import SystemClock
from isthmus.consumer.draining import Drainer
from isthmus.consumer.lending import Deadline
from isthmus.errors import HandlerHangs, TargetDown, Transient
from tests.fakes.gate_world import BILLING, GateWorld
from tests.fakes.store_world import FrontOffice, event

SECONDS = 0.05
"""A deadline that a handler which waits for a signal passes, whatever else the machine does."""
PARTNER = Transient("PartnerAway was raised.", cause="partner", attempts=3)


class Held:
    """Postings of some keys, held and free to drain; those of some IDs fail, time after time."""

    def __init__(self, world: GateWorld) -> None:
        self.world = world
        self.tries = TriesInMemory()
        world.gates.close(BILLING)
        world.apply(*[event(number, key) for number in (1, 2) for key in "abcdef"])
        world.gates.open(BILLING)

    def fails(self, txn: str, *errors: BaseException) -> None:
        self.world.told.raises[txn] = list(errors)

    def life(self, **other: object) -> Drainer:
        """Give a drainer of another process."""
        return self.world.drainer(**{"tries": self.tries, **other})  # type: ignore[arg-type]

    def failures(self, drainer: Drainer) -> int:
        """Sweep until all is drained; give how often that failed."""
        for number in range(20):
            with suppress(Transient):
                drainer.sweep()
                return number
        raise AssertionError("it never ends")

    def effects_of(self, key: str) -> list[str]:
        return sorted(txn for txn in self.world.effects() if txn.startswith(key))


class DrainLimitsContract:
    @pytest.fixture
    def held(self, office: FrontOffice) -> Iterator[Held]:
        world = GateWorld(office)
        yield Held(world)
        world.close()

    def test_a_held_change_that_fails_too_often_is_parked_and_the_others_take_effect(self, held: Held) -> None:
        held.fails("c-1", *[PARTNER] * 20)
        assert held.failures(held.life()) == 2
        world = held.world
        assert world.parked() == [("c-1", "partner"), ("c-2", "behind")]
        assert all(held.effects_of(key) == [f"{key}-1", f"{key}-2"] for key in "abdef")
        assert held.effects_of("c") == []
        (row,) = [row for row in world.office.own("parked") if row["txn"] == "c-1"]
        assert row["message"] == "PartnerAway was raised. That was the last of 3 attempts."
        assert held.tries.counts == {}

    def test_nothing_of_another_key_waits_for_it(self, held: Held) -> None:
        held.fails("c-1", *[PARTNER] * 20)
        drainer = held.life(portion=6)
        with pytest.raises(Transient):
            drainer.sweep()
        assert all(f"{key}-1" in held.world.effects() for key in "abdef")
        assert held.world.held("c") == ["c-1", "c-2"]

    def test_one_that_passes_in_time_takes_effect_and_is_forgotten(self, held: Held) -> None:
        held.fails("c-2", *[replace_attempts(5)] * 3)
        held.failures(held.life())
        assert held.world.parked() == []
        assert all(held.effects_of(key) == [f"{key}-1", f"{key}-2"] for key in "abcdef")
        assert set(held.world.effects().values()) == {1}
        assert held.tries.counts == {}

    def test_attempts_go_on_in_another_process(self, held: Held) -> None:
        held.fails("c-1", *[PARTNER] * 20)
        lives = 0
        while held.world.parked() == []:
            lives += 1
            with suppress(Transient):
                held.life().sweep()
        assert lives == PARTNER.attempts

    def test_an_error_without_a_limit_is_nobodys_attempt(self, held: Held) -> None:
        held.fails("c-1", *[TargetDown("away")] * 6)
        assert held.failures(held.life()) == 6
        assert held.world.parked() == []
        assert held.tries.counts == {}

    def test_where_nobody_counts_it_stays_held(self, held: Held) -> None:
        held.fails("c-1", *[PARTNER] * 6)
        assert held.failures(held.life(tries=None)) == 6
        assert held.world.parked() == []

    def test_a_handler_that_hangs_is_named_and_parked_after_so_many_attempts(self, held: Held) -> None:
        never = threading.Event()
        held.world.told.meanwhile["c-1"] = [never.wait] * 3
        drainer = held.life(lending=Deadline(SECONDS, SystemClock(), attempts=2))
        with capture_logs() as logs:
            with pytest.raises(HandlerHangs):
                drainer.sweep()
            assert held.failures(drainer) == 0
        never.set()
        assert {entry["txn"] for entry in logs if entry["event"] == "handler_hangs"} == {"c-1"}
        assert held.world.parked() == [("c-1", "handler-hangs"), ("c-2", "behind")]
        assert all(held.effects_of(key) == [f"{key}-1", f"{key}-2"] for key in "abdef")


def replace_attempts(attempts: int) -> Transient:
    return Transient(PARTNER.message, cause=PARTNER.cause, attempts=attempts)
