"""Changes on the wire: round trips and bombs."""

import json
import subprocess
import sys
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.change import MAX_LANES, Change, Kind, Verb, version_of
from isthmus.codec import Limits, NotJson, Undecodable, bundle, canonical, decode, encode, json_bytes, json_value
from tests.fakes.plain import plain
from tests.fakes.wire import FLIGHT, FOREIGN, MARKER, change_of, changes, data


@settings(deadline=None)
@given(changes)
def test_a_change_comes_back_as_it_went(change: Change) -> None:
    found = change_of(encode(change))

    assert found._replace(data=plain(found.data)) == change._replace(data=plain(change.data))
    assert encode(found) == encode(change)


@settings(deadline=None)
@given(st.lists(changes, max_size=5))
def test_a_bundle_gives_its_changes_in_their_order(several: list[Change]) -> None:
    found = decode(bundle([encode(change) for change in several]))

    assert found == [change_of(encode(change)) for change in several]


def test_an_event_that_waits_takes_the_memory_of_its_text() -> None:
    encode(FLIGHT)
    tracemalloc.start()
    try:
        events = [encode(FLIGHT) for _ in range(100)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 1.5 * sum(len(event) for event in events)


@settings(deadline=None)
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
        {"data": [Ellipsis]},
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


# bombs


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(record: bytes) -> None:
    for found in decode(record):
        assert isinstance(found, Change | Undecodable)


@settings(deadline=None)
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


@settings(deadline=None)
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
import tracemalloc
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
