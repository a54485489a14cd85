"""From clocks on the wall to moments in UTC, and from there to text.

A moment is a whole number of minutes since 1970-01-01 UTC. A zone is an IANA name. Clock times are HHMM; 2400 is the
midnight that ends the day. A day is a number YYYYMMDD. Every cache is bounded.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_DAY: Final = 24 * 60
_HOUR: Final = 60
_STEP: Final = 15
"""Since 1972 every zone has changed its offset at a quarter of an hour in UTC, if at all (IANA tz database)."""

_EPOCH: Final = date(1970, 1, 1)
_EPOCH_UTC: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTES: Final = {minute // 60 * 100 + minute % 60: minute for minute in range(_DAY + 1)}
_TIMES: Final = tuple(f"T{minute // 60:02d}:{minute % 60:02d}:00Z" for minute in range(_DAY))


def minutes_of(hhmm: int) -> int:
    """Give the minutes since midnight for a clock time, 0 to 1440. Raises ValueError for what no clock shows."""
    if type(hhmm) is not int or hhmm not in _MINUTES:
        raise ValueError("that is no clock time, HHMM from 0 to 2400")
    return _MINUTES[hhmm]


@lru_cache(maxsize=1024, typed=True)
def day_number(day: int) -> int:
    """Give the days since 1970 for a day YYYYMMDD. Raises ValueError for what is no day of the calendar."""
    if type(day) is not int:
        raise ValueError("that is no day, YYYYMMDD")
    return (date(day // 10000, day // 100 % 100, day % 100) - _EPOCH).days


@lru_cache(maxsize=1024, typed=True)
def day_text(day: int) -> str:
    """Give a day YYYYMMDD as `2013-01-01`. Raises ValueError for what is no day of the calendar."""
    return _text_of_day(day_number(day))


def moment_of(day: int, hhmm: int, zone: str) -> int:
    """Give the moment at which a clock of the zone shows HHMM on a day.

    Of an hour that the clock shows twice the first is meant. An hour that it leaves out is counted on from the hour
    before. Raises ValueError for what is no day, no clock time or no zone.
    """
    number = day_number(day)
    minutes = minutes_of(hhmm)
    offset = _steady_offset(zone, number)
    if offset is None:
        return _slow_moment_of(number, minutes, zone)
    return number * _DAY + minutes - offset


def first_after(moment: int, hhmm: int, zone: str) -> int:
    """Give the first moment after this one at which a clock of the zone shows HHMM (2400 is shown as 0000).

    Raises ValueError for what is no clock time or no zone.
    """
    shown = minutes_of(hhmm)
    offset = _steady_offset(zone, moment // _DAY)
    if offset is None:
        return _slow_first_after(moment, shown, zone)
    return moment + 1 + (shown - moment - 1 - offset) % _DAY


def utc_text(moment: int) -> str:
    """Give a moment as text, e.g. `2013-01-01T10:15:00Z`. Raises OverflowError outside of the years 1 to 9999."""
    day, minute = divmod(moment, _DAY)
    return _text_of_day(day) + _TIMES[minute]


@lru_cache(maxsize=1024)
def _text_of_day(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()


@lru_cache(maxsize=8192)
def _steady_offset(zone: str, number: int) -> int | None:
    """Give the zone's offset in minutes if it stays from the day before this one to the day after it, else None.

    The three days, in UTC, hold the local day of that number in every zone, and for every moment of the UTC day the
    24 hours that follow it.
    """
    clock = _zone(zone)
    first = (number - 1) * _DAY
    # A change stays for longer than an hour, so looking once an hour sees it.
    offsets = {_offset(first + hour * _HOUR, clock) for hour in range(3 * 24 + 1)}
    return offsets.pop() if len(offsets) == 1 else None


@lru_cache(maxsize=8192)
def _slow_moment_of(number: int, minutes: int, zone: str) -> int:
    wall = datetime(1970, 1, 1, tzinfo=_zone(zone)) + timedelta(days=number, minutes=minutes)
    return (wall.astimezone(UTC) - _EPOCH_UTC) // timedelta(minutes=1)


@lru_cache(maxsize=8192)
def _slow_first_after(moment: int, shown: int, zone: str) -> int:
    clock = _zone(zone)
    start = moment + 1
    while True:
        # Up to the next quarter of an hour the offset stays.
        end = start - start % _STEP + _STEP
        found = start + (shown - start - _offset(start, clock)) % _DAY
        if found < end:
            return found
        start = end


def _offset(moment: int, clock: ZoneInfo) -> int:
    offset = (_EPOCH_UTC + timedelta(minutes=moment)).astimezone(clock).utcoffset()
    if offset is None:
        raise ValueError("that zone has no offset")
    return offset // timedelta(minutes=1)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, AttributeError, OSError):
        raise ValueError("that is no time zone") from None
