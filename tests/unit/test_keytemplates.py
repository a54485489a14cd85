"""Keys become the values of key columns, and never two keys the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import Poison
from isthmus.keytemplates import WRONG_SHAPE, KeyTemplates, are_apart

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


@pytest.mark.parametrize(
    "one, other, apart",
    [
        ({"a": "{key}"}, {"a": "{key}"}, False),
        ({"a": "{2}"}, {"a": "{2}"}, False),
        ({"a": "{2}"}, {"a": "order#{2}"}, False),
        ({"a": "customer#{2}"}, {"a": "order#{2}"}, True),
        ({"a": "o#{2}"}, {"a": "o#x{2}"}, False),
        ({"a": "{2}#o"}, {"a": "{2}#c"}, True),
        ({"a": "{2}#o"}, {"a": "{2}-#o"}, False),
        ({"a": "{key}", "b": "profile"}, {"a": "{key}", "b": "order"}, True),
        ({"a": "{key}", "b": "all"}, {"a": "{key}", "b": "all"}, False),
        ({"a": "{key}", "b": "all"}, {"a": "{1}", "b": "{2}"}, False),
        ({"a": "{key}", "b": "all"}, {"a": "{1}", "b": "al#{2}"}, True),
        ({"a": "{1}", "b": "a{2}l"}, {"a": "{key}", "b": "all"}, False),
        ({"a": "{1}", "b": "al{2}ll"}, {"a": "{key}", "b": "all"}, True),
        ({"a": "customer#{2}"}, {"b": "order#{2}"}, False),
    ],
)
def test_constant_text_keeps_two_types_apart(one: dict[str, str], other: dict[str, str], *, apart: bool) -> None:
    assert are_apart(one, other) == are_apart(other, one) == apart


TEMPLATES = st.builds(
    "{}{}{}".format, st.text("ab", max_size=2), st.sampled_from(["{key}", "{1}"]), st.text("ab", max_size=2)
)


@given(one=TEMPLATES | st.text("ab", min_size=1), other=TEMPLATES, keys=st.tuples(*[st.text("ab", max_size=3)] * 2))
def test_types_that_are_kept_apart_never_have_the_same_values(one: str, other: str, keys: tuple[str, str]) -> None:
    def value(template: str, key: str) -> str:
        return template.replace("{key}", key).replace("{1}", key)

    if are_apart({"a": one}, {"a": other}):
        assert value(one, keys[0]) != value(other, keys[1])
