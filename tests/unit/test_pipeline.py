"""A row function makes rows, or says why not."""

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.errors import Fatal, IsthmusError, Poison, TargetDown, Transient
from isthmus.pipeline import MAPPING, RowFunction


def test_values_come_in_the_order_of_the_columns() -> None:
    row = RowFunction(("b", "a"), lambda state: {"a": state["x"], "b": state["x"] + 1})
    assert row.row({"x": 1}) == (2, 1)


def raising(error: BaseException) -> Callable[[Any], Any]:
    def values(_: Any) -> Any:
        raise error

    return values


@pytest.mark.parametrize(
    "values, message",
    [
        (raising(ZeroDivisionError("hush")), "ZeroDivisionError was raised"),
        (raising(SystemExit("hush")), "SystemExit was raised"),
        (lambda state: state["hush"], "KeyError was raised"),
        (lambda _: None, "TypeError was raised"),
        (lambda _: {"a": 1}, "KeyError was raised"),
        (lambda _: {"a": 1, "b": 2, "hush": 3}, "1 values for columns that it does not name"),
    ],
)
def test_whatever_goes_wrong_is_poison_and_tells_no_value(values: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(Poison) as caught:
        RowFunction(("a", "b"), values).row({})
    assert (caught.value.reason, caught.value.message) == (MAPPING, message)


def test_a_reason_of_the_user_s_own_stays() -> None:
    with pytest.raises(Poison) as caught:
        RowFunction(("a",), raising(Poison("no-such-country", "A sentence."))).row({})
    assert (caught.value.reason, caught.value.message) == ("no-such-country", "A sentence.")


def test_an_end_that_was_asked_for_is_no_poison() -> None:
    with pytest.raises(KeyboardInterrupt):
        RowFunction(("a",), raising(KeyboardInterrupt())).row({})


@pytest.mark.parametrize("error", [Transient("busy"), TargetDown("away"), Fatal("no"), Poison("no-name")], ids=repr)
def test_what_a_row_function_says_itself_happens_next_happens(error: IsthmusError) -> None:
    with pytest.raises(type(error)) as caught:
        RowFunction(("name",), raising(error)).row({})
    assert caught.value is error
