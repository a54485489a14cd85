"""From the clocks on the wall to moments in UTC."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

_DAYS_TO_TRY = 3
"""The day of the departure and the next one hold every clock time once; where summer time begins, one hour is not on
the clock, and the time comes only on the day after that."""

_NOON = time(12)


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


def _moments(day: date, shown: time, zone: ZoneInfo) -> list[datetime]:
    """Give every UTC moment at which the zone's clock shows this time on this day, in order: none, one or two."""
    wall = datetime.combine(day, shown, tzinfo=UTC)
    candidates = [(wall - offset, offset) for offset in _offsets_around(day, zone)]
    return sorted(moment for moment, offset in candidates if moment.astimezone(zone).utcoffset() == offset)


@cache
def _offsets_around(day: date, zone: ZoneInfo) -> set[timedelta]:
    """Give the zone's distances from UTC that are in force about this day: one, or two where the clock is changed."""
    noons = [datetime.combine(day + timedelta(days=n), _NOON, tzinfo=zone) for n in (-1, 1)]
    return {noon.replace(tzinfo=None) - noon.astimezone(UTC).replace(tzinfo=None) for noon in noons}


def utc_text(moment: datetime) -> str:
    """Give a UTC moment as the front office writes it, e.g. `2013-01-01T10:15:00Z`."""
    return moment.isoformat()[: len("2013-01-01T10:15:00")] + "Z"
