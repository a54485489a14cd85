"""Keys become the values of key columns, and never two keys the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import Poison
from isthmus.keytemplates import WRONG_SHAPE, KeyTemplates

RIGHT = (
    {"a": "{key}"},
    {"a": "flight#{key}"},
    {"a": "{key}", "b": "all"},
    {"a": "{1}", "b": "{2}"},
    {"a": "{2}", "b": "d-{1}!"},
    {"a": "{2}"},
    {"a": "{3}", "b": "{2}"},
    {"a": "{1}", "b": "{key}"},
)
KEYS = st.lists(st.sampled_from(["", "flight", "a", "b", "d-", "!"]), min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize("templates", RIGHT, ids=str)
@given(one=KEYS, other=KEYS)
def test_two_keys_never_have_the_same_values_and_each_comes_back(
    templates: dict[str, str], one: str, other: str
) -> None:
    made = KeyTemplates("flight", templates)
    values = []
    for key in (one, other):
        try:
            values.append(made.values(key))
        except Poison:
            return
        assert len(values[-1]) == len(templates)
        assert made.key(values[-1]) == key
    assert (list(values[0]) == list(values[1])) == (one == other)


@pytest.mark.parametrize(
    "templates, key, values",
    [
        ({"a": "{key}"}, "flight/UA1/x", ["flight/UA1/x"]),
        ({"a": "{2}", "b": "{3}"}, "flight/UA1/x", ["UA1", "x"]),
        ({"b": "day {3}", "a": "{2}"}, "flight/UA1/x", ["day x", "UA1"]),
        ({"a": "customer#{key}", "b": "profile"}, "flight/UA1", ["customer#flight/UA1", "profile"]),
    ],
)
def test_a_template_takes_its_part(templates: dict[str, str], key: str, values: list[str]) -> None:
    assert list(KeyTemplates("flight", templates).values(key)) == values


@pytest.mark.parametrize("key", ["flight/UA1", "flight/UA1/x/y", "hotel/UA1/x", ""])
def test_a_key_of_another_shape_is_poison(key: str) -> None:
    with pytest.raises(Poison) as caught:
        KeyTemplates("flight", {"a": "{2}", "b": "{3}"}).values(key)
    assert caught.value.reason == WRONG_SHAPE


@pytest.mark.parametrize(
    "templates, objection",
    [
        ({"a": "{1}", "b": "{3}"}, "no key column takes part 2"),
        ({"a": "{3}"}, "no key column takes part 2"),
        ({"a": "same"}, "all keys would be one row"),
        ({"a": "{1}{2}"}, "must hold one place"),
        ({"a": "{0}"}, "must hold one place"),
        ({"a": "{"}, "must hold one place"),
        ({"a": ""}, "must hold one place"),
    ],
)
def test_templates_that_make_one_row_of_two_keys_are_refused_in_words(
    templates: dict[str, str], objection: str
) -> None:
    with pytest.raises(ValueError, match=objection):
        KeyTemplates("flight", templates)
