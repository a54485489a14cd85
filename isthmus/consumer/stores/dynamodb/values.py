"""Python values as DynamoDB holds them, and back: exact, or refused. Pure.

The limits are those of AWS, "Constraints in Amazon DynamoDB" and "Supported data types and naming rules".
"""

import math
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from isthmus.errors import Poison

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Attribute: TypeAlias = AttributeValueTypeDef
    Item: TypeAlias = Mapping[str, Attribute]

WRONG_VALUE = "value"
"""The reason of a change with a value that DynamoDB does not hold exactly."""

MAX_ITEM_BYTES = 400 * 1024
MAX_DIGITS = 38
_LOWEST, _HIGHEST = -130, 125
"""Powers of ten of the first digit: 1E-130 to 9.99...E+125."""
MAX_DEPTH = 32
MAX_PARTITION_BYTES, MAX_SORT_BYTES = 2048, 1024

_ZERO: "Attribute" = {"N": "0"}
_LONGEST_INTEGER = 40
"""Bits and digits: 10^38 has 127 bits. A longer integer is a number with many zeros, or too long."""
_EXACT = Context(prec=2000)
"""Past the longest number that is read from the wire: rounding would hide one that is too long."""
_EACH = 3
"""Bytes that a list or a map costs; each of its elements costs one more."""


def text(value: str) -> "Attribute":
    """Give a string attribute. Raises `Poison` for half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Poison(WRONG_VALUE, "a text with half of a surrogate pair") from None
    return {"S": value}


def number(value: int) -> "Attribute":
    """Give a number attribute for a whole number of at most 38 digits."""
    return {"N": str(value)}


def attribute_of(value: Any) -> "Attribute":
    """Give the attribute that holds a value exactly: numbers, texts, bytes, booleans, lists and maps natively.

    A number keeps its value, not its writing: 1.10 is 1.1, and -0 is 0. Raises `Poison` for what DynamoDB has no place
    for.
    """
    return _attribute(value, 1)


def attributes_of(values: Mapping[str, Any]) -> "dict[str, Attribute]":
    """Give an item's attributes. Raises `Poison`, as `attribute_of` does."""
    return {name: _attribute(value, 1) for name, value in values.items()}


def value_of(attribute: "Attribute") -> Any:
    """Give the value of an attribute: whole numbers as `int`, others as `Decimal`, binary as `bytes`."""
    ((kind, held),) = attribute.items()
    return _READ[kind](held)


def row_of(item: "Item") -> dict[str, Any]:
    """Give an item's values by name."""
    return {name: value_of(attribute) for name, attribute in item.items()}


def size_of(item: "Item") -> int:
    """Give an item's size in bytes, as AWS reckons it ("Item sizes and formats"): a number's is an upper bound."""
    return sum(len(name.encode()) + _size(attribute) for name, attribute in item.items())


def _attribute(value: Any, depth: int) -> "Attribute":  # noqa: PLR0911 - one for each type
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, bytes | bytearray):
        return {"B": bytes(value)}
    if depth >= MAX_DEPTH:
        raise Poison(WRONG_VALUE, f"lists and maps more than {MAX_DEPTH} deep inside each other")
    if isinstance(value, Mapping):
        return {"M": {_name(name): _attribute(inner, depth + 1) for name, inner in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [_attribute(inner, depth + 1) for inner in value]}
    raise Poison(WRONG_VALUE, f"a value of type {type(value).__name__}")


def is_same(held: "Attribute", new: "Attribute") -> bool:
    """Say whether two attributes are the same value: DynamoDB gives a number back in another form than it got it."""
    kind: str
    other: str
    left: Any
    right: Any
    ((kind, left),) = held.items()
    ((other, right),) = new.items()
    if kind != other:
        return False
    if kind == "N":
        return Decimal(left) == Decimal(right)
    if kind == "L":
        return len(left) == len(right) and all(map(is_same, left, right))
    if kind == "M":
        return left.keys() == right.keys() and all(is_same(left[name], right[name]) for name in left)
    return bool(left == right)


def _number(value: float | Decimal) -> "Attribute":
    if isinstance(value, int) and value.bit_length() < _LONGEST_INTEGER:
        return {"N": str(value)}
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Poison(WRONG_VALUE, "no finite number")
        # The number that JSON wrote, not all the digits of the double.
        value = Decimal(repr(value))
    exact = Decimal(value)
    if not exact.is_finite():
        raise Poison(WRONG_VALUE, "no finite number")
    if exact == 0:
        return _ZERO
    short = exact.normalize(_EXACT)
    if short != exact or len(short.as_tuple().digits) > MAX_DIGITS:
        raise Poison(WRONG_VALUE, f"a number of more than {MAX_DIGITS} digits")
    if not _LOWEST <= short.adjusted() <= _HIGHEST:
        raise Poison(WRONG_VALUE, "a number beyond DynamoDB's powers of ten")
    return {"N": str(short)}


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise Poison(WRONG_VALUE, "a map with a name that is empty or no text")
    text(name)
    return name


def _whole_or_decimal(held: str) -> int | Decimal:
    exact = Decimal(held)
    return int(exact) if exact == exact.to_integral_value() else exact


def _size(attribute: "Attribute") -> int:
    kind: str
    held: Any
    ((kind, held),) = attribute.items()
    if kind == "S":
        return len(held.encode())
    if kind == "N":
        return len(held) // 2 + 2
    if kind == "B":
        return len(held)
    if kind == "M":
        return _EACH + sum(1 + len(name.encode()) + _size(inner) for name, inner in held.items())
    if kind == "L":
        return _EACH + sum(1 + _size(inner) for inner in held)
    return 1 if kind in {"BOOL", "NULL"} else sum(len(str(inner).encode()) for inner in held)


_READ: Mapping[str, Callable[[Any], Any]] = {
    "S": str,
    "N": _whole_or_decimal,
    "B": bytes,
    "BOOL": bool,
    "NULL": lambda _: None,
    "L": lambda held: [value_of(inner) for inner in held],
    "M": lambda held: {name: value_of(inner) for name, inner in held.items()},
    "SS": set,
    "NS": lambda held: {_whole_or_decimal(each) for each in held},
    "BS": lambda held: {bytes(each) for each in held},
}
