"""Python values as DynamoDB holds them."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.consumer.stores.dynamodb.values import attribute_of, size_of, value_of
from isthmus.errors import Poison

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.text(),
        st.integers(-(10**38) + 1, 10**38 - 1),
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100).filter(
            lambda value: value == 0 or abs(value) > 1e-100
        ),
        st.binary(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(min_size=1), inner, max_size=4)),
    max_leaves=10,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float):
        return bool(Decimal(repr(one)) == other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other and isinstance(one, bool) == isinstance(other, bool))


@given(JSON)
def test_what_is_taken_comes_back_the_same(value: Any) -> None:
    assert same(value, value_of(attribute_of(value)))


@pytest.mark.parametrize(
    "value, written",
    [
        (0, "0"),
        (-0.0, "0"),
        (Decimal("-0"), "0"),
        (Decimal("1.10"), "1.1"),
        (0.1, "0.1"),
        (10**125, "1E+125"),
        (Decimal("9.9999999999999999999999999999999999999E125"), "9.9999999999999999999999999999999999999E+125"),
        (Decimal("1E-130"), "1E-130"),
        (10**38 - 1, "9" * 38),
        (-(10**38) + 1, "-" + "9" * 38),
    ],
)
def test_a_number_keeps_its_value(value: Any, written: str) -> None:
    assert attribute_of(value) == {"N": written}


@pytest.mark.parametrize(
    "value",
    [
        10**38 + 1,
        Decimal("1." + "1" * 38),
        Decimal("1E126"),
        10**126,
        Decimal("1E-131"),
        float("nan"),
        float("inf"),
        -float("inf"),
        Decimal("NaN"),
        Decimal("Infinity"),
        1e308,
        "\ud800",
        {"": 1},
        {"\udfff": 1},
        {1: 1},
        {1, 2},
        object(),
    ],
)
def test_what_dynamodb_does_not_hold_exactly_is_poison(value: Any) -> None:
    for wrapped in (value, [value], {"a": value}):
        with pytest.raises(Poison) as caught:
            attribute_of(wrapped)
        assert caught.value.reason == "value"


def test_what_nests_deeper_than_dynamodb_goes_is_poison() -> None:
    value: Any = 1
    for _ in range(31):
        value = [value]
    assert value_of(attribute_of(value)) == value
    with pytest.raises(Poison, match="32 deep"):
        attribute_of([value])


def test_the_size_counts_names_and_utf_8() -> None:
    assert size_of({"é": {"S": "€"}}) == 5
    assert size_of({"a": {"BOOL": True}, "b": {"NULL": True}}) == 4
    assert size_of({"a": {"L": [{"S": "xy"}]}}) == 1 + 3 + 1 + 2
    assert size_of({"a": {"M": {"b": {"B": b"xy"}}}}) == 1 + 3 + 1 + 1 + 2
    assert size_of({"a": {"N": "1" * 38}}) == 1 + 21


def test_sets_of_the_front_office_are_read() -> None:
    assert value_of({"SS": ["a"]}) == {"a"}
    assert value_of({"NS": ["1", "1.5"]}) == {1, Decimal("1.5")}
    assert value_of({"BS": [b"a"]}) == {b"a"}
