"""The token bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.producer.pacing import Bucket

STEPS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=3, allow_nan=False), st.floats(min_value=0, max_value=500, allow_nan=False)
    ),
    max_size=60,
)


def test_a_rested_bucket_gives_its_burst_at_once_and_then_closes() -> None:
    bucket = Bucket(rate=10, burst=5)
    for _ in range(5):
        assert bucket.is_open(100.0)
        bucket.spend(1, 100.0)
    assert bucket.is_open(100.0), "exactly used up is not overdrawn"
    bucket.spend(1, 100.0)
    assert not bucket.is_open(100.0)
    assert bucket.opens_at() == pytest.approx(100.1)


def test_it_is_open_at_the_very_moment_that_it_names() -> None:
    bucket = Bucket(rate=3, burst=0)
    now = 0.1
    for _ in range(1000):
        assert bucket.is_open(now)
        bucket.spend(1, now)
        now = max(now, bucket.opens_at())


def test_what_is_larger_than_the_burst_gets_through_and_is_paid_for_afterwards() -> None:
    bucket = Bucket(rate=100, burst=50)
    bucket.spend(1050, 0.0)
    assert bucket.opens_at() == pytest.approx(10.0)


def test_a_long_rest_saves_up_no_more_than_the_burst() -> None:
    bucket = Bucket(rate=10, burst=5)
    bucket.spend(5, 0.0)
    bucket.spend(15, 1_000_000.0)
    assert bucket.opens_at() == pytest.approx(1_000_001.0)


@given(STEPS)
def test_in_no_span_of_time_more_gets_through_than_rate_and_burst_and_one_overdraft(
    steps: list[tuple[float, float]],
) -> None:
    rate, burst = 100.0, 200.0
    bucket = Bucket(rate, burst)
    now, spent = 50.0, [(50.0, 0.0)]
    for wait, amount in steps:
        now += wait
        if bucket.is_open(now):
            bucket.spend(amount, now)
            spent.append((now, amount))
    for first in range(len(spent)):
        for last in range(first, len(spent)):
            before = sum(amount for _, amount in spent[first:last])
            assert before <= burst + rate * (spent[last][0] - spent[first][0]) + 1e-6


@pytest.mark.parametrize("rate,burst", [(0, 1), (-1, 1), (1, -1), (float("nan"), 1)])
def test_a_rate_that_lets_nothing_through_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Bucket(rate, burst)
