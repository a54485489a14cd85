"""Who asks a gate's probe: when it is due, once for all, and what comes of an answer that does not come."""

import random
from collections.abc import Callable, Sequence

import pytest

from isthmus.attempts import Attempts
from isthmus.checkpoint.declared import DeclaredGate, DeclaredGates, ProbeGate
from isthmus.checkpoint.gatehouse import MemoryGates
from isthmus.checkpoint.gates import Covers, Gate, Mode, Readings, State
from isthmus.checkpoint.verdicts import LASTS, MemoryVerdicts
from isthmus.consumer.gatemirror import LENDS_MS
from isthmus.consumer.gateprobing import Answer, Prober
from isthmus.consumer.gates import GateReader
from isthmus.errors import UNKNOWN, Refused, TargetDown, Transient
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop

EACH = 10.0
BILLING = Covers(process="billing")
GATE = ProbeGate(DeclaredGate("audit", BILLING, Mode.HOLD, "an audit", "finance"), "audit#1", round(EACH * 1000))


class Desk:
    """A probe, and workers on virtual time that ask it."""

    def __init__(self) -> None:
        self.clock, self.verdicts, self.metrics = FakeClock(), MemoryVerdicts(), Metrics()
        self.stop = FakeStop(self.clock)
        self.closed = False
        self.error: Exception | None = None
        self.asked: list[float] = []
        self.while_asking: Callable[[], object] = lambda: None
        self.watch = Attempts("gate_probe", self.metrics, self.clock, where="audit")

    def ask(self) -> Answer:
        self.asked.append(self.clock.monotonic())
        self.while_asking()
        if self.error is not None:
            raise self.error
        return Answer(self.closed, "so")

    def worker(self, name: str = "one", seed: int = 1) -> Prober:
        return Prober(
            GATE, self.ask, self.verdicts, who=name, clock=self.clock, chance=random.Random(seed), watch=self.watch
        )

    def state(self) -> State:
        now_ms = self.clock.now_ms()
        return GATE.at(now_ms, self.verdicts.read_all().get("audit#1")).state(now_ms)

    def away(self) -> float:
        value: float = self.metrics.away.labels("gate_probe/audit")._value.get()
        return value


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_it_asks_again_and_again_and_a_condition_that_changes_is_seen(desk: Desk) -> None:
    found: list[State] = []
    desk.clock.at(50.0, lambda: setattr(desk, "closed", True))
    desk.clock.at(49.9, lambda: found.append(desk.state()))
    desk.clock.at(50.0 + 1.1 * EACH, lambda: found.append(desk.state()))
    desk.clock.at(200.0, desk.stop.request)
    desk.worker().run(desk.stop)
    assert found == [State.OPEN, State.CLOSED]
    pauses = [after - before for before, after in zip(desk.asked, desk.asked[1:], strict=False)]
    assert all(EACH <= pause <= 1.1 * EACH for pause in pauses)


def test_several_workers_share_one_answer(desk: Desk) -> None:
    one, other = desk.worker(), desk.worker("other")
    one.turn()
    desk.clock.move(3)
    assert EACH - 3 <= other.turn() <= EACH - 3 + EACH / 10
    assert len(desk.asked) == 1
    desk.clock.move(EACH)
    other.turn()
    one.turn()
    assert (len(desk.asked), desk.verdicts.read_all()["audit#1"].who) == (2, "other")


@pytest.mark.parametrize(
    "error", [TargetDown("away"), Refused("no such table"), Transient("?", cause=UNKNOWN), ZeroDivisionError()]
)
def test_a_probe_that_fails_is_closed_when_its_last_answer_counts_no_more_and_opens_by_itself(
    desk: Desk, error: Exception
) -> None:
    worker = desk.worker()
    worker.turn()
    desk.error = error
    states = []
    for _ in range(8):
        desk.clock.move(EACH)
        worker.turn()
        states.append(desk.state())
    assert states == [State.OPEN] * LASTS + [State.UNKNOWN] * (8 - LASTS)
    assert desk.away() == 1
    assert desk.verdicts.read_all()["audit#1"].why
    desk.error = None
    desk.clock.move(EACH)
    worker.turn()
    assert (desk.state(), desk.away()) == (State.OPEN, 0)


def test_a_probe_that_never_answered_is_closed(desk: Desk) -> None:
    assert desk.state() is State.UNKNOWN
    desk.error = TargetDown("away")
    desk.worker().turn()
    assert desk.state() is State.UNKNOWN


