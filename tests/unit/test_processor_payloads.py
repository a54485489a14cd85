"""What the shard processor does with claim checks: payloads that lie elsewhere."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from isthmus.change import Outcome
from isthmus.codec import encode
from isthmus.consumer.stores.port import Delivered
from isthmus.errors import Poison, TargetDown
from isthmus.lifecycle import Stopped
from tests.fakes.processor_desk import NotingPayloads, ProcessorDesk, change, raw_record, record


@pytest.fixture
def desk() -> ProcessorDesk:
    return ProcessorDesk()


def redeeming(content: dict[str, bytes]) -> tuple[ProcessorDesk, NotingPayloads]:
    payloads = NotingPayloads(content)
    return ProcessorDesk(payloads=payloads), payloads


def test_a_payload_is_redeemed_and_travels_with_its_change() -> None:
    desk, _ = redeeming({"s3://b/x": b'{"n":1.10}'})
    desk.process(record(1, change(1, data=None, dataref="s3://b/x")))
    delivered = desk.only()
    assert delivered.refused is None
    assert encode(delivered.change).count(b'"n":1.10') == 1
    # Parked, it must not depend on an object that expires.
    assert delivered.change.dataref == ""


def test_a_redeemed_record_of_one_event_is_parked_with_its_payload() -> None:
    desk, _ = redeeming({"s3://b/x": b'{"n":1}'})
    desk.process(raw_record(1, encode(change(1, data=None, dataref="s3://b/x"))))
    assert desk.only().raw is None


@pytest.mark.parametrize(
    "content, reason",
    [({}, "payload-missing"), ({"s3://b/x": b"{"}, "not-json"), ({"s3://b/x": b"[" * 63 + b"]" * 63}, "too-deep")],
)
def test_a_payload_that_is_missing_or_no_json_parks_the_change_as_it_is(content: dict[str, bytes], reason: str) -> None:
    desk, _ = redeeming(content)
    claim = change(1, data=None, dataref="s3://b/x")
    desk.process(record(1, change(0), claim, change(2)))
    before, delivered, after = desk.delivered()
    assert before.refused is after.refused is None
    assert delivered.change == claim
    assert delivered.refused is not None
    assert delivered.refused.poison.reason == reason


def test_without_a_bucket_a_claim_check_is_parked(desk: ProcessorDesk) -> None:
    desk.process(record(1, change(1, data=None, dataref="s3://b/x")))
    refused = desk.only().refused
    assert refused is not None
    assert refused.poison.reason == "payload-missing"


def test_data_beside_a_claim_check_is_taken_as_it_is() -> None:
    desk, payloads = redeeming({})
    payloads.errors = [Poison("must-not-be-asked")]
    desk.process(record(1, change(1, dataref="s3://b/x")))
    assert desk.only().refused is None


def test_a_payload_as_deep_as_it_may_be_can_still_be_written_down() -> None:
    desk, _ = redeeming({"s3://b/x": b"[" * 62 + b"]" * 62})
    desk.process(record(1, change(1, data=None, dataref="s3://b/x")))
    assert desk.only().refused is None
    encode(desk.only().change)


def test_a_record_of_more_payloads_than_memory_shall_hold_is_decided_in_parts_and_passed_as_a_whole() -> None:
    desk = ProcessorDesk(batch_changes=9, payloads=NotingPayloads({"s3://b/x": b'"8 bytes"'}), payload_bytes=20)
    seen: list[str | None] = []
    desk.applier.after = lambda: seen.append(desk.processor.position())
    claims = [change(n, data=None, dataref="s3://b/x") for n in range(7)]
    desk.process(record(1, claims[0]), record(2, *claims[1:], change(9)), record(3, claims[0]), record(4, claims[0]))
    assert [[delivered.change.id for delivered in batch] for batch in desk.applier.batches] == [
        ["k-0", "k-1", "k-2"],
        ["k-3", "k-4", "k-5"],
        ["k-6", "k-9", "k-0", "k-0"],
    ]
    # Before the first part is decided, between two parts, and before the rest is.
    assert seen == [None, "1", "1"]
    assert desk.processor.position() == "4"
    assert desk.metrics.records.labels("shard-0")._value.get() == 4


def test_a_stop_between_two_parts_of_a_record_leaves_the_record_unpassed() -> None:
    desk = ProcessorDesk(payloads=NotingPayloads({"s3://b/x": b"1"}), payload_bytes=1)
    desk.applier.after = desk.stop.request
    with pytest.raises(Stopped):
        desk.process(record(1, *[change(n, data=None, dataref="s3://b/x") for n in range(2)]))
    assert desk.processor.position() is None
    assert len(desk.delivered()) == 1


def test_a_record_that_ends_with_a_full_part_is_passed(desk: ProcessorDesk) -> None:
    desk = ProcessorDesk(payloads=NotingPayloads({"s3://b/x": b"1"}), payload_bytes=1)
    desk.process(record(1, change(1, data=None, dataref="s3://b/x")))
    assert desk.processor.position() == "1"
    assert [len(batch) for batch in desk.applier.batches] == [1]


def test_no_payload_of_a_decided_part_is_held_while_the_next_one_is_fetched() -> None:
    fetched: list[int] = []

    class Watching(NotingPayloads):
        def get(self, reference: str) -> bytes:
            fetched.append(sum(len(batch) for batch in given))
            return super().get(reference)

    given: list[Sequence[Delivered]] = []
    desk = ProcessorDesk(payloads=Watching({"s3://b/x": b"1"}), payload_bytes=2)
    apply = desk.applier.apply

    def noting(batch: Sequence[Delivered]) -> list[Outcome | None]:
        given.append(batch)
        return apply(batch)

    desk.applier.apply = noting  # type: ignore[method-assign]
    desk.process(record(1, *[change(n, data=None, dataref="s3://b/x") for n in range(5)]))
    assert len(desk.delivered()) == 5
    assert fetched == [0] * 5


def test_payloads_away_are_waited_for_and_named_so() -> None:
    desk, payloads = redeeming({"s3://b/x": b"{}"})
    payloads.errors = [TargetDown("away", cause="timeout")] * 2
    with capture_logs() as logs:
        desk.process(record(1, change(1, data=None, dataref="s3://b/x")))
    assert desk.only().refused is None
    assert [entry["event"] for entry in logs] == ["payloads_away", "payloads_back"]
    assert desk.metrics.retries.labels("payloads", "timeout")._value.get() == 2


def test_a_stop_while_payloads_are_away_claims_what_came_before_and_no_more() -> None:
    desk, payloads = redeeming({})
    payloads.errors = [TargetDown("away")] * 1000
    desk.clock.at(60, desk.stop.request)
    with pytest.raises(Stopped):
        desk.process(record(1, *[change(n) for n in range(3)]), record(2, change(5, data=None, dataref="s3://b/x")))
    assert desk.processor.position() == "1"
