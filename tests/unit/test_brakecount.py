"""The count of keys that processes share: what counts here, until when, and what others make of it."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from isthmus.checkpoint.brakecounts import BrakeCount, as_text, from_text
from isthmus.consumer.brakecount import STEP, Minute, Share, as_count, counting, in_all, shares_of

WINDOW: Final = 60.0
MOMENTS = st.floats(0, 1000)
NOTED = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 9)), max_size=60)


def filled(noted: list[tuple[float, int]]) -> tuple[Minute, dict[str, float], float]:
    """Give what was noted, as a minute and as a model: key to the moment when it was noted last."""
    minute, model, now = Minute(WINDOW), dict[str, float](), 5.0
    for later, key in noted:
        now += later
        minute.note(now, str(key))
        model[str(key)] = now
    return minute, model, now


@given(noted=NOTED, later=st.floats(0, 100))
def test_each_key_counts_once_and_for_a_minute_after_the_last_time(
    noted: list[tuple[float, int]], later: float
) -> None:
    minute, model, now = filled(noted)
    minute.forget(now + later)
    assert set(minute) == {key for key, at in model.items() if now + later - at < WINDOW}
    assert len(minute) == len(set(minute))


@given(noted=NOTED, later=st.floats(0, 100))
def test_elsewhere_a_key_counts_as_long_as_here_and_one_step_longer_at_most(
    noted: list[tuple[float, int]], later: float
) -> None:
    minute, model, now = filled(noted)
    minute.forget(now)
    moment = now + later
    found = sum(keys for until, keys in minute.told().items() if until > moment)
    left = [at for at in model.values() if now - at < WINDOW]
    assert sum(moment - at < WINDOW for at in left) <= found <= sum(moment - at < WINDOW + STEP for at in left)
    assert len(minute.told()) <= WINDOW / STEP + 1


@given(noted=NOTED)
def test_what_is_taken_back_leaves_nothing_behind(noted: list[tuple[float, int]]) -> None:
    minute, model, _ = filled(noted)
    for key in model:
        minute.drop(key)
    assert (len(minute), minute.told()) == (0, {})
    minute, *_ = filled(noted)
    minute.clear()
    assert (len(minute), minute.told()) == (0, {})


@given(
    told=st.dictionaries(st.floats(1, 70), st.integers(1, 1000), max_size=7),
    here=MOMENTS,
    there=MOMENTS,
    wall=st.integers(10**12, 2 * 10**12),
    later=st.floats(0, 30),
)
def test_a_moment_is_the_same_on_two_machines_whose_clocks_agree(
    told: dict[float, int], here: float, there: float, wall: int, later: float
) -> None:
    count = as_count({there + until: keys for until, keys in told.items()}, 0, there, wall)
    shares = shares_of([count], WINDOW, here + later, wall + round(later * 1000))
    found = sum(share.keys for share in shares)
    # Moments are told in whole milliseconds, and those that fall together are one.
    assert found <= sum(keys for until, keys in told.items() if until > later - 0.002)
    assert all(share.until <= here + max(told) + 0.002 for share in shares)


@given(keys=st.dictionaries(st.integers(0, 10**14), st.integers(0, 10**6), max_size=9), released=st.integers(0, 99))
def test_what_is_written_down_is_read_again(keys: dict[int, int], released: int) -> None:
    count = BrakeCount(keys, released)
    assert from_text(as_text(count)) == count


@given(st.text())
def test_what_somebody_else_wrote_counts_nothing(text: str) -> None:
    found = from_text(text)
    assert found == BrakeCount() or from_text(as_text(found)) == found


def test_a_clock_that_is_far_ahead_counts_nothing_and_one_that_is_behind_is_over() -> None:
    counts = [BrakeCount({now_ms: 5}) for now_ms in (999_000, 1_030_000, 1_120_000, 1_120_001, 9_000_000)]
    shares = shares_of(counts, WINDOW, 0.0, 1_000_000)
    assert [share.until for share in shares] == [30.0, 120.0]


def test_what_is_released_elsewhere_is_parked_and_does_not_count() -> None:
    shares = [Share(10.0, 5), Share(10.0, 7, released=1), Share(20.0, 1)]
    assert (counting(shares, 9.0), in_all(shares, 9.0)) == (6, 13)
    assert (counting(shares, 10.0), in_all(shares, 10.0)) == (1, 1)
