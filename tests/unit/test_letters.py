"""A dead letter holds its event whole, and SQS takes it."""

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.consumer.deadletters.letters import event_of, letter_of, requests_of, size_of
from isthmus.consumer.deadletters.port import MOST_LETTERS, Copy, Letter
from isthmus.errors import Poison

_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TEXTS = st.text(max_size=20)


def copy(event: bytes, **names: str) -> Copy:
    fields = {"key": "k", "txn": "k-1", "source": "flights", "reason": "contract", "shard": "s", "sequence": "1"}
    return Copy("1", **{**fields, **names}, event=event, written_ms=0)


def nowhere(_reference: str) -> bytes:
    raise AssertionError("nothing is fetched")


class Shelf:
    """Keeps what is too large."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, event: bytes) -> str:
        self.kept[f"s3://{len(self.kept)}"] = event
        return f"s3://{len(self.kept) - 1}"


@given(event=st.binary(max_size=200) | TEXTS.map(str.encode), key=TEXTS, reason=TEXTS)
def test_any_event_comes_back_byte_for_byte_and_holds_nothing_that_sqs_refuses(
    event: bytes, key: str, reason: str
) -> None:
    letter = letter_of(copy(event, key=key, reason=reason or "x"), None)
    assert event_of(letter.body, letter.attributes, nowhere) == event
    assert letter.body
    assert all(letter.attributes.values())
    for text in (letter.body, *letter.attributes.values()):
        assert _REFUSED.search(text) is None
    assert len(letter.attributes) <= 10


@given(size=st.integers(0, 400), limit=st.integers(300, 700))
def test_what_is_larger_than_a_message_lies_elsewhere_and_comes_back(size: int, limit: int) -> None:
    shelf, event = Shelf(), b"x" * size
    letter = letter_of(copy(event), shelf.put, limit=limit)
    assert event_of(letter.body, letter.attributes, shelf.kept.__getitem__) == event
    assert bool(shelf.kept) == (size_of(letter_of(copy(event), None)) > limit)


def test_without_a_bucket_a_letter_says_that_its_event_is_in_the_parking_lot_alone() -> None:
    letter = letter_of(copy(b"x" * 1000), None, limit=500)
    assert size_of(letter) <= 500
    with pytest.raises(Poison, match="parking lot"):
        event_of(letter.body, letter.attributes, None)


def test_a_letter_tells_what_an_alarm_needs() -> None:
    event = orjson.dumps({"id": "k-1", "time": "2013-01-01T05:15:00Z"})
    letter = letter_of(copy(event), None)
    assert letter.attributes == {
        "id": "k-1",
        "key": "k",
        "source": "flights",
        "reason": "contract",
        "shard": "s",
        "sequence": "1",
        "time": "2013-01-01T05:15:00Z",
        "parked": "1970-01-01T00:00:00.000Z",
    }


@pytest.mark.parametrize(
    "attributes", [{}, {"id": "1"}, {"id": "1", "reason": "r", "encoding": "base64"}], ids=["none", "some", "no base64"]
)
def test_a_message_that_is_not_ours_is_named_as_such(attributes: dict[str, str]) -> None:
    with pytest.raises(Poison):
        event_of("???", attributes, None)


@given(sizes=st.lists(st.integers(0, 120), max_size=60), limit=st.integers(130, 400))
def test_requests_hold_every_letter_once_in_order_and_are_never_too_large(sizes: list[int], limit: int) -> None:
    letters = [Letter("x" * size, {}) for size in sizes]
    requests = requests_of(letters, limit=limit)
    assert [place for places in requests for place in places] == list(range(len(letters)))
    for places in requests:
        assert 1 <= len(places) <= MOST_LETTERS
        assert sum(size_of(letters[place]) for place in places) <= limit


def test_a_copy_of_which_the_event_is_lost_says_so() -> None:
    letter = letter_of(copy(b"")._replace(lost="payload-missing"), None)
    assert "payload-missing" in letter.body
    with pytest.raises(Poison) as caught:
        event_of(letter.body, letter.attributes, None)
    assert caught.value.reason == "omitted"
