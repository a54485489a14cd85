"""Deadlines of handlers in several threads: what hangs counts for all of them together."""

import threading

import pytest

from isthmus.change import Change
from isthmus.clock import SystemClock
from isthmus.consumer.lending import MOST_LET_GO, Deadline, Lent, Patient
from isthmus.errors import Fatal, HandlerHangs
from tests.fakes.store_world import event


class Nowhere:
    """A `Transaction` of nothing."""

    def execute(self, _statement: str, _parameters: object = ()) -> list[list[object]]:
        return []


def hang(lending: Deadline, change: Change, never: threading.Event) -> None:
    def work() -> None:
        lending.lend(Lent(Nowhere()), change)
        never.wait()

    lending.run(work)


def test_threads_that_hang_are_counted_over_all_that_decide() -> None:
    change, never, first = event(1), threading.Event(), Deadline(0.01, SystemClock())
    for _ in range(MOST_LET_GO):
        with pytest.raises(HandlerHangs):
            hang(first.another(), change, never)
    with pytest.raises(Fatal, match="handlers hang"):
        hang(first.another(), change, never)
    never.set()


def test_who_sets_no_deadline_needs_no_other_for_another_thread() -> None:
    patient = Patient()
    assert patient.another() is patient
