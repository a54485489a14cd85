"""Windows of the calendar: when they close and open, in whatever zone, and when the clocks change."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isthmus.windows import Standing, Window, cron_objection, zone_objection

BERLIN, NEW_YORK, LORD_HOWE, UTC_ZONE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"
WEEKEND = ("0 18 * * FRI", "0 6 * * MON")


def ms(text: str, zone: str, fold: int = 0) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return round(moment.timestamp() * 1000)


def utc(text: str) -> int:
    return ms(text, UTC_ZONE)


def test_a_weekend_is_closed_from_its_first_moment_up_to_its_last_and_open_from_there() -> None:
    window = Window(*WEEKEND, BERLIN)
    begin, end = utc("2013-01-04T17:00"), utc("2013-01-07T05:00")
    closed, opened = Standing(True, begin, end), Standing(False, end, utc("2013-01-11T17:00"))
    assert window.at(begin - 1) == Standing(False, utc("2012-12-31T05:00"), begin)
    assert [window.at(begin), window.at(end - 1), window.at(end)] == [closed, closed, opened]


def test_the_zone_says_which_moments_are_meant() -> None:
    moment = utc("2013-01-04T20:00")
    said = {zone: Window(*WEEKEND, zone).at(moment).closed for zone in (BERLIN, UTC_ZONE, NEW_YORK)}
    assert said == {BERLIN: True, UTC_ZONE: True, NEW_YORK: False}


def test_a_window_ends_by_the_clock_on_the_wall_however_long_that_takes() -> None:
    window = Window(*WEEKEND, BERLIN)
    lengths = []
    for day in ("2013-01-05", "2013-03-30", "2013-10-26"):
        found = window.at(ms(f"{day}T12:00", BERLIN))
        assert found.since_ms is not None
        assert found.changes_ms is not None
        lengths.append((found.changes_ms - found.since_ms) // 3_600_000)
    assert lengths == [60, 59, 61]


# An hour that does not exist: on 2013-03-31 in Berlin 02:00 is 03:00.


def test_an_end_that_does_not_exist_is_when_the_clocks_go_forward() -> None:
    window = Window("0 22 * * *", "30 2 * * *", BERLIN)
    found = window.at(ms("2013-03-31T01:30", BERLIN))
    assert found == Standing(True, ms("2013-03-30T22:00", BERLIN), utc("2013-03-31T01:00"))
    assert not window.at(utc("2013-03-31T01:00")).closed


def test_a_beginning_that_does_not_exist_is_when_the_clocks_go_forward() -> None:
    window = Window("30 2 * * *", "0 5 * * *", BERLIN)
    gap = utc("2013-03-31T01:00")
    assert not window.at(gap - 1).closed
    assert window.at(gap) == Standing(True, gap, ms("2013-03-31T05:00", BERLIN))


def test_a_window_that_lies_in_the_missing_hour_is_closed_for_no_time_or_until_it_opens_again() -> None:
    # Both ends are one moment then. Closed is what cannot do harm; it opens at the next end.
    window = Window("15 2 * * *", "45 2 * * *", BERLIN)
    gap = utc("2013-03-31T01:00")
    assert window.at(gap) == Standing(True, gap, ms("2013-04-01T02:45", BERLIN))


# An hour that exists twice: on 2013-10-27 in Berlin 03:00 is 02:00 again.


def test_a_beginning_that_comes_twice_counts_the_first_time() -> None:
    window = Window("30 2 * * *", "0 5 * * *", BERLIN)
    first = ms("2013-10-27T02:30", BERLIN)
    assert not window.at(first - 1).closed
    for moment in (first, ms("2013-10-27T02:10", BERLIN, fold=1), ms("2013-10-27T04:00", BERLIN)):
        assert window.at(moment) == Standing(True, first, ms("2013-10-27T05:00", BERLIN))


def test_an_end_that_comes_twice_counts_the_second_time() -> None:
    window = Window("0 22 * * *", "30 2 * * *", BERLIN)
    second = ms("2013-10-27T02:30", BERLIN, fold=1)
    closed = Standing(True, ms("2013-10-26T22:00", BERLIN), second)
    for moment in (ms("2013-10-27T02:31", BERLIN), ms("2013-10-27T02:10", BERLIN, fold=1), second - 1):
        assert window.at(moment) == closed
    assert window.at(second) == Standing(False, second, ms("2013-10-27T22:00", BERLIN))


def test_what_is_meant_every_hour_comes_in_both_of_two_equal_hours() -> None:
    window = Window("0 * * * *", "15 * * * *", BERLIN)
    for fold in (0, 1):
        assert window.at(ms("2013-10-27T02:10", BERLIN, fold)).closed
        assert not window.at(ms("2013-10-27T02:20", BERLIN, fold)).closed


def test_half_an_hour_that_comes_twice_is_no_other_matter() -> None:
    # Lord Howe's clocks change by 30 minutes: on 2013-04-07 02:00 is 01:30 again.
    window = Window("0 0 * * *", "45 1 * * *", LORD_HOWE)
    second = ms("2013-04-07T01:45", LORD_HOWE, fold=1)
    assert window.at(second - 1).closed
    assert not window.at(second).closed


# Ends


def test_what_comes_again_while_it_is_closed_does_not_close_it_anew() -> None:
    window = Window("*/5 18-23 * * *", "0 6 * * *", UTC_ZONE)
    known = {window.at(utc(f"2013-01-01T{time}")) for time in ("18:00", "18:07", "23:59")}
    assert known == {Standing(True, utc("2013-01-01T18:00"), utc("2013-01-02T06:00"))}


def test_where_both_ends_fall_on_one_moment_it_is_closed() -> None:
    window = Window("0 0 * * 1-5", "0 0 * * *", UTC_ZONE)
    closed = Standing(True, utc("2013-01-07T00:00"), utc("2013-01-12T00:00"))
    assert {window.at(utc(f"2013-01-{day}T00:00")) for day in ("07", "08", "11")} == {closed}
    assert window.at(utc("2013-01-13T12:00")) == Standing(False, utc("2013-01-12T00:00"), utc("2013-01-14T00:00"))
    never = Window("0 * * * *", "0 0 * * *", UTC_ZONE).at(utc("2013-01-07T00:30"))
    assert (never.closed, never.changes_ms) == (True, None)


def test_a_window_of_a_leap_day_is_found_years_before_and_after() -> None:
    window = Window("0 0 29 2 *", "0 0 1 3 *", UTC_ZONE)
    assert window.at(utc("2015-06-01T00:00")) == Standing(False, utc("2012-03-01T00:00"), utc("2016-02-29T00:00"))
    assert window.at(utc("2016-02-29T12:00")).closed


def test_a_clock_that_goes_back_is_told_of_then() -> None:
    window = Window(*WEEKEND, BERLIN)
    assert window.at(utc("2013-01-05T12:00")).closed
    assert not window.at(utc("2013-01-03T12:00")).closed


def test_what_is_no_expression_or_no_zone_is_told_in_words() -> None:
    assert [cron_objection(text) for text in ("0 18 * * FRI", "0 0 L * *", "0 6 * * MON#1")] == ["", "", ""]
    for wrong in ("", "0 18 * *", "0 0 18 * * *", "61 * * * *", "0 18 * * FRY", "0 0 30 2 *", "@daily"):
        assert cron_objection(wrong).startswith("must be a cron expression"), wrong
    assert cron_objection("* * */20 * 1L") == "must come at all: there is no such day"
    assert zone_objection(BERLIN) == zone_objection("UTC") == ""
    for wrong in ("", "Mars/Base", "../../etc/passwd", "/etc/localtime", "localtime", "Europe", "\0"):
        assert zone_objection(wrong).startswith("must be a time zone"), wrong
    with pytest.raises(ValueError, match="time zone"):
        Window(*WEEKEND, "Mars/Base")


@given(st.text(alphabet="0123456789*/-,#LWFRIMONJA ", max_size=24))
def test_no_expression_raises_anything_but_an_objection(text: str) -> None:
    if not cron_objection(text):
        Window("0 0 29 2 *", text, BERLIN).at(utc("2013-01-01T00:00"))


# Against a rule of its own: every minute of some days, looked at one by one.

ZONES = st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, UTC_ZONE, "America/Santiago", "Africa/Casablanca"])
DAYS = st.sampled_from(
    ["2013-03-10", "2013-03-31", "2013-04-07", "2013-07-07", "2013-08-10", "2013-10-06", "2013-10-27"]
)
TIMES = st.tuples(st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 45, 59]))


@cache
def walls(zone: str, day: str) -> list[tuple[datetime, datetime]]:
    """Give each minute of some days around this one, and what the clock on the wall shows then."""
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=4)
    steps = [begin + timedelta(minutes=step) for step in range(9 * 24 * 60)]
    return [(moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for moment in steps]


def moments(zone: str, day: str, time: tuple[int, int], *, last: bool) -> list[datetime]:
    """Give when this time of day is, on the days around: the first or last of two, and the end of a gap."""
    found: dict[date, datetime] = {}
    before = walls(zone, day)[0][1]
    for moment, wall in walls(zone, day):
        wanted = wall.replace(hour=time[0], minute=time[1])
        if (wall == wanted or before < wanted < wall) and (last or wall.date() not in found):
            found[wall.date()] = moment
        before = wall
    return [*found.values()]


@settings(max_examples=60, deadline=None)
@given(st.tuples(ZONES, DAYS), TIMES, TIMES, st.integers(0, 3 * 24 * 60 * 60_000))
def test_a_daily_window_is_closed_when_its_last_beginning_is_not_before_its_last_end(
    place: tuple[str, str], begin: tuple[int, int], end: tuple[int, int], later_ms: int
) -> None:
    assume(begin != end)
    name, day = place
    now = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=-1, milliseconds=later_ms)
    begins = moments(name, day, begin, last=False)
    ends = moments(name, day, end, last=True)
    begun = max(each for each in begins if each <= now)
    ended = max(each for each in ends if each <= now)
    found = Window(f"{begin[1]} {begin[0]} * * *", f"{end[1]} {end[0]} * * *", name).at(round(now.timestamp() * 1000))
    assert found.closed == (begun >= ended)
    following = [
        each for each in (ends if found.closed else begins) if each > now and (each not in begins or not found.closed)
    ]
    assert found.changes_ms == round(min(following).timestamp() * 1000)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["0 18 * * FRI", "*/7 3-5 * * *", "30 2 * * *", "0 0 1 * *", "15,45 * * * *", "0 12 L * *"]),
    st.sampled_from(["0 6 * * MON", "59 1 * * *", "0 4 * * *", "30 2 * * *", "10 * * * *", "0 0 15 * *"]),
    ZONES,
    st.integers(utc("2013-01-01T00:00"), utc("2014-01-01T00:00")),
)
def test_what_it_says_of_a_moment_holds_until_the_moment_at_which_it_says_it_changes(
    begin: str, end: str, zone: str, now_ms: int
) -> None:
    assume(begin != end)
    window = Window(begin, end, zone)
    found = window.at(now_ms)
    assert found.since_ms is not None
    if found.changes_ms is None:
        assert (found.closed, begin, end) == (True, "*/7 3-5 * * *", "0 4 * * *"), "only that one never opens"
        return
    assert found.since_ms <= now_ms < found.changes_ms
    for moment in (found.since_ms, (found.since_ms + found.changes_ms) // 2, found.changes_ms - 1):
        assert Window(begin, end, zone).at(moment) == found
    after = Window(begin, end, zone).at(found.changes_ms)
    assert (after.closed, after.since_ms) == (not found.closed, found.changes_ms)
