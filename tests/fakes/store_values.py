"""Values that stores trip over, and when what a column holds is what was sent."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from hypothesis import strategies as st

from isthmus.exactjson import json_value
from tests.fakes.store_world import Holds

_DEEP: Final = 60

VALUES: Final[Sequence[Any]] = (
    # numbers
    *(0, -1, 7, True, False, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**38),
    *(0.1, -0.0, 1e308, 5e-324, 2.0**60, 1e16, 1e126, math.nan, math.inf, -math.inf, 0.30000000000000004),
    *(Decimal("1.10"), Decimal("-0"), Decimal("9" * 38), Decimal("9" * 39), Decimal("0." + "1" * 39)),
    *(Decimal("1E126"), Decimal("1E-131"), Decimal("1E400"), Decimal("12345678.905"), Decimal("123456789.12")),
    # texts, also those that a type reads as something else
    *("", " ", "x", "  ends with blanks  ", "007", "1.10", " 12 ", "1e3", ".5", "0x10", "1_000", "NaN", "-inf", "null"),
    *("true", "yes", "a\0b", "\0", "half \ud800 of a pair", "\udc00", "😀 é ￿", "e\u0301", 'it\'s "a" \\ %s ? :1 $1'),
    *("x" * 5_000, "long " * 80_001, "é" * 300_000, "y" * 2_000_000),
    # moments and days, and what some stores take for one
    *("1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "2013-01-01T10:00:00.5+05:30", "0001-01-01T00:00:00Z"),
    *("9999-12-31T23:59:59.999999Z", "12013-06-01T00:00:00Z", "+12013-06-01T00:00:00Z", "-0044-03-15T12:00:00Z"),
    *("2013-01-01T10:00:00.123456789Z", "2013-01-01T10:00:00", "2013-02-30T00:00:00Z", "1969-07-20", "0044-03-15"),
    *("2013-01-01T24:00:00Z", "12013-06-01", "2013-02-30", "01/02/2013", "20130101"),
    *("now", "tomorrow", "epoch", "infinity"),
    # containers
    *([], {}, [1, [2, [None]]], {"a": {"b": [True, Decimal("1.10"), 2**64, ""]}, "": 0.1}, {"1": "é", "2": None}),
    *({"nul": "a\0b"}, {"half": "\ud800"}, ["x" * 500_000], {"number": Decimal("9" * 39)}, [math.nan], [-0.0]),
)
"""What JSON can say, what only a user's own function can give, and nothing twice."""

_NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
ANY_VALUE: Final[st.SearchStrategy[Any]] = st.one_of(
    st.sampled_from(VALUES),
    st.integers(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.from_regex(r"\A-?[0-9]{1,45}(\.[0-9]{1,45})?\Z").map(Decimal),
    st.from_regex(r"\A[ +-]?[0-9]{0,20}\.?[0-9]{0,20}(e[0-9]{1,3})?\Z"),
    st.text(st.characters(exclude_categories=[])),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    _NESTED,
)

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_ZONE: Final = r"(Z|z|[+-][0-9]{2}:[0-9]{2})"
_DAY: Final = re.compile(r"([+-][0-9]{4,6}|[0-9]{4,6})-([0-9]{2})-([0-9]{2})", re.ASCII)
_TIME: Final = re.compile(r"[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6})0*)?" + _ZONE, re.ASCII)


def same(holds: Holds, sent: Any, found: Any) -> bool:
    """Say whether a column holds exactly the value that was sent, as its type means it."""
    if sent is None or found is None:
        return sent is found
    if holds is Holds.MOMENT:
        return bool(found == _moment(sent))
    if holds is Holds.DAY:
        return bool(found == _day(sent))
    if holds is Holds.TRUTH:
        return isinstance(found, int) and isinstance(sent, int) and int(found) == sent
    if holds is Holds.JSON or isinstance(sent, dict | list):
        return _equal(json_value(found.encode()) if isinstance(found, str) else found, sent)
    return _same_text(holds, sent, found) if isinstance(sent, str) else _same_number(holds, sent, found)


def _same_text(holds: Holds, sent: str, found: Any) -> bool:
    if isinstance(found, str):
        return found == sent
    return holds is Holds.NUMBER and _NUMBER.fullmatch(sent) is not None and _equal(found, Decimal(sent))


def _same_number(holds: Holds, sent: Any, found: Any) -> bool:
    if isinstance(sent, bool):
        return found in ({1, "1", "true"} if sent else {0, "0", "false"})
    if isinstance(found, str):
        # A text that says the number. Where values stay as they are, only for what no number of the store holds.
        return (holds is not Holds.ANY or isinstance(sent, Decimal)) and _equal(Decimal(found), sent)
    return holds is not Holds.TEXT and _equal(found, sent)


def _equal(found: Any, sent: Any) -> bool:
    """Compare two JSON values: numbers as numbers, and never a number with a truth value."""
    if isinstance(sent, dict) and isinstance(found, dict):
        return found.keys() == sent.keys() and all(_equal(found[name], value) for name, value in sent.items())
    if isinstance(sent, list) and isinstance(found, list):
        return len(found) == len(sent) and all(map(_equal, found, sent))
    if isinstance(sent, bool) or isinstance(found, bool):
        return sent is found
    if isinstance(sent, int | float | Decimal) and isinstance(found, int | float | Decimal):
        one, other = _decimal(found), _decimal(sent)
        return one == other or (one.is_nan() and other.is_nan())
    return type(found) is type(sent) and bool(found == sent)


def _decimal(number: float | Decimal) -> Decimal:
    # A double by the text that JSON writes of it, as whoever wrote 0.1 meant it.
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def _day(sent: Any) -> int | None:
    """Give the day of a text, in days since 1970; None for what is none."""
    found = _DAY.fullmatch(sent) if isinstance(sent, str) else None
    return _days(*map(int, found.groups())) if found is not None else None


def _moment(sent: Any) -> int | None:
    """Give the moment of an RFC 3339 text, its year of any length, in microseconds since 1970; None for no moment."""
    day = _DAY.match(sent) if isinstance(sent, str) else None
    time = _TIME.fullmatch(sent, day.end()) if day is not None else None
    days = _days(*map(int, day.groups())) if day is not None else None
    if time is None or days is None:
        return None
    hours, minutes, seconds, fraction, zone = time.groups()
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        return None
    offset = 0 if zone in "Zz" else int(f"{zone[0]}1") * (int(zone[1:3]) * 60 + int(zone[4:6]))
    whole = days * 86_400 + (int(hours) * 60 + int(minutes) - offset) * 60 + int(seconds)
    return whole * 1_000_000 + int((fraction or "0").ljust(6, "0"))


def _days(year: int, month: int, day: int) -> int | None:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 1 <= month <= 12 or not 1 <= day <= lengths[month - 1]:
        return None
    before = year - 1
    of_years = before * 365 + before // 4 - before // 100 + before // 400
    return of_years + sum(lengths[: month - 1]) + day - 719_163
