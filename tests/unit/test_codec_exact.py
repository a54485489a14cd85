"""JSON without loss, in both directions, and its limits."""

import contextlib
import json
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.codec import Limits, NotJson, canonical, json_bytes, json_value
from isthmus.exactjson import MAX_NUMBER, nested_deeper
from tests.fakes.plain import plain

text = st.text(st.characters(exclude_categories=["Cs"]))
numbers = (
    st.integers()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.builds(Decimal, st.from_regex(r"-?(0|[1-9][0-9]{0,50})(\.[0-9]{1,40})?(E[+-]?[0-9]{1,2})?", fullmatch=True))
)
scalars = st.none() | st.booleans() | text | numbers
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5), max_leaves=20
)


@settings(deadline=None)
@given(values)
def test_every_value_comes_back_equal_number_by_number(value: Any) -> None:
    assert plain(json_value(json_bytes(value))) == plain(value)


@settings(deadline=None)
@given(values)
def test_what_was_read_is_written_as_the_same_bytes(value: Any) -> None:
    written = json_bytes(value)

    assert json_bytes(json_value(written)) == written


@settings(deadline=None)
@given(values)
def test_the_layout_of_a_document_does_not_change_what_is_read(value: Any) -> None:
    written = json_bytes(value)

    assert repr(json_value(b" " + written + b"\n")) == repr(json_value(written))


@settings(deadline=None)
@given(values)
def test_the_standard_library_reads_the_same(value: Any) -> None:
    assert plain(json.loads(json_bytes(value), parse_float=Decimal, parse_int=Decimal)) == plain(value)


@pytest.mark.parametrize(
    "token",
    [
        "0", "-1", "9007199254740993", "18446744073709551615", "18446744073709551616", "-9223372036854775809",
        "123456789012345678901234567890123456789", "1" * MAX_NUMBER,
        "-0", "-0.0", "-0.00", "1.10", "0.1", "1E+126", "1E-130", "1E+400", "0E-10", "3.141592653589793238462643",
        "0.00001", "1.7976931348623157e+308", "1E+999",
    ],
)  # fmt: skip
def test_a_number_keeps_its_text(token: str) -> None:
    document = b'{"n":[%b]}' % token.encode()

    value = json_value(document)["n"][0]

    assert str(value) == token or float(token) == value
    assert json_bytes({"n": [value]}) == document
    assert json_bytes(Decimal(token)) in {token.encode(), str(Decimal(token)).encode()}


@pytest.mark.parametrize(
    "token, value",
    [
        ("18446744073709551616", 2**64),
        ("1.10", Decimal("1.10")),
        ("1E400", Decimal("1E400")),
        ("1e-400", Decimal("1e-400")),
        ("0.1", 0.1),
        ("1e-05", 1e-05),
        ("0.00001", 1e-05),
        ("-0", Decimal("-0")),
        ("-0.0", -0.0),
        ("1.0", 1.0),
        ("0.30000000000000000001", Decimal("0.30000000000000000001")),
    ],
)
def test_a_number_becomes_the_simplest_type_that_holds_it(token: str, value: object) -> None:
    # Beside another number that calls for the exact reader, and without it: the same.
    for document in (token, f"[{token},1.10]", f"[{token}]"):
        read = json_value(document.encode())
        read = read[0] if isinstance(read, list) else read
        assert repr(read) == repr(value)


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused_in_documents(token: str) -> None:
    with pytest.raises(NotJson) as refused:
        json_value(f'{{"a":[{token}]}}'.encode())

    assert refused.value.reason == "not-a-number"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("Infinity")])
@pytest.mark.parametrize("around", ["alone", "member", "deep", "mapping", "beside a large int", "ordered"])
def test_what_is_no_number_is_refused_in_values(bad: float | Decimal, around: str) -> None:
    value = {
        "alone": bad,
        "member": {"a": 1, "b": bad},
        "deep": {"a": [{"b": (1, [bad])}]},
        "mapping": {"a": MappingProxyType({"b": bad})},
        "beside a large int": [2**70, bad],
        "ordered": OrderedDict(a=bad),
    }[around]

    with pytest.raises(ValueError):  # noqa: PT011 - every error of this type is a refusal
        json_bytes(value)
    with pytest.raises(ValueError):  # noqa: PT011 - same
        canonical(value)


