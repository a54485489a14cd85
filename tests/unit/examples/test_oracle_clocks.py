"""Clock times become the right moments, also where a clock is set forward or back."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.flights.oracle.clocks import first_moment_after, moment_of, utc_text

NEW_YORK = ZoneInfo("America/New_York")
CHICAGO = ZoneInfo("America/Chicago")
DENVER = ZoneInfo("America/Denver")
PHOENIX = ZoneInfo("America/Phoenix")
SANTIAGO = ZoneInfo("America/Santiago")
HONOLULU = ZoneInfo("Pacific/Honolulu")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "day,hhmm,moment",
    [
        (date(2013, 1, 1), 515, "2013-01-01T10:15"),
        (date(2013, 7, 1), 515, "2013-07-01T09:15"),
        (date(2013, 3, 10), 159, "2013-03-10T06:59"),
        (date(2013, 3, 10), 300, "2013-03-10T07:00"),
        (date(2013, 11, 3), 130, "2013-11-03T05:30"),
        (date(2013, 1, 1), 2400, "2013-01-02T05:00"),
        (date(2013, 12, 31), 2400, "2014-01-01T05:00"),
    ],
)
def test_a_clock_time_in_new_york_is_this_moment(day: date, hhmm: int, moment: str) -> None:
    assert moment_of(day, hhmm, NEW_YORK) == utc(moment)


@pytest.mark.parametrize(
    "start,hhmm,zone,moment",
    [
        # An ordinary day: the zones differ, and an evening flight arrives on the next day.
        ("2013-01-01T10:15", 819, CHICAGO, "2013-01-01T14:19"),
        ("2013-01-02T04:00", 130, CHICAGO, "2013-01-02T07:30"),
        ("2013-01-02T04:00", 2330, CHICAGO, "2013-01-02T05:30"),
        # Westwards the destination's clock may show less than the departure's did.
        ("2013-07-01T17:00", 1259, DENVER, "2013-07-01T18:59"),
        # Midnight, in both ways to write it.
        ("2013-01-01T23:00", 2400, NEW_YORK, "2013-01-02T05:00"),
        ("2013-01-01T23:00", 0, NEW_YORK, "2013-01-02T05:00"),
        # After, not at: the clock shows it at the start, and again a day later.
        ("2013-01-01T10:15", 515, NEW_YORK, "2013-01-02T10:15"),
        # Over the night in which the clock is set forward, and the zone that does not know of it.
        ("2013-03-10T04:30", 330, CHICAGO, "2013-03-10T08:30"),
        ("2013-03-10T04:30", 330, PHOENIX, "2013-03-10T10:30"),
        # The hour that is left out comes a day later.
        ("2013-03-10T04:30", 230, CHICAGO, "2013-03-11T07:30"),
        # The hour that comes twice: the first one after the start.
        ("2013-11-03T04:30", 130, CHICAGO, "2013-11-03T06:30"),
        ("2013-11-03T06:30", 130, CHICAGO, "2013-11-03T07:30"),
        ("2013-11-03T07:30", 130, CHICAGO, "2013-11-04T07:30"),
        ("2013-11-03T04:30", 230, CHICAGO, "2013-11-03T08:30"),
        # A zone that sets its clock back late in the evening.
        ("2013-04-28T02:15", 2330, SANTIAGO, "2013-04-28T02:30"),
        ("2013-04-28T02:45", 2330, SANTIAGO, "2013-04-28T03:30"),
        ("2013-01-01T15:00", 1530, HONOLULU, "2013-01-02T01:30"),
    ],
)
def test_the_first_moment_after_the_start_at_which_the_clock_shows_it(
    start: str, hhmm: int, zone: ZoneInfo, moment: str
) -> None:
    assert first_moment_after(utc(start), hhmm, zone) == utc(moment)


MINUTES = st.integers(0, 366 * 24 * 60).map(lambda minutes: utc("2013-01-01T00:00") + timedelta(minutes=minutes))
AROUND_A_CHANGE = st.builds(
    lambda change, minutes: utc(change) + timedelta(minutes=minutes),
    st.sampled_from(["2013-03-10T08:00", "2013-11-03T07:00"]),
    st.integers(-48 * 60, 24 * 60),
)


@given(
    start=st.one_of(MINUTES, AROUND_A_CHANGE),
    minute=st.integers(0, 24 * 60),
    zone=st.sampled_from([NEW_YORK, CHICAGO, PHOENIX]),
)
def test_watching_the_clock_minute_by_minute_gives_the_same_moment(
    start: datetime, minute: int, zone: ZoneInfo
) -> None:
    shown = time(minute // 60 % 24, minute % 60)
    watched = start + timedelta(minutes=1)
    while watched.astimezone(zone).time() != shown:
        watched += timedelta(minutes=1)
    assert first_moment_after(start, minute // 60 * 100 + minute % 60, zone) == watched


def test_what_no_clock_shows_is_refused() -> None:
    with pytest.raises(ValueError, match="minute must be in"):
        first_moment_after(utc("2013-01-01T00:00"), 1260, NEW_YORK)


def test_a_moment_is_written_as_the_front_office_writes_it() -> None:
    assert utc_text(utc("2013-01-01T10:15")) == "2013-01-01T10:15:00Z"
