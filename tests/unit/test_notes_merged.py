"""What is noted of a shard, whoever tells it and however often."""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.checkpoint.notes import MOST_TELLERS, Note, Telling, merged
from tests.contract.notes_contract import telling


def after(note: Note | None, *tellings: Telling) -> Note | None:
    for each in tellings:
        note = merged(note, each) or note
    return note


def test_a_telling_that_says_nothing_new_is_not_written() -> None:
    note = after(None, telling(1, 50, ended=True, counts={"applied": 1}))
    assert merged(note, telling(2, 50, ended=True)) is None
    assert merged(note, telling(2, 49)) is None
    assert merged(None, telling(1)) is None


def test_only_the_last_tellers_are_remembered() -> None:
    note = after(None, *(telling(1, teller=str(number), counts={"applied": 1}) for number in range(MOST_TELLERS + 3)))
    assert note is not None
    assert [who for who, _ in note.tellers] == [str(number) for number in range(3, MOST_TELLERS + 3)]
    again = after(note, telling(2, teller="5", counts={"applied": 1}))
    assert again is not None
    assert again.tellers[-1] == ("5", 2)
    assert len(again.tellers) == MOST_TELLERS


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(1, 3),  # how often it is told
        st.dictionaries(st.sampled_from(["applied", "stale"]), st.integers(1, 9), max_size=2),
        st.none() | st.integers(1, 9),
    ),
    max_size=20,
)


@given(STEPS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_sum_is_that_of_all_tellings_each_once_and_the_moment_the_latest(
    steps: list[tuple[str, int, dict[str, int], int | None]],
) -> None:
    note: Note | None = None
    numbers, wanted, latest = Counter[str](), Counter[str](), 0
    for teller, times, counts, until_ms in steps:
        numbers[teller] += 1
        told = telling(numbers[teller], until_ms, teller=teller, sequence=str(until_ms), counts=counts)
        for _ in range(times):
            note = after(note, told)
        wanted += Counter(counts)
        latest = max(latest, until_ms or 0)
    assert (note.counts if note else {}) == dict(wanted)
    assert ((note.decided_until_ms if note else 0) or 0) == latest
    assert (note.sequence if note else None) == (str(latest) if latest else None)
