"""From rows to encoded changes, whatever the user's functions do."""

import math
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, computed_field

from isthmus.change import Change, Kind, Verb, lane_of, row_hash, transaction_id, version_of
from isthmus.codec import canonical, decode
from isthmus.errors import Fatal, Poison, TargetDown
from isthmus.lifecycle import Stopped
from isthmus.metrics import Metrics
from isthmus.payloads import payload_name
from isthmus.pipeline import Delete, Pipeline, Row, Skip, Translated, Upsert
from isthmus.producer.sources.port import SourceRow
from isthmus.producer.sources.references import NoReferences
from isthmus.producer.translator import MAX_REASONS, Translator
from isthmus.rawrow import row_in
from isthmus.references import References
from tests.fakes.clock import FakeClock

PRIVATE = "a-private-value"
VALUES = {"ID": 7, "NAME": "seven", "SEQ": 42, "NOTE": PRIVATE}


class Item(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str
    weight: float = 1.5
    parts: dict[str, Any] = {}


class Exact(BaseModel):
    name: str
    price: Decimal = Decimal("1.10")
    count: int = 2**70


class MemoryPayloads:
    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.away = False

    def put(self, content: bytes) -> str:
        if self.away:
            raise TargetDown("the bucket is away")
        reference = f"memory://{payload_name(content)}"
        self.held[reference] = content
        return reference

    def get(self, reference: str) -> bytes:
        return self.held[reference]


def item_key(row: Row) -> str:
    return f"item/{row['ID']}"


class Bench:
    """A translator with everything around it."""

    def __init__(
        self,
        translate: Callable[[Row, References], Sequence[Translated]] = lambda row, _: [Item(name=row["NAME"])],
        *,
        key: Callable[[Row], str] = item_key,
        contract: type[BaseModel] = Item,
        kind: Kind = Kind.STATE,
        **options: Any,
    ) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.translator = Translator(
            Pipeline("item", contract, key, translate, kind, version="3"),
            source="//office/items",
            name="items",
            key_columns=("ID",),
            generation=2,
            lanes=16,
            references=NoReferences(),
            clock=self.clock,
            metrics=self.metrics,
            **options,
        )

    def run(self, values: dict[str, Any] | None = None, *, sourcekey: str = "[7]") -> list[Change]:
        row = SourceRow(VALUES if values is None else values, 42, "[42,7]", sourcekey)
        changes = []
        for encoded in self.translator.translate(row, epoch=5):
            (change,) = decode(encoded.event)
            assert isinstance(change, Change)
            assert (change.lane, change.id, change.key) == (encoded.lane, encoded.id, encoded.key)
            assert PRIVATE.encode() not in encoded.event or change.verb is Verb.UNTRANSLATED
            changes.append(change)
        return changes

    def untranslated(self, values: dict[str, Any] | None = None) -> Change:
        (change,) = self.run(values)
        assert change.verb is Verb.UNTRANSLATED
        assert PRIVATE not in change.data["message"]
        return change

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"source": "items", **labels})


def returning(*made: Any) -> Callable[[Row, References], Any]:
    return lambda _row, _references: list(made)


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"x": value}
    return value


def test_a_change_carries_all_that_the_design_says() -> None:
    version = version_of(2, 42)
    assert Bench().run() == [
        Change(
            id=transaction_id("//office/items", "item/7", version),
            source="//office/items",
            entity="item",
            verb=Verb.UPSERT,
            key="item/7",
            version=version,
            lane=lane_of("item/7", 16),
            epoch=5,
            time="2013-01-01T00:00:00.000Z",
            data={"name": "seven", "weight": 1.5, "parts": {}},
            rowhash=row_hash(canonical(VALUES)),
            sourcekey="[7]",
            dataschema="item/3",
        )
    ]


def test_the_same_row_has_the_same_id_and_hash_whatever_the_epoch_and_the_time_of_its_detection() -> None:
    bench = Bench()
    (first,) = bench.run()
    bench.clock.move(100)
    (second,) = bench.run(dict(reversed(VALUES.items())))
    assert (first.id, first.version, first.rowhash) == (second.id, second.version, second.rowhash)
    assert first.time != second.time


def test_one_row_can_make_several_entities_each_in_its_own_lane() -> None:
    changes = Bench(returning(Item(name="a"), Upsert("item/b", Item(name="b")), Delete("item/c"))).run()
    assert [(change.verb, change.key) for change in changes] == [
        (Verb.UPSERT, "item/7"),
        (Verb.UPSERT, "item/b"),
        (Verb.DELETE, "item/c"),
    ]
    assert len({change.id for change in changes}) == 3
    assert changes[2].data is None


def test_for_kind_event_a_state_is_an_event() -> None:
    changes = Bench(returning(Item(name="a"), Upsert("item/b", Item(name="b"))), kind=Kind.EVENT).run()
    assert [change.verb for change in changes] == [Verb.EVENT, Verb.EVENT]


def test_a_skipped_row_makes_no_change_and_is_counted_under_its_reason() -> None:
    bench = Bench(returning(Skip("test-data")))
    assert bench.run() == []
    assert bench.run() == []
    assert bench.count("isthmus_rows_filtered_total", reason="test-data") == 2


def test_an_empty_translation_is_counted_as_filtered() -> None:
    bench = Bench(returning())
    assert bench.run() == []
    assert bench.count("isthmus_rows_filtered_total", reason="nothing") == 1


