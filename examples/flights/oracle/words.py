"""The few words that the databases, the stream and the flight data share: keys and versions."""

from datetime import date

POSITION_SPAN = 10**30
"""A version is 8 digits of generation and 30 digits of position, so this divides the one from the other."""

VERSION_DIGITS = 38


def flight_key(carrier: str, number: int, day: date, origin: str) -> str:
    """Give the key of a flight, e.g. `flight/UA1545/2013-01-01/EWR`. The day is that of the scheduled departure."""
    return f"flight/{carrier}{number}/{day.isoformat()}/{origin}"


def version_number(text: object) -> int | None:
    """Give a version's text as one number, which sorts as the text does; None for what is no version."""
    if isinstance(text, str) and len(text) == VERSION_DIGITS and text.isascii() and text.isdigit():
        return int(text)
    return None


def position_of(version: int) -> int:
    """Give the position, which is the `UPDSEQ` of the row change, out of a version's number."""
    return version % POSITION_SPAN
