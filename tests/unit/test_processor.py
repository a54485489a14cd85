"""The shard processor: bytes in, outcomes out, checkpoint out."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from isthmus.attempts import AttemptsByPart
from isthmus.change import Kind, Verb
from isthmus.codec import decode, encode
from isthmus.consumer.applier import Applier
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.consumer.stores.port import Entity
from isthmus.errors import Fatal, TargetDown, Transient
from isthmus.lifecycle import Stopped
from tests.fakes.processor_desk import NotingPayloads, ProcessorDesk, change, raw_record, record
from tests.fakes.sqlite_office import SqliteOffice

NESTED = 70
"""More levels than a document may have."""


@pytest.fixture
def desk() -> ProcessorDesk:
    return ProcessorDesk()


# Groups and progress


def test_nothing_at_all_is_no_progress(desk: ProcessorDesk) -> None:
    desk.process()
    assert desk.processor.position() is None
    assert desk.applier.batches == []


def test_whole_records_are_decided_together_until_a_batch_is_full(desk: ProcessorDesk) -> None:
    desk.process(*[record(n, change(n, "a"), change(n, "b")) for n in range(1, 6)])
    assert [[delivered.sequence for delivered in batch] for batch in desk.applier.batches] == [
        ["1", "1", "2", "2"],
        ["3", "3", "4", "4"],
        ["5", "5"],
    ]
    assert desk.processor.position() == "5"


def test_a_bundle_larger_than_a_batch_is_not_cut(desk: ProcessorDesk) -> None:
    desk.process(record(1, *[change(n) for n in range(1, 11)]))
    assert [len(batch) for batch in desk.applier.batches] == [10]


def test_the_position_moves_only_when_all_of_a_record_is_durable(desk: ProcessorDesk) -> None:
    seen: list[str | None] = []
    desk.applier.after = lambda: seen.append(desk.processor.position())
    desk.process(*[record(n, change(n)) for n in range(1, 10)])
    assert seen == [None, "3", "6"]


def test_a_record_without_changes_is_passed_in_its_turn(desk: ProcessorDesk) -> None:
    desk.process(record(1, change(1)), record(2), record(3))
    assert desk.processor.position() == "3"
    assert len(desk.applier.batches) == 1
    desk.process(record(4))
    assert desk.processor.position() == "4"


def test_a_sequence_number_is_given_back_as_it_came(desk: ProcessorDesk) -> None:
    desk.process(record("000000000000000000000000000012", change(1)))
    assert desk.processor.position() == "000000000000000000000000000012"


# Counting


def test_outcomes_are_counted_on_top_of_what_was_counted_before(desk: ProcessorDesk) -> None:
    desk.process(record(1, change(1), change(2)), raw_record(2, b"no json"))
    assert desk.processor.counts() == {"stale": 4, "applied": 2, "parked": 1}
    assert desk.metrics.outcomes.labels("shard-0", "applied")._value.get() == 2
    assert desk.metrics.records.labels("shard-0")._value.get() == 2


def test_freshness_runs_from_the_changes_own_time_and_never_fails(desk: ProcessorDesk) -> None:
    desk.clock.move(1.5)
    times = (
        "2013-01-01T00:00:00Z",
        "2014-01-01T00:00:00Z",
        "",
        "nonsense",
        "2013-01-01T00:00:00",
        "0001-01-01T00:00:00+23:59",
    )
    desk.process(record(1, *[change(n, time=time) for n, time in enumerate(times)]))
    assert desk.processor.position() == "1"
    samples = {sample.name: sample.value for metric in desk.metrics.freshness.collect() for sample in metric.samples}
    assert samples["isthmus_freshness_seconds_count"] == 3


# The store away


def test_a_transient_error_is_tried_again_in_place_and_counts_nothing_twice(desk: ProcessorDesk) -> None:
    desk.applier.errors = [Transient("busy", cause="busy"), TargetDown("away", cause="disk-full"), TargetDown("away")]
    with capture_logs() as logs:
        desk.process(record(1, change(1)), record(2, change(2)))
    assert desk.processor.counts() == {"stale": 4, "applied": 2}
    assert desk.processor.position() == "2"
    assert len(desk.stop.waits) == 3
    assert [entry["event"] for entry in logs] == ["front_office_away", "front_office_back"]
    assert desk.metrics.retries.labels("front_office", "busy")._value.get() == 1


def test_a_stop_while_the_store_is_away_claims_nothing(desk: ProcessorDesk) -> None:
    desk.process(record(1, change(1)))
    desk.applier.errors = [TargetDown("away")] * 1000
    desk.clock.at(60, desk.stop.request)
    with pytest.raises(Stopped):
        desk.process(record(2, change(2)))
    assert desk.processor.position() == "1"
    assert desk.processor.counts() == {"stale": 4, "applied": 1}


def test_a_stop_ends_between_two_groups_and_what_is_decided_stays_claimed(desk: ProcessorDesk) -> None:
    desk.applier.after = desk.stop.request
    with pytest.raises(Stopped):
        desk.process(*[record(n, change(n)) for n in range(1, 8)])
    assert desk.processor.position() == "3"
    assert len(desk.delivered()) == 3


def test_a_stop_that_comes_with_the_last_group_finds_everything_done(desk: ProcessorDesk) -> None:
    desk.applier.after = desk.stop.request
    desk.process(record(1, change(1)))
    assert desk.processor.position() == "1"


def test_what_no_repeat_mends_ends_it_and_nothing_is_claimed(desk: ProcessorDesk) -> None:
    desk.applier.errors = [Fatal("no table")]
    with pytest.raises(Fatal):
        desk.process(record(1, change(1)))
    assert desk.processor.position() is None


# What is no change


@pytest.mark.parametrize("data", [b"", b"\xff\0", b"{", b"7", b"[" * NESTED + b"]" * NESTED, b'{"id":"x"}'])
def test_a_record_that_cannot_be_read_is_parked_with_its_exact_bytes(desk: ProcessorDesk, data: bytes) -> None:
    desk.process(raw_record(12, data))
    delivered = desk.only()
    assert (delivered.change.key, delivered.raw) == ("~record/shard-0/12/0", data)
    assert delivered.change.verb is Verb.UNTRANSLATED
    assert not delivered.decoded
    assert desk.processor.position() == "12"


def test_one_bad_element_leaves_the_rest_of_its_bundle_good(desk: ProcessorDesk) -> None:
    desk.process(record(5, change(1), b'{"specversion":"1.0","n":1.10}', b"null", change(2)))
    keys = [delivered.change.key for delivered in desk.delivered()]
    assert keys == ["k", "~record/shard-0/5/1", "~record/shard-0/5/2", "k"]
    assert [delivered.raw for delivered in desk.delivered()] == [None, b'{"specversion":"1.0","n":1.10}', b"null", None]


def test_the_same_bytes_come_back_to_the_same_place_and_others_do_not() -> None:
    changes = []
    for data in (b"one", b"one", b"two"):
        desk = ProcessorDesk()
        desk.process(raw_record(1, data))
        changes.append(desk.only().change)
    assert changes[0] == changes[1]
    assert changes[0].key == changes[2].key
    assert changes[0].id != changes[2].id


@pytest.mark.parametrize(
    "bad",
    [
        change(1, "k" * 1025),
        change(1, "a\0b"),
        change(1, id="a\0b"),
        change(1, id="i" * 1025),
        change(1, source="s\0"),
        change(1, time="\0"),
        change(1, "~raw/flights/1"),
        change(1, "~record/shard-0/9/0"),
        change(1, "~record/shard-0/9/0", verb=Verb.UNTRANSLATED),
    ],
)
def test_a_name_that_a_store_cannot_hold_or_that_is_ours_is_parked_as_it_came(desk: ProcessorDesk, bad: object) -> None:
    assert isinstance(bad, type(change(1)))
    desk.process(record(1, change(1), bad), raw_record(2, encode(bad)))
    _, inside, alone = desk.delivered()
    assert (inside.change.key, alone.change.key) == ("~record/shard-0/1/1", "~record/shard-0/2/0")
    assert inside.raw == alone.raw == encode(bad)


def test_what_the_producer_could_not_name_keeps_the_key_that_it_made(desk: ProcessorDesk) -> None:
    unnamed = change(1, "~raw/flights/1", verb=Verb.UNTRANSLATED)
    desk.process(record(1, unnamed))
    assert desk.only().change == unnamed


def test_an_event_that_is_its_own_record_keeps_its_exact_bytes(desk: ProcessorDesk) -> None:
    data = (
        b' {"specversion": "1.0", "id": "i", "source": "s", "type": "a.thing.upsert", "subject": "k", "sequence": "1"}'
    )
    desk.process(raw_record(1, data))
    assert desk.only().raw == data
    assert desk.only().decoded


def test_a_marker_is_passed_on_and_one_of_a_source_that_no_store_can_name_is_left_out(desk: ProcessorDesk) -> None:
    marker = change(1, "", entity="epoch", verb=Verb.MARKER, epoch=3, dataref="s3://b/x", data=None)
    desk.process(record(1, marker, marker._replace(source="a\0b")))
    assert desk.only().change == marker
    assert desk.processor.counts() == {"stale": 4}


NAMES = st.sampled_from(["id", "source", "specversion", "type", "subject", "sequence", "data", "dataref", "epoch"])
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.text(), st.integers(-(2**53), 2**53), st.just("1.0"), st.just("a.b.upsert")),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=12,
).map(orjson.dumps)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(), DOCUMENTS), min_size=1, max_size=8))
def test_no_bytes_stop_it_and_none_are_dropped(contents: list[bytes]) -> None:
    desk = ProcessorDesk()
    desk.process(*[raw_record(n, data) for n, data in enumerate(contents)])
    assert desk.processor.position() == str(len(contents) - 1)
    delivered = Counter(int(delivered.sequence) for delivered in desk.delivered())
    assert delivered == Counter({n: len(decode(data)) for n, data in enumerate(contents) if decode(data)})


# On a real store


def test_what_cannot_be_read_is_parked_once_however_often_it_comes(tmp_path: Path) -> None:
    office, desk = SqliteOffice(tmp_path), ProcessorDesk(payloads=NotingPayloads({}))
    entity = Entity("thing", Kind.STATE, None, None)
    deep = {
        "specversion": "1.0",
        "id": "i",
        "source": "s",
        "type": "a.thing.upsert",
        "subject": "deep",
        "sequence": "1",
    }
    alone = orjson.dumps(deep)[:-1] + b',"data":' + b"[" * 63 + b"]" * 63 + b"}"
    records = [
        raw_record(1, b"\xff\0"),
        raw_record(1, b"other bytes, in a stream made anew"),
        record(2, b"null", change(1), change(2, "claim", data=None, dataref="s3://b/x"), change(1, "k" * 1025)),
        raw_record(3, alone.replace(b"thing", b"unknown")),
    ]
    with closing(office.store([entity]).session()) as session:
        applier = Applier(session, {"thing": entity}, desk.clock, desk.metrics, history=True)
        for _ in range(2):
            ShardProcessor(
                "shard-0",
                applier,
                payloads=NotingPayloads({}),
                stop=desk.stop,
                clock=desk.clock,
                chance=desk.processor._chance,
                metrics=desk.metrics,
                attempts=AttemptsByPart(desk.metrics, desk.clock),
                settings=ProcessorSettings(batch_changes=2),
            ).process(records)
    rows = {(row["sequence"], row["reason"]): (row["decodable"], bytes(row["event"])) for row in office.own("parked")}
    assert len(office.own("parked")) == len(office.own("outbox")) == 6
    assert rows["1", "not-json"] in {(0, b"\xff\0"), (0, b"other bytes, in a stream made anew")}
    assert rows["2", "not-an-event"] == (0, b"null")
    assert rows["2", "bad-key"] == (0, encode(change(1, "k" * 1025)))
    assert rows["2", "payload-missing"] == (1, encode(change(2, "claim", data=None, dataref="s3://b/x")))
    assert rows["3", "unknown-entity"] == (1, alone.replace(b"thing", b"unknown"))