@pytest.mark.parametrize(
    "token", ["1" * (MAX_NUMBER + 1), "1E1001", "1E-1001", "1E999999999", "1E99999999999999999999", "0." + "1" * 1000]
)
def test_numbers_too_long_to_write_out_are_refused(token: str) -> None:
    with pytest.raises(NotJson) as refused:
        json_value(token.encode())

    assert refused.value.reason == "number-too-long"


@pytest.mark.parametrize(
    "number",
    [10**MAX_NUMBER, -(10**5000), Decimal("1E1001"), Decimal("1." + "1" * 1000)],
    ids=["just", "far", "exponent", "digits"],
)
def test_numbers_that_would_not_be_read_are_not_written(number: int | Decimal) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - every error of this type is a refusal
        json_bytes([number])


@pytest.fixture
def few_digits() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.usefixtures("few_digits")
def test_a_python_set_to_fewer_digits_refuses_the_document_and_nothing_else_happens() -> None:
    with pytest.raises(NotJson) as refused:
        json_value(b"1" * 700)

    assert refused.value.reason == "number-too-long"


@pytest.mark.parametrize(
    "document",
    [
        b"", b"[", b"[1,]", b"{'a':1}", b"\xff", b"\xef\xbb\xbf1", b'"\x01"', b"01", b"1.", b"+1", b"nul", b"1 2",
        b'"\\ud800"', b'"\\udc00\\ud800"', b'["\\ud800",1E400]', b'"\xed\xa0\x80"', '"ä"'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(document: bytes) -> None:
    with pytest.raises(NotJson) as refused:
        json_value(document)

    assert refused.value.reason == "not-json"


def test_half_of_a_surrogate_pair_is_not_written() -> None:
    for value in ("\ud800", {"\udfff": 1}, [2**70, "\ud800"]):
        with pytest.raises(ValueError):  # noqa: PT011 - every error of this type is a refusal
            json_bytes(value)


def test_a_refusal_does_not_carry_the_document() -> None:
    for document in (
        b'{"a":"secret"',
        b'["secret",NaN]',
        b'["secret\xff"]',
        b'["secret",1E5000]',
        b'["secret\\ud800"]',
    ):
        with pytest.raises(NotJson) as refused:
            json_value(document)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__ or refused.value.__context__ is None
        assert "secret" not in str(refused.value)


def test_the_last_of_two_members_of_one_name_counts() -> None:
    assert json_value(b'{"a":1,"a":2}') == {"a": 2}
    assert json_value(b'{"a":1,"a":1.10}') == {"a": Decimal("1.10")}


# limits


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("pad", [b"", b" "])
def test_depth_is_allowed_up_to_the_limit_and_refused_beyond(pad: bytes) -> None:
    assert json_value(nested(64) + pad)
    for levels in (65, 300, 1023, 1025, 100_000):
        with pytest.raises(NotJson) as refused:
            json_value(nested(levels) + pad)
        assert refused.value.reason == "too-deep"


def test_depth_is_refused_in_a_document_that_only_the_exact_reader_takes() -> None:
    objects = b'{"a":' * 65 + b"1E400" + b"}" * 65

    with pytest.raises(NotJson) as refused:
        json_value(objects)

    assert refused.value.reason == "too-deep"


def test_unfinished_bombs_are_refused_for_their_depth() -> None:
    for bomb in (b"[" * 10_000_000, b'{"a":' * 400_000, b'["\\"]]]",' * 100_000):
        with pytest.raises(NotJson) as refused:
            json_value(bomb)
        assert refused.value.reason == "too-deep"


def test_too_many_arrays_and_objects_are_refused_before_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orjson, "loads", lambda _: pytest.fail("parsed"))

    with pytest.raises(NotJson) as refused:
        json_value(b"[" + b"[],{}," * 300_000 + b"1]")

    assert refused.value.reason == "too-large"


def test_brackets_in_strings_are_no_arrays() -> None:
    value = ["[]{}[[", '"[', "\\[", 18446744073709551616] * 10

    assert json_value(json_bytes(value), Limits(max_containers=1, max_depth=1)) == value


def test_too_many_bytes_are_refused_before_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orjson, "loads", lambda _: pytest.fail("parsed"))

    with pytest.raises(NotJson) as refused:
        json_value(b'"aaaaaaaa"', Limits(max_bytes=9))

    assert refused.value.reason == "too-large"


