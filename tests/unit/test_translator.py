"""From rows to encoded changes, whatever the user's functions do."""

from datetime import UTC, datetime
from typing import Any

import pytest

from isthmus.change import Change, Kind, Verb, lane_of, row_hash, transaction_id, version_of
from isthmus.codec import canonical
from isthmus.errors import Fatal, TargetDown
from isthmus.lifecycle import Stopped
from isthmus.metrics import Metrics
from isthmus.pipeline import Delete, Pipeline, Row, Skip, Upsert
from isthmus.producer.sources.references import NoReferences
from isthmus.producer.translator import MAX_REASONS, Translator
from tests.fakes.clock import FakeClock
from tests.fakes.translator_bench import VALUES, Bench, Exact, Item, MemoryPayloads, item_key, raising, returning


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


def test_numbers_stay_exact() -> None:
    (change,) = Bench(returning(Exact(name="x")), contract=Exact).run()
    assert change.data == {"name": "x", "price": "1.10", "count": 2**70}


def test_the_longest_key_is_taken() -> None:
    (change,) = Bench(key=lambda _: "ä" * 512).run()
    assert change.verb is Verb.UPSERT


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
