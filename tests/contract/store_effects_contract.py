"""An account from which 20 is deducted once per transaction ID, on every front-office store.

An adapter's test module derives a class from `StoreEffectsContract` and provides the fixture `office`. A deduction is
one more time in the row of `effect` that is named like the account: nothing in it would notice a second one.
"""

import itertools
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any, Final

import pytest

from isthmus.change import Change, Kind
from isthmus.consumer.stores.port import Decider, Entity
from isthmus.errors import Transient
from isthmus.metrics import Metrics
from isthmus.pipeline import Row, Transaction
from tests.fakes.clock import FakeClock
from tests.fakes.store_world import APPLIED, DUPLICATE, PARKED, FrontOffice, delivered, event

ACCOUNTS: Final = ("account/1", "account/2", "account/3")
OPENING: Final = 10_000
AMOUNT: Final = 20
BATCH: Final = 12
STATEMENTS: Final = 25
"""More than a small batch takes: now and then a worker gets through."""
CRASHES: Final = 0.4
"""How many of a worker's batches meet one."""


class Crash(BaseException):
    """The process is gone."""


class Bank:
    """Accounts in a front office, and workers that deduct from them."""

    def __init__(self, office: FrontOffice) -> None:
        self.office = office
        self._entity = Entity("posting", Kind.EVENT, None, None, (self._deduct,))
        self._metrics = Metrics()
        self.refuses: set[str] = set()
        """The transaction IDs at which the handler fails, after it has deducted."""
        self.parameters: list[Any] | None = None
        """The one list in which the handler gives all its parameters; None: each time another one."""

    def worker(self) -> Decider:
        """Give a decider, as a process of its own has one."""
        store = self.office.store([self._entity])
        return self.office.decider(store, {"posting": self._entity}, FakeClock(), self._metrics, history=True)

    def balances(self) -> list[int]:
        times = {row["txn"]: row["times"] for row in self.office.rows("effect")}
        return [OPENING - AMOUNT * times.get(account, 0) for account in ACCOUNTS]

    def _deduct(self, tx: Transaction, change: Change, _previous: Row | None) -> object:
        given = tx if self.parameters is None else Reusing(tx, self.parameters)
        effect = self.office.effect(given, change.key)
        if change.id in self.refuses:
            raise ValueError
        return effect


class Reusing:
    """A transaction whose parameters all come in one list, which holds something else as soon as it was given."""

    def __init__(self, tx: Transaction, parameters: list[Any]) -> None:
        self._tx = tx
        self._parameters = parameters

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        self._parameters[:] = parameters
        try:
            return self._tx.execute(statement, self._parameters)
        finally:
            self._parameters[:] = ["nobody's account"] * len(parameters)


def postings(count: int) -> list[Change]:
    """Give so many rows of an append-only table, for one account after another."""
    return [event(number, ACCOUNTS[number % len(ACCOUNTS)]) for number in range(1, count + 1)]


def after(stream: Sequence[Change]) -> list[int]:
    """Give the balances when each of these was deducted once."""
    return [OPENING - AMOUNT * sum(change.key == account for change in stream) for account in ACCOUNTS]


def deliver(worker: Decider, changes: Sequence[Change]) -> None:
    worker.apply([delivered(change) for change in changes])


@pytest.fixture
def bank(office: FrontOffice) -> Bank:
    return Bank(office)


class StoreEffectsContract:
    """Effects."""

    def test_a_thousand_redeliveries_deduct_nothing_twice(self, bank: Bank) -> None:
        chance = random.Random(20)
        stream = postings(30)
        worker, done = bank.worker(), 0
        # A thousand batches; where they are few, a thousand postings in them.
        # Each time from some checkpoint on, which may be the beginning; now and then by a worker of its own.
        for redelivery in range(100 if bank.office.few else 1000):
            if redelivery % 100 == 99:
                worker.close()
                worker = bank.worker()
            begin = chance.randint(0, done)
            deliver(worker, stream[begin : begin + BATCH])
            done = min(max(done, begin + BATCH), len(stream))
        worker.close()
        assert bank.balances() == after(stream)

    def test_a_crash_before_or_after_any_call_loses_and_doubles_no_deduction(self, bank: Bank) -> None:
        for after_it in (False, True):
            stream: list[Change] = []
            bank.office = bank.office.fresh()
            for at in itertools.count():
                stream = postings(len(stream) + 4)
                worker = bank.worker()
                happened = bank.office.break_at(worker, at, Crash(), after=after_it)
                with suppress(Crash):
                    deliver(worker, stream[-8:])
                _forsake(worker)
                with closing(bank.worker()) as follower:
                    deliver(follower, stream[-8:])
                assert bank.balances() == after(stream)
                if not happened():
                    break
            assert at > 4

    def test_two_workers_that_crash_and_begin_again_deduct_each_posting_once(self, bank: Bank) -> None:
        stream = postings(60 if bank.office.few else 300)
        with ThreadPoolExecutor(2) as threads:
            for ended in [threads.submit(_works, bank, stream, random.Random(seed)) for seed in (1, 2)]:
                ended.result()
        assert bank.balances() == after(stream)

    def test_parameters_are_taken_as_they_are_when_a_handler_gives_them(self, bank: Bank) -> None:
        bank.parameters = []
        stream = postings(BATCH)
        with closing(bank.worker()) as worker:
            deliver(worker, stream)
        assert bank.balances() == after(stream)

    def test_a_posting_that_fails_deducts_nothing_and_keeps_what_comes_after_it_waiting(self, bank: Bank) -> None:
        stream = postings(9)
        bank.refuses = {stream[3].id}
        expected = [PARKED if change.key == stream[3].key and change in stream[3:] else APPLIED for change in stream]
        with closing(bank.worker()) as worker:
            batch = [delivered(change) for change in stream]
            assert worker.apply(batch) == expected
            assert worker.apply(batch) == [PARKED if outcome is PARKED else DUPLICATE for outcome in expected]
        assert bank.balances() == after(
            [change for change, outcome in zip(stream, expected, strict=True) if outcome is APPLIED]
        )


def _works(bank: Bank, stream: Sequence[Change], chance: random.Random) -> None:
    """Go through the whole stream in many lives; each one begins somewhere before the end of the last one."""
    done = 0
    while done < len(stream):
        worker = bank.worker()
        try:
            done = _lives(bank.office, worker, stream, done, chance)
        finally:
            _forsake(worker)


def _lives(office: FrontOffice, worker: Decider, stream: Sequence[Change], done: int, chance: random.Random) -> int:
    """Deliver until a crash; give how far it is."""
    while done < len(stream):
        begin = chance.randint(max(0, done - BATCH), done)
        end = begin + chance.randint(1, BATCH)
        dies = chance.random() < CRASHES
        if dies:
            office.break_at(worker, chance.randrange(STATEMENTS), Crash(), after=chance.random() < CRASHES)
        try:
            deliver(worker, stream[begin:end])
        except (Crash, Transient):
            break
        done = max(done, end)
        if dies:
            # A crash that did not come must not come later.
            break
    return done


def _forsake(worker: Decider) -> None:
    """Let go of what a dead process had."""
    with suppress(Exception, Crash):
        worker.close()
