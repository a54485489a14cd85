"""Changes and events as tests of the codec need them."""

import json
from typing import Any

from hypothesis import strategies as st

from isthmus.change import MAX_LANES, Change, Verb, version_of
from isthmus.codec import Undecodable, decode

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
