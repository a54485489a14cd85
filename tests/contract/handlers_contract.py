"""Handlers that misbehave, on every store: one clear answer each, and nothing lost.

An adapter's test module derives a class from `HandlersContract` and provides the fixture `office`; where handlers run
statements, from `StatementsContract` too, with the fixture `endless`.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from isthmus.change import Change, Kind, Outcome
from isthmus.clock import SystemClock
from isthmus.consumer.applier import Applier
from isthmus.consumer.deadletters.redriving import LetterDecider, TransactionalLetters
from isthmus.consumer.lending import MOST_LET_GO, TOO_LATE, Deadline
from isthmus.consumer.redrive import Redriver, TransactionalRedriver
from isthmus.consumer.stores.dynamodb.letters import DynamoLetters
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.port import Decider, Entity, TransactionalStore
from isthmus.errors import Fatal, HandlerHangs, Poison
from isthmus.metrics import Metrics
from isthmus.pipeline import Row, Transaction
from tests.contract.store_redrive_contract import Mended, emptied
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.store_world import APPLIED, DUPLICATE, PARKED, FrontOffice, delivered, event

SECONDS = 0.05
"""A deadline that a handler which waits for a signal passes, whatever else the machine does."""
Misbehaves = Callable[[Transaction], object]


class Odd(BaseException):
    """Nothing that Python's own libraries know."""


class Desk:
    """A decider of postings. The handler counts an effect, then does what its transaction ID is planned to do."""

    def __init__(self, office: FrontOffice, deadline: Deadline | None) -> None:
        self.office = office
        self.plan: dict[str, Misbehaves] = {}
        self.lent: list[Transaction] = []
        self.deadline = deadline
        self.entities = {"posting": Entity("posting", Kind.EVENT, None, None, (self._handle,))}
        self.clock, self.metrics = FakeClock(), Metrics()
        self.decider = self._decider()

    def _decider(self) -> Decider:
        store = self.office.store(list(self.entities.values()))
        given = (self.entities, self.clock, self.metrics)
        if isinstance(self.office, DynamoOffice):
            return self.office.decider(store, *given, history=True, lending=self.deadline)
        assert isinstance(store, TransactionalStore)
        return Applier(store.session(), *given, history=True, lending=self.deadline)

    def redriver(self, deadline: Deadline) -> Redriver:
        """Give what redrives with the code of now, which finds nothing wrong with the events."""
        store, remake = self.office.store(list(self.entities.values())), Mended()
        if isinstance(self.office, DynamoOffice):
            return self.office.redriver(store, self.entities, remake, self.clock, history=True, lending=deadline)
        assert isinstance(store, TransactionalStore)
        return TransactionalRedriver(store.session(), self.entities, remake, self.clock, history=True, lending=deadline)

    def letters(self, deadline: Deadline) -> LetterDecider:
        """Give what decides dead letters, likewise."""
        store, remake = self.office.store(list(self.entities.values())), Mended()
        if isinstance(self.office, DynamoOffice):
            client, settings = self.office.client, self.office.settings
            return DynamoLetters(client, settings, self.entities, remake, self.clock, history=True, lending=deadline)
        assert isinstance(store, TransactionalStore)
        return TransactionalLetters(store.session(), self.entities, remake, self.clock, history=True, lending=deadline)

    def _handle(self, tx: Transaction, change: Change, _previous: Row | None) -> object:
        self.lent.append(tx)
        effect = self.office.effect(tx, change.id)
        planned = self.plan.get(change.id)
        done = planned(tx) if planned is not None else None
        return effect if done is None else done

    def apply(self, *changes: Change) -> list[Outcome | None]:
        return self.decider.apply([delivered(change) for change in changes])

    def nothing_of(self, txn: str) -> None:
        """See that a change has no effect; where a batch is one transaction, that none has."""
        assert txn not in self.effects()
        assert self.effects() == {} or not self.office.transactional

    def comes_through(self) -> None:
        """Apply the batch, of which what misbehaves is mended: every change has its effect then, once."""
        outcomes = self.apply(*BATCH)
        assert outcomes[1] is APPLIED
        assert set(outcomes) <= ({APPLIED} if self.office.transactional else {APPLIED, DUPLICATE})
        assert self.effects() == {"a-1": 1, "b-1": 1, "c-1": 1}

    def touch(self, tx: Transaction, txn: str) -> object:
        """Do what a transaction is for: write an effect; in DynamoDB, where handlers return those, read one."""
        if isinstance(self.office, DynamoOffice):
            return tx.get(self.office.table("effect"), {"txn": txn})  # type: ignore[attr-defined]
        return self.office.effect(tx, txn)

    def effects(self) -> dict[str, int]:
        return {row["txn"]: row["times"] for row in self.office.rows("effect")}

    def parked(self) -> list[tuple[str, str]]:
        return sorted((row["txn"], row["reason"]) for row in self.office.own("parked"))


