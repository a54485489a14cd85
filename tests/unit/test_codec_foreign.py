"""Events that others wrote, and what is no change."""

import json
from typing import Any

import pytest

from isthmus.change import Change, Verb, lane_partition_key, version_of
from isthmus.codec import Undecodable, bundle, decode, encode, json_bytes, json_value
from tests.fakes.wire import FLIGHT, FOREIGN, change_of, refusal_of


def test_a_foreign_event_needs_no_more_than_subject_and_sequence() -> None:
    assert change_of(FOREIGN) == Change("A-1", "/erp", "flight", Verb.UPSERT, "flight/1", version_of(0, 12), -1, 0, "")


def test_foreign_attributes_travel_along() -> None:
    foreign = FOREIGN | {
        "tenant": "north",
        "weight": 3,
        "urgent": True,
        "partitionkey": "customer-17",
        "datacontenttype": "application/json; charset=utf-8",
        "data": {"a": 1},
    }
    change = change_of(foreign)

    assert change.lane == -1
    assert change.extensions == {
        "tenant": "north",
        "weight": 3,
        "urgent": True,
        "partitionkey": "customer-17",
        "datacontenttype": "application/json; charset=utf-8",
    }
    assert json.loads(encode(change, prefix="com.acme")) == foreign | {"sequence": version_of(0, 12)}


@pytest.mark.parametrize(
    "kept", [{"partitionkey": "customer-17"}, {"datacontenttype": "text/json"}, {"tenant": "north"}], ids=repr
)
def test_each_foreign_attribute_is_kept_by_itself(kept: dict[str, Any]) -> None:
    assert change_of(FOREIGN | {"data": 1} | kept).extensions == kept
    assert change_of(FOREIGN | {"data": 1, "x": None} | kept).extensions == kept


def test_binary_data_travels_along_as_it_is_written() -> None:
    foreign = FOREIGN | {"data_base64": "AP8=", "datacontenttype": "application/octet-stream"}
    change = change_of(foreign)

    assert change.data is None
    assert change.extensions == {"data_base64": "AP8=", "datacontenttype": "application/octet-stream"}
    assert json.loads(encode(change, prefix="com.acme")) == foreign | {"sequence": version_of(0, 12)}


def test_the_content_type_of_data_that_is_not_there_is_kept() -> None:
    assert change_of(FOREIGN | {"datacontenttype": "application/json"}).extensions == {
        "datacontenttype": "application/json"
    }
    assert change_of(FOREIGN | {"datacontenttype": "application/json", "data": 1}).extensions is None


def test_an_attribute_that_is_null_is_not_there() -> None:
    nulls = dict.fromkeys(["time", "partitionkey", "epoch", "rowhash", "dataschema", "datacontenttype", "data", "x"])

    assert change_of(FOREIGN | nulls) == change_of(FOREIGN)


@pytest.mark.parametrize("lane", [0, 7, 255])
def test_a_lane_is_read_from_its_partition_key(lane: int) -> None:
    change = change_of(FOREIGN | {"partitionkey": lane_partition_key(lane)})

    assert (change.lane, change.extensions) == (lane, None)


@pytest.mark.parametrize("name", ["lane-256", "lane-5", "lane-\u0660\u0660\u0661", "LANE-001", "lane-0001"])
def test_what_is_no_lane_is_lane_minus_one_and_kept(name: str) -> None:
    change = change_of(FOREIGN | {"partitionkey": name})

    assert (change.lane, change.extensions) == (-1, {"partitionkey": name})


@pytest.mark.parametrize("sequence", ["", "-1", "1.0", "0x1", "٣", " 1", "1_0", "²", "1" * 39, "٣" * 38])
def test_a_sequence_that_is_no_version_is_refused(sequence: str) -> None:
    assert refusal_of(FOREIGN | {"sequence": sequence}).reason == "no-version"


def test_a_missing_sequence_is_refused() -> None:
    for missing in ({}, {"sequence": None}):
        event = {name: value for name, value in FOREIGN.items() if name != "sequence"} | missing
        assert refusal_of(event).reason == "no-version"


def test_a_sequence_of_38_digits_is_the_version() -> None:
    assert change_of(FOREIGN | {"sequence": "9" * 38}).version == "9" * 38


def test_numbers_of_foreign_events_stay_exact() -> None:
    record = json.dumps(FOREIGN)[:-1] + ', "data": {"a": 18446744073709551616, "b": 1.10, "c": 1E400, "d": -0}}'

    data = change_of(record.encode()).data

    assert data["a"] == 2**64
    assert [str(data[name]) for name in "abcd"] == ["18446744073709551616", "1.10", "1E+400", "-0"]


def test_digits_in_text_do_not_look_like_numbers() -> None:
    text = "38 digits: 00000000000000000000000000000000000077, [1.10, -0, 1E400] :18446744073709551616"

    assert change_of(FOREIGN | {"data": {"t": text}}).data == {"t": text}


