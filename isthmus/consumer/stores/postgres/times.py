"""Dates and times as a column of PostgreSQL holds them exactly, or not at all."""

import re
from typing import Any

from isthmus.consumer.stores.postgres.holds import Hold, unfit

_DAY = "[0-9]{4,6}-[0-9]{2}-[0-9]{2}"
# Nothing past 23:59:59: a 24th hour or a 60th second would become a part of the next day or minute.
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_SPAN = (
    r"P(?=.)([0-9]{1,6}Y)?([0-9]{1,6}M)?([0-9]{1,6}D)?"
    r"(T(?=.)([0-9]{1,6}H)?([0-9]{1,6}M)?([0-9]{1,6}(\.[0-9]{1,6})?S)?)?"
)
_FORMS = {
    "date": _DAY,
    "timestamp with time zone": f"{_DAY}[T ]{_TIME}{_ZONE}",
    "timestamp without time zone": f"{_DAY}[T ]{_TIME}",
    "time without time zone": _TIME,
    "time with time zone": f"{_TIME}{_ZONE}",
    "interval": _SPAN,
}
"""The form of a text of which the type keeps every part. ISO 8601, without its shorter forms."""
_MICROSECONDS = 6
_FRACTION = re.compile(r"\.([0-9]+)", re.ASCII)


def moments(base: str, precision: int | None) -> Hold | None:
    """Hold texts of a type's form, with at most so many decimal places of seconds; None for another type."""
    form = _FORMS.get(base)
    # What is declared of an interval may be the parts that it keeps.
    if form is None or (base == "interval" and precision is not None):
        return None
    pattern, places = re.compile(form, re.ASCII), _MICROSECONDS if precision is None else precision

    def hold(value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise unfit("a text of another form than its column keeps, which would drop a part of it")
        fraction = _FRACTION.search(value)
        if fraction is not None and len(fraction[1].rstrip("0")) > places:
            raise unfit("a time that its column would round")
        return value

    return hold
