"""The producer of one source on virtual time: what goes out when, and what is remembered after it."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import structlog
from pydantic import BaseModel

from isthmus.change import Change, Verb
from isthmus.checkpoint.ports import Lease
from isthmus.codec import decode
from isthmus.errors import OwnershipLost, TargetDown
from isthmus.pipeline import Pipeline, Row, Skip, Translated
from isthmus.producer.sources.references import NoReferences
from isthmus.producer.translator import Translator
from isthmus.references import References
from tests.fakes.producer_desk import FILTERED, LANES, ME, NAME, SHOP, STREAM, Desk, row
from tests.fakes.stream import PutFault


def test_every_row_goes_out_once_and_its_watermark_is_saved() -> None:
    desk = Desk([row(n % LANES) for n in range(25)]).run()
    assert desk.numbers() == list(range(25))
    assert len(desk.events()) == 25
    assert desk.watermark == '[24,"secret"]'


def test_the_marker_of_every_lane_is_acknowledged_before_any_change_goes_out() -> None:
    desk = Desk([row(n % LANES) for n in range(8)])
    desk.stream.fail_put(PutFault(refuse={3}), PutFault(refuse={0}), PutFault(answer_lost=True))
    desk.run()
    kinds = ["n" in event for _, events in desk.lanes_in_order() for event in events]
    assert kinds == sorted(kinds)
    assert {lane for lane, events in desk.lanes_in_order() if "n" not in events[0]} == set(range(LANES))


def test_a_marker_carries_epoch_and_source_in_its_own_lane() -> None:
    desk = Desk([]).run()
    shard = desk.stream.open_shards()[0]
    markers = [item for record in desk.stream.records(shard) for item in decode(record.data)]
    found = {item.lane: (item.verb, item.epoch, item.source) for item in markers if isinstance(item, Change)}
    assert found == dict.fromkeys(range(LANES), (Verb.MARKER, 7, SHOP))


def test_the_watermark_never_passes_a_change_that_is_not_acknowledged() -> None:
    desk = Desk([row(0), row(1), row(2), row(1)])
    # In the order of their offers lane 0 comes first in each request.
    desk.source.hook = lambda: desk.stream.fail_put(*[PutFault(refuse={0})] * 20) if len(desk.source.reads) == 1 else 0
    desk.run(30.0)
    assert desk.watermark == '[3,"secret"]'
    positions = [json.loads(mark)[0] for _, mark in desk.saved]
    assert all(a < b for a, b in pairwise(positions))


def test_the_watermark_waits_for_all_changes_of_a_row() -> None:
    desk = Desk([row(0, 1, 2)], later=True)
    desk.answer_markers()
    desk.clock.at(5.0, desk.later.run)
    desk.clock.at(7.0, desk.answer)
    desk.run()
    assert desk.saved[0][0] >= 5.0


def test_nothing_is_saved_while_nothing_is_acknowledged() -> None:
    desk = Desk([row(0)], later=True)
    desk.answer_markers()
    desk.run()
    assert desk.saved == []
    assert desk.watermark is None


def lost_while_marking(desk: Desk) -> None:
    desk.stream.fail_put(PutFault(refuse={0}))
    desk.put_hook = desk.lose


def lost_while_starting(desk: Desk) -> None:
    desk.source.failing = [TargetDown("away")] * 1000
    desk.clock.at(5.0, desk.lose)


def lost_while_reading(desk: Desk) -> None:
    desk.source.hook = lambda: desk.lose() if desk.source.reads else None


def lost_while_translating(desk: Desk) -> None:
    desk.translator.hook = desk.lose


def lost_while_payloads_are_away(desk: Desk) -> None:
    desk.translator.failing = [TargetDown("away")] * 1000
    desk.clock.at(5.0, desk.lose)


def lost_while_the_stream_is_away(desk: Desk) -> None:
    desk.source.hook = lambda: desk.stream.fail_put(*[PutFault(refuse={0, 1, 2, 3})] * 1000)
    desk.clock.at(5.0, desk.lose)


def lost_while_stopping(desk: Desk) -> None:
    desk.source.hook = lambda: desk.stream.fail_put(*[PutFault(refuse={0, 1, 2, 3})] * 1000)
    desk.clock.at(10.5, desk.lose)


@pytest.mark.parametrize(
    "happens",
    [
        lost_while_marking,
        lost_while_starting,
        lost_while_reading,
        lost_while_translating,
        lost_while_payloads_are_away,
        lost_while_the_stream_is_away,
        lost_while_stopping,
    ],
)
def test_a_lost_ownership_ends_every_phase_with_nothing_more_sent_or_saved(happens: Callable[[Desk], None]) -> None:
    desk = Desk([row(0), row(1)])
    sent_at_loss: list[int] = []
    lose = desk.lose

    def lose_and_count() -> None:
        if not desk.is_lost:
            sent_at_loss.append(len(desk.puts))
        lose()

    desk.lose = lose_and_count  # type: ignore[method-assign]
    happens(desk)
    with pytest.raises(OwnershipLost):
        desk.run()
    assert [len(desk.puts)] == sent_at_loss
    assert desk.watermark is None
    assert desk.clock.monotonic() < 12
    assert desk.value("isthmus_owner_epoch", source="shop") == 0


def test_an_idle_producer_sees_soon_that_it_lost_its_source() -> None:
    desk = Desk([], poll_interval=1000.0)
    desk.clock.at(5.0, desk.lose)
    with pytest.raises(OwnershipLost):
        desk.run(2000.0)
    assert desk.clock.monotonic() < 6


def test_a_loss_is_seen_while_the_markers_are_in_flight() -> None:
    desk = Desk([], later=True)
    desk.clock.at(5.0, desk.lose)
    with pytest.raises(OwnershipLost):
        desk.run(2000.0)
    assert desk.clock.monotonic() < 6


def test_what_is_acknowledged_in_the_moment_of_the_loss_is_not_remembered() -> None:
    desk = Desk([row(0)])

    def lose_at_the_next_put() -> None:
        desk.put_hook = desk.lose

    desk.source.hook = lambda: lose_at_the_next_put() if desk.source.reads else None
    with pytest.raises(OwnershipLost):
        desk.run()
    assert desk.watermark is None


def test_another_owner_in_the_store_ends_it_though_the_heart_says_nothing() -> None:
    desk = Desk([row(0)])
    other = Lease(NAME, 8, ME, 0, STREAM)
    desk.source.hook = lambda: desk.checkpoints.leases.take(other, desk.checkpoints.leases.read(NAME))
    with pytest.raises(OwnershipLost):
        desk.run()


def test_reading_waits_while_the_publisher_is_full_and_nobody_spins() -> None:
    desk = Desk([row(n % LANES, pad=500) for n in range(100)], most_bytes=3_000, page_size=5)
    desk.source.hook = lambda: desk.stream.fail_put(*[PutFault(refuse=set(range(LANES)))] * 30)
    desk.run(60.0)
    assert desk.clock.monotonic() >= 60
    assert desk.value("isthmus_unacknowledged_bytes") == 0
    assert len(desk.inline.waits) < 2_000


def test_no_more_is_translated_than_the_publisher_has_room_for() -> None:
    desk = Desk([row(n % LANES, pad=500) for n in range(100)], most_bytes=3_000, page_size=100, later=True)
    desk.answer_markers()
    begun: list[int] = []
    desk.translator.hook = lambda: begun.append(1)
    desk.run()
    assert 3 <= len(begun) <= 7
    assert len(desk.source.reads) == 1


def test_no_further_page_is_read_while_the_publisher_is_full() -> None:
    desk = Desk([row(n % LANES, pad=500) for n in range(100)], most_bytes=3_000, page_size=1, later=True)
    desk.answer_markers()
    begun: list[int] = []
    desk.translator.hook = lambda: begun.append(1)
    desk.run()
    assert len(desk.source.reads) == len(begun)


def test_full_pages_are_read_without_a_rest_between_them() -> None:
    desk = Desk([row(n % LANES) for n in range(100)]).run(1.0)
    assert desk.numbers() == list(range(100))


def test_the_watermark_is_saved_only_so_often() -> None:
    desk = Desk([])
    desk.clock.every(0.1, lambda: desk.source.rows.append(row(0)), until=9.5)
    desk.run()
    assert 10 <= len(desk.saved) <= 21


def test_a_soft_stop_waits_for_what_is_in_flight_and_saves_it() -> None:
    desk = Desk([row(0)], later=True)
    desk.answer_markers()
    desk.clock.at(12.0, desk.answer)
    desk.run(10.0)
    assert desk.watermark == '[0,"secret"]'
    assert desk.clock.monotonic() == pytest.approx(12.0, abs=0.3)


def test_a_soft_stop_has_an_end_when_nothing_is_acknowledged() -> None:
    desk = Desk([row(0)], later=True)
    desk.answer_markers()
    with structlog.testing.capture_logs() as logs:
        desk.run(10.0)
    assert desk.clock.monotonic() == pytest.approx(15.0, abs=0.3)
    assert logs[-1]["event"] == "source_released"
    assert logs[-1]["unsent"] is True


def test_the_last_watermark_is_saved_though_the_store_fails_at_first() -> None:
    desk = Desk([row(0)])
    desk.clock.at(9.9, lambda: desk.source.rows.append(row(1)))

    def away() -> None:
        for _ in range(3):
            desk.checkpoints.fail_next("leases.advance")

    desk.clock.at(9.8, away)
    desk.run(10.2)
    assert desk.watermark == '[1,"secret"]'


def test_a_soft_stop_has_an_end_when_the_watermark_store_is_away() -> None:
    desk = Desk([row(0)])
    for _ in range(1000):
        desk.checkpoints.fail_next("leases.advance")
    desk.run(10.0)
    assert desk.clock.monotonic() == pytest.approx(15.0, abs=0.3)
    assert desk.watermark is None


def test_a_stop_before_the_markers_are_acknowledged_leaves_no_trace() -> None:
    desk = Desk([row(0)], later=True)
    desk.run(3.0)
    assert desk.source.reads == []
    assert desk.watermark is None
    assert desk.clock.monotonic() < 4


def test_a_stop_while_the_start_is_awaited_ends_it() -> None:
    desk = Desk([row(0)], start='[0,"secret"]')
    desk.source.failing = [TargetDown("away")] * 1000
    desk.run(10.0)
    assert desk.source.reads == []


def test_where_now_was_is_saved_before_anything_is_read() -> None:
    desk = Desk([row(0), row(1)], start='[0,"secret"]')
    for _ in range(5):
        desk.checkpoints.fail_next("leases.advance")
    desk.source.hook = lambda: None if not desk.source.reads else assert_saved(desk)
    desk.run()
    assert desk.numbers() == [1]
    assert desk.saved[0][1] == '[0,"secret"]'


def assert_saved(desk: Desk) -> None:
    assert desk.saved


def test_a_raised_generation_is_read_from_the_very_beginning_whatever_start_says() -> None:
    desk = Desk([row(), row(), row()], start='[1,"secret"]')
    desk.lease = replace(desk.lease, generation=1)
    desk.run()
    assert desk.numbers() == [0, 1, 2]
    assert desk.source.starts == 0
    assert desk.source.reads[0] is None


def test_a_source_with_a_watermark_goes_on_there_and_asks_for_no_start() -> None:
    desk = Desk([row(n) for n in range(3)], start='[2,"secret"]')
    desk.lease = Lease(NAME, 7, ME, 0, STREAM, watermark='[1,"secret"]')
    desk.run()
    assert desk.source.starts == 0
    assert desk.numbers() == [2]


def test_a_filtered_row_moves_the_watermark() -> None:
    desk = Desk([row(0), FILTERED, FILTERED]).run()
    assert desk.watermark == '[2,"secret"]'


def test_a_filtered_row_does_not_move_it_past_what_is_in_flight() -> None:
    desk = Desk([row(0), FILTERED], later=True)
    desk.answer_markers()
    desk.run()
    assert desk.watermark is None


class Customer(BaseModel):
    name: str


def customer_or_not(values: Row, _references: References) -> list[Translated]:
    if values["name"] == "skip":
        return [Skip("test-row")]
    return [Customer(name=values["name"])]


def test_what_cannot_be_translated_goes_out_in_its_place() -> None:
    desk = Desk([{"id": 1, "name": name} for name in ("a", None, "skip", "b")])
    desk.translator = Translator(
        Pipeline("customer", Customer, lambda values: f"customer/{values['id']}", customer_or_not),
        source=SHOP,
        name="shop",
        key_columns=("id",),
        generation=0,
        lanes=LANES,
        references=NoReferences(),
        clock=desk.clock,
        metrics=desk.metrics,
    )
    desk.run()
    shard = desk.stream.open_shards()[0]
    items = [item for record in desk.stream.records(shard) for item in decode(record.data)]
    verbs = [item.verb for item in items if isinstance(item, Change) and item.verb is not Verb.MARKER]
    assert verbs == [Verb.UPSERT, Verb.UNTRANSLATED, Verb.UPSERT]
    assert desk.watermark == '[3,"secret"]'


def test_epoch_bound_and_saved_watermark_are_shown() -> None:
    desk = Desk([row(n % LANES) for n in range(3)])
    shown: list[float | None] = []
    desk.clock.at(5.0, lambda: shown.append(desk.value("isthmus_owner_epoch", source="shop")))
    desk.run()
    assert shown == [7]
    assert desk.value("isthmus_watermark_position", source="shop") == 2
    assert desk.value("isthmus_source_bound_position", source="shop") == 2
    assert desk.value("isthmus_modifications_detected_total", source="shop") == 3
    assert desk.value("isthmus_watermark_saved_timestamp_seconds", source="shop") is not None


def test_a_watermark_of_an_earlier_life_is_shown_at_once() -> None:
    desk = Desk([])
    desk.lease = Lease(NAME, 7, ME, 0, STREAM, watermark='[1,"secret"]')
    desk.run()
    assert desk.value("isthmus_watermark_position", source="shop") == 1


def test_no_key_of_a_row_gets_into_a_log() -> None:
    with structlog.testing.capture_logs() as logs:
        Desk([row(0), row(1)]).run()
    assert {"source_owned", "source_released"} <= {line["event"] for line in logs}
    assert "secret" not in str(logs)


def test_while_the_query_budget_is_used_up_acknowledgements_watermark_and_ownership_are_seen_to() -> None:
    desk = Desk([row(0)])
    desk.source.clock = desk.clock
    desk.source.hook = lambda: setattr(desk.source, "ready_at", 60.0 * len(desk.source.reads))
    desk.run(30.0)
    assert len(desk.source.reads) == 1
    assert desk.watermark == '[0,"secret"]'
    assert desk.saved[0][0] < 5.0
    assert max(desk.stop.waits, default=0.0) < 1.0


def test_a_start_waits_for_the_query_budget_and_sees_meanwhile_that_the_source_is_lost() -> None:
    desk = Desk([row(0)], start='[0,"secret"]')
    desk.source.clock = desk.clock
    desk.source.ready_at = 60.0
    desk.clock.at(10.0, lambda: setattr(desk, "is_lost", True))
    with pytest.raises(OwnershipLost):
        desk.run(120.0)
    assert desk.source.starts == 0
    assert desk.clock.monotonic() < 11.0
