"""JSON without loss: whole numbers of any size and decimals keep their exact value and text, in both directions.

orjson does the work. What it would round became a `float`, or a zero that may have been `-0`: where there is one, what
was read is written once more, and only where the bytes differ does the standard library, which is slower but asks how
to read a number, read the document again.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from itertools import chain
from typing import Any
from uuid import UUID

import orjson

MAX_NUMBER = 1000
"""Characters in a number, and its highest power of ten: past every column type but an unbounded NUMERIC, and short
enough to be written out in full. Both directions refuse more: `1E999999999` is a bomb for whoever makes it an `int`."""

_DEEPEST = 200
"""What orjson writes (254 levels) and the standard library reads with some stack in use already."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may be at most. More is refused before it is parsed, or before it is parsed far."""

    max_bytes: int = 10 * 1024 * 1024
    """The largest Kinesis record (Kinesis quotas, `MaxRecordSizeInKiB`)."""
    max_depth: int = 64
    """Arrays and objects inside each other, a batch's own array and its event objects among them. Far below the
    recursion limit (1,000 by default) of everything in Python that walks a value."""
    max_events: int = 10_000
    """Elements of a batch. The largest record holds fewer real events: each has some 200 bytes of attributes."""
    max_containers: int = 500_000
    """Arrays and objects in a document: 10 MiB of empty ones take 300 MB of memory, so many of them a tenth of it."""
    max_exact: int = 1_000_000
    """Values of a document in which a number is one that no double holds: such a number takes 104 bytes of memory."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_depth <= _DEEPEST:
            raise ValueError(f"max_depth = {self.max_depth}: 1 to {_DEEPEST}")


DEFAULT_LIMITS = Limits()


class NotJson(ValueError):  # noqa: N818 - says what the bytes are, as the other refusals do
    """These bytes are no JSON that Isthmus takes.

    `reason` is a short, constant word: `not-json`, `not-a-number`, `number-too-long`, `too-deep` or `too-large`. The
    message holds nothing of the document's content.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def json_bytes(value: Any) -> bytes:
    """Give the JSON text of a value, compact, in UTF-8, object members in their own order.

    Takes what `json_value` gives, and writes as strings: date, time and datetime (ISO 8601; a moment with a zone in
    UTC), bytes (base64), UUID.

    Raises ValueError for what JSON cannot hold exactly: NaN and infinity, half of a surrogate pair, a number longer
    than `MAX_NUMBER`, names that are no strings, more than some 250 levels of depth, any other type.
    """
    return _write(value, _OWN_FORMS)


def canonical(value: Any) -> bytes:
    """Give the one JSON text that equal rows have in common: `json_bytes` with object members sorted by name.

    For hashes. Raises ValueError as `json_bytes` does.
    """
    return _write(value, _OWN_FORMS | orjson.OPT_SORT_KEYS)


