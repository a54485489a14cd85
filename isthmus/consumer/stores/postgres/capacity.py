"""Is a column large enough for what the contract says that its field may hold? Pure."""

from decimal import Decimal

from isthmus.consumer.stores.postgres.values import INTEGERS, Column
from isthmus.contracts import Bounds


def too_small(column: Column, bounds: Bounds) -> tuple[str, str] | None:
    """Say what the column does not hold, and which type would; None where nothing is known to be too large."""
    if column.length is not None:
        longest = max(bounds.longest or 0, bounds.shortest or 0)
        if longest > column.length:
            return f"holds {column.length} characters, and may get {longest}", f"varchar({longest})"
        return None
    for bound in (bounds.lowest, bounds.highest):
        if bound is not None and not _is_held(bound, column):
            return f"does not hold {bound:f}, which the contract allows", _larger(column, bounds)
    places = 0 if column.base in INTEGERS else column.scale
    if bounds.places is not None and places is not None and bounds.places > places:
        return f"holds {places} decimal places, and may get {bounds.places}", "numeric"
    return None


def _is_held(number: Decimal, column: Column) -> bool:
    """Say whether a column of so many bits, or digits before the point, holds a number of this size."""
    if column.base in INTEGERS:
        limit = 1 << INTEGERS[column.base]
        return -limit <= number < limit
    if column.base == "numeric" and column.precision is not None:
        return abs(number) < Decimal(10) ** (column.precision - (column.scale or 0))
    return True


def _larger(column: Column, bounds: Bounds) -> str:
    limit = 1 << INTEGERS["bigint"]
    known = [bound for bound in (bounds.lowest, bounds.highest) if bound is not None]
    whole = column.base in INTEGERS and bounds.places == 0 and all(-limit <= bound < limit for bound in known)
    return "bigint" if whole else "numeric"