def test_an_answer_that_took_longer_than_an_interval_is_none(desk: Desk) -> None:
    desk.while_asking = lambda: desk.clock.move(EACH + 1)
    desk.worker().turn()
    verdict = desk.verdicts.read_all()["audit#1"]
    assert (verdict.closed, verdict.why) == (None, "Its answer took 11.0 s.")


def test_an_answer_counts_though_another_worker_failed_meanwhile(desk: Desk) -> None:
    def another_fails() -> None:
        desk.while_asking = lambda: None
        desk.clock.move(1)
        desk.error = TargetDown("away")
        desk.worker("other").turn()
        desk.error = None

    desk.while_asking = another_fails
    desk.worker().turn()
    verdict = desk.verdicts.read_all()["audit#1"]
    assert (desk.state(), verdict.who, verdict.revision) == (State.OPEN, "one", 2)


def test_a_table_that_is_away_ends_nobody(desk: Desk) -> None:
    desk.verdicts.error = TargetDown("away")
    assert desk.worker().turn() == 1.0
    assert desk.asked == []


def test_who_could_not_ask_says_so_no_more_when_another_has_an_answer(desk: Desk) -> None:
    worker = desk.worker()
    desk.error = TargetDown("away")
    worker.turn()
    assert desk.away() == 1
    desk.error = None
    desk.clock.move(EACH)
    other = Prober(
        GATE,
        desk.ask,
        desk.verdicts,
        who="other",
        clock=desk.clock,
        chance=random.Random(2),
        watch=Attempts("gate_probe", Metrics(), desk.clock),
    )
    other.turn()
    worker.turn()
    assert desk.away() == 0


# The reader, and the mirror


class Reading:
    """A strict reader of declared gates, and the front office's side of the mirror."""

    def __init__(self, desk: Desk) -> None:
        self.clock = desk.clock
        self.rows: dict[str, Gate] = {}
        self.writes = 0
        declared = DeclaredGates([], [GATE], desk.verdicts.read_all)
        self.reader = GateReader(
            MemoryGates(),
            Readings(),
            clock=desk.clock,
            watch=Attempts("gates", desk.metrics, desk.clock),
            metrics=desk.metrics,
            mirror=self._mirror,
            others=declared.at,
        )

    def closed(self) -> tuple[list[str], bool]:
        """Give what the view says, and the mirror."""
        self.reader.turn()
        row = self.rows.get("audit")
        return [each.name for each in self.reader.view().holds], row is not None and row.is_closed(self.clock.now_ms())

    def _mirror(self, gates: Sequence[Gate]) -> None:
        for gate in gates:
            self.writes += 1
            before = self.rows.get(gate.name)
            if before is None or (before.since_ms, before.revision) < (gate.since_ms, gate.revision):
                self.rows[gate.name] = gate


def test_what_a_probe_says_is_mirrored_when_it_changes_and_stays_so(desk: Desk) -> None:
    worker, reading = desk.worker(), Reading(desk)
    worker.turn()
    assert reading.closed() == ([], False)
    desk.closed = True
    for _ in range(60):
        desk.clock.move(EACH)
        worker.turn()
        assert reading.closed() == (["audit"], True)
    assert reading.writes <= 2 + 60 * EACH * 1000 / (LENDS_MS / 2)
    desk.closed = False
    desk.clock.move(EACH)
    worker.turn()
    assert reading.closed() == ([], False)
    assert not reading.rows["audit"].closed


def test_a_probe_that_is_silent_is_closed_in_the_mirror_too(desk: Desk) -> None:
    worker, reading = desk.worker(), Reading(desk)
    worker.turn()
    assert reading.closed() == ([], False)
    desk.clock.move(LASTS * EACH + 0.1)
    assert reading.closed() == (["audit"], True)


def test_the_mirror_of_a_gate_that_nobody_declares_any_more_opens_by_itself(desk: Desk) -> None:
    worker, reading = desk.worker(), Reading(desk)
    desk.closed = True
    worker.turn()
    assert reading.closed() == (["audit"], True)
    assert reading.rows["audit"].until_ms == desk.clock.now_ms() + LENDS_MS


def test_a_new_process_mirrors_what_it_finds_over_what_was_left(desk: Desk) -> None:
    worker, before = desk.worker(), Reading(desk)
    desk.closed = True
    worker.turn()
    before.closed()
    desk.closed = False
    desk.clock.move(EACH)
    worker.turn()
    after = Reading(desk)
    after.rows = before.rows
    assert after.closed() == ([], False)
    assert not after.rows["audit"].closed


def test_a_gate_whose_verdicts_cannot_be_read_lets_everything_wait(desk: Desk) -> None:
    reading = Reading(desk)
    desk.verdicts.error = TargetDown("away")
    reading.reader.turn()
    assert reading.reader.view().waits is not None