def json_value(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Give the value of a JSON text.

    A number becomes an `int`, or a `float` where the float's shortest text is the number's own text, or else a
    `Decimal` (also `-0`, which no `int` holds). Where an object has two members of one name, the last one counts.

    Raises `NotJson` and nothing else.
    """
    if len(data) > limits.max_bytes:
        raise NotJson("too-large", f"{len(data)} bytes, {limits.max_bytes} allowed")
    if len(data) > limits.max_containers and _openings(data) > limits.max_containers:
        _refuse_many(data, limits)
    try:
        value = orjson.loads(data)
    except ValueError:
        value = _REFUSED
    if value is _REFUSED:  # out here, where no error with the document in it becomes the context of the next
        return _read_after_refusal(data, limits)
    # The same bytes again: every number is what its text says.
    if _plain(value, limits.max_depth) or orjson.dumps(value) == data:
        return value
    del value  # before a second copy is made: a large record shall not take the memory of two
    return _read_exactly(data, limits)


def nested_deeper(text: bytes, levels: int) -> bool:
    """Say whether a JSON text nests arrays and objects deeper than so many levels, without parsing it.

    Exact up to the first place where the text is no JSON, and cheap where it has few brackets.
    """
    if _openings(text) <= levels:
        return False
    depth = 0
    for bracket in _brackets(text):
        depth += 1 if bracket == _OPEN else -1
        if depth > levels:
            return True
    return False


def _brackets(text: bytes) -> bytes:
    """Give the brackets that stand in no string, square ones as curly ones."""
    return _outside_strings(text, _NO_MARKS, _ONE_KIND_OF_BRACKET)


def _outside_strings(text: bytes, left_out: bytes, table: bytes | None = None) -> bytes:
    """Give the bytes that stand in no string, without those that are left out; `table` says which become others.

    Quotes are not left out: they tell where a string is.
    """
    # Backslash pairs go first, so that a quote that is left behind a backslash is an escaped one.
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Leaving out two neighbouring quotes keeps for every mark whether it stands in a string.
    marks = unescaped.translate(table, left_out).replace(b'""', b"")
    return b"".join(marks.split(b'"')[::2])


def _openings(text: bytes) -> int:
    """Count opening brackets, those in strings too."""
    return len(text.translate(None, _NO_OPENING))


_NO_OPENING = bytes(set(range(256)) - set(b"[{"))
_OPEN = ord("{")
_ONE_KIND_OF_BRACKET = bytes.maketrans(b"[]", b"{}")
_NO_MARKS = bytes(set(range(256)) - set(b'"[]{}'))
_NO_COMMAS = bytes(set(range(256)) - set(b'",'))
_CONTAINERS: frozenset[type] = frozenset({dict, list})


def _plain(value: Any, levels: int) -> bool:
    """Say whether no number in a value that orjson read can be another than its text.

    Raises `NotJson` for a value that nests deeper. Level by level: no recursion that the value could exhaust; and each
    level in a few calls, for this is done with every change.
    """
    plain = True
    values: list[Any] = [value]
    for _ in range(levels + 1):
        kinds = set(map(type, values))
        # An `int` that orjson reads has 64 bits at most, and is exact but for the sign of `-0`.
        if float in kinds or (int in kinds and 0 in values):
            plain = False
        if kinds.isdisjoint(_CONTAINERS):
            return plain
        level: list[Any] = [item for item in values if item.__class__ in _CONTAINERS]
        values = list(chain.from_iterable([item.values() if item.__class__ is dict else item for item in level]))
    raise NotJson("too-deep", f"more than {levels} arrays and objects inside each other")


def _refuse_many(data: bytes, limits: Limits) -> None:
    if _brackets(data).count(_OPEN) > limits.max_containers:
        _refuse_depth(data, limits.max_depth)
        raise NotJson("too-large", f"more than {limits.max_containers} arrays and objects")


def _refuse_depth(data: bytes, levels: int) -> None:
    if nested_deeper(data, levels):
        raise NotJson("too-deep", f"more than {levels} arrays and objects inside each other")


_REFUSED = object()


def _read_after_refusal(data: bytes, limits: Limits) -> Any:
    """Read what orjson refused. A number beyond every double stops it, and is none of the document's faults."""
    _refuse_depth(data, limits.max_depth)
    value = _read_exactly(data, limits)
    try:
        json_bytes(value)
    except ValueError:
        # The standard library lets "\ud800" pass; no UTF-8 and no store holds it.
        raise NotJson("not-json", "half of a surrogate pair in a string") from None
    return value


def _read_exactly(data: bytes, limits: Limits) -> Any:
    # One comma less than values in each array and object. Most documents have not even so many bytes.
    if len(data) > limits.max_exact and len(_outside_strings(data, _NO_COMMAS)) >= limits.max_exact:
        raise NotJson("too-large", f"more than {limits.max_exact} values, and a number among them that no double holds")
    # `from None` throughout: these errors carry the document, and would carry it into logs.
    try:
        return _EXACT.decode(data.decode("utf-8"))
    except NotJson:
        raise
    except UnicodeDecodeError as error:
        raise NotJson("not-json", f"no UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotJson("not-json", f"no JSON from character {error.pos} on") from None
    except ValueError:
        # Python itself may be set to read fewer digits (`sys.set_int_max_str_digits`).
        raise _too_long() from None


def _read_int(token: str) -> int | Decimal:
    if len(token) > MAX_NUMBER:
        raise _too_long()
    return Decimal(token) if token == "-0" else int(token)  # noqa: S105 - a token of JSON, not a secret


def _read_real(token: str) -> float | Decimal:
    if len(token) > MAX_NUMBER:
        raise _too_long()
    number = float(token)
    # Two shortest texts are in use, 1e-05 (Python) and 0.00001 (orjson): each reads as the float that it was written
    # from, whichever reader the rest of the document calls for.
    if repr(number) == token or orjson.dumps(number) == token.encode():
        return number
    try:
        decimal = Decimal(token)
    except InvalidOperation:
        raise _too_long() from None
    if _is_too_long(decimal):
        raise _too_long()
    return decimal


def _read_constant(_: str) -> Any:
    raise NotJson("not-a-number", "NaN or an infinity")


def _is_too_long(decimal: Decimal) -> bool:
    return not decimal.is_finite() or abs(decimal.adjusted()) > MAX_NUMBER


def _too_long() -> NotJson:
    return NotJson("number-too-long", f"a number of more than {MAX_NUMBER} digits")


_EXACT = json.JSONDecoder(parse_int=_read_int, parse_float=_read_real, parse_constant=_read_constant)


_OWN_FORMS = orjson.OPT_PASSTHROUGH_DATETIME


def _write(value: Any, option: int) -> bytes:
    try:
        text = orjson.dumps(value, _stand_in, option)
    except TypeError:
        # Too large an int is not offered to the stand-in: it takes a copy of the value to spell it out.
        return _write_spelled(value, option)
    # orjson writes NaN and infinity as null.
    return _write_spelled(value, option) if _may_hold_nan(value) else text


def _write_spelled(value: Any, option: int) -> bytes:
    try:
        return orjson.dumps(_spell(value), _stand_in, option)
    except TypeError as error:
        raise ValueError(f"not exact in JSON: {error.__cause__ or 'text, names or depth'}") from None
    except (RecursionError, OverflowError):
        raise ValueError("too deep, or a moment outside the calendar") from None


def _may_hold_nan(value: Any) -> bool:
    """Say whether a NaN or an infinity may be in here: for sure not, where every type is a plain one."""
    kind = value.__class__
    if kind is float:
        return not math.isfinite(value)
    if kind in _NO_FLOATS:
        return False
    items = value.values() if kind is dict else value if kind is list or kind is tuple else None
    if items is None:
        return True
    for item in items:  # noqa: SIM110 - a generator would take twice the time of a flat row
        if item.__class__ not in _NO_FLOATS and _may_hold_nan(item):
            return True
    return False


_NO_FLOATS = frozenset({str, int, bool, type(None), Decimal, datetime, date, time, bytes, UUID, orjson.Fragment})


def _spell(value: Any) -> Any:
    """Give the value with every int as the bytes that stand for it, and everything unusual in its usual form."""
    if value is None or isinstance(value, bool | orjson.Fragment):
        return value
    if isinstance(value, Enum):
        return _spell(value.value)
    if isinstance(value, int):
        return _number(str(int(value)))
    if isinstance(value, Mapping):
        return {str(name) if isinstance(name, str) else name: _spell(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell(item) for item in value]
    return _stand_in(value)


def _stand_in(value: Any) -> Any:
    """Give what orjson shall write in place of a value that it does not know. Raises ValueError if there is none."""
    for kinds, stand_in in _STAND_INS:
        if isinstance(value, kinds):
            return stand_in(value)
    raise ValueError(f"a value of type {type(value).__name__}")


def _number(token: str) -> orjson.Fragment:
    if len(token) > MAX_NUMBER:
        raise ValueError(f"a number of more than {MAX_NUMBER} digits")
    return orjson.Fragment(token)


def _decimal(value: Decimal) -> orjson.Fragment:
    if _is_too_long(value):
        raise ValueError(f"no finite number of at most {MAX_NUMBER} digits")
    return _number(str(value))


def _float(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("NaN or an infinity")
    return float(value)


def _moment(value: datetime) -> str:
    # The same moment must not depend on the time zone of a database session.
    return value.isoformat() if value.tzinfo is None else value.astimezone(UTC).isoformat()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


_STAND_INS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (Decimal, _decimal),
    (datetime, _moment),
    ((date, time), lambda value: value.isoformat()),
    ((bytes, bytearray, memoryview), _base64),
    (float, _float),
    ((str, UUID), str),
    (Mapping, dict),
)
