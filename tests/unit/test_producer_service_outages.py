"""The producer of one source on virtual time, while something around it is away or fails."""

import json
from typing import Any

import pytest
import structlog

from isthmus.checkpoint.ports import Lease
from isthmus.errors import Fatal, TargetDown, Transient
from tests.fakes.producer_desk import ME, NAME, STREAM, Desk, row


def said(logs: list[Any], part: str) -> list[str]:
    return [str(line["event"]) for line in logs if str(line["event"]).startswith(part)]


def test_reference_tables_are_refreshed_and_waited_for_as_the_back_office_is() -> None:
    desk = Desk([row(0)])
    failing = [TargetDown("away")] * 4

    def refresh() -> None:
        if failing:
            raise failing.pop()

    desk.translator.refresh = refresh
    with structlog.testing.capture_logs() as logs:
        desk.run(20.0)
    assert said(logs, "back_office") == ["back_office_away", "back_office_back"]
    assert desk.numbers() == [0]


def test_a_back_office_that_is_away_is_waited_for_and_said_once_each_way() -> None:
    desk = Desk([row(0)])
    desk.source.failing = [TargetDown("away", cause="down")] * 6
    with structlog.testing.capture_logs() as logs:
        desk.run(60.0)
    assert said(logs, "back_office") == ["back_office_away", "back_office_back"]
    assert desk.numbers() == [0]
    assert desk.value("isthmus_retries_total", part="back_office", cause="down") == 6
    assert desk.value("isthmus_away", part="back_office/shop") == 0


def test_attempts_at_the_back_office_get_rarer() -> None:
    desk = Desk([row(0)])
    desk.lease = Lease(NAME, 7, ME, 0, STREAM, watermark='[-1,"secret"]')
    desk.source.failing = [TargetDown("away")] * 10_000
    desk.run(60.0)
    assert 8 <= len(desk.source.reads) <= 40


def test_attempts_at_the_payloads_get_rarer() -> None:
    desk = Desk([row(0)])
    desk.translator.failing = [TargetDown("away")] * 10_000
    desk.run(60.0)
    assert 10_000 - 40 <= len(desk.translator.failing) <= 10_000 - 8
    assert len(desk.source.reads) == 1


def test_a_back_office_that_goes_midway_is_waited_for_with_back_off() -> None:
    desk = Desk([row(0)])

    def goes() -> None:
        desk.source.rows.append(row(1))
        desk.source.failing = [TargetDown("away", cause="down")] * 8

    desk.clock.at(5.0, goes)
    with structlog.testing.capture_logs() as logs:
        desk.run(60.0)
    assert said(logs, "back_office") == ["back_office_away", "back_office_back"]
    assert desk.numbers() == [0, 1]


def test_acknowledgements_are_taken_in_while_the_back_office_is_away() -> None:
    desk = Desk([row(0)], later=True)
    desk.clock.every(0.3, desk.answer, until=100)
    desk.translator.hook = lambda: desk.source.failing.extend([TargetDown("away")] * 1000)
    desk.run(60.0)
    assert desk.watermark == '[0,"secret"]'


def test_payloads_that_are_away_hold_up_the_row_and_no_acknowledgement() -> None:
    desk = Desk([row(0), row(1)])
    calls: list[int] = []

    def second_fails() -> None:
        calls.append(1)
        if 2 <= len(calls) <= 7:
            raise TargetDown("away", cause="down")

    desk.translator.hook = second_fails
    with structlog.testing.capture_logs() as logs:
        desk.run(60.0)
    assert said(logs, "payloads") == ["payloads_away", "payloads_back"]
    assert [json.loads(mark)[0] for _, mark in desk.saved] == [0, 1]
    assert [event["n"] for _, event in desk.events()] == [0, 1]


def test_a_watermark_store_that_is_away_is_waited_for_while_changes_go_out() -> None:
    desk = Desk([row(0)])
    for _ in range(6):
        desk.checkpoints.fail_next("leases.advance", error=Transient("slow", cause="throttled"))
    desk.clock.at(1.0, lambda: desk.source.rows.append(row(1)))
    with structlog.testing.capture_logs() as logs:
        desk.run(20.0)
    assert said(logs, "watermark_store") == ["watermark_store_away", "watermark_store_back"]
    assert desk.numbers() == [0, 1]
    assert desk.watermark == '[1,"secret"]'


def test_a_save_that_failed_is_followed_by_one_of_a_later_step_for_it_may_still_arrive() -> None:
    desk = Desk([row(0)])
    for _ in range(3):
        desk.checkpoints.fail_next("leases.advance", error=Transient("slow", cause="throttled"))
    desk.clock.at(5.0, lambda: desk.source.rows.append(row(1)))
    desk.run(20.0)
    assert len(desk.steps) >= 5
    assert desk.steps == sorted(set(desk.steps))


@pytest.mark.parametrize("part", ["source", "translator"])
def test_after_an_outage_the_next_hiccup_waits_briefly_again(part: str) -> None:
    desk = Desk([row(0)])
    desk.lease = Lease(NAME, 7, ME, 0, STREAM, watermark='[-1,"secret"]')
    failing = getattr(desk, part)
    failing.failing = [TargetDown("away")] * 12
    moments: list[float] = []
    gaps: list[float] = []

    def note() -> None:
        moments.append(desk.clock.monotonic())

    def hiccup() -> None:
        desk.source.rows.append(row(len(desk.source.rows)))
        failing.failing = [TargetDown("away")]
        moments.clear()
        failing.hook = note

    for moment in (200.0, 220.0, 240.0):
        desk.clock.at(moment, hiccup)
        desk.clock.at(moment + 10.0, lambda: gaps.append(moments[1] - moments[0]))
    desk.run(260.0)
    assert max(gaps) < 0.5
    assert desk.numbers() == [0, 1, 2, 3]


def test_an_error_that_nobody_knows_is_no_outage() -> None:
    desk = Desk([row(0)])
    desk.source.failing = [Transient("?", cause="unknown")] * 5
    with pytest.raises(Fatal, match="5 times in a row"):
        desk.run(600.0)


def test_what_no_repeat_mends_gets_out() -> None:
    desk = Desk([row(0)])
    desk.source.failing = [Fatal("no such table")]
    with pytest.raises(Fatal, match="no such table"):
        desk.run()