def test_a_depth_that_no_reader_can_keep_is_refused_as_a_limit() -> None:
    with pytest.raises(ValueError, match="max_depth"):
        Limits(max_depth=201)
    assert json_value(nested(200) + b" ", Limits(max_depth=200))


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


bracketed = st.text('[]{}"\\a', max_size=8)


@settings(deadline=None)
@given(
    st.recursive(
        bracketed, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(bracketed, inner, max_size=3)
    ),
    st.integers(1, 8),
)  # fmt: skip
def test_depth_is_counted_without_parsing_whatever_the_strings_hold(value: Any, levels: int) -> None:
    assert nested_deeper(json_bytes(value), levels) is (depth_of(value) > levels)


@settings(deadline=None)
@given(st.binary() | bracketed.map(str.encode))
def test_any_bytes_give_a_value_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(NotJson):
        json_bytes(json_value(data, Limits(max_depth=3)))


# rows


class Colour(StrEnum):
    RED = "red"


class Size(Enum):
    SMALL = 1
    HUGE = 2**70
    NONE = float("nan")


@dataclass
class Unknown:
    name: str = "secret"


ROW = {
    "t": datetime(2013, 1, 1, 10, 15, tzinfo=UTC),
    "naive": datetime(2013, 1, 1, 10, 15, 0, 250),  # noqa: DTZ001 - a back office has such columns
    "d": date(2013, 1, 1),
    "clock": time(10, 15),
    "raw": b"\x00\xff",
    "id": UUID(int=1),
    "n": Decimal("1.10"),
    "big": 10**40,
    "f": 0.1,
    "none": None,
    "yes": True,
    "colour": Colour.RED,
    "list": (1, 2),
}


def test_a_row_has_one_canonical_text() -> None:
    assert canonical(ROW) == (
        b'{"big":' + b"1" + b"0" * 40 + b',"clock":"10:15:00","colour":"red","d":"2013-01-01","f":0.1,'
        b'"id":"00000000-0000-0000-0000-000000000001","list":[1,2],"n":1.10,"naive":"2013-01-01T10:15:00.000250",'
        b'"none":null,"raw":"AP8=","t":"2013-01-01T10:15:00+00:00","yes":true}'
    )


def test_the_canonical_text_does_not_depend_on_the_order_of_columns() -> None:
    turned = dict(reversed(ROW.items()))

    assert canonical(turned) == canonical(ROW) == canonical(MappingProxyType(turned))
    assert json_bytes(turned) != json_bytes(ROW)
    assert canonical({"b": {"y": 1, "x": 2}, "a": 0}) == b'{"a":0,"b":{"x":2,"y":1}}'


def test_the_canonical_text_does_not_depend_on_what_else_is_in_the_row() -> None:
    small = {name: value for name, value in ROW.items() if name != "big"}

    assert canonical(small) == canonical(ROW).replace(b'"big":' + b"1" + b"0" * 40 + b",", b"")


def test_a_moment_has_one_text_in_every_zone() -> None:
    new_york = ROW["t"].astimezone(timezone(timedelta(hours=-5)))  # type: ignore[attr-defined]

    assert canonical({"t": new_york}) == canonical({"t": ROW["t"]})


@pytest.mark.parametrize(
    "value",
    [Unknown(), {1: "a"}, {1, 2}, object(), datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))],
    ids=["dataclass", "names", "set", "object", "moment"],
)
def test_what_has_no_form_is_refused(value: object) -> None:
    for number in (1, 2**70):
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - every error of this type is a refusal
            canonical([number, value])
        assert "secret" not in str(refused.value)


def test_a_member_of_an_enumeration_stands_for_its_value() -> None:
    assert json_bytes([Size.SMALL, Size.HUGE]) == b"[1,1180591620717411303424]"
    with pytest.raises(ValueError, match="NaN"):
        json_bytes([Size.NONE])


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)

    with pytest.raises(ValueError, match="too deep"):
        json_bytes(value)


def test_very_many_values_are_read_only_while_a_double_holds_every_number() -> None:
    limits = Limits(max_exact=3)
    assert json_value(b'[1,2,3,4,"5,6,7,8"]', limits) == [1, 2, 3, 4, "5,6,7,8"]
    assert json_value(b'[1.10,2,"3,4,5,6"]', limits) == [Decimal("1.10"), 2, "3,4,5,6"]
    with pytest.raises(NotJson, match="more than 3 values") as refused:
        json_value(b"[1.10,2,3,4]", limits)
    assert refused.value.reason == "too-large"
