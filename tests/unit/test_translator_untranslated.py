"""Rows that cannot be translated, or have no key: what takes their place."""

import math
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, computed_field

from isthmus.change import Kind, Verb, lane_of
from isthmus.errors import Poison
from isthmus.pipeline import Delete, Row, Skip, Upsert
from isthmus.rawrow import row_in
from isthmus.references import References
from tests.fakes.translator_bench import (
    PRIVATE,
    VALUES,
    Bench,
    Exact,
    Item,
    nested,
    raising,
    returning,
)


def endless(row: Row, references: References) -> Any:
    return endless(row, references)


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "an exception": (raising(KeyError(PRIVATE)), "translate-failed"),
    "a call without end": (endless, "translate-failed"),
    "an exit": (raising(SystemExit(1)), "translate-failed"),
    "poison": (raising(Poison("unknown-airport", "The airport is not known.")), "unknown-airport"),
    "another contract's fault": (lambda row, _: [Item(name=row["ID"])], "contract"),
    "none": (lambda *_: None, "wrong-return"),
    "a model, not a list": (lambda *_: Item(name="x"), "wrong-return"),
    "a generator": (lambda *_: iter([Item(name="x")]), "wrong-return"),
    "a string": (lambda *_: "text", "wrong-return"),
    "a dict for a state": (returning({"name": "x"}), "wrong-return"),
    "another model": (returning(Exact(name="x")), "wrong-return"),
    "another model under a key": (returning(Upsert("item/x", Exact(name="x"))), "wrong-return"),
    "a skip beside a state": (returning(Skip("x"), Item(name="x")), "wrong-return"),
    "a skip without a reason": (returning(Skip(None)), "wrong-return"),  # type: ignore[arg-type]
    "two changes of one key": (returning(Item(name="x"), Upsert("item/7", Item(name="y"))), "double-key"),
    "a state and its delete": (returning(Item(name="x"), Delete("item/7")), "double-key"),
    "a state that was never validated": (returning(Item.model_construct(name=7)), "contract"),
    "half of a surrogate pair": (returning(Item(name="\ud800")), "contract"),
    "an unknown type inside": (returning(Item(name="x", parts={"x": object()})), "contract"),
    "not a number": (returning(Item(name="x", weight=math.nan)), "not-finite"),
    "infinity": (returning(Item(name="x", weight=-math.inf)), "not-finite"),
    "not a number far inside": (returning(Item(name="x", parts={"a": [{"b": (math.nan,)}]})), "not-finite"),
    "a decimal that is none": (returning(Item(name="x", parts={"a": Decimal("NaN")})), "not-finite"),
    "too deep": (returning(Item(name="x", parts=nested(70))), "too-deep"),
    "too deep and long": (returning(Item(name="x" * 2000, parts=nested(70))), "too-deep"),
    "a number too long": (returning(Item(name="x", parts={"n": 10**1200})), "number-too-long"),
    "a key that is no string": (returning(Delete(7)), "bad-key"),  # type: ignore[arg-type]
    "an empty key": (returning(Delete("")), "bad-key"),
    "a key too long": (returning(Delete("ä" * 513)), "bad-key"),
    "a key that is ours": (returning(Delete("~x")), "bad-key"),
    "a key that is no text": (returning(Delete("\udfff")), "bad-key"),
    "writing into the row": (lambda row, _: row.update(NAME="x"), "translate-failed"),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_row_that_cannot_be_translated_is_one_untranslated_change_in_its_place(how: str) -> None:
    translate, reason = WRONG[how]
    (good,) = Bench().run()
    bench = Bench(translate)
    change = bench.untranslated()
    assert change.data["reason"] == reason
    assert row_in(change.data["row"], change.data["types"]) == VALUES
    assert (change.key, change.id, change.version, change.lane) == (good.key, good.id, good.version, good.lane)
    assert (change.rowhash, change.sourcekey, change.epoch) == (good.rowhash, good.sourcekey, good.epoch)
    assert bench.count("isthmus_changes_translated_total", verb="untranslated") == 1
    assert bench.count("isthmus_changes_translated_total", verb="upsert") == 0


def test_a_delete_of_an_entity_of_kind_event_is_untranslated() -> None:
    assert Bench(returning(Delete("item/7")), kind=Kind.EVENT).untranslated().data["reason"] == "wrong-kind"


def test_poison_keeps_its_words_and_other_errors_only_their_name() -> None:
    assert Bench(raising(Poison("unknown", "Not known."))).untranslated().data["message"] == "Not known."
    assert Bench(raising(KeyError(PRIVATE))).untranslated().data["message"] == "KeyError was raised."
    message = Bench(lambda row, _: [Item(name=row["ID"], weight=row["NOTE"])]).untranslated().data["message"]
    assert message == "The new state breaks Item (float_type, string_type)."


