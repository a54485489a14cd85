"""An error with a limit counts for the one change that it came at, over restarts too, and then parks it."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.change import Outcome
from isthmus.checkpoint.tries import TriesInMemory
from isthmus.consumer.limits import Limiting
from isthmus.consumer.stores.port import Delivered
from isthmus.errors import Fatal, TargetDown, Transient
from tests.fakes.store_world import delivered, upsert


class Shop:
    """Decides durably, change by change, as any store may; `failing` says how often which one fails yet."""

    def __init__(self, failing: dict[str, int] | None = None, *, attempts: int | None = 3) -> None:
        self.failing = failing or {}
        self.attempts = attempts
        self.applied: list[str] = []
        self.parked: dict[str, tuple[str, str, str]] = {}
        self.asked: list[int] = []
        self.silent = 0
        """How often it does not answer yet when it is asked whether it is there."""

    def apply(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        self.asked.append(len(batch))
        found = []
        for each in batch:
            txn = each.change.id
            if txn in self.applied or txn in self.parked:
                found.append(Outcome.DUPLICATE)
            elif each.refused is not None:
                poison, stage = each.refused
                self.parked[txn] = (poison.reason, poison.message, stage)
                found.append(Outcome.PARKED)
            elif self.failing.get(txn, 0):
                self.failing[txn] -= 1
                raise Transient("PartnerAway was raised.", cause="partner", attempts=self.attempts)
            else:
                self.applied.append(txn)
                found.append(Outcome.APPLIED)
        return list[Outcome | None](found)

    def probe(self) -> None:
        if self.silent:
            self.silent -= 1
            raise TargetDown("The front office says nothing.")

    def close(self) -> None: ...


def batch(size: int) -> list[Delivered]:
    return [delivered(upsert(number + 1, f"key/{number}")) for number in range(size)]


def until_done(decider: Limiting, changes: Sequence[Delivered]) -> int:
    """Apply as a shard does; give how often it failed."""
    for failures in range(1000):
        try:
            decider.apply(changes)
        except Transient:
            continue
        return failures
    raise AssertionError("it never ends")


def test_a_change_that_fails_too_often_is_parked_and_the_others_are_applied() -> None:
    changes = batch(100)
    bad = changes[37].change.id
    shop = Shop({bad: 1000})
    assert until_done(Limiting(shop, TriesInMemory()), changes) == 2
    assert shop.parked == {
        bad: ("partner", "PartnerAway was raised. That was the last of 3 attempts.", "handler"),
    }
    assert sorted(shop.applied) == sorted(each.change.id for each in changes if each.change.id != bad)


def test_a_change_that_passes_in_time_is_applied_and_forgotten() -> None:
    changes, tries = batch(10), TriesInMemory()
    # The first two failures only tell whose they are: with a batch, and with halves of it.
    shop = Shop({changes[9].change.id: 3})
    until_done(Limiting(shop, tries), changes)
    assert not shop.parked
    assert len(shop.applied) == 10
    assert tries.counts == {}


def test_attempts_go_on_after_a_restart() -> None:
    changes, tries = batch(4), TriesInMemory()
    shop = Shop({changes[2].change.id: 1000}, attempts=5)
    lives = 0
    while not shop.parked:
        lives += 1
        with pytest.raises(Transient):
            Limiting(shop, tries).apply(changes)
        if lives == 4:
            Limiting(shop, tries).apply(changes)
    assert lives == 4


def test_while_the_tries_cannot_be_counted_durably_they_are_counted_here() -> None:
    class Away(TriesInMemory):
        def failed(self, txn: str) -> int:
            raise TargetDown(txn)

        def settled(self, txn: str) -> None:
            raise TargetDown(txn)

    changes = batch(3)
    shop = Shop({changes[0].change.id: 1000})
    assert until_done(Limiting(shop, Away()), changes) == 2
    assert len(shop.parked) == 1


def test_what_has_no_limit_is_tried_for_ever_and_nothing_is_cut() -> None:
    changes = batch(8)
    shop = Shop({changes[5].change.id: 50}, attempts=None)
    assert until_done(Limiting(shop, TriesInMemory()), changes) == 50
    assert set(shop.asked) == {8}


@pytest.mark.parametrize("error", [TargetDown("away"), Fatal("no")])
def test_an_outage_is_nobodys_attempt(error: Exception) -> None:
    class Broken(Shop):
        def apply(self, _batch: Sequence[Delivered]) -> list[Outcome | None]:
            raise error

    tries = TriesInMemory()
    with pytest.raises(type(error)):
        Limiting(Broken(), tries).apply(batch(3))
    assert tries.counts == {}


@given(
    size=st.integers(1, 40),
    failing=st.dictionaries(st.integers(0, 39), st.integers(1, 30), max_size=5),
    attempts=st.integers(1, 6),
    lives=st.lists(st.integers(1, 4), max_size=10),
)
def test_each_change_ends_once_whatever_fails_and_restarts(
    size: int, failing: dict[int, int], attempts: int, lives: list[Any]
) -> None:
    changes, tries = batch(size), TriesInMemory()
    shop = Shop({changes[at].change.id: count for at, count in failing.items() if at < size}, attempts=attempts)
    for steps in lives:
        decider = Limiting(shop, tries)
        for _ in range(steps):
            with suppress(Transient):
                assert len(decider.apply(changes)) == size
    until_done(Limiting(shop, tries), changes)
    assert sorted([*shop.applied, *shop.parked]) == sorted(each.change.id for each in changes)
    assert len(shop.applied) == len(set(shop.applied))


def test_while_the_store_says_nothing_no_attempt_is_counted() -> None:
    shop = Shop({"key/0-1": 4}, attempts=2)
    shop.silent = 3
    decider = Limiting(shop, TriesInMemory())
    (change,) = batch(1)
    for _ in range(3):
        with pytest.raises(TargetDown):
            decider.apply([change])
    with pytest.raises(Transient):
        decider.apply([change])
    assert shop.parked == {}
    assert decider.apply([change]) == [Outcome.APPLIED]
