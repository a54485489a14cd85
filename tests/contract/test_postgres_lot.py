"""Looking into the parking lot of a PostgreSQL front office, however much lies in it."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from isthmus.consumer.stores.lot import ParkedKey, Selection
from isthmus.consumer.stores.postgres import looking
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer

KEYS = [
    f"{kind}/{n}{end}" for kind in ("flight", "gate", "größe") for n in range(4) for end in ("", "/x", "\U0010ffff")
]
REASONS = ["behind", "contract", "behind", "value", "behind"]
PARK = """INSERT INTO isthmus.parked (key, txn, version, rowhash, source, entity, epoch, detected, arrived, reason,
        message, stage, event, decodable, shard, sequence, first_at, last_at)
    VALUES (%(key)s, %(txn)s, %(version)s, '', %(source)s, %(entity)s, 1, '', 1, %(reason)s, '', '', '', true, '', '',
        %(first_at)s, 1)"""


@pytest.fixture(scope="module")
def office(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture(scope="module")
def lot(office: PostgresOffice) -> list[Mapping[str, Any]]:
    """Park up to five changes of each key, the newest first; give them in the order of key and version."""
    rows = [
        {
            "key": key,
            "txn": f"{key}-{n}",
            "version": str(n),
            "source": "gates" if key.startswith("gate") and n else "flights",
            "entity": key.partition("/")[0],
            "reason": REASONS[(number + n) % len(REASONS)],
            "first_at": 1_000 * number + n,
        }
        for number, key in enumerate(sorted(KEYS, key=str.encode))
        for n in range(1 + number % 5)
    ]
    for row in reversed(rows):
        office._look.execute(PARK, row)
    return rows


def expected(lot: list[Mapping[str, Any]], selection: Selection, after: str) -> list[ParkedKey]:
    """Say once more, change by change, what fits."""
    found = []
    for key, group in itertools.groupby(lot, lambda row: row["key"]):
        rows = list(group)
        fits = [
            row
            for row in rows
            if selection.key in {None, key}
            and key.startswith(selection.prefix or "")
            and selection.reason in {None, row["reason"]}
            and selection.source in {None, row["source"]}
            and (selection.since_ms is None or row["first_at"] >= selection.since_ms)
            and (selection.until_ms is None or row["first_at"] < selection.until_ms)
        ]
        if fits and key.encode() > after.encode():
            reasons = [row["reason"] for row in rows if row["reason"] != "behind"]
            said = (reasons or ["behind"])[0], min(row["source"] for row in rows), rows[0]["entity"]
            found.append(ParkedKey(key, len(rows), *said, min(row["first_at"] for row in rows)))
    return found


@pytest.mark.parametrize("near", [0, 1, 100])
def test_keys_are_those_with_a_change_that_fits_page_by_page(
    office: PostgresOffice, lot: list[Mapping[str, Any]], near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However many rows are looked through first.
    monkeypatch.setattr(looking, "_NEAR", near)
    reader = office.lot()
    selections = [
        Selection(key, prefix, reason, source, since, until)
        for key, prefix in [(None, None), (None, ""), (None, "gate/"), (None, "flight/1\U0010ffff"), ("gate/2", None)]
        for reason, source in [
            (None, None),
            ("contract", None),
            (None, "gates"),
            ("behind", "gates"),
            ("value", "none"),
        ]
        for since, until in [(None, None), (20_000, None), (None, 9_002), (9_001, 20_001)]
    ]
    assert len({len(expected(lot, each, "")) for each in selections}) > 10
    for selection in selections:
        after, pages = "", []
        while page := reader.parked_keys(selection, after=after, most=5):
            assert page == expected(lot, selection, after)[:5]
            pages += page
            after = page[-1].key
        assert pages == expected(lot, selection, "")


def test_changes_of_a_key_come_in_the_order_of_their_versions_whatever_is_skipped(
    office: PostgresOffice, lot: list[Mapping[str, Any]]
) -> None:
    reader = office.lot()
    for key, group in itertools.groupby(lot, lambda row: row["key"]):
        txns = [row["txn"] for row in group]
        for skip in range(len(txns) + 1):
            assert [each.txn for each in reader.parked_of(key, skip=skip, most=2)] == txns[skip : skip + 2]


def test_what_is_parked_is_counted_by_reason_and_by_key(office: PostgresOffice, lot: list[Mapping[str, Any]]) -> None:
    found = {each.reason: (each.keys, each.changes) for each in office.reader().parked_by_reason()}
    assert found == {
        reason: (
            len({row["key"] for row in lot if row["reason"] == reason}),
            sum(row["reason"] == reason for row in lot),
        )
        for reason in set(REASONS)
    }
    counts = office.reader().counts()
    assert (counts["parked_keys"], counts["parked_changes"]) == (len(KEYS), len(lot))