def test_a_number_that_is_not_finite_is_found_in_what_pydantic_computes() -> None:
    class Computing(BaseModel):
        name: str

        @computed_field  # type: ignore[prop-decorator]
        @property
        def ratio(self) -> float:
            return math.inf

    assert Bench(returning(Computing(name="x")), contract=Computing).untranslated().data["reason"] == "not-finite"


def test_a_contract_that_writes_nan_by_its_name_does_not_get_it_through() -> None:
    class Constants(BaseModel):
        model_config = ConfigDict(ser_json_inf_nan="constants")

        weight: float

    for weight in (math.nan, math.inf):
        change = Bench(returning(Constants(weight=weight)), contract=Constants).untranslated()
        assert change.data["reason"] == "not-finite"


def test_a_state_that_breaks_its_contract_is_untranslated_also_where_warnings_are_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change = Bench(returning(Item.model_construct(name=7, weight="x", parts={}))).untranslated()  # type: ignore[arg-type]
    assert change.data["reason"] == "contract"


def test_the_word_null_or_nan_in_a_text_is_no_fault() -> None:
    (change,) = Bench(returning(Item(name="null NaN Infinity", parts={"x": None}))).run()
    assert change.data["name"] == "null NaN Infinity"


KEYS: dict[str, tuple[Callable[[Row], Any], str]] = {
    "raises": (raising(ValueError(PRIVATE)), "key-failed"),
    "exits": (raising(SystemExit(0)), "key-failed"),
    "looks at what is no key column": (lambda row: row["NAME"], "key-failed"),
    "is no string": (lambda _: 7, "bad-key"),
    "is empty": (lambda _: "", "bad-key"),
    "is ours": (lambda _: "~raw/x", "bad-key"),
    "is too long": (lambda _: "x" * 1025, "bad-key"),
}


@pytest.mark.parametrize("how", KEYS)
def test_a_row_without_a_key_goes_under_a_raw_key_of_its_source_key(how: str) -> None:
    key, reason = KEYS[how]
    change = Bench(key=key).untranslated()
    assert change.key == "~raw/items/[7]"
    assert change.data["reason"] == reason
    assert change.lane == lane_of("~raw/items/[7]", 16)


def test_a_raw_key_is_never_too_long() -> None:
    bench = Bench(key=raising(ValueError()))
    (one,), (other,) = (bench.run(sourcekey=f'["{letter * 2000}"]') for letter in "ab")
    assert one.key.startswith("~raw/items/~")
    assert len(one.key) < 100
    assert one.key != other.key
    assert one.sourcekey == f'["{"a" * 2000}"]'


def test_values_that_json_does_not_hold_come_back_exactly_from_an_untranslated_row() -> None:
    values = {
        **VALUES,
        "BYTES": b"\x00\xff",
        "VIEW": memoryview(b"view"),
        "NAN": math.inf,
        "MONEY": Decimal("1.10"),
        "AT": datetime(2013, 1, 1, tzinfo=UTC),
        "HALF": "\ud800",
        "LONG": 10**5000,
        "DOCUMENT": nested(100),
    }
    change = Bench(raising(ValueError())).untranslated(values)
    assert row_in(change.data["row"], change.data["types"]) == {**values, "VIEW": b"view"}
    assert change.data["row"]["NAME"] == "seven"


def test_a_value_that_is_no_json_spoils_nothing_as_long_as_it_is_not_needed() -> None:
    (change,) = Bench().run({**VALUES, "NAN": math.nan})
    assert change.verb is Verb.UPSERT
    (other,) = Bench().run({**VALUES, "NAN": math.inf})
    assert change.rowhash != other.rowhash


@pytest.mark.parametrize("column", ["NAME", "NOTE"])
def test_a_row_with_text_that_is_not_utf_8_carries_its_exact_bytes(column: str) -> None:
    values = {**VALUES, column: b"caf\xe9".decode("utf-8", "surrogateescape")}
    change = Bench(lambda row, _: [Item(name=row[column])]).untranslated(values)
    assert change.data["reason"] == "contract"
    assert change.data["types"] == {column: "surrogates"}
    back = row_in(change.data["row"], change.data["types"])
    assert back == values
    assert back[column].encode("utf-8", "surrogateescape") == b"caf\xe9"


def test_rows_that_differ_in_bytes_that_are_no_utf_8_differ_in_their_hash() -> None:
    texts = (b"\xe9", b"\xe8", b"?")
    rows = [{**VALUES, "NOTE": text.decode("utf-8", "surrogateescape")} for text in texts]
    assert len({change.rowhash for values in rows for change in Bench().run(values)}) == len(texts)
