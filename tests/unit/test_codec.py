"""Changes on the wire: round trips, foreign events, what is no change."""

import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.change import MAX_LANES, Change, Kind, Verb, lane_partition_key, version_of
from isthmus.codec import Limits, NotJson, Undecodable, bundle, canonical, decode, encode, json_bytes, json_value
from tests.fakes.plain import plain

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
some = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
numbers = st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False)
data = st.recursive(
    st.none() | st.booleans() | text | numbers | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=8,
)
names = st.from_regex(r"[a-z][a-z0-9]{0,12}", fullmatch=True).map(lambda name: f"x{name}")
changes = st.builds(
    Change,
    id=some,
    source=some,
    entity=st.sampled_from(["flight", "booking", "a_b"]),
    verb=st.sampled_from([Verb.UPSERT, Verb.DELETE, Verb.EVENT, Verb.UNTRANSLATED]),
    key=some,
    version=st.builds(version_of, st.integers(0, 10**8 - 1), st.integers(0, 10**30 - 1)),
    lane=st.integers(-1, MAX_LANES - 1),
    epoch=st.integers(0, 10**18 - 1),
    time=text,
    data=data,
    rowhash=text,
    sourcekey=text,
    dataschema=text,
    traceparent=text,
    dataref=text,
    extensions=st.none() | st.dictionaries(names, some | st.integers() | st.booleans(), min_size=1, max_size=3),
)

FLIGHT = Change(
    id="0123456789abcdef0123456789abcdef",
    source="flights",
    entity="flight",
    verb=Verb.UPSERT,
    key="flight/UA1545/2013-01-01/EWR",
    version=version_of(0, 77),
    lane=5,
    epoch=1_755_000_000,
    time="2013-01-01T10:15:00.250Z",
    data={"carrier_code": "UA", "flight_number": 1545, "actual_departure": None},
    rowhash="00112233445566778899aabbccddeeff",
    sourcekey='["UA",1545,20130101,"EWR"]',
    dataschema="flight/1",
)
MARKER = Change("m1", "flights", "epoch", Verb.MARKER, "", "", 3, 42, "2013-01-01T10:15:00Z")
FOREIGN: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A-1",
    "source": "/erp",
    "type": "com.acme.flight.upsert",
    "subject": "flight/1",
    "sequence": "12",
}


def one(event: object) -> Change | Undecodable:
    found = decode(event if isinstance(event, bytes) else json.dumps(event).encode())
    assert len(found) == 1
    return found[0]


def change_of(event: object) -> Change:
    found = one(event)
    assert isinstance(found, Change), found
    return found


def refusal_of(event: object) -> Undecodable:
    found = one(event)
    assert isinstance(found, Undecodable), found
    return found


# there and back


@given(changes)
def test_a_change_comes_back_as_it_went(change: Change) -> None:
    found = change_of(encode(change))

    assert found._replace(data=plain(found.data)) == change._replace(data=plain(change.data))
    assert encode(found) == encode(change)


@given(st.lists(changes, max_size=5))
def test_a_bundle_gives_its_changes_in_their_order(several: list[Change]) -> None:
    found = decode(bundle([encode(change) for change in several]))

    assert found == [change_of(encode(change)) for change in several]


@given(changes, st.integers(0, 3))
def test_the_layout_of_an_event_does_not_change_what_is_read(change: Change, indent: int) -> None:
    record = encode(change)
    event = json_value(record)
    relaid = b" " * indent + json_bytes({name: event[name] for name in reversed(event)}) + b"\n"

    assert change_of(relaid) == change_of(record)
    assert repr(change_of(relaid).data) == repr(change_of(record).data)


def test_the_wire_form_is_as_documented() -> None:
    assert json.loads(encode(FLIGHT)) == {
        "specversion": "1.0",
        "id": "0123456789abcdef0123456789abcdef",
        "source": "flights",
        "type": "isthmus.flight.upsert",
        "subject": "flight/UA1545/2013-01-01/EWR",
        "time": "2013-01-01T10:15:00.250Z",
        "datacontenttype": "application/json",
        "dataschema": "flight/1",
        "sequence": "00000000000000000000000000000000000077",
        "partitionkey": "lane-005",
        "epoch": "1755000000",
        "rowhash": "00112233445566778899aabbccddeeff",
        "sourcekey": '["UA",1545,20130101,"EWR"]',
        "data": {"carrier_code": "UA", "flight_number": 1545, "actual_departure": None},
    }


def test_what_is_empty_is_not_written() -> None:
    gone = Change("1", "flights", "flight", Verb.DELETE, "k", version_of(0, 1), -1, 0, "")

    assert set(json.loads(encode(gone))) == {"specversion", "id", "source", "type", "subject", "sequence"}


def test_a_marker_has_neither_subject_nor_sequence() -> None:
    event = json.loads(encode(MARKER))

    assert event["type"] == "isthmus.epoch.marker"
    assert not {"subject", "sequence", "data"} & set(event)
    assert change_of(encode(MARKER)) == MARKER


def test_a_claim_check_carries_no_data() -> None:
    claimed = FLIGHT._replace(data=None, dataref="s3://bucket/payload/00")

    assert "data" not in json.loads(encode(claimed))
    assert change_of(encode(claimed)) == claimed


def test_data_at_hand_goes_in_as_it_is() -> None:
    encoded = encode(FLIGHT._replace(data="not looked at"), data=b'{"price":1.10,"n":18446744073709551616}')

    assert b'"data":{"price":1.10,"n":18446744073709551616}' in encoded
    assert change_of(encoded).data == {"price": Decimal("1.10"), "n": 2**64}


