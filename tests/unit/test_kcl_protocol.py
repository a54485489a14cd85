"""The protocol of the Kinesis Client Library's daemon: lines to messages, answers to lines."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.consumer.feed import Place, Record
from isthmus.consumer.runtimes.kcl.protocol import (
    SHARD_END,
    CheckpointAnswer,
    Initialize,
    LeaseLost,
    ProcessRecords,
    ShardEnded,
    ShutdownRequested,
    checkpoint,
    decode,
    status,
)
from isthmus.errors import Fatal

PERSON = "Erika Mustermann"


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def item(**other: Any) -> dict[str, Any]:
    return {
        "action": "record",
        "data": base64.b64encode(PERSON.encode()).decode(),
        "partitionKey": "lane-001",
        "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
        "approximateArrivalTimestamp": 1_795_000_000_123,
        "subSequenceNumber": 0,
    } | other


def batch(*items: dict[str, Any]) -> bytes:
    return line(action="processRecords", records=items, millisBehindLatest=3)


@pytest.mark.parametrize(
    "question, meaning",
    [
        (
            line(action="initialize", shardId="s", sequenceNumber="0012", subSequenceNumber=3),
            Initialize("s", "0012", 3),
        ),
        (
            line(action="initialize", shardId="s", sequenceNumber=None, subSequenceNumber=None),
            Initialize("s", None, 0),
        ),
        (line(action="processRecords", records=[], millisBehindLatest=None), ProcessRecords([], None)),
        (line(action="leaseLost"), LeaseLost()),
        (line(action="shardEnded"), ShardEnded()),
        (line(action="shutdownRequested"), ShutdownRequested()),
        (line(action="shutdown", reason="ZOMBIE"), LeaseLost("shutdown")),
        (line(action="shutdown", reason="TERMINATE"), ShardEnded("shutdown")),
        (line(action="shutdown", reason="REQUESTED"), ShutdownRequested("shutdown")),
        (line(action="checkpoint", sequenceNumber="1", subSequenceNumber=0), CheckpointAnswer(None)),
        (
            line(action="checkpoint", sequenceNumber="1", subSequenceNumber=0, error="ThrottlingException"),
            CheckpointAnswer("ThrottlingException"),
        ),
        (line(action="leaseLost", added="by a later version"), LeaseLost()),
    ],
)
def test_every_line_of_the_daemon_has_a_meaning(question: bytes, meaning: object) -> None:
    assert decode(question + b"\n") == meaning


def test_a_shard_begins_after_its_checkpoint_and_nowhere_where_the_library_decides() -> None:
    assert Initialize("s", "0012", 3).begin == Place("0012", 3)
    assert [Initialize("s", word).begin for word in ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", None)] == [None] * 4


def test_records_come_with_their_bytes_and_their_numbers_as_they_came() -> None:
    meaning = decode(batch(item(sequenceNumber="0007", subSequenceNumber=12)))
    assert meaning == ProcessRecords([Record("0007", PERSON.encode(), "lane-001", 1_795_000_000_123, 12)], 3)


@given(st.lists(st.tuples(st.binary(max_size=60), st.text(st.characters(codec="utf-8"), max_size=5))))
def test_any_bytes_and_any_key_come_through(contents: list[tuple[bytes, str]]) -> None:
    meaning = decode(batch(*(item(data=base64.b64encode(data).decode(), partitionKey=key) for data, key in contents)))
    assert isinstance(meaning, ProcessRecords)
    assert [(record.data, record.partition_key) for record in meaning.records] == contents


@pytest.mark.parametrize("odd", ['"\\ud800"', '"\xe9"'])
def test_a_partition_key_that_is_no_unicode_stops_nothing(odd: str) -> None:
    text = batch(item(partitionKey="KEY")).decode().replace('"KEY"', odd).encode("latin-1")
    meaning = decode(text)
    assert isinstance(meaning, ProcessRecords)
    assert meaning.records[0].data == PERSON.encode()


def test_what_an_old_library_leaves_out_of_a_record_is_nothing() -> None:
    sparse = item(data=None, approximateArrivalTimestamp=None)
    del sparse["subSequenceNumber"]
    meaning = decode(batch(sparse))
    assert isinstance(meaning, ProcessRecords)
    assert meaning.records[0][1:] == (b"", "lane-001", 0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\n",
        b"nonsense",
        b"[" * 100_000,
        line(records=PERSON),
        line(action=PERSON),
        line(action=7),
        line(action="initialize", shardId=PERSON, sequenceNumber=7),
        line(action="initialize"),
        line(action="shutdown", reason=PERSON),
        line(action="shutdown"),
        line(action="processRecords"),
        line(action="checkpoint", error=[PERSON]),
        batch(item(data=PERSON)),
        batch(item(data="Zm9v\nZm9v")),
        batch(item(sequenceNumber=None)),
        batch(item(sequenceNumber=f"7 {PERSON}")),
        batch(item(sequenceNumber="")),
        batch(item(sequenceNumber="SHARD_END")),
        batch(item(subSequenceNumber=-1)),
        batch(item(subSequenceNumber=PERSON)),
        batch(item())[:-9],
        f'"{PERSON}"'.encode(),
    ],
)
def test_what_is_no_message_is_refused_without_a_word_of_it(wrong: bytes) -> None:
    with pytest.raises(Fatal) as caught:
        decode(wrong)
    told = [str(caught.value), repr(caught.value.__cause__), repr(caught.value.__suppress_context__)]
    assert not any(part in text for text in told for part in ("Erika", base64.b64encode(PERSON.encode()).decode()[:8]))


def test_a_checkpoint_says_its_place_in_the_daemons_own_words() -> None:
    told = json.loads(checkpoint(Place("00049", 3)))
    assert told == {"action": "checkpoint", "sequenceNumber": "00049", "subSequenceNumber": 3}


def test_no_checkpoint_is_bare_not_even_the_shards_end() -> None:
    assert json.loads(checkpoint(SHARD_END))["sequenceNumber"] == "SHARD_END"


def test_a_status_names_its_question() -> None:
    assert json.loads(status("leaseLost")) == {"action": "status", "responseFor": "leaseLost"}


def test_places_compare_as_numbers() -> None:
    mixed = [Place("10", 2), Place("9", 0), Place("11", 0), Place("0010", 1), Place("10", 0)]
    ordered = [Place("9", 0), Place("10", 0), Place("0010", 1), Place("10", 2), Place("11", 0)]
    assert sorted(mixed, key=lambda place: place.order) == ordered
