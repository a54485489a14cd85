"""What waits is made anew with the code of now, and what cannot be is poison."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from isthmus.change import MAX_KEY_BYTES, Change, Verb, transaction_id, version_of
from isthmus.codec import DEFAULT_LIMITS, bundle, encode
from isthmus.console.lot.remaking import Remaking
from isthmus.console.lot.translating import SourcesOfNow
from isthmus.console.wiring import Wiring
from isthmus.consumer.stores.lot import Waiting
from isthmus.errors import Fatal, Poison, TargetDown
from isthmus.settings import load
from tests.fakes.parked_desk import ROW, STATE, Table, untranslated, waiting
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.settings_file import CUSTOMERS


def remade(held: Waiting, *made: Change, payloads: MemoryPayloads | None = None) -> list[Change]:
    return Remaking(Table(*made), lambda: payloads)(held)


def poison(held: Waiting, *made: Change, payloads: MemoryPayloads | None = None) -> str:
    with pytest.raises(Poison) as caught:
        remade(held, *made, payloads=payloads)
    return caught.value.reason


@pytest.mark.parametrize("change", [STATE, STATE._replace(verb=Verb.DELETE, data=None)])
def test_a_change_that_is_good_as_it_is_comes_back_as_it_is(change: Change) -> None:
    assert remade(waiting(change)) == [change]


def test_a_row_is_translated_as_its_source_showed_it_and_keeps_what_was_detected() -> None:
    table = Table(STATE._replace(time="now", rowhash="another", traceparent=""), STATE._replace(key="item/8"))
    made = Remaking(table, lambda: None)(waiting(untranslated()))
    assert table.asked == [(untranslated(), ROW)]
    assert made == [STATE, STATE._replace(key="item/8")]


def test_a_row_that_cannot_be_translated_now_either_is_poison_for_the_newest_reason() -> None:
    again = untranslated()._replace(data={"reason": "no-carrier", "message": "It is unknown."})
    assert poison(waiting(untranslated()), again) == "no-carrier"


def test_a_row_that_is_filtered_now_becomes_nothing() -> None:
    assert remade(waiting(untranslated())) == []


@pytest.mark.parametrize(
    "data, reason",
    [
        ({"reason": "too-large", "message": "only its key is kept"}, "row-not-kept"),
        ("no object", "row-not-kept"),
        ({"row": [1]}, "bad-row"),
        ({"row": {"ID": "x"}, "types": {"ID": "decimal"}}, "bad-row"),
        ({"row": {"ID": "x"}, "types": {"ID": "unheard-of"}}, "bad-row"),
    ],
)
def test_a_row_that_is_not_there_or_is_none_is_poison(data: Any, reason: str) -> None:
    assert poison(waiting(untranslated()._replace(data=data))) == reason


def test_a_payload_that_is_there_now_is_fetched() -> None:
    payloads = MemoryPayloads()
    reference = payloads.put(b'{"name": "seven"}')
    checked = STATE._replace(data=None, dataref=reference)
    assert remade(waiting(checked), payloads=payloads)[0]._replace(extensions=None) == STATE

    row = untranslated()
    reference = payloads.put(json.dumps(row.data).encode())
    table = Table(STATE)
    assert Remaking(table, lambda: payloads)(waiting(row._replace(data=None, dataref=reference))) == [STATE]
    assert table.asked[0][1] == ROW


def test_a_payload_that_is_missing_or_no_json_is_poison_and_one_that_is_away_is_not() -> None:
    payloads = MemoryPayloads()
    checked = waiting(STATE._replace(data=None, dataref="memory://payload/none"))
    assert poison(checked, payloads=payloads) == "payload-missing"
    assert poison(checked) == "payload-missing"
    broken = waiting(STATE._replace(data=None, dataref=payloads.put(b"{")))
    assert poison(broken, payloads=payloads) == "not-json"
    deep = payloads.put(b"[" * (DEFAULT_LIMITS.max_depth - 1) + b"]" * (DEFAULT_LIMITS.max_depth - 1))
    assert poison(waiting(STATE._replace(data=None, dataref=deep)), payloads=payloads) == "too-deep"
    payloads.failing = TargetDown("S3 is away")
    with pytest.raises(TargetDown):
        remade(checked, payloads=payloads)


def test_payloads_are_not_opened_before_one_is_needed() -> None:
    def opened() -> MemoryPayloads:
        raise AssertionError("nobody needs them")

    assert Remaking(Table(), opened)(waiting()) == [STATE]


def test_bytes_are_decoded_again_and_decided_under_their_real_keys() -> None:
    made_here = STATE._replace(key="~record/shard-0/1/0", source="", verb=Verb.UNTRANSLATED)
    record = bundle([encode(STATE), encode(untranslated(STATE._replace(key="item/8")))])
    found = remade(waiting(made_here, record, decodable=False), STATE._replace(key="item/9"))
    assert [change.key for change in found] == ["item/7", "item/9"]


def test_bytes_that_are_no_change_still_are_poison_with_all_that_came_with_them() -> None:
    made_here = STATE._replace(key="~record/shard-0/1/0", source="")
    assert poison(waiting(made_here, b"{]", decodable=False)) == "not-json"
    assert poison(waiting(made_here, bundle([encode(STATE), b'"x"']), decodable=False)) == "not-an-event"


@pytest.mark.parametrize(
    "other",
    [
        {"key": "item\0"},
        {"key": "k" * (MAX_KEY_BYTES + 1)},
        {"key": "~record/shard-0/1/0"},
        {"key": "~raw/items/7"},
        {"source": "s" * (MAX_KEY_BYTES + 1)},
    ],
)
def test_what_no_store_could_name_is_poison_still(other: dict[str, str]) -> None:
    made_here = STATE._replace(key="~record/shard-0/1/0", source="")
    assert poison(waiting(made_here, encode(STATE._replace(**other)), decodable=False)) == "bad-key"  # type: ignore[arg-type]


def test_a_row_without_a_key_that_comes_out_of_bytes_is_translated() -> None:
    made_here = STATE._replace(key="~record/shard-0/1/0", source="")
    raw = encode(untranslated(STATE._replace(key="~raw/items/[7]")))
    assert remade(waiting(made_here, raw, decodable=False), STATE) == [STATE]


def test_a_marker_that_comes_out_of_bytes_fences_nothing() -> None:
    marker = STATE._replace(verb=Verb.MARKER, entity="epoch", key="", version="", data=None, sourcekey="", rowhash="")
    made_here = STATE._replace(key="~record/shard-0/1/0", source="")
    assert remade(waiting(made_here, encode(marker), decodable=False)) == []


def test_a_parked_change_may_be_larger_than_any_record() -> None:
    large = STATE._replace(data={"name": "x" * DEFAULT_LIMITS.max_bytes})
    assert remade(waiting(large)) == [large]


# the sources of now


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[SourcesOfNow]:
    references = '[sources.customers.references.countries]\ntable = "COUNTRY"\nkey = "CODE"\n'
    file = tmp_path / "isthmus.toml"
    file.write_text(
        f'application = "customers"\n[store]\nurl = "sqlite:///front-office.db"\n{CUSTOMERS}\n{references}',
        encoding="utf-8",
    )
    with closing(sqlite3.connect(tmp_path / "back-office.db")) as connection, connection:
        connection.executescript("CREATE TABLE COUNTRY (CODE TEXT, NAME TEXT); INSERT INTO COUNTRY VALUES ('PL', 'X');")
    wiring = Wiring(load(file), patient=False)
    with closing(SourcesOfNow(wiring, wiring.pipelines())) as made:
        yield made


CUSTOMER = {"CUSTNO": 4, "NAM1": "MARIE", "CTRY": "PL", "CLS": "A", "STAT": "L", "TYP": "PRIV", "CHGNO": 9}
HELD = STATE._replace(source="/customers/customers", key="customer/4", entity="customer", sourcekey="[4]")


def test_a_row_is_translated_under_the_version_epoch_and_id_that_it_was_detected_with(rows: SourcesOfNow) -> None:
    (made,) = rows.translate(HELD, CUSTOMER)
    assert made.id == transaction_id(HELD.source, HELD.key, HELD.version)
    same = ("source", "entity", "verb", "key", "version", "epoch", "sourcekey")
    assert [getattr(made, name) for name in same] == [getattr(HELD, name) for name in same]
    assert made.data == {"name": "Marie", "country": "X", "vip": True}


def test_rows_of_several_generations_keep_theirs(rows: SourcesOfNow) -> None:
    versions = [version_of(generation, 42) for generation in (0, 3, 0)]
    found = [rows.translate(HELD._replace(version=version), CUSTOMER)[0].version for version in versions]
    assert found == versions


def test_a_row_of_a_source_that_nobody_knows_is_poison(rows: SourcesOfNow) -> None:
    with pytest.raises(Poison) as caught:
        rows.translate(HELD._replace(source="/customers/gone"), CUSTOMER)
    assert caught.value.reason == "unknown-source"


def test_reference_tables_that_cannot_be_read_end_it_with_a_sentence(rows: SourcesOfNow, tmp_path: Path) -> None:
    place = tmp_path / "back-office.db"
    place.rename(tmp_path / "away.db")
    with pytest.raises(Fatal, match="reference tables of the source customers cannot be read"):
        rows.translate(HELD, CUSTOMER)
    (tmp_path / "away.db").rename(place)
    assert len(rows.translate(HELD, CUSTOMER)) == 1
