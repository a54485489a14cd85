"""From the clocks on the wall to moments in UTC."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_DAYS_TO_TRY = 3
"""The day of the departure and the next one hold every clock time once; where summer time begins, one hour is not on
the clock, and the time comes only on the day after that."""

_REMEMBERED = 20_000
"""A timetable repeats itself: the same clock times are asked for many times within the few days around a flight."""


@lru_cache(maxsize=_REMEMBERED)
def moment_of(day: date, hhmm: int, zone: ZoneInfo) -> datetime:
    """Give the UTC moment at which a clock of the zone shows `hhmm` on a day; 2400 is the end of that day.

    Of an hour that the clock shows twice, the first one is meant.
    """
    wall = datetime.combine(day, time()) + timedelta(hours=hhmm // 100, minutes=hhmm % 100)
    return wall.replace(tzinfo=zone).astimezone(UTC)


def first_moment_after(start: datetime, hhmm: int, zone: ZoneInfo) -> datetime:
    """Give the first UTC moment after `start` (aware, in UTC) at which a clock of the zone shows `hhmm`.

    2400 is what a clock shows as 00:00. Raises ValueError for what no clock shows.
    """
    shown = time(hhmm // 100 % 24, hhmm % 100)
    first_day = start.astimezone(zone).date()
    days = (first_day + timedelta(days=n) for n in range(_DAYS_TO_TRY))
    # In ascending order, because no clock is set back over midnight where these flights go.
    return next(moment for day in days for moment in _moments(day, shown, zone) if moment > start)


@lru_cache(maxsize=_REMEMBERED)
def _moments(day: date, shown: time, zone: ZoneInfo) -> list[datetime]:
    """Give every UTC moment at which the zone's clock shows this time on this day, in order: none, one or two."""
    wall = datetime.combine(day, shown)
    candidates = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    # A wall time that summer time leaves out is converted all the same, but does not read back.
    return sorted(moment for moment in candidates if moment.astimezone(zone).replace(tzinfo=None) == wall)


def utc_text(moment: datetime) -> str:
    """Give a UTC moment as the front office writes it, e.g. `2013-01-01T10:15:00Z`."""
    return moment.isoformat()[: len("2013-01-01T10:15:00")] + "Z"
