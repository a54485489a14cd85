"""What a user's functions may do to a row, and the word for each way in which it goes wrong. Pure."""

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from isthmus.change import MAX_KEY_BYTES, RAW_KEY_PREFIX
from isthmus.clock import from_rfc3339
from isthmus.errors import IsthmusError, Poison
from isthmus.lifecycle import Stopped

KEY_FAILED = "key-failed"
BAD_KEY = "bad-key"
TRANSLATE_FAILED = "translate-failed"
CONTRACT = "contract"
WRONG_RETURN = "wrong-return"
WRONG_KIND = "wrong-kind"
DOUBLE_KEY = "double-key"
NOT_FINITE = "not-finite"
TOO_DEEP = "too-deep"
TOO_LARGE = "too-large"

_ALWAYS_FINITE = frozenset({str, int, bool, type(None)})

MAX_REASON = 60
MAX_MESSAGE = 500
"""Characters of a user's own words that a change carries."""


class Untranslatable(Exception):  # noqa: N818 - a fact about a row, caught by the translator alone
    """The row cannot be translated.

    `reason` is a short, constant word, `message` a sentence without any value of the row.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


def guarded(reason: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a user's function and give what it returns.

    Whatever is the row's fault becomes `Untranslatable`, without any value of the row; also `SystemExit`, for a library
    that wants to end the process must not. Our own errors but `Poison` pass: they say what happens next.
    """
    try:
        return function(*arguments, **options)
    except Poison as error:
        raise Untranslatable(words(error.reason, MAX_REASON), words(error.message, MAX_MESSAGE)) from None
    except (IsthmusError, Stopped):
        raise
    except ValidationError as error:
        # Kinds of faults alone: the place of a fault may be a name out of the row.
        faults = ", ".join(
            sorted({fault["type"] for fault in error.errors(include_input=False, include_context=False)})
        )
        raise Untranslatable(CONTRACT, words(f"The new state breaks {error.title} ({faults}).", MAX_MESSAGE)) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's function may raise anything
        raise Untranslatable(reason, f"{type(error).__name__} was raised.") from None


def checked_key(key: object) -> str:
    """Give the key back. Raises `Untranslatable` for one that no store could hold, or that is kept for Isthmus."""
    if not isinstance(key, str):
        raise Untranslatable(BAD_KEY, f"The key is a {kind_of(key)} and not a string.")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise Untranslatable(BAD_KEY, "The key holds half of a surrogate pair.") from None
    if not 0 < size <= MAX_KEY_BYTES:
        raise Untranslatable(BAD_KEY, f"The key has {size} bytes: 1 to {MAX_KEY_BYTES} are allowed.")
    if key.startswith(RAW_KEY_PREFIX):
        raise Untranslatable(BAD_KEY, f"The key begins with {RAW_KEY_PREFIX}, which is kept for Isthmus.")
    return key


def milliseconds(value: object) -> int:
    """Give the milliseconds since 1970 for an aware datetime, RFC 3339 text, or a number of just these.

    Raises ValueError or TypeError for anything else.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("no time zone")
        return round(value.timestamp() * 1000)
    if isinstance(value, str):
        return from_rfc3339(value)
    if type(value) is int:
        return value
    raise TypeError("no time")


def holds_no_number(value: Any) -> bool:
    """Say whether NaN or an infinity is somewhere in a value made of dicts and sequences."""
    if isinstance(value, dict):
        items: Iterable[Any] = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        items = value
    elif isinstance(value, float):
        return not math.isfinite(value)
    else:
        return isinstance(value, Decimal) and not value.is_finite()
    # A loop, and the usual types first: this is asked for every new state that holds a null.
    for item in items:  # noqa: SIM110 - a generator would take twice the time
        if item.__class__ not in _ALWAYS_FINITE and holds_no_number(item):
            return True
    return False


def kind_of(value: object) -> str:
    """Give the name of a value's type: all of it that may be told."""
    return type(value).__name__


def words(text: object, most: int) -> str:
    """Give a user's words as text that every JSON document holds, cut to so many characters."""
    return str(text).encode("utf-8", "replace").decode()[:most]
