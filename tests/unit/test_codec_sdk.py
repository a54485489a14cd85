"""The wire form beside the official CloudEvents SDK, in both directions."""

import json
from datetime import UTC, datetime
from typing import Any

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.change import Change, Verb, version_of
from isthmus.clock import from_rfc3339, rfc3339
from isthmus.codec import bundle, decode, encode

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
data = st.dictionaries(
    text,
    st.none() | st.booleans() | text | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    max_size=5,
)
times = st.integers(0, 4_000_000_000_000).map(rfc3339)
changes = st.builds(
    Change,
    id=text,
    source=text,
    entity=st.just("flight"),
    verb=st.sampled_from([Verb.UPSERT, Verb.DELETE, Verb.EVENT, Verb.UNTRANSLATED]),
    key=text,
    version=st.builds(version_of, st.integers(0, 10**8 - 1), st.integers(0, 10**30 - 1)),
    lane=st.integers(0, 255),
    epoch=st.integers(1, 10**18 - 1),
    time=times,
    data=st.none() | data,
    rowhash=st.just("") | text,
    sourcekey=st.just("") | text,
    dataschema=st.just("") | text,
    traceparent=st.just("") | text,
    dataref=st.just("") | text,
    extensions=st.none() | st.dictionaries(st.sampled_from(["tenant", "x1"]), text | st.integers(), min_size=1),
)
markers = st.builds(
    lambda lane, epoch, time: Change("m", "flights", "epoch", Verb.MARKER, "", "", lane, epoch, time),
    st.integers(0, 255),
    st.integers(1, 10**18 - 1),
    times,
)


@settings(deadline=None)
@given(changes | markers)
def test_the_sdk_reads_what_is_written(change: Change) -> None:
    event = JSONFormat().read(None, encode(change))

    assert isinstance(event, CloudEvent)
    assert (event.get_id(), event.get_source(), event.get_subject()) == (change.id, change.source, change.key or None)
    assert event.get_type() == f"isthmus.{change.entity}.{change.verb}"
    moment = event.get_time()
    assert moment is not None
    assert round(moment.timestamp() * 1000) == from_rfc3339(change.time)
    assert event.get_data() == change.data
    assert event.get_dataschema() == (change.dataschema or None)
    assert event.get_extension("sequence") == (change.version or None)
    assert event.get_extension("partitionkey") == f"lane-{change.lane:03d}"
    assert event.get_extension("epoch") == str(change.epoch)
    for name in ("rowhash", "sourcekey", "traceparent", "dataref"):
        assert event.get_extension(name) == (getattr(change, name) or None)
    for name, value in (change.extensions or {}).items():
        assert event.get_extension(name) == value


@settings(deadline=None)
@given(changes | markers)
def test_what_the_sdk_writes_again_is_read_as_the_same_change(change: Change) -> None:
    written = JSONFormat().write(JSONFormat().read(None, encode(change)))

    (found,) = decode(written)

    assert isinstance(found, Change)
    assert from_rfc3339(found.time) == from_rfc3339(change.time)
    assert found._replace(time=change.time) == change


@settings(deadline=None)
@given(st.lists(changes, min_size=1, max_size=3))
def test_each_element_of_a_bundle_is_an_event_for_the_sdk(several: list[Change]) -> None:
    elements = json.loads(bundle([encode(change) for change in several]))

    assert [JSONFormat().read(None, json.dumps(element)).get_id() for element in elements] == [
        change.id for change in several
    ]


@settings(deadline=None)
@given(st.binary(min_size=1) | text | data)
def test_an_event_made_by_the_sdk_alone_is_read(payload: Any) -> None:
    moment = datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    attributes = {
        "id": "1",
        "source": "/erp",
        "type": "com.acme.flight.upsert",
        "subject": "k",
        "time": moment,
        "sequence": "12",
        "tenant": "north",
    }

    (found,) = decode(JSONFormat().write(CloudEvent(attributes, payload)))

    assert isinstance(found, Change)
    assert (found.entity, found.verb, found.key, found.lane) == ("flight", Verb.UPSERT, "k", -1)
    assert (found.version, found.time) == (version_of(0, 12), "2013-01-01T10:15:00Z")
    again = JSONFormat().read(None, encode(found, prefix="com.acme"))
    assert again.get_data() == payload
    assert again.get_extension("tenant") == "north"
