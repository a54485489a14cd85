"""What every adapter of the gates' port does. An adapter's test class derives from this and gives `gates`, empty."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from isthmus.checkpoint.gates import Covers, Gate, Gates, Mode
from isthmus.errors import Refused

BILLING = Covers(process="billing")


def closed(covers: Covers = BILLING, revision: int = 1, **other: object) -> Gate:
    made = Gate(covers, closed=True, who="ada@office", reason="month's end", since_ms=1_000, revision=revision)
    return replace(made, **other)  # type: ignore[arg-type] # fields by name


class GatesContract:
    def test_a_gate_that_nobody_touched_is_not_there(self, gates: Gates) -> None:
        assert gates.read_all() == []
        assert gates.history() == []

    def test_a_gate_is_read_as_it_was_written(self, gates: Gates) -> None:
        everything = closed(Covers(), mode=Mode.WAIT, until_ms=5_000)
        narrow = closed(Covers("billing", "/app/orders", "invoice", "invoice/2013/"))
        for gate in (everything, narrow):
            gates.change(gate)
        assert gates.read_all() == [everything, narrow]

    def test_each_change_is_told_of_the_newest_first(self, gates: Gates) -> None:
        first = closed()
        second = first.changed(closed=False, mode=Mode.HOLD, who="bob", reason="done", now_ms=2_000)
        third = second.changed(closed=True, mode=Mode.HOLD, who="ada", reason="again", now_ms=2_000)
        for gate in (first, second, third):
            gates.change(gate)
        assert gates.read_all() == [third]
        assert gates.history() == [third, second, first]
        assert gates.history(most=2) == [third, second]

    def test_who_read_before_somebody_else_wrote_changes_nothing(self, gates: Gates) -> None:
        gates.change(closed())
        for late in (closed(reason="mine"), closed(revision=3, reason="mine")):
            with pytest.raises(Refused, match="process=billing"):
                gates.change(late)
        assert gates.read_all() == [closed()]
        assert gates.history() == [closed()]

    def test_of_many_that_close_at_once_one_does_and_the_others_hear_of_it(self, gates: Gates) -> None:
        def close(who: int) -> bool:
            try:
                gates.change(closed(who=str(who)))
            except Refused:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(close, range(8)))
        assert done.count(True) == 1
        assert [gate.who for gate in gates.history()] == [str(done.index(True))]
