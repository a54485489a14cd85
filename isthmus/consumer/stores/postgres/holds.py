"""What every way to hold a value has in common."""

from collections.abc import Callable
from typing import Any

from isthmus.errors import Poison

Hold = Callable[[Any], str | None]
"""Gives the text form of a value for its column, None for null. Raises `Poison`."""


def unfit(why: str) -> Poison:
    """Give the refusal of a value. The words never hold the value."""
    return Poison("value", why)
