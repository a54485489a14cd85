"""Gates by the pure rules: what they cover, when they are open, and what is not known is closed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.checkpoint.gates import LAST_KNOWN_SECONDS, Closing, Covers, Gate, Mode, Readings, State, View

BILLING = Covers(process="billing")
NOW_MS = 1_000_000
CHANGE = {"process": "billing", "source": "/app/orders", "entity": "invoice", "key": "invoice/7"}

_WORDS = st.sampled_from(["", "billing", "boards"])
_COVERS = st.builds(Covers, _WORDS, _WORDS, _WORDS, st.sampled_from(["", "a/", "a/b"]))


def gate(covers: Covers = BILLING, *, closed: bool = True, mode: Mode = Mode.HOLD, until_ms: int | None = None) -> Gate:
    return Gate(covers, closed, mode, "ada", "month's end", 500, until_ms, 1)


def seen(*gates: Gate, declared: tuple[Covers, ...] = (), holds: bool = True) -> Readings:
    readings = Readings(declared, holds=holds)
    readings.read(gates, 10.0)
    return readings


def kept_back(view: View, **other: str) -> Closing | None:
    return view.closing(**{**CHANGE, **other})


# What a gate covers


def test_a_gate_covers_what_all_that_it_says_applies_to() -> None:
    covers = Covers("billing", "/app/orders", "invoice", "invoice/")
    assert covers.fits(**CHANGE)
    for other in ("process", "source", "entity", "key"):
        assert not covers.fits(**{**CHANGE, other: "another"})


@given(_WORDS, _WORDS, _WORDS, st.text())
def test_a_gate_that_says_nothing_covers_everything(process: str, source: str, entity: str, key: str) -> None:
    assert Covers().everything
    assert Covers().fits(process=process, source=source, entity=entity, key=key)


@given(_COVERS, _COVERS)
def test_two_gates_have_one_name_only_where_they_cover_the_same(one: Covers, two: Covers) -> None:
    assert (one.name == two.name) == (one == two)


@given(_COVERS.filter(lambda covers: not covers.everything))
def test_a_gate_that_does_not_cover_everything_cannot_make_the_shards_wait(covers: Covers) -> None:
    with pytest.raises(ValueError, match="everything"):
        gate(covers, mode=Mode.WAIT)


# When it is open


@given(st.booleans(), st.none() | st.integers(0, 10), st.integers(0, 10))
def test_a_gate_is_closed_from_its_closing_until_the_moment_that_was_named(
    closed: bool,  # noqa: FBT001 - hypothesis gives it by place
    until_ms: int | None,
    now_ms: int,
) -> None:
    state = gate(closed=closed, until_ms=until_ms).state(now_ms)
    assert (state is State.CLOSED) == (closed and (until_ms is None or now_ms < until_ms))


def test_what_opens_has_no_moment_any_more_and_one_revision_more() -> None:
    opened = gate(until_ms=NOW_MS).changed(closed=False, mode=Mode.HOLD, who="bob", reason="done", now_ms=7)
    assert opened == Gate(BILLING, closed=False, who="bob", reason="done", since_ms=7, revision=2)


# What one reading says


def test_a_closed_gate_keeps_back_what_it_covers_and_nothing_else() -> None:
    view = seen(gate()).view(10.5, NOW_MS)
    assert view.waits is None
    found = kept_back(view)
    assert found is not None
    assert (found.name, found.state, found.reason) == ("process=billing", State.CLOSED, "month's end")
    assert kept_back(view, process="boards") is None


def test_a_gate_in_mode_wait_makes_every_shard_stand_and_holds_nothing() -> None:
    view = seen(gate(Covers(), mode=Mode.WAIT)).view(10.5, NOW_MS)
    assert view.waits is not None
    assert view.holds == ()


def test_where_nothing_can_be_held_any_closed_gate_makes_the_shards_wait() -> None:
    view = seen(gate(), holds=False).view(10.5, NOW_MS)
    assert view.waits is not None
    assert view.waits.name == "process=billing"
    assert view.holds == ()


# What is not known


def test_before_the_first_reading_everything_waits() -> None:
    view = Readings().view(0.0, NOW_MS)
    assert view.waits is not None
    assert view.waits.state is State.UNKNOWN


def test_what_was_read_counts_for_a_short_while_and_then_everything_waits_until_it_is_read_again() -> None:
    readings = seen(gate())
    assert readings.view(10.0 + LAST_KNOWN_SECONDS, NOW_MS).waits is None
    silent = readings.view(10.1 + LAST_KNOWN_SECONDS, NOW_MS)
    assert silent.waits == Closing(Covers(), State.UNKNOWN, Mode.WAIT, "nothing could be read of the gates", "", NOW_MS)
    assert readings.view(99.0, NOW_MS + 1) == silent
    readings.read([gate()], 99.0)
    assert readings.view(99.0, NOW_MS + 2).waits is None


def test_a_declared_gate_that_was_never_there_is_closed_and_another_is_open() -> None:
    view = seen(declared=(BILLING,)).view(10.0, NOW_MS)
    found = kept_back(view)
    assert found is not None
    assert (found.state, found.reason) == (State.UNKNOWN, "its item is missing")
    assert kept_back(view, process="boards") is None


def test_a_declared_gate_whose_item_is_lost_is_as_it_was_for_a_short_while_and_then_closed() -> None:
    readings = seen(gate(closed=False), declared=(BILLING,))
    readings.read([], 11.0)
    assert kept_back(readings.view(11.0, NOW_MS)) is None
    readings.read([], 12.0)
    assert kept_back(readings.view(12.0, NOW_MS)) is not None


def test_a_reading_that_was_asked_for_before_the_last_one_says_nothing() -> None:
    readings = seen(gate())
    readings.read([], 9.0)
    assert kept_back(readings.view(10.0, NOW_MS)) is not None


def test_a_view_that_says_the_same_has_the_same_revision_and_another_a_higher_one() -> None:
    readings = seen(gate(until_ms=NOW_MS))
    first = readings.view(10.0, NOW_MS - 2)
    readings.read([gate(until_ms=NOW_MS)], 11.0)
    second, third = readings.view(11.0, NOW_MS - 1), readings.view(11.0, NOW_MS)
    assert (second.revision, second.read_at) == (first.revision, 11.0)
    assert third.revision == first.revision + 1


@given(
    st.lists(
        st.tuples(
            st.floats(0, 3),
            st.none() | st.lists(st.sampled_from([gate(closed=True), gate(closed=False)]), max_size=1),
        ),
        max_size=8,
    )
)
def test_nothing_passes_later_than_the_short_while_after_the_last_reading_that_found_the_gate_open(
    story: list[tuple[float, list[Gate] | None]],
) -> None:
    readings, now, open_at = Readings((BILLING,)), 0.0, None
    for pause, found in story:
        now += pause
        if found is not None:
            readings.read(found, now)
            if found and not found[0].closed:
                open_at = now
        view = readings.view(now, NOW_MS)
        if view.waits is None and kept_back(view) is None:
            assert open_at is not None
            assert now - open_at <= LAST_KNOWN_SECONDS
        if found and found[0].closed:
            assert kept_back(view) is not None
