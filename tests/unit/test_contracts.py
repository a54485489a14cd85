"""What the values of a contract can be: as the producer writes them, or not known."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model, field_serializer, model_serializer

from isthmus.contracts import Bounds, field_bounds, field_types


class Colour(Enum):
    RED = "red"
    TWO = 2


class Sub(BaseModel):
    size: int


class Tree(BaseModel):
    children: list["Tree"]
    parent: "Tree | None"


@pytest.mark.parametrize(
    "annotation, words",
    [
        (str, "string"),
        (Annotated[str, Field(max_length=3)], "string"),
        (int, "integer"),
        (float, "number"),
        (bool, "boolean"),
        (None, "null"),
        (Decimal, "decimal"),
        (Annotated[Decimal, Field(max_digits=5, ge=0)], "decimal"),
        (date, "date"),
        (datetime, "date-time"),
        (time, "time"),
        (UUID, "uuid"),
        (timedelta, "string"),
        (bytes, "string"),
        (str | None, "string null"),
        (int | str | None, "integer string null"),
        (Decimal | float, "decimal number"),
        (Literal["a", 1, True] | None, "string integer boolean null"),
        (Colour, "string integer"),
        (Sub, "object"),
        (Sub | None, "object null"),
        (dict[str, int], "object"),
        (list[int], "array"),
        (tuple[int, str], "array"),
        (Any, ""),
        (Any | None, ""),
        (Callable[[], int], ""),
    ],
)
def test_a_field_is_what_its_type_is_written_as(annotation: Any, words: str) -> None:
    model = create_model("Model", __config__=ConfigDict(strict=True), field=(annotation, ...))
    assert field_types(model) == {"field": frozenset(words.split())}


@pytest.mark.parametrize(
    "annotation, bounds",
    [
        (str, Bounds()),
        (Annotated[str, Field(min_length=2, max_length=9)] | None, Bounds(shortest=2, longest=9)),
        (Literal["a", "four"], Bounds(longest=4)),
        (Literal["four"], Bounds(longest=4)),
        (Literal["a", 100], Bounds()),
        (int, Bounds(places=0)),
        (Annotated[int, Field(ge=1, le=9)], Bounds(lowest=Decimal(1), highest=Decimal(9), places=0)),
        (Annotated[int, Field(gt=1, lt=9)], Bounds(lowest=Decimal(2), highest=Decimal(8), places=0)),
        (Annotated[float, Field(ge=0.5, lt=9)], Bounds(lowest=Decimal("0.5"))),
        (Decimal, Bounds()),
        (Annotated[Decimal, Field(decimal_places=2, gt=0)], Bounds(places=2)),
        (
            Annotated[Decimal, Field(max_digits=5, decimal_places=2)],
            Bounds(lowest=Decimal("-999.99"), highest=Decimal("999.99"), places=2),
        ),
        (
            Annotated[Decimal, Field(max_digits=5, decimal_places=2, ge=0)] | None,
            Bounds(lowest=Decimal(0), highest=Decimal("999.99"), places=2),
        ),
        (Annotated[str, Field(max_length=9)] | int, Bounds()),
        (list[Annotated[str, Field(max_length=9)]], Bounds()),
        (Any, Bounds()),
    ],
)
def test_a_field_is_as_large_as_its_contract_says(annotation: Any, bounds: Bounds) -> None:
    model = create_model("Model", __config__=ConfigDict(strict=True), field=(annotation, ...))
    assert field_bounds(model) == {"field": bounds}


def test_of_a_model_that_is_written_as_something_else_no_size_is_known() -> None:
    assert field_bounds(RootModel[int]) == {"root": Bounds()}


def test_fields_that_refer_to_their_own_model_are_known() -> None:
    assert field_types(Tree) == {"children": {"array"}, "parent": {"object", "null"}}


def test_fields_go_by_their_own_names() -> None:
    assert field_types(create_model("Model", size=(int, Field(alias="SIZE")))) == {"size": {"integer"}}


def test_a_serializer_counts_as_what_it_says_that_it_returns_and_as_anything_where_it_says_nothing() -> None:
    class Model(BaseModel):
        told: int
        silent: int

        @field_serializer("told")
        def as_text(self, value: int) -> str:
            return str(value)

        @field_serializer("silent")
        def as_it_likes(self, value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - that is the point
            return str(value)

    assert field_types(Model) == {"told": {"string"}, "silent": frozenset()}


def test_a_model_that_is_written_as_something_else_is_not_known() -> None:
    class Model(BaseModel):
        size: int

        @model_serializer
        def as_it_likes(self) -> dict[str, str]:
            return {}

    assert field_types(Model) == {"size": frozenset()}
    assert field_types(RootModel[int]) == {"root": frozenset()}
