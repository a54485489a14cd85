"""Numbers as a column of PostgreSQL holds them exactly, or not at all."""

import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from isthmus.consumer.stores.postgres.holds import Hold, unfit

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,5})?", re.ASCII)
_LEAST_REAL = 2.0**-126
"""Nearer to zero a `real` has ever fewer digits."""
_MOST_DIGITS = 131_072
"""Digits before the point of a `numeric` (PostgreSQL, "Numeric Types"); after it there are 16,383."""
_MOST_PLACES = 16_383
_WOULD_ROUND = "a number that its column would round"


def number_text(value: float | Decimal) -> str:
    """Give a number as it is written in a column of texts. Raises `Poison`."""
    _refuse_infinite(value)
    try:
        return str(value) if isinstance(value, int | Decimal) else repr(value)
    except ValueError:
        # Python writes no number of more digits than `sys.set_int_max_str_digits` says.
        raise unfit("a number of too many digits") from None


def integers(bits: int) -> Hold:
    """Hold whole numbers in so many bits and a sign."""
    highest = 2**bits - 1

    def hold(value: Any) -> str | None:
        number = value if type(value) is int else _number(value)
        if number is None:
            return None
        if not -highest - 1 <= number <= highest or number != int(number):
            raise unfit("a number that its column of whole numbers would not hold")
        return str(int(number))

    return hold


def numeric(precision: int | None, scale: int | None) -> Hold:
    """Hold decimal numbers of so many digits, and so many of them after the point; a negative scale is zeros before."""
    most_places = _MOST_PLACES if scale is None else scale
    most_before = _MOST_DIGITS if precision is None else precision - (scale or 0)

    def hold(value: Any) -> str | None:
        number = _number(value)
        if not number:
            return None if number is None else "0"
        _, digits, exponent = number.as_tuple()
        zeros = next(place for place, digit in enumerate(reversed(digits)) if digit)
        if -int(exponent) - zeros > most_places or number.adjusted() + 1 > most_before:
            raise unfit(_WOULD_ROUND)
        return str(number)

    return hold


def double(value: Any) -> str | None:
    """Hold a double by its shortest text, which reads as the same one again."""
    number = _number(value)
    if number is None:
        return None
    held = _made(float, number)
    if Decimal(repr(held)) != number:
        raise unfit(_WOULD_ROUND)
    return repr(held)


def real(value: Any) -> str | None:
    """Hold a single-precision number of at most six digits: so many it keeps always."""
    number = _number(value)
    if number is None:
        return None
    held = _made(_single, number)
    if 0 < abs(held) < _LEAST_REAL or Decimal(f"{held:.6g}") != number:
        raise unfit(_WOULD_ROUND)
    return str(number)


def _single(number: Decimal) -> float:
    return float(struct.unpack("f", struct.pack("f", float(number)))[0])


def _made(to: Callable[[Decimal], float], number: Decimal) -> float:
    try:
        held = to(number)
    except OverflowError:
        held = math.inf
    if not math.isfinite(held):
        raise unfit(_WOULD_ROUND)
    return held


def _number(value: Any) -> Decimal | None:
    """Give the exact number: a JSON number, or a text that is written as one."""
    if value is None:
        return None
    if isinstance(value, str):
        if _NUMBER.fullmatch(value) is None:
            raise unfit("a text in a column of numbers")
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise unfit("no number, in a column of numbers")
    _refuse_infinite(value)
    # What JSON wrote, and not all the digits of the double.
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _refuse_infinite(value: float | Decimal) -> None:
    # Not `math.isfinite` for all: it makes a double of each, and raises for what is larger than any.
    if not (value.is_finite() if isinstance(value, Decimal) else isinstance(value, int) or math.isfinite(value)):
        raise unfit("no finite number")
