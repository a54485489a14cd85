"""Contiguous progress."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.checkpoint.progress import Progress


def test_nothing_begun_is_nothing_done() -> None:
    progress: Progress[str] = Progress()
    assert (progress.done(), progress.pending()) == (None, 0)


def test_what_is_finished_behind_something_unfinished_is_not_done() -> None:
    progress: Progress[str] = Progress()
    first, second, third = (progress.begin(mark) for mark in "abc")
    progress.finish(third)
    progress.finish(second)
    assert (progress.done(), progress.pending()) == (None, 3)
    progress.finish(first)
    assert (progress.done(), progress.pending()) == ("c", 0)


def test_it_is_finished_when_all_of_its_parts_are() -> None:
    progress: Progress[str] = Progress()
    ticket = progress.begin("a", parts=2)
    progress.finish(ticket)
    assert progress.done() is None
    progress.finish(ticket)
    assert progress.done() == "a"


def test_what_has_no_parts_is_finished_at_once_but_not_before_what_came_before() -> None:
    progress: Progress[str] = Progress()
    progress.begin("a", parts=0)
    assert progress.done() == "a"
    ticket = progress.begin("b")
    progress.begin("c", parts=0)
    assert progress.done() == "a"
    progress.finish(ticket)
    assert progress.done() == "c"


def test_a_part_is_finished_once() -> None:
    progress: Progress[str] = Progress()
    progress.begin("a")
    second = progress.begin("b")
    progress.finish(second)
    with pytest.raises(ValueError, match="no unfinished part"):
        progress.finish(second)


@pytest.mark.parametrize("ticket", [-1, 0, 1])
def test_what_was_never_begun_or_is_passed_cannot_be_finished(ticket: int) -> None:
    progress: Progress[str] = Progress()
    progress.begin("a", parts=0)
    with pytest.raises(ValueError, match="no unfinished part"):
        progress.finish(ticket)


def test_fewer_than_no_parts_are_refused() -> None:
    progress: Progress[str] = Progress()
    with pytest.raises(ValueError, match="-1 parts"):
        progress.begin("a", parts=-1)
    assert progress.pending() == 0


def test_what_is_passed_is_not_remembered() -> None:
    progress: Progress[int] = Progress()
    for number in range(1000):
        progress.finish(progress.begin(number))
    assert not progress._marks
    assert not progress._left


@given(st.lists(st.integers(0, 3), max_size=20), st.data())
def test_it_is_always_where_a_naive_model_is(parts: list[int], data: st.DataObject) -> None:
    progress: Progress[int] = Progress()
    left: list[int] = []
    tickets: list[int] = []
    to_begin = list(enumerate(parts))
    while to_begin or any(left):
        open_ones = [mark for mark, number in enumerate(left) if number]
        if to_begin and (not open_ones or data.draw(st.booleans())):
            mark, number = to_begin.pop(0)
            tickets.append(progress.begin(mark, number))
            left.append(number)
        else:
            mark = data.draw(st.sampled_from(open_ones))
            progress.finish(tickets[mark])
            left[mark] -= 1
        unfinished = [mark for mark, number in enumerate(left) if number]
        first = unfinished[0] if unfinished else len(left)
        assert progress.done() == (first - 1 if first else None)
        assert progress.pending() == len(left) - first
