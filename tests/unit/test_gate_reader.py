"""Who reads the gates: again and again, at once when asked, and what cannot be read makes everything wait."""

from collections.abc import Sequence

import pytest

from isthmus.attempts import Attempts
from isthmus.checkpoint.gatehouse import MemoryGates
from isthmus.checkpoint.gates import LAST_KNOWN_SECONDS, Covers, Gate, Mode, Readings
from isthmus.consumer.gates import READ_EVERY, AskedGates, GateReader, Outdated, stand
from isthmus.errors import Refused, TargetDown, Transient
from isthmus.lifecycle import Stopped
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop

BILLING = Covers(process="billing")


class Desk:
    """A reader on virtual time."""

    def __init__(self, kind: type[GateReader] = GateReader, *, strict: bool = False) -> None:
        self.clock, self.gates, self.metrics = FakeClock(), MemoryGates(), Metrics()
        self.stop = FakeStop(self.clock)
        self.mirrored: list[list[str]] = []
        self.mirror_fails: list[Transient] = []
        self.reader = kind(
            self.gates,
            Readings(),
            clock=self.clock,
            watch=Attempts("gates", self.metrics, self.clock),
            metrics=self.metrics,
            mirror=self._mirror if strict else None,
        )

    def close(self, covers: Covers = BILLING, *, closed: bool = True, mode: Mode = Mode.HOLD) -> None:
        standing = {gate.covers: gate for gate in self.gates.read_all()}.get(covers, Gate(covers, closed=False))
        now_ms = self.clock.now_ms()
        self.gates.change(standing.changed(closed=closed, mode=mode, who="ada", reason="x", now_ms=now_ms))

    def holds(self) -> list[str]:
        view = self.reader.view()
        assert view.waits is None
        return [closing.name for closing in view.holds]

    def closed(self, mode: str) -> float:
        value: float = self.metrics.gates_closed.labels(mode)._value.get()
        return value

    def gauge(self, name: str) -> float:
        value: float = getattr(self.metrics, name)._value.get()
        return value

    def _mirror(self, gates: Sequence[Gate]) -> None:
        if self.mirror_fails:
            raise self.mirror_fails.pop()
        self.mirrored.append([gate.name for gate in gates])


def test_it_reads_again_and_again_until_a_stop_and_a_gate_that_closes_later_is_seen() -> None:
    desk = Desk()
    desk.clock.at(10.0, desk.close)
    found: list[tuple[list[str], float]] = []
    desk.clock.at(9.9, lambda: found.append((desk.holds(), desk.closed("hold"))))
    desk.clock.at(10.0 + 2 * READ_EVERY, lambda: found.append((desk.holds(), desk.closed("hold"))))
    desk.clock.at(20.0, desk.stop.request)
    desk.reader.run(desk.stop)
    assert found == [([], 0.0), (["process=billing"], 1.0)]
    assert set(desk.stop.waits) == {READ_EVERY}


def test_what_was_decided_by_a_view_may_be_committed_while_the_gates_say_the_same() -> None:
    desk = Desk()
    desk.reader.turn()
    view = desk.reader.view()
    desk.clock.move(60)
    desk.reader.turn()
    desk.reader.confirm(view)
    desk.close()
    desk.reader.confirm(view)
    desk.reader.turn()
    with pytest.raises(Outdated):
        desk.reader.confirm(view)


def test_what_was_decided_may_not_be_committed_once_the_reading_is_too_old() -> None:
    desk = Desk()
    desk.reader.turn()
    view = desk.reader.view()
    desk.clock.move(LAST_KNOWN_SECONDS)
    desk.reader.confirm(view)
    desk.clock.move(0.01)
    with pytest.raises(Outdated):
        desk.reader.confirm(view)


@pytest.mark.parametrize("error", [TargetDown("away"), Refused("no gate"), ZeroDivisionError()])
def test_whatever_keeps_it_from_reading_everything_waits_and_it_goes_on_when_it_can(error: Exception) -> None:
    desk = Desk()
    desk.gates.error = error
    desk.reader.turn()
    waits = desk.reader.view().waits
    assert waits is not None
    assert desk.closed("wait") == 1
    desk.gates.error = None
    desk.reader.turn()
    assert desk.holds() == []
    assert desk.closed("wait") == 0


def test_a_reading_counts_from_when_it_was_asked_for_and_not_from_its_answer() -> None:
    desk = Desk()
    read = desk.gates.read_all

    def slowly() -> list[Gate]:
        found = read()
        desk.clock.move(LAST_KNOWN_SECONDS + 0.1)
        return found

    desk.gates.read_all = slowly  # type: ignore[method-assign]
    desk.reader.look()
    assert desk.reader.view().waits is not None