BATCH = tuple(event(1, key) for key in ("a", "b", "c"))
"""Three keys; the middle one misbehaves: `b-1`."""


def raising(error: BaseException) -> Misbehaves:
    def handler(_tx: Transaction) -> object:
        raise error

    return handler


@pytest.fixture(params=[None, 60.0], ids=["patiently", "by a deadline"])
def desk(request: pytest.FixtureRequest, office: FrontOffice) -> Iterator[Desk]:
    seconds = request.param
    made = Desk(office, Deadline(seconds, SystemClock()) if seconds is not None else None)
    yield made
    made.decider.close()


@pytest.fixture
def hurried(office: FrontOffice) -> Iterator[Desk]:
    made = Desk(office, Deadline(SECONDS, SystemClock()))
    yield made
    made.decider.close()


class HandlersContract:
    @pytest.mark.parametrize(
        "misbehaves, reason",
        [
            (lambda _tx: 7, "handler-return"),
            (lambda _tx: [{"Put": {}}], "handler-return"),
            (lambda _tx: asyncio.sleep(0), "handler-return"),
            (raising(ValueError("a row's value")), "handler-error"),
            (raising(Odd("a row's value")), "handler-error"),
            (raising(asyncio.CancelledError()), "handler-error"),
            (raising(GeneratorExit()), "handler-error"),
            (lambda _tx: sys.exit(3), "handler-error"),
            (raising(Poison("no-credit")), "no-credit"),
            (lambda tx: tx.execute("BEGIN"), "handler-statement"),
            (lambda tx: tx.execute("COMMIT"), "handler-statement"),
        ],
    )
    def test_what_a_handler_gets_wrong_parks_its_change_alone(
        self, desk: Desk, misbehaves: Misbehaves, reason: str
    ) -> None:
        desk.plan["b-1"] = misbehaves
        assert desk.apply(*BATCH) == [APPLIED, PARKED, APPLIED]
        assert desk.effects() == {"a-1": 1, "c-1": 1}
        if reason == "handler-return" and not desk.office.transactional:
            # There a handler may return something: actions.
            reason = "handler-action"
        assert desk.parked() == [("b-1", reason)]

    def test_an_interrupt_is_none_of_a_handlers_and_undoes_all(self, desk: Desk) -> None:
        desk.plan["b-1"] = raising(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            desk.apply(*BATCH)
        desk.plan.clear()
        desk.nothing_of("b-1")
        desk.comes_through()

    def test_a_handler_that_prints_is_a_handler_like_any_other(
        self, desk: Desk, capsys: pytest.CaptureFixture[str]
    ) -> None:
        desk.plan["b-1"] = lambda _tx: sys.stdout.write("hello\n") and None
        assert desk.apply(*BATCH) == [APPLIED] * 3
        assert capsys.readouterr().out == "hello\n"

    def test_a_handler_that_keeps_its_transaction_cannot_use_it_later(self, desk: Desk) -> None:
        desk.apply(BATCH[0])
        (kept,) = desk.lent
        with pytest.raises(Poison) as caught:
            kept.execute("SELECT 1")
        assert caught.value.reason == TOO_LATE
        # Nor in the turn of another change, which is to blame for it then.
        desk.plan["b-1"] = lambda _tx: kept.execute("SELECT 1")
        assert desk.apply(*BATCH[1:]) == [PARKED, APPLIED]
        assert desk.parked() == [("b-1", TOO_LATE)]

    def test_a_thread_that_goes_on_behind_a_handlers_back_writes_nothing(self, desk: Desk) -> None:
        over, failed = threading.Event(), threading.Event()

        def later(tx: Transaction) -> None:
            over.wait()
            try:
                desk.touch(tx, "behind")
            except Poison:
                failed.set()

        thread = threading.Thread()

        def starts(tx: Transaction) -> None:
            nonlocal thread
            thread = threading.Thread(target=later, args=(tx,))
            thread.start()

        desk.plan["b-1"] = starts
        assert desk.apply(*BATCH) == [APPLIED] * 3
        over.set()
        thread.join()
        assert failed.is_set()
        assert "behind" not in desk.effects()

    def test_a_handler_that_hangs_is_named_and_undone_and_tried_again(self, hurried: Desk) -> None:
        come_back, gone = threading.Event(), threading.Event()

        def hangs(tx: Transaction) -> None:
            try:
                come_back.wait()
                hurried.touch(tx, "too late")
            finally:
                gone.set()

        hurried.plan["b-1"] = hangs
        with capture_logs() as logs, pytest.raises(HandlerHangs):
            hurried.apply(*BATCH)
        (said,) = [entry for entry in logs if entry["event"] == "handler_hangs"]
        assert (said["entity"], said["txn"], said["seconds"]) == ("posting", "b-1", SECONDS)
        hurried.nothing_of("b-1")
        hurried.plan.clear()
        hurried.comes_through()
        # It wakes up in the middle of nothing.
        come_back.set()
        gone.wait()
        assert hurried.effects() == {"a-1": 1, "b-1": 1, "c-1": 1}

    def test_a_handler_that_computes_for_ever_is_ended(self, hurried: Desk) -> None:
        ended: list[threading.Thread] = []

        def computes(_tx: Transaction) -> None:
            ended.append(threading.current_thread())
            while True:
                sum(range(100))

        hurried.plan["b-1"] = computes
        with pytest.raises(HandlerHangs):
            hurried.apply(*BATCH)
        ended[0].join()
        hurried.plan.clear()
        hurried.comes_through()

    def test_handlers_that_hang_and_never_end_end_the_process(self, hurried: Desk) -> None:
        never = threading.Event()
        hurried.plan["b-1"] = lambda _tx: never.wait() and None
        for _ in range(MOST_LET_GO):
            with pytest.raises(HandlerHangs):
                hurried.apply(*BATCH)
        with pytest.raises(Fatal, match="handlers hang in this process"):
            hurried.apply(*BATCH)
        never.set()
        hurried.nothing_of("b-1")

    # Out of the lot, and out of the queue

    def test_a_handler_that_hangs_in_a_redrive_stops_its_key_and_nothing_waits_for_it(self, desk: Desk) -> None:
        self._parked(desk)
        never = threading.Event()
        desk.plan["b-2"] = lambda _tx: never.wait() and None
        with closing(desk.redriver(Deadline(SECONDS, SystemClock()))) as redriver:
            found = emptied(redriver, "b")
            assert sum(each.outcomes.get("applied", 0) for each in found) == 1
            stopped = found[-1].stopped
            assert stopped is not None
            assert (stopped.txn, stopped.reason, stopped.stage) == ("b-2", "handler-hangs", "handler")
            never.set()
            assert desk.effects() == {"b-1": 1}
            assert desk.parked() == [("b-2", "behind"), ("b-3", "behind")]
            desk.plan.clear()
            emptied(redriver, "b")
        assert desk.effects() == {"b-1": 1, "b-2": 1, "b-3": 1}
        assert desk.parked() == []

    @pytest.mark.parametrize(
        "misbehaves, reason",
        [
            (lambda _tx: 7, ("handler-return", "handler-action")),
            (raising(Odd("a row's value")), ("handler-error",)),
            (lambda _tx: sys.exit(3), ("handler-error",)),
            (lambda tx: tx.execute("COMMIT"), ("handler-statement",)),
        ],
    )
    def test_what_a_handler_gets_wrong_in_a_redrive_stops_its_key(
        self, desk: Desk, misbehaves: Misbehaves, reason: tuple[str, ...]
    ) -> None:
        self._parked(desk)
        desk.plan["b-2"] = misbehaves
        with closing(desk.redriver(Deadline(60.0, SystemClock()))) as redriver:
            stopped = emptied(redriver, "b")[-1].stopped
        assert stopped is not None
        assert stopped.txn == "b-2"
        assert stopped.reason in reason
        assert desk.effects() == {"b-1": 1}

    def test_a_transaction_of_a_redrive_is_lent_too(self, desk: Desk) -> None:
        self._parked(desk)
        with closing(desk.redriver(Deadline(60.0, SystemClock()))) as redriver:
            emptied(redriver, "b")
            with pytest.raises(Poison) as caught:
                desk.touch(desk.lent[-1], "behind")
        assert caught.value.reason == TOO_LATE

    def test_a_handler_that_hangs_keeps_a_dead_letter_in_its_queue(self, desk: Desk) -> None:
        (waiting, *_) = self._parked(desk)
        desk.office = desk.office.fresh()
        never = threading.Event()
        desk.plan["b-1"] = lambda _tx: never.wait() and None
        with closing(desk.letters(Deadline(SECONDS, SystemClock()))) as letters:
            found = letters.decide(waiting)
            assert "took longer" in found.hangs
            assert dict(found.outcomes) == {}
            never.set()
            assert desk.effects() == {}
            desk.plan.clear()
            assert dict(letters.decide(waiting).outcomes) == {"applied": 1}
        assert desk.effects() == {"b-1": 1}

    @staticmethod
    def _parked(desk: Desk) -> Sequence[Waiting]:
        """Park three events of one key, of which nothing is wrong any more."""
        desk.plan["b-1"] = raising(Poison("no-credit"))
        assert desk.apply(event(1, "b"), event(2, "b"), event(3, "b")) == [PARKED] * 3
        desk.plan.clear()
        return desk.office.lot().parked_of("b")


class StatementsContract(HandlersContract):
    def test_a_handler_that_waits_for_a_statement_of_its_own_is_cut_off(self, hurried: Desk, endless: str) -> None:
        hurried.plan["b-1"] = lambda tx: list(tx.execute(endless))
        with pytest.raises(HandlerHangs):
            hurried.apply(*BATCH)
        hurried.plan.clear()
        assert hurried.apply(*BATCH) == [APPLIED] * 3
        assert hurried.parked() == []