def test_reasons_without_end_do_not_make_metrics_without_end() -> None:
    reasons = iter(range(10 * MAX_REASONS))
    bench = Bench(lambda *_: [Skip(f"reason {next(reasons)}")])
    for _ in range(2 * MAX_REASONS):
        bench.run()
    assert bench.count("isthmus_rows_filtered_total", reason="other") == MAX_REASONS


def test_changes_are_counted_by_verb() -> None:
    bench = Bench(returning(Item(name="a"), Delete("item/b")))
    bench.run()
    assert bench.count("isthmus_changes_translated_total", verb="upsert") == 1
    assert bench.count("isthmus_changes_translated_total", verb="delete") == 1
    assert bench.count("isthmus_changes_translated_total", verb="untranslated") == 0


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


def test_numbers_stay_exact() -> None:
    (change,) = Bench(returning(Exact(name="x")), contract=Exact).run()
    assert change.data == {"name": "x", "price": "1.10", "count": 2**70}


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


def test_the_longest_key_is_taken() -> None:
    (change,) = Bench(key=lambda _: "ä" * 512).run()
    assert change.verb is Verb.UPSERT


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


@pytest.mark.parametrize("error", [Fatal("no such table"), TargetDown("away"), Stopped(), KeyboardInterrupt()])
def test_what_is_no_fault_of_the_row_gets_out(error: BaseException) -> None:
    with pytest.raises(type(error)):
        Bench(raising(error)).run()
    with pytest.raises(type(error)):
        Bench(key=raising(error)).run()


@pytest.mark.parametrize(
    "value,time",
    [
        (datetime(2013, 1, 1, 5, 15, tzinfo=UTC), "2013-01-01T05:15:00.000Z"),
        ("2013-01-01T05:15:00.25+01:00", "2013-01-01T04:15:00.250Z"),
        (1_356_998_400_001, "2013-01-01T00:00:00.001Z"),
        (datetime(2013, 1, 1, 5, 15), "2013-01-01T00:00:00.000Z"),  # noqa: DTZ001 - a time without a zone is the case
        ("05:15", "2013-01-01T00:00:00.000Z"),
        (None, "2013-01-01T00:00:00.000Z"),
        (True, "2013-01-01T00:00:00.000Z"),
        (10**30, "2013-01-01T00:00:00.000Z"),
    ],
)
def test_the_time_is_the_rows_own_where_it_has_a_clear_one(value: Any, time: str) -> None:
    (change,) = Bench(time_column="AT").run({**VALUES, "AT": value})
    assert change.time == time


def test_a_large_state_goes_through_the_claim_check() -> None:
    payloads = MemoryPayloads()
    bench = Bench(lambda row, _: [Item(name=row["NAME"])], payloads=payloads, claim_threshold=1000)
    (small,) = bench.run()
    assert (small.dataref, payloads.held) == ("", {})
    (large,) = bench.run({**VALUES, "NAME": "x" * 5000})
    assert large.data is None
    assert b"x" * 5000 in payloads.held[large.dataref]


def test_an_untranslated_row_that_is_large_goes_through_the_claim_check_too() -> None:
    payloads = MemoryPayloads()
    bench = Bench(raising(ValueError()), payloads=payloads, claim_threshold=1000)
    (change,) = bench.run({**VALUES, "NAME": "x" * 5000})
    assert change.verb is Verb.UNTRANSLATED
    assert b"x" * 5000 in payloads.held[change.dataref]


def test_a_payload_store_that_is_away_gets_out_and_nothing_was_counted() -> None:
    payloads = MemoryPayloads()
    payloads.away = True
    bench = Bench(payloads=payloads, claim_threshold=10)
    with pytest.raises(TargetDown):
        bench.run()
    assert bench.count("isthmus_changes_translated_total", verb="upsert") == 0
    payloads.away = False
    assert bench.run()[0].verb is Verb.UPSERT


def test_a_state_too_large_for_a_record_is_untranslated_without_a_claim_check() -> None:
    change = Bench(returning(Item(name="x" * 5000)), max_event_bytes=2000).untranslated()
    assert change.data["reason"] == "too-large"
    assert change.data["row"]["NAME"] == "seven"


def test_a_row_too_large_for_a_record_leaves_its_reason_its_key_and_its_hash() -> None:
    bench = Bench(raising(ValueError()), max_event_bytes=2000)
    (change,) = bench.run({**VALUES, "NAME": "x" * 5000})
    assert change.data["reason"] == "translate-failed"
    assert "only its source key and its hash are kept" in change.data["message"]
    assert "row" not in change.data
    assert change.sourcekey == "[7]"
    assert change.rowhash == row_hash(canonical({**VALUES, "NAME": "x" * 5000}))


def test_user_code_sees_the_key_columns_for_the_key_and_a_row_that_is_read_only() -> None:
    seen: list[dict[str, Any]] = []

    def key(row: Row) -> str:
        seen.append(dict(row))
        return "item/7"

    Bench(key=key).run()
    assert seen == [{"ID": 7}]


def test_an_entity_name_that_makes_no_type_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="entity"):
        Translator(
            Pipeline("a.b", Item, item_key, returning()),
            source="s",
            name="s",
            key_columns=(),
            generation=0,
            lanes=1,
            references=NoReferences(),
            clock=FakeClock(),
            metrics=Metrics(),
        )