def test_what_nobody_closed_by_hand_may_be_closed_too() -> None:
    desk = Desk()
    now: list[Gate] = []
    reader = GateReader(
        desk.gates,
        Readings(),
        clock=desk.clock,
        watch=Attempts("gates", desk.metrics, desk.clock),
        metrics=desk.metrics,
        others=lambda _now_ms: now,
    )
    reader.look()
    assert reader.view().holds == ()
    now.append(Gate(BILLING, closed=True, reason="its window"))
    reader.look()
    assert [closing.reason for closing in reader.view().holds] == ["its window"]


# What is told


def declared(desk: Desk, *gates: Gate) -> GateReader:
    return GateReader(
        desk.gates,
        Readings([BILLING]),
        clock=desk.clock,
        watch=Attempts("gates", desk.metrics, desk.clock),
        metrics=desk.metrics,
        others=lambda _now_ms: gates,
    )


def test_gates_of_which_nothing_is_known_are_told() -> None:
    desk = Desk()
    silent = Gate(Covers(source="/shop/a"), closed=True, declared="month-end", unknown=True)
    reader = declared(desk, silent)
    # Its item is missing; the other one's probe says nothing.
    reader.turn()
    assert desk.gauge("gates_unknown") == 2
    desk.close(closed=False)
    reader.turn()
    assert desk.gauge("gates_unknown") == 1
    assert desk.gauge("gates_closed_since") == 0
    desk.gates.error = TargetDown("away")
    desk.clock.move(LAST_KNOWN_SECONDS + 0.1)
    reader.turn()
    assert desk.gauge("gates_unknown") == 1


def test_since_when_a_gate_is_closed_is_told_where_nobody_knows_its_end() -> None:
    desk = Desk()
    began = desk.clock.now_ms()
    window = Gate(Covers(entity="a"), closed=True, since_ms=began - 9_000, until_ms=began + 9_000, declared="night")
    probe = Gate(Covers(entity="b"), closed=True, since_ms=began + 5_000, declared="books")
    declared(desk, window).turn()
    assert desk.gauge("gates_closed_since") == 0
    declared(desk, window, probe).turn()
    assert desk.gauge("gates_closed_since") == (began + 5_000) / 1000
    desk.clock.move(2)
    desk.close()
    reader = declared(desk, window, probe)
    reader.turn()
    assert desk.gauge("gates_closed_since") == (began + 2_000) / 1000
    desk.close(closed=False)
    reader.turn()
    assert desk.gauge("gates_closed_since") == (began + 5_000) / 1000


def test_a_gate_that_was_opened_or_has_ended_is_not_told_as_closed() -> None:
    desk = Desk()
    desk.close()
    desk.reader.turn()
    assert desk.gauge("gates_closed_since") > 0
    desk.close(closed=False)
    desk.reader.turn()
    assert desk.gauge("gates_closed_since") == 0


# The mirror


def test_a_strict_reader_mirrors_what_has_changed_before_it_counts() -> None:
    desk = Desk(strict=True)
    desk.close()
    desk.reader.look()
    desk.reader.look()
    assert desk.mirrored == [["process=billing"]]
    desk.close(closed=False)
    desk.mirror_fails.append(TargetDown("the front office is away"))
    desk.reader.turn()
    assert desk.holds() == ["process=billing"]
    desk.reader.turn()
    assert desk.mirrored == [["process=billing"], ["process=billing"]]
    assert desk.holds() == []


# Standing


def test_who_stands_goes_on_when_the_gate_opens() -> None:
    desk = Desk()
    desk.close(Covers(), mode=Mode.WAIT)
    desk.clock.every(READ_EVERY, desk.reader.turn)
    desk.clock.at(30.0, lambda: desk.close(Covers(), closed=False))
    desk.reader.turn()
    view = stand(desk.reader, desk.stop)
    assert view.waits is None
    assert 30.0 <= desk.clock.monotonic() < 30.0 + 2 * READ_EVERY


def test_a_stop_ends_the_wait_at_once() -> None:
    desk = Desk()
    desk.close(Covers(), mode=Mode.WAIT)
    desk.clock.every(READ_EVERY, desk.reader.turn)
    desk.reader.turn()
    desk.clock.at(30.0, desk.stop.request)
    with pytest.raises(Stopped):
        stand(desk.reader, desk.stop)
    assert desk.clock.monotonic() == pytest.approx(30.0, abs=0.2)


# A command


def test_a_command_reads_whenever_it_asks() -> None:
    desk = Desk(AskedGates)
    assert desk.holds() == []
    view = desk.reader.view()
    desk.close()
    with pytest.raises(Outdated):
        desk.reader.confirm(view)
    assert desk.holds() == ["process=billing"]
    desk.gates.error = TargetDown("away")
    with pytest.raises(TargetDown):
        desk.reader.view()
