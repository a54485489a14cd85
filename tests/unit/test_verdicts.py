"""What a probe said last, for how long it counts, and what a gate makes of it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.checkpoint.declared import SILENT, DeclaredGate, DeclaredGates, ProbeGate, WindowGate
from isthmus.checkpoint.gates import Covers, Mode, Readings, State
from isthmus.checkpoint.verdicts import LASTS, Verdict, is_true
from isthmus.windows import Window

NOW, EACH = 1_357_000_000_000, 10_000
BILLING = Covers(process="billing")
GATE = ProbeGate(DeclaredGate("audit", BILLING, Mode.HOLD, "an audit", "finance"), "audit#1", EACH)


def answer(standing: Verdict, asked_ms: int, *, closed: bool) -> Verdict:
    made = standing.answered(closed=closed, said="so", asked_ms=asked_ms, who="me", interval_ms=EACH)
    assert made is not None
    return made


def fail(standing: Verdict, asked_ms: int) -> Verdict:
    made = standing.failed(why="away", asked_ms=asked_ms, who="me", interval_ms=EACH)
    assert made is not None
    return made


def state(verdict: Verdict | None, now_ms: int) -> State:
    return GATE.at(now_ms, verdict).state(now_ms)


def test_nothing_said_is_closed_and_not_known() -> None:
    assert state(None, NOW) == state(fail(Verdict("audit#1"), NOW), NOW) == State.UNKNOWN
    gate = GATE.at(NOW, None)
    assert (gate.name, gate.reason, gate.who) == ("audit", SILENT, "finance")


@pytest.mark.parametrize("closed, said", [(True, State.CLOSED), (False, State.OPEN)])
def test_an_answer_counts_for_three_intervals_from_when_it_was_asked_for(closed: bool, said: State) -> None:  # noqa: FBT001
    verdict = answer(Verdict("audit#1"), NOW, closed=closed)
    end = NOW + LASTS * EACH
    assert [state(verdict, moment) for moment in (NOW, end, end + 1)] == [said, said, State.UNKNOWN]
    assert GATE.at(end + 1, verdict).since_ms == end


def test_attempts_that_fail_neither_lengthen_nor_shorten_what_an_answer_counts() -> None:
    verdict = answer(Verdict("audit#1"), NOW, closed=False)
    for later in (EACH, 2 * EACH, 3 * EACH):
        verdict = fail(verdict, NOW + later)
    assert (verdict.why, verdict.failing_ms, verdict.tried_ms) == ("away", NOW + EACH, NOW + 3 * EACH)
    assert state(verdict, NOW + 3 * EACH) is State.OPEN
    assert state(verdict, NOW + 3 * EACH + 1) is State.UNKNOWN
    mended = answer(verdict, NOW + 4 * EACH, closed=False)
    assert (mended.why, mended.failing_ms, state(mended, NOW + 4 * EACH)) == ("", None, State.OPEN)


def test_one_failed_attempt_leaves_time_for_the_next_one() -> None:
    # The slowest there is: whoever asks comes a tenth of an interval late each time, and an answer takes half of one.
    asked_again = NOW + round(2.2 * EACH)
    assert state(answer(Verdict("audit#1"), NOW, closed=False), asked_again + EACH // 2) is State.OPEN


def test_an_older_answer_replaces_no_newer_one_and_an_old_failure_says_nothing() -> None:
    verdict = answer(Verdict("audit#1"), NOW, closed=True)
    assert verdict.answered(closed=False, said="", asked_ms=NOW - 1, who="", interval_ms=EACH) is None
    assert verdict.failed(why="away", asked_ms=NOW - 1, who="", interval_ms=EACH) is None


def test_since_is_when_the_same_began_to_be_said() -> None:
    first = answer(Verdict("audit#1"), NOW, closed=True)
    again = answer(first, NOW + EACH, closed=True)
    other = answer(again, NOW + 2 * EACH, closed=False)
    assert (first.since_ms, again.since_ms, other.since_ms) == (NOW, NOW, NOW + 2 * EACH)


def test_a_clock_that_went_ahead_silences_nobody() -> None:
    ahead = answer(Verdict("audit#1"), NOW + 3_600_000, closed=False)
    assert state(ahead, NOW) is State.UNKNOWN
    assert ahead.due_in_ms(NOW, EACH) == 0
    assert state(answer(ahead, NOW, closed=True), NOW) is State.CLOSED
    assert fail(ahead, NOW).tried_ms == NOW


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 40_000)), max_size=20), st.integers(0, 60_000))
def test_a_gate_is_never_open_but_by_an_answer_that_was_asked_for_within_three_intervals(
    history: list[tuple[bool, bool, int]], later: int
) -> None:
    verdict, now, opened = Verdict("audit#1"), NOW, NOW - 10**9
    for answered, closed, after in history:
        now += after
        verdict = answer(verdict, now, closed=closed) if answered else fail(verdict, now)
        if answered:
            opened = now if not closed else NOW - 10**9
    found = state(verdict, now + later)
    assert (found is State.OPEN) == (now + later - opened <= LASTS * EACH)


@pytest.mark.parametrize("value", [True, 1, -1, 0.5, Decimal("0.1")])
def test_a_number_that_is_not_0_is_true(value: object) -> None:
    assert is_true(value)


@pytest.mark.parametrize("value", [False, 0, 0.0, Decimal(0)])
def test_0_is_false(value: object) -> None:
    assert not is_true(value)


@pytest.mark.parametrize("value", [None, "true", "", "0", b"\x01", float("nan"), Decimal("nan"), [], {}])
def test_what_is_neither_true_nor_false_is_not_guessed(value: object) -> None:
    with pytest.raises(ValueError, match=r"is (null|a )"):
        is_true(value)


# What a reader makes of declared gates


def test_verdicts_are_read_only_where_there_is_a_probe() -> None:
    window = WindowGate(
        DeclaredGate("books", Covers(), Mode.WAIT, "weekend", ""), Window("0 18 * * 5", "0 6 * * 1", "UTC")
    )

    def refuse() -> dict[str, Verdict]:
        raise AssertionError

    (gate,) = DeclaredGates([window], [], refuse).at(NOW)
    assert (gate.name, gate.state(NOW), gate.mode) == ("books", State.OPEN, Mode.WAIT)
    asked = DeclaredGates([window], [GATE], lambda: {"audit#1": answer(Verdict("audit#1"), NOW, closed=False)})
    assert [gate.state(NOW) for gate in asked.at(NOW)] == [State.OPEN, State.OPEN]
    assert asked.covering(BILLING) == ["audit"]


def test_a_window_opens_at_its_moment_without_another_reading() -> None:
    window = Window("0 18 * * FRI", "0 6 * * MON", "UTC")
    gate = WindowGate(DeclaredGate("books", BILLING, Mode.HOLD, "weekend", "finance"), window)
    end = 1_357_538_400_000
    readings = Readings()
    readings.read([gate.at(end - 400)], 0.0)
    (closing,) = readings.view(0.0, end - 1).holds
    assert (closing.name, closing.reason, closing.who) == ("books", "weekend", "finance")
    assert readings.view(0.4, end).holds == ()


def test_a_probe_that_is_silent_is_told_as_not_known() -> None:
    readings = Readings()
    readings.read([GATE.at(NOW, None)], 0.0)
    (closing,) = readings.view(0.0, NOW).holds
    assert (closing.state, closing.name) == (State.UNKNOWN, "audit")


def test_a_declared_gate_does_not_stand_in_for_an_item_that_must_be_there() -> None:
    readings = Readings([BILLING])
    readings.read([GATE.at(NOW, answer(Verdict("audit#1"), NOW, closed=False))], 0.0)
    assert [closing.name for closing in readings.view(0.0, NOW).holds] == ["process=billing"]
