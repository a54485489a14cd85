"""Windows of a calendar: closed from one cron expression to another, in a time zone. Pure: a moment goes in.

Both ends are moments of the wall clock, as people say them ("from Friday 18:00 to Monday 06:00"), and not a beginning
with a length: over a change of the clocks a length would end an hour early or late.

Where the clocks change, a window is rather too long than too short:

- A time of day that does not exist counts at the moment at which the clocks go forward.
- A time of day that exists twice counts the first time where a window begins, the second time where it ends. But an
  expression for every hour or every minute (`*` first in its hours or minutes) means both, as Debian's cron has it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_FIELDS: Final = 5
_MARGIN: Final = timedelta(hours=26)
"""More than clocks ever jump: a day, where a country changes sides of the date line."""
_BEGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Where the search for a moment that never comes begins; cronsim gives up after 50 years."""
_LOOKS: Final = 60
"""Ends that are beginnings too, one after the other, before it counts as never open: a month of days, and more."""
_MS: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OF_THE_MACHINE: Final = frozenset({"localtime", "posixrules", "Factory"})
"""What is in the zones' folder and means another zone on another machine."""

CRON_FORM: Final = 'must be a cron expression: minute, hour, day of month, month, weekday, e.g. "0 18 * * FRI"'


class Standing(NamedTuple):
    """What a window says of a moment. In milliseconds since 1970."""

    closed: bool
    since_ms: int | None
    """When it closed, or opened; None: it never did before."""
    changes_ms: int | None
    """When it opens, or closes; None: never."""


class Window:
    """Closed from each moment of `closed_from` to the next one of `closed_until`. Safe for many threads."""

    def __init__(self, closed_from: str, closed_until: str, time_zone: str) -> None:
        """Raise ValueError for what `cron_objection` or `zone_objection` object to."""
        for objection in (cron_objection(closed_from), cron_objection(closed_until), zone_objection(time_zone)):
            if objection:
                raise ValueError(objection)
        zone = ZoneInfo(time_zone)
        self._from = _Times(closed_from, zone, late=False)
        self._until = _Times(closed_until, zone, late=True)
        self._known: Standing | None = None

    def at(self, now_ms: int) -> Standing:
        """Say whether it is closed at this moment, and until when.

        Where both ends fall on one moment, it is closed from there on. Since when is the beginning of all that time.
        """
        known = self._known
        if known is None or not _holds(known, now_ms):
            known = self._known = self._at(_EPOCH + now_ms * _MS)
        return known

    def _at(self, now: datetime) -> Standing:
        begun, ended = self._from.last(now), self._until.last(now)
        if begun is None or (ended is not None and begun < ended):
            since = ended if begun is None else self._until.after(begun)
            return Standing(closed=False, since_ms=_ms(since), changes_ms=_ms(self._from.after(now)))
        opened = self._opened(ended)
        # What comes again and again while it is closed does not close it anew.
        since = begun if opened is None else self._from.after(opened)
        return Standing(closed=True, since_ms=_ms(since), changes_ms=_ms(self._opens(now)))

    def _opens(self, now: datetime) -> datetime | None:
        """Give the first end after a moment that is not a beginning too."""
        ends = islice(self._until.following(now), _LOOKS)
        return next((end for end in ends if not self._from.has(end)), None)

    def _opened(self, ended: datetime | None) -> datetime | None:
        """Give the last end up to this one that was not a beginning too."""
        for _ in range(_LOOKS):
            if ended is None or not self._from.has(ended):
                return ended
            ended = self._until.last(ended - _MS)
        return None


class _Times:
    """The moments of one expression, as cronsim gives them going forward. In UTC.

    It is never started near the moment that is asked for: it counts in wall-clock time, which says nothing of which of
    two equal hours is meant, and its way back differs from its way forth there.
    """

    def __init__(self, expression: str, zone: ZoneInfo, *, late: bool) -> None:
        self._expression = expression
        self._zone = zone
        minutes, hours = expression.split()[:2]
        self._moves = late and not minutes.startswith("*") and not hours.startswith("*")

    def after(self, moment: datetime) -> datetime | None:
        """Give the first one after a moment."""
        return next(self.following(moment), None)

    def following(self, moment: datetime) -> Iterator[datetime]:
        """Give all after a moment."""
        return (found for found in self._forward(moment - _MARGIN) if found > moment)

    def has(self, moment: datetime) -> bool:
        """Say whether this moment is one of them."""
        return self.after(moment - _MS) == moment

    def last(self, moment: datetime) -> datetime | None:
        """Give the last one up to a moment, and with it."""
        near = next((found for found in self._back(moment + _MARGIN) if found <= moment), None)
        if near is None:
            return None
        last = near
        for found in self._forward(near - _MARGIN):
            if found > moment:
                break
            last = found
        return last

    def _forward(self, start: datetime) -> Iterator[datetime]:
        for found in CronSim(self._expression, start.astimezone(self._zone)):
            yield self._meant(found)

    def _back(self, start: datetime) -> Iterator[datetime]:
        for found in CronSim(self._expression, start.astimezone(self._zone), reverse=True):
            yield self._meant(found)

    def _meant(self, found: datetime) -> datetime:
        # `fold` changes nothing of a time that exists once, and one that does not exist is never given.
        return (found.replace(fold=1) if self._moves else found).astimezone(UTC)


def cron_objection(expression: str) -> str:
    """Say in words what is wrong with a cron expression, or give the empty string."""
    if len(expression.split()) != _FIELDS:
        return CRON_FORM
    try:
        next(CronSim(expression, _BEGIN))
    except CronSimError as error:
        return f"{CRON_FORM}: {str(error).lower()}"
    except StopIteration:
        return "must come at all: there is no such day"
    return ""


def zone_objection(name: str) -> str:
    """Say in words what is wrong with the name of a time zone, or give the empty string."""
    try:
        if name not in _OF_THE_MACHINE:
            ZoneInfo(name)
            return ""
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    return 'must be a time zone of the IANA database, e.g. "Europe/Berlin" or "UTC"'


def _holds(known: Standing, now_ms: int) -> bool:
    return (known.since_ms is not None and known.since_ms <= now_ms) and (
        known.changes_ms is None or now_ms < known.changes_ms
    )


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MS
