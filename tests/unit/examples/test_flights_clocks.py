"""From clocks on the wall to moments in UTC, against a clock that is read minute by minute."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from examples.flights.clocks import day_number, day_text, first_after, minutes_of, moment_of, utc_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 24 * 60
NEW_YORK = "America/New_York"
ZONES = (
    *(NEW_YORK, "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles", "America/Anchorage"),
    *("Pacific/Honolulu", "America/Puerto_Rico", "Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Tehran"),
)
CHANGES = (date(2013, 3, 10), date(2013, 11, 3), date(2013, 4, 7), date(2013, 10, 6))
"""The clocks change in America on the first two, on Lord Howe, by half an hour, on the others."""

zones = st.sampled_from(ZONES)
near_a_change = st.builds(
    lambda day, days: day + timedelta(days=days), st.sampled_from(CHANGES), st.integers(min_value=-2, max_value=2)
)
days = st.one_of(near_a_change, st.dates(date(2013, 1, 1), date(2013, 12, 31)))
clock_times = st.builds(lambda hour, minute: hour * 100 + minute, st.integers(0, 23), st.integers(0, 59))


def shown(moment: int, zone: str) -> datetime:
    """Give what the clock shows."""
    return (EPOCH + timedelta(minutes=moment)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def first_that_shows(wall: datetime, zone: str) -> int | None:
    """Read the clock every minute of three days."""
    day = (wall.date() - date(1970, 1, 1)).days
    return next((moment for moment in range((day - 1) * DAY, (day + 2) * DAY) if shown(moment, zone) == wall), None)


def number(day: date) -> int:
    return day.year * 10000 + day.month * 100 + day.day


@given(days, st.one_of(clock_times, st.just(2400)), zones)
@example(date(2013, 4, 7), 30, "Australia/Lord_Howe")  # in UTC it is the day before, and the change has yet to come
def test_a_moment_is_the_first_minute_at_which_the_clock_shows_day_and_time(day: date, hhmm: int, zone: str) -> None:
    wall = datetime.combine(day, datetime.min.time()) + timedelta(hours=hhmm // 100, minutes=hhmm % 100)
    expected = first_that_shows(wall, zone)
    if expected is None:  # the clock leaves it out
        wall += timedelta(hours=1) if zone != "Australia/Lord_Howe" else timedelta(minutes=30)
        expected = first_that_shows(wall, zone)
    assert moment_of(number(day), hhmm, zone) == expected


@given(days, st.integers(0, DAY - 1), st.one_of(clock_times, st.just(2400)), zones)
@example(date(2013, 3, 21), 20 * 60, 10, "Asia/Tehran")  # the change is at half past an hour of UTC
def test_the_first_moment_after_is_the_first_later_minute_at_which_the_clock_shows_it(
    day: date, minute: int, hhmm: int, zone: str
) -> None:
    start = (day - date(1970, 1, 1)).days * DAY + minute
    wanted = (hhmm // 100 % 24, hhmm % 100)
    later = range(start + 1, start + 3 * DAY)
    expected = next(each for each in later if (shown(each, zone).hour, shown(each, zone).minute) == wanted)
    assert first_after(start, hhmm, zone) == expected


def test_midnight_at_the_end_of_a_day_is_the_beginning_of_the_next() -> None:
    assert moment_of(20130131, 2400, NEW_YORK) == moment_of(20130201, 0, NEW_YORK)


def test_a_clock_time_that_is_shown_right_now_comes_again_a_day_later() -> None:
    noon = moment_of(20130110, 1200, NEW_YORK)
    assert first_after(noon, 1200, NEW_YORK) == noon + DAY


def test_a_clock_time_that_summer_time_leaves_out_comes_the_day_after() -> None:
    evening = moment_of(20130309, 2300, NEW_YORK)
    assert utc_text(first_after(evening, 230, NEW_YORK)) == "2013-03-11T06:30:00Z"


def test_of_an_hour_that_is_shown_twice_the_second_follows_the_first() -> None:
    first = moment_of(20131103, 130, NEW_YORK)
    assert utc_text(first) == "2013-11-03T05:30:00Z"
    assert first_after(first, 130, NEW_YORK) == first + 60


def test_moments_become_text_in_utc() -> None:
    assert utc_text(moment_of(20130101, 515, NEW_YORK)) == "2013-01-01T10:15:00Z"
    assert utc_text(-1) == "1969-12-31T23:59:00Z"


def test_a_day_becomes_text() -> None:
    assert day_text(20130101) == "2013-01-01"
    assert day_number(19700102) == 1


@pytest.mark.parametrize("hhmm", [-1, 60, 1260, 2401, 2500, 515.0, True, "515", None])
def test_what_no_clock_shows_is_refused(hhmm: object) -> None:
    with pytest.raises(ValueError, match="no clock time"):
        minutes_of(hhmm)  # type: ignore[arg-type] # the row of somebody else's table may hold it


@pytest.mark.parametrize("day", [0, 20130229, 20131301, 2013, 20130101.0, "20130101", None])
def test_what_is_no_day_of_the_calendar_is_refused_even_after_one_that_equals_it(day: object) -> None:
    assert day_number(20130101) == 15706
    with pytest.raises(ValueError, match=r"day|month|year"):
        day_number(day)


@pytest.mark.parametrize("zone", ["NA", "", "America", "../etc/passwd", None, 5])
def test_what_is_no_zone_is_refused(zone: object) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        moment_of(20130101, 515, zone)  # type: ignore[arg-type] # the row of somebody else's table may hold it
