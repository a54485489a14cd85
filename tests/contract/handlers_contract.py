"""Handlers that misbehave, on every store where a batch is one transaction: one clear answer each, and nothing lost.

An adapter's test module derives a class from `HandlersContract` and provides the fixture `office`.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from isthmus.change import Change, Kind, Outcome
from isthmus.clock import SystemClock
from isthmus.consumer.applier import Applier
from isthmus.consumer.lending import MOST_LET_GO, TOO_LATE, Deadline
from isthmus.consumer.stores.port import Entity
from isthmus.errors import Fatal, HandlerHangs, Poison
from isthmus.metrics import Metrics
from isthmus.pipeline import Row, Transaction
from tests.fakes.clock import FakeClock
from tests.fakes.store_world import APPLIED, PARKED, FrontOffice, delivered, event

SECONDS = 0.05
"""A deadline that a handler which waits for a signal passes, whatever else the machine does."""
Misbehaves = Callable[[Transaction], object]


class Odd(BaseException):
    """Nothing that Python's own libraries know."""


class Desk:
    """An applier of postings. The handler counts an effect, then does what its transaction ID is planned to do."""

    def __init__(self, office: FrontOffice, deadline: Deadline | None) -> None:
        self.office = office
        self.plan: dict[str, Misbehaves] = {}
        self.lent: list[Transaction] = []
        entity = Entity("posting", Kind.EVENT, None, None, (self._handle,))
        store: Any = office.store([entity])
        metrics = Metrics()
        self.applier = Applier(
            store.session(), {"posting": entity}, FakeClock(), metrics, history=True, lending=deadline
        )

    def _handle(self, tx: Transaction, change: Change, _previous: Row | None) -> object:
        self.lent.append(tx)
        self.office.effect(tx, change.id)
        planned = self.plan.get(change.id)
        return planned(tx) if planned is not None else None

    def apply(self, *changes: Change) -> list[Outcome | None]:
        return self.applier.apply([delivered(change) for change in changes])

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
    made.applier.close()


@pytest.fixture
def hurried(office: FrontOffice) -> Iterator[Desk]:
    made = Desk(office, Deadline(SECONDS, SystemClock()))
    yield made
    made.applier.close()


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
        assert desk.parked() == [("b-1", reason)]

    def test_an_interrupt_is_none_of_a_handlers_and_undoes_all(self, desk: Desk) -> None:
        desk.plan["b-1"] = raising(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            desk.apply(*BATCH)
        desk.plan.clear()
        assert desk.effects() == {}
        assert desk.apply(*BATCH) == [APPLIED] * 3

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
                desk.office.effect(tx, "behind")
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
                hurried.office.effect(tx, "too late")
            finally:
                gone.set()

        hurried.plan["b-1"] = hangs
        with capture_logs() as logs, pytest.raises(HandlerHangs):
            hurried.apply(*BATCH)
        (said,) = [entry for entry in logs if entry["event"] == "handler_hangs"]
        assert (said["entity"], said["txn"], said["seconds"]) == ("posting", "b-1", SECONDS)
        assert hurried.effects() == {}
        hurried.plan.clear()
        assert hurried.apply(*BATCH) == [APPLIED] * 3
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
        assert hurried.apply(*BATCH) == [APPLIED] * 3

    def test_a_handler_that_waits_for_a_statement_of_its_own_is_cut_off(self, hurried: Desk, endless: str) -> None:
        hurried.plan["b-1"] = lambda tx: list(tx.execute(endless))
        with pytest.raises(HandlerHangs):
            hurried.apply(*BATCH)
        hurried.plan.clear()
        assert hurried.apply(*BATCH) == [APPLIED] * 3
        assert hurried.parked() == []

    def test_handlers_that_hang_and_never_end_end_the_process(self, hurried: Desk) -> None:
        never = threading.Event()
        hurried.plan["b-1"] = lambda _tx: never.wait() and None
        for _ in range(MOST_LET_GO):
            with pytest.raises(HandlerHangs):
                hurried.apply(*BATCH)
        with pytest.raises(Fatal, match="handlers hang in this process"):
            hurried.apply(*BATCH)
        never.set()
        assert hurried.effects() == {}
