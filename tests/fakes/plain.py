"""Comparing what JSON holds: a number is what its text says, whatever type holds it."""

from decimal import Decimal
from typing import Any


def plain(value: Any) -> Any:
    """Give a value whose numbers are equal exactly when they are the same number of the same sign."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float):
        number = Decimal(repr(value))
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = Decimal(value)
    else:
        return (type(value), value)
    return ("number", number, number.is_signed())
