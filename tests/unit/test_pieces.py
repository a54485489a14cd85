"""How many changes are written together, by how often poison comes."""

import random

from hypothesis import given
from hypothesis import strategies as st

from isthmus.consumer.pieces import Pieces


def test_pieces_begin_with_the_whole() -> None:
    assert Pieces().most >= 500


def test_a_piece_that_fails_makes_the_next_ones_half_as_large_and_one_that_does_not_twice() -> None:
    pieces = Pieces()
    pieces.failed(500)
    assert pieces.most == 250
    pieces.failed(250)
    assert pieces.most == 125
    pieces.passed(125)
    assert pieces.most == 250


def test_what_says_nothing_of_the_others_changes_nothing() -> None:
    pieces = Pieces()
    pieces.failed(100)
    pieces.failed(1)
    pieces.passed(3)
    assert pieces.most == 50


def test_where_all_is_poison_it_comes_down_to_one_and_up_again_in_nine_pieces() -> None:
    pieces = Pieces()
    while pieces.most > 1:
        pieces.failed(pieces.most)
    assert [pieces.passed(pieces.most) or pieces.most for _ in range(9)] == [2**power for power in range(1, 10)]


@given(st.integers(10, 200), st.integers())
def test_with_poison_here_and_there_few_changes_are_written_in_vain(every: int, seed: int) -> None:
    pieces, chance, written = Pieces(), random.Random(seed), 0
    for _ in range(40):
        left = [chance.random() < 1 / every for _ in range(500)]
        while left:
            part = left[: pieces.most]
            if True in part:
                pieces.failed(len(part))
                place = part.index(True)
                # Up to the poison in vain, then again without it, and it alone.
                written += 2 * place + 1
                left = left[place + 1 :]
            else:
                pieces.passed(len(part))
                written += len(part)
                left = left[len(part) :]
    assert written < 1.9 * 40 * 500