# what is no change


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject"])
@pytest.mark.parametrize("wrong", ["missing", "", None, 1, True, [], {}, 1.5])
def test_an_event_without_a_required_attribute_is_refused(name: str, wrong: object) -> None:
    event = {other: value for other, value in FOREIGN.items() if other != name}
    refusal = refusal_of(event if wrong == "missing" else event | {name: wrong})

    assert refusal.reason == "not-an-event"


@pytest.mark.parametrize(
    "name",
    "time datacontenttype dataschema sequence partitionkey epoch rowhash sourcekey traceparent dataref".split(),  # noqa: SIM905 - one line for ten words
)
@pytest.mark.parametrize("wrong", [1, True, [], {}, 1.5, {"a": None}])
def test_an_attribute_of_a_wrong_type_is_refused_and_named(name: str, wrong: object) -> None:
    refusal = refusal_of(FOREIGN | {name: wrong})

    assert (refusal.reason, refusal.message) == ("not-an-event", f"{name} is no string")


@pytest.mark.parametrize("version", ["0.3", "1.1", "1"])
def test_another_version_of_cloudevents_is_refused(version: str) -> None:
    assert refusal_of(FOREIGN | {"specversion": version}).reason == "not-an-event"


@pytest.mark.parametrize(
    "kind",
    [
        "upsert",
        ".upsert",
        "flight.",
        "flight.created",
        "a.flight.UPSERT",
        "a.epoch.upsert",
        "a.flight.marker",
        "..",
        "x" * 999,
    ],
)
def test_a_type_without_entity_and_verb_is_refused(kind: str) -> None:
    assert refusal_of(FOREIGN | {"type": kind}).reason == "not-an-event"


def test_a_long_type_is_read_and_not_remembered() -> None:
    from isthmus import codec  # noqa: PLC0415 - only this test looks inside

    before = codec._words.cache_info().currsize

    assert change_of(FOREIGN | {"type": "a." * 500 + "flight.upsert"}).entity == "flight"
    assert codec._words.cache_info().currsize == before


@pytest.mark.parametrize("epoch", ["", "-1", "1.0", "jurassic", "٣", "1_0", "1" * 19])
def test_an_epoch_that_is_no_number_is_refused(epoch: str) -> None:
    assert refusal_of(FOREIGN | {"epoch": epoch}).reason == "not-an-event"


def test_a_foreign_marker_may_have_a_subject_and_any_sequence() -> None:
    marker = FOREIGN | {"type": "isthmus.epoch.marker", "epoch": "7"}

    assert change_of(marker | {"sequence": "none"}) == change_of(marker)._replace(version="")
    assert change_of(marker).epoch == 7


@pytest.mark.parametrize("element", [None, 1, "a", [], [FOREIGN], {}, {"specversion": "1.0"}])
def test_a_bad_element_leaves_the_rest_of_its_batch_good_and_in_order(element: object) -> None:
    good = [encode(FLIGHT._replace(id=str(number))) for number in range(3)]

    found = decode(bundle([good[0], json_bytes(element), good[1], json_bytes(element), good[2]]))

    assert [change.id for change in found if isinstance(change, Change)] == ["0", "1", "2"]
    for place in (1, 3):
        refusal = found[place]
        assert isinstance(refusal, Undecodable)
        assert (refusal.reason, json_value(refusal.data)) == ("not-an-event", element)


def test_a_bad_element_is_handed_over_exactly() -> None:
    element = b'{"id":"1","n":18446744073709551616,"p":1.10,"z":-0,"null":null}'

    (refusal,) = decode(b" [" + element + b"]")

    assert isinstance(refusal, Undecodable)
    assert refusal.data == element


def test_a_record_that_is_no_event_is_handed_over_whole() -> None:
    for record in (b"1 ", b' "a"', b"null", b' {"a": 1}', b"\x00\xff", b"", b'{"a":1', b"NaN"):
        (refusal,) = decode(record)
        assert isinstance(refusal, Undecodable)
        assert refusal.data is record


def test_an_empty_batch_holds_nothing() -> None:
    assert decode(b"[]") == decode(b" [ ] ") == []


def test_refusals_say_nothing_of_the_content() -> None:
    for name in FOREIGN:
        for wrong in ("secret", 4711, ["secret"]):
            for found in decode(json.dumps([FOREIGN | {name: wrong, "epoch": "secret"}]).encode()):
                assert isinstance(found, Undecodable)
                assert "secret" not in found.message
                assert "4711" not in found.message


def test_the_last_of_two_attributes_of_one_name_counts() -> None:
    record = encode(FLIGHT)

    assert change_of(record[:-1] + b',"id":"second"}').id == "second"
