"""How a batch is spread over threads."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.consumer.stores.dynamodb.spread import Pool, Width, chains, segments
from tests.fakes.store_world import delivered, marker, upsert

CHANGES = st.lists(
    st.one_of(
        st.builds(
            lambda n, key, txn: upsert(n, key, id=txn), st.integers(1, 9), st.sampled_from("abcd"), st.text("xyz")
        ),
        st.builds(marker, st.integers(1, 3)),
    ),
    max_size=12,
)


@given(CHANGES)
def test_nothing_leaves_its_order_and_nothing_is_left_out(changes: list) -> None:  # type: ignore[type-arg]
    batch = [delivered(change) for change in changes]
    done: list[int] = []
    for segment in segments(batch):
        found = chains(batch, segment.changes)
        assert sorted(place for chain in found for place in chain) == segment.changes
        for chain in found:
            assert chain == sorted(chain)
        names = [{name for place in chain for name in _names(batch[place].change)} for chain in found]
        assert sum(map(len, names)) == len(set().union(*names))
        assert segment.markers == sorted(segment.markers)
        assert all(place > max([*done, *segment.changes], default=-1) for place in segment.markers[:1])
        done += [*segment.changes, *segment.markers]
    assert done == list(range(len(batch)))


def _names(change: object) -> list[tuple[str, str]]:
    return [("key", change.key), ("id", change.id)]  # type: ignore[attr-defined]


def test_a_throttled_request_halves_the_width_and_success_widens_it_slowly() -> None:
    width = Width(16)
    for expected in (8, 4, 2, 1, 1):
        width.throttled()
        assert width.now == expected
    for expected in (2, 2, 3, 3, 3, 4):
        width.succeeded()
        assert width.now == expected
    for _ in range(1000):
        width.succeeded()
    assert width.now == 16


def test_no_more_run_at_once_than_the_width_allows() -> None:
    width, running, most, lock = Width(3), 0, 0, threading.Lock()
    together = threading.Barrier(3)

    def action() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(10)
        with lock:
            running -= 1

    pool = Pool(width, 8)
    pool.run([action] * 9)
    pool.close()
    assert most == 3


def test_after_a_failure_nothing_begins_and_what_runs_ends() -> None:
    begun, ended = threading.Event(), []

    def fails() -> None:
        assert begun.wait(10)
        raise KeyboardInterrupt

    def runs() -> None:
        begun.set()
        ended.append("ran")

    pool = Pool(Width(2), 2)
    with pytest.raises(KeyboardInterrupt):
        pool.run([fails, runs, *[lambda: ended.append("late")] * 50])
    pool.close()
    pool.close()
    assert "ran" in ended
    assert ended.count("late") < 50


def test_one_action_runs_where_it_is_asked_for() -> None:
    seen: list[int] = []
    pool = Pool(Width(2), 2)
    pool.run([lambda: seen.append(threading.get_ident())])
    pool.run([])
    pool.close()
    assert seen == [threading.get_ident()]