@pytest.mark.parametrize("prefix, kind", [("", "flight.upsert"), ("com.acme", "com.acme.flight.upsert")])
def test_any_prefix_is_written_and_read(prefix: str, kind: str) -> None:
    encoded = encode(FLIGHT, prefix=prefix)

    assert json.loads(encoded)["type"] == kind
    assert change_of(encoded) == FLIGHT


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"source": ""},
        {"key": ""},
        {"version": ""},
        {"version": "77"},
        {"entity": ""},
        {"entity": "a.b"},
        {"entity": "epoch"},
        {"verb": Verb.MARKER},
        {"lane": MAX_LANES},
        {"epoch": -1},
        {"epoch": 10**18},
        {"id": "\ud800"},
        {"key": "\ud800"},
        {"time": Decimal(1)},
        {"data": {"a": "\ud800"}},
        {"data": float("nan")},
        {"data": [object()]},
        {"extensions": {"id": "2"}},
        {"extensions": {"rowhash": "2"}},
        {"extensions": {"partitionkey": "2"}},
        {"extensions": {"x": float("nan")}},
    ],
    ids=repr,
)
def test_what_would_not_be_read_back_is_not_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - every error of this type is a refusal
        encode(FLIGHT._replace(**wrong))


def test_the_deepest_data_that_is_written_is_read_in_a_bundle() -> None:
    def nested(levels: int) -> Any:
        value: Any = []
        for _ in range(levels - 1):
            value = [value]
        return value

    for place in ("data", "extensions"):
        deepest = FLIGHT._replace(**{place: nested(62) if place == "data" else {"x": nested(62)}})
        assert decode(bundle([encode(deepest)])) == [deepest]
        with pytest.raises(ValueError, match="too deep"):
            encode(FLIGHT._replace(**{place: nested(63) if place == "data" else {"x": nested(63)}}))
    with pytest.raises(ValueError, match="too deep"):
        encode(FLIGHT, data=json_bytes(nested(63)))


# foreign events


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


# bombs


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(record: bytes) -> None:
    for found in decode(record):
        assert isinstance(found, Change | Undecodable)


@given(changes, st.data())
def test_damaged_records_never_raise(change: Change, draw: st.DataObject) -> None:
    record = bytearray(bundle([encode(change)] * 2))
    for _ in range(draw.draw(st.integers(1, 4))):
        record[draw.draw(st.integers(0, len(record) - 1))] = draw.draw(st.sampled_from(b'"\\[]{},:-0.eE1n\xff\x00'))
    for found in decode(bytes(record)):
        assert isinstance(found, Change | Undecodable)


json_like = st.recursive(
    data,
    lambda inner: st.dictionaries(st.sampled_from([*FOREIGN, "epoch", "data", "time"]), inner, max_size=4),
    max_leaves=4,
)


@given(st.lists(json_like | json_like.map(lambda part: FOREIGN | part if isinstance(part, dict) else part), max_size=2))
def test_events_of_any_shape_never_raise(elements: list[Any]) -> None:
    assert len(decode(json_bytes(elements))) == len(elements)


@pytest.mark.parametrize(
    "record, reason",
    [
        (b"[" * 1_000_000, "too-deep"),
        (b"[" * 65 + b"]" * 65, "too-deep"),
        (encode(FLIGHT)[:-1] + b',"x":' + b'{"a":' * 64 + b"1" + b"}" * 65, "too-deep"),
        (b'"' + b"a" * 10 * 1024 * 1024 + b'"', "too-large"),
        (b"[" + b"{}," * 600_000 + b"{}]", "too-large"),
        (b"[" + b"1," * 10_000 + b"1]", "too-many"),
        (b"9" * 100_000, "number-too-long"),
    ],
    ids=["open", "nested", "in an event", "long", "containers", "events", "digits"],
)
def test_bombs_are_refused(record: bytes, reason: str) -> None:
    (refusal,) = decode(record)

    assert isinstance(refusal, Undecodable)
    assert (refusal.reason, refusal.data) == (reason, record)


def test_limits_can_be_set() -> None:
    record = bundle([encode(FLIGHT)] * 3)

    assert len(decode(record, Limits(max_events=3, max_depth=3, max_bytes=len(record)))) == 3
    for limits in (Limits(max_events=2), Limits(max_depth=2), Limits(max_bytes=len(record) - 1)):
        assert isinstance(decode(record, limits)[0], Undecodable)


MEASURE = """
import sys
from isthmus.codec import decode
filler = bytes.fromhex(sys.argv[1])
record = b"[" + filler * (int(sys.argv[2]) // len(filler)) + b"1]"
def most():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
before = most()
print(decode(record)[0].reason, most() - before)
"""


@pytest.mark.parametrize("filler", [b"[[],[]],", b'{"":1},', b"0.1,", b'"ab",', b"1E9,"], ids=repr)
def test_a_wide_record_is_read_or_refused_in_bounded_memory(filler: bytes) -> None:
    # In a process of its own: only the operating system sees what orjson really touches.
    length = 5 * 1024 * 1024
    command = [sys.executable, "-c", MEASURE, filler.hex(), str(length)]
    reason, grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    assert reason in {"too-large", "too-many"}
    assert int(grown) < 35 * length


def test_other_modules_find_the_exact_json_here() -> None:
    assert json_value(json_bytes({"a": Decimal("1.10")})) == {"a": Decimal("1.10")}
    assert canonical({"b": 1, "a": 2}) == b'{"a":2,"b":1}'
    assert issubclass(NotJson, ValueError)
    assert Kind("state") is Kind.STATE
