"""The oracle says yes to a right run, and no to every wrong one, naming what is wrong."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from examples.flights.oracle.fronts import sqlite_front
from examples.flights.oracle.judge import judge
from tests.fakes.flight_run import (
    ARRIVED,
    CANCELLED,
    DIVERTED,
    POISON,
    Run,
    event,
    expected,
    right_run,
    version,
)


def test_a_right_run_is_right_and_its_figures_are_those_of_the_tables(tmp_path: Path) -> None:
    verdict = right_run().judged(tmp_path)
    assert verdict.samples == ()
    assert verdict.ok
    assert verdict.mismatches == 0
    assert verdict.balanced
    assert (verdict.modifications, verdict.published, verdict.records, verdict.entities) == (11, 9, 5, 3)
    assert (verdict.applied, verdict.superseded, verdict.filtered) == (6, 3, 0)
    assert (verdict.parked_keys, verdict.parked_changes) == (1, 2)
    assert (verdict.unaccounted, verdict.without_outcome) == (0, 0)
    assert verdict.freshness_ms == (200, 300)
    assert verdict.changes_per_s == 3 / 0.5


def test_an_airport_where_nothing_happened_may_have_a_row_of_zeros(tmp_path: Path) -> None:
    run = right_run()
    run.board["BOS"] = [0, 0, 0, 0]
    assert run.judged(tmp_path).ok


def a_lost_update(run: Run) -> None:
    run.history.pop("t6")
    run.batches[3].pop(0)
    run.flights[0][7:] = ["scheduled", "2013-01-01T11:00:00Z", None, "2013-01-01T13:30:00Z", None, version(1)]
    run.guards[ARRIVED] = version(1)


def a_published_change_that_was_skipped(run: Run) -> None:
    run.history.pop("t9")
    run.flights[2][7], run.flights[2][-1] = "scheduled", version(3)
    run.guards[CANCELLED] = version(3)


def a_stale_overwrite(run: Run) -> None:
    run.flights[1][7], run.flights[1][-1] = "departed", version(7)
    run.guards[DIVERTED] = version(7)
    run.history["t7"][2] = "applied"


def a_row_overwritten_past_its_guard(run: Run) -> None:
    run.flights[1][-1] = version(7)


def a_guard_with_another_version_than_its_row(run: Run) -> None:
    run.guards[DIVERTED] = version(7)


def a_guard_and_row_that_no_history_knows(run: Run) -> None:
    run.guards[DIVERTED] = version(8, generation=1)
    run.flights[1][-1] = version(8, generation=1)


def a_row_without_a_guard(run: Run) -> None:
    run.guards.pop(CANCELLED)


def a_guard_without_a_row(run: Run) -> None:
    run.guards[POISON] = version(4)


def a_doubled_count_on_the_board(run: Run) -> None:
    run.board["EWR"][0] = 2


def a_lost_count_on_the_board(run: Run) -> None:
    run.board.pop("LAX")


def an_airport_that_no_flight_touched(run: Run) -> None:
    run.board["SJU"] = [0, 1, 0, 0]


def a_parked_key_that_is_missing(run: Run) -> None:
    run.parked.clear()


def a_lost_newest_change_of_a_parked_key(run: Run) -> None:
    run.parked.pop()
    run.history.pop("t11")
    run.batches[4].pop()


def a_key_parked_for_no_reason(run: Run) -> None:
    run.parked.append((DIVERTED, version(7), "t7"))


def a_change_parked_twice(run: Run) -> None:
    run.parked.append(run.parked[0])


def an_invented_row(run: Run) -> None:
    run.flights.append(["flight/UA9/2013-01-01/EWR", *run.flights[0][1:]])


def a_poison_flight_that_was_written_all_the_same(run: Run) -> None:
    run.flights.append([POISON, *run.flights[0][1:]])


def a_row_that_is_missing(run: Run) -> None:
    run.flights.pop()


def a_row_that_is_there_twice(run: Run) -> None:
    run.flights.append(run.flights[0])


def a_tail_number_that_is_text_instead_of_nothing(run: Run) -> None:
    run.flights[2][4] = "NA"


def a_carrier_with_another_name(run: Run) -> None:
    run.flights[2][2] = "AA"


def a_time_that_is_an_hour_off(run: Run) -> None:
    run.flights[0][10] = "2013-01-01T12:30:00Z"


def a_row_whose_version_is_no_version(run: Run) -> None:
    run.flights[0][-1] = 6


def an_applied_change_that_the_journal_does_not_know(run: Run) -> None:
    run.history["t12"] = [ARRIVED, version(12), "applied", 6000]
    run.batches.append([event("t12", ARRIVED, 12)])
    run.guards[ARRIVED] = version(12)


def an_applied_change_with_the_position_of_another_key(run: Run) -> None:
    run.history["t5"] = [CANCELLED, version(5), "applied", 6000]
    run.batches.append([event("t5", CANCELLED, 5)])


def a_modification_that_took_effect_under_two_ids(run: Run) -> None:
    run.history["other"] = [ARRIVED, version(6), "applied", 6000]
    run.batches.append([event("other", ARRIVED, 6)])


def an_applied_change_that_was_never_published(run: Run) -> None:
    run.batches[3].pop(0)


def a_parked_change_that_was_never_published(run: Run) -> None:
    run.batches[4].pop()


def a_change_that_a_rule_kept_out(run: Run) -> None:
    run.history["t5"] = [ARRIVED, version(5), "filtered", 6000]
    run.batches.append([event("t5", ARRIVED, 5)])


def an_outcome_that_does_not_exist(run: Run) -> None:
    run.history["t7"][2] = "forgotten"


def a_published_change_that_the_journal_does_not_know(run: Run) -> None:
    run.batches.append([event("t0", ARRIVED, 0)])


def a_published_change_of_the_newest_version_under_another_id(run: Run) -> None:
    run.batches.append([event("other", ARRIVED, 6)])


def an_unaccounted_row_of_the_journal(run: Run) -> None:
    run.journal.append((12, "AA", 3, 20130101, "LGA", 5700))


def a_position_given_to_two_row_changes(run: Run) -> None:
    run.journal.append(run.journal[-1])


def an_id_that_stands_for_two_changes(run: Run) -> None:
    run.batches.append([event("t7", ARRIVED, 5)])


def a_record_that_is_no_json(run: Run) -> None:
    run.more_records.append(b"\x1f\x8b")


def a_record_that_is_one_event_and_no_batch(run: Run) -> None:
    run.more_records.append(b'{"type": "isthmus.flight.marker"}')


def an_event_of_an_unknown_type(run: Run) -> None:
    run.batches.append([event("t7", DIVERTED, 7, "event")])


def an_event_without_a_version(run: Run) -> None:
    run.batches.append([event("t0", DIVERTED, 7) | {"sequence": "7"}])


def an_event_without_an_id(run: Run) -> None:
    run.batches.append([event("t0", DIVERTED, 7) | {"id": 7}])


def an_event_without_a_key(run: Run) -> None:
    run.batches.append([event("t0", DIVERTED, 7) | {"subject": None}])


def a_record_that_is_a_number(run: Run) -> None:
    run.more_records.append(b"5")


def a_batch_that_holds_no_event(run: Run) -> None:
    run.more_records.append(b"[5]")


def a_change_published_with_another_version_than_took_effect(run: Run) -> None:
    run.batches[4][0] = event("t9", CANCELLED, 3)


def an_airport_that_is_there_twice(run: Run) -> None:
    run.front_sql.append("INSERT INTO airport_board SELECT * FROM airport_board WHERE airport = 'EWR'")


def a_guard_that_is_there_twice(run: Run) -> None:
    run.front_sql.append("INSERT INTO isthmus_guard SELECT * FROM isthmus_guard WHERE key LIKE '%UA1%'")


def a_transaction_that_is_there_twice(run: Run) -> None:
    run.front_sql.append("INSERT INTO isthmus_history SELECT * FROM isthmus_history WHERE txn = 't6'")


def a_history_row_without_a_version(run: Run) -> None:
    run.history["t7"][1] = "7"


def a_parked_row_without_a_version(run: Run) -> None:
    run.parked.append((POISON, "10", "t10"))


def a_guard_without_a_version(run: Run) -> None:
    run.guards["flight/UA9/2013-01-01/EWR"] = "none"


@pytest.mark.parametrize(
    "spoil,kinds",
    [
        (a_lost_update, {"flight", "lost"}),
        (a_published_change_that_was_skipped, {"flight", "lost", "no outcome"}),
        (a_stale_overwrite, {"flight", "guard"}),
        (a_row_overwritten_past_its_guard, {"flight", "guard"}),
        (a_guard_with_another_version_than_its_row, {"guard"}),
        (a_guard_and_row_that_no_history_knows, {"guard"}),
        (a_row_without_a_guard, {"guard"}),
        (a_guard_without_a_row, {"guard"}),
        (a_doubled_count_on_the_board, {"board"}),
        (a_lost_count_on_the_board, {"board"}),
        (an_airport_that_no_flight_touched, {"board"}),
        (a_parked_key_that_is_missing, {"parked", "lost", "no outcome"}),
        (a_lost_newest_change_of_a_parked_key, {"lost"}),
        (a_key_parked_for_no_reason, {"parked"}),
        (a_change_parked_twice, {"twice", "books"}),
        (an_invented_row, {"flight", "guard"}),
        (a_poison_flight_that_was_written_all_the_same, {"flight"}),
        (a_row_that_is_missing, {"flight", "guard"}),
        (a_row_that_is_there_twice, {"flight"}),
        (a_tail_number_that_is_text_instead_of_nothing, {"flight"}),
        (a_carrier_with_another_name, {"flight"}),
        (a_time_that_is_an_hour_off, {"flight"}),
        (a_row_whose_version_is_no_version, {"flight"}),
        (an_applied_change_that_the_journal_does_not_know, {"invented", "books"}),
        (an_applied_change_with_the_position_of_another_key, {"invented", "books"}),
        (a_modification_that_took_effect_under_two_ids, {"twice", "books"}),
        (an_applied_change_that_was_never_published, {"unpublished"}),
        (a_parked_change_that_was_never_published, {"unpublished"}),
        (a_change_that_a_rule_kept_out, {"filtered"}),
        (an_outcome_that_does_not_exist, {"history"}),
        (a_published_change_that_the_journal_does_not_know, {"invented"}),
        (a_published_change_of_the_newest_version_under_another_id, {"no outcome"}),
        (an_unaccounted_row_of_the_journal, {"flight", "lost", "books"}),
        (a_position_given_to_two_row_changes, {"journal"}),
        (an_id_that_stands_for_two_changes, {"stream"}),
        (a_record_that_is_no_json, {"stream"}),
        (a_record_that_is_one_event_and_no_batch, {"stream"}),
        (an_event_of_an_unknown_type, {"stream"}),
        (an_event_without_a_version, {"stream"}),
        (an_event_without_an_id, {"stream"}),
        (an_event_without_a_key, {"stream"}),
        (a_record_that_is_a_number, {"stream"}),
        (a_batch_that_holds_no_event, {"stream"}),
        (a_change_published_with_another_version_than_took_effect, {"unpublished"}),
        (an_airport_that_is_there_twice, {"board"}),
        (a_guard_that_is_there_twice, {"guard"}),
        (a_transaction_that_is_there_twice, {"history"}),
        (a_history_row_without_a_version, {"version"}),
        (a_parked_row_without_a_version, {"version"}),
        (a_guard_without_a_version, {"version"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_wrong_run_is_caught_by_what_is_wrong_in_it(
    spoil: Callable[[Run], None], kinds: set[str], tmp_path: Path
) -> None:
    run = right_run()
    spoil(run)
    verdict = run.judged(tmp_path)
    assert not verdict.ok
    assert kinds <= verdict.mismatches_by_kind.keys(), verdict.samples
    assert verdict.mismatches == sum(verdict.mismatches_by_kind.values()) > 0
    assert verdict.samples


@pytest.mark.parametrize("spoil", [an_unaccounted_row_of_the_journal, a_change_parked_twice])
def test_a_loss_and_a_double_booking_unbalance_the_books(spoil: Callable[[Run], None], tmp_path: Path) -> None:
    run = right_run()
    spoil(run)
    assert not run.judged(tmp_path).balanced


def test_what_a_rule_kept_out_is_in_the_books(tmp_path: Path) -> None:
    run = right_run()
    a_change_that_a_rule_kept_out(run)
    verdict = run.judged(tmp_path)
    assert verdict.balanced
    assert verdict.filtered == 1


def test_a_published_change_older_than_what_is_parked_for_its_key_is_superseded(tmp_path: Path) -> None:
    run = right_run()
    run.batches.append([event("t10", POISON, 10, "untranslated")])
    assert run.judged(tmp_path).ok


def test_the_lost_and_the_undecided_are_counted(tmp_path: Path) -> None:
    run = right_run()
    a_published_change_that_was_skipped(run)
    verdict = run.judged(tmp_path)
    assert (verdict.unaccounted, verdict.without_outcome) == (1, 1)


def test_a_change_that_was_parked_and_then_freed_by_a_newer_state_is_superseded(tmp_path: Path) -> None:
    run = right_run()
    run.history["t7"][2] = "superseded"
    assert run.judged(tmp_path).ok


def test_only_the_first_twenty_findings_keep_their_words(tmp_path: Path) -> None:
    run = right_run()
    run.journal += [(100 + n, "AA", 3, 20130101, "LGA", 5700) for n in range(50)]
    verdict = run.judged(tmp_path)
    assert len(verdict.samples) == 20
    assert verdict.mismatches_by_kind["lost"] == 50


def test_a_run_without_a_live_phase_has_no_freshness_and_an_instant_load_no_rate(tmp_path: Path) -> None:
    run = right_run()
    for decision in run.history.values():
        decision[3] = 2000
    back, front = run.write(tmp_path)
    verdict = judge(
        back_office=back,
        front_office=partial(sqlite_front, front),
        records=run.records(),
        expected=expected(),
        first_load=len(run.journal),
    )
    assert verdict.freshness_ms is None
    assert verdict.changes_per_s is None
