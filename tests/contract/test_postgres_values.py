"""What becomes of a value in each type of PostgreSQL's: held as the type means it, or parked, and never changed."""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.change import Kind, Outcome
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.postgres.numbers import number_text
from isthmus.errors import Poison
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import APPLIED, PARKED, delivered, upsert


def _number(value: Any) -> Decimal | None:
    try:
        return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (ArithmeticError, TypeError, ValueError):
        return None


def _is_number(value: Any, held: str) -> bool:
    return not isinstance(value, bool) and _number(value) == Decimal(held)


def _is_text(value: Any, held: str) -> bool:
    if isinstance(value, str):
        return held == value
    if isinstance(value, bool | dict | list):
        return bool(json.loads(held) == value)
    return _is_number(value, held)


def _is_moment(value: Any, held: str) -> bool:
    return datetime.fromisoformat(value) == datetime.fromisoformat(held)


def _is_clock(value: Any, held: str) -> bool:
    return time.fromisoformat(value) == time.fromisoformat(held)


def _is_span(value: Any, held: str) -> bool:
    return bool(value == held)


COLUMNS: Mapping[str, tuple[str, Callable[[Any, str], bool]]] = {
    "varchar_3": ("varchar(3)", _is_text),
    "char_3": ("char(3)", lambda value, held: _is_text(value, held.rstrip(" ")) and not str(value).endswith(" ")),
    "short_text": ("short_text", _is_text),
    "uid": ("uuid", lambda value, held: uuid.UUID(value) == uuid.UUID(held)),
    "color": ("color", lambda value, held: value == held),
    "truth": ("boolean", lambda value, held: value is (held == "true")),
    "money": ("numeric(6,2)", _is_number),
    "part": ("numeric(2,2)", _is_number),
    "tiny": ("numeric(2,4)", _is_number),
    "hundreds": ("numeric(3,-2)", _is_number),
    "whole": ("numeric(3)", _is_number),
    "price": ("price", _is_number),
    "single": ("real", _is_number),
    "day": ("date", lambda value, held: date.fromisoformat(value) == date.fromisoformat(held)),
    "moment": ("timestamptz", _is_moment),
    "moment_3": ("timestamptz(3)", _is_moment),
    "local": ("timestamp", _is_moment),
    "local_0": ("timestamp(0)", _is_moment),
    "clock": ("time", _is_clock),
    "clock_2": ("time(2)", _is_clock),
    "zoned": ("timetz", _is_clock),
    "words": ("text[]", lambda value, held: json.loads(held) == value),
    "span": ("interval", _is_span),
    "net": ("inet", lambda value, held: held.removesuffix("/32") == value.removesuffix("/32")),
}
"""By column: its type, and whether what it shows is what was given."""
_SHOWN = {"words": "to_json({})::text"}

ZONES = st.integers(-15 * 60, 15 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.integers(-1_100_000, 1_100_000),
    st.integers(),
    st.decimals(-1_000_000, 1_000_000, places=2),
    st.decimals(-1, 1, places=4),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.floats(),
    st.floats(width=32),
    TEXTS,
    TEXTS.map(lambda text: text + "  "),
    st.sampled_from(
        ["red", "Red", "red ", "blue", "infinity", "-infinity", "now", "today", "epoch", "allballs", "NaN"]
    ),
    st.uuids().map(str),
    st.dates().map(str),
    st.datetimes().map(str),
    st.datetimes(timezones=ZONES).map(datetime.isoformat),
    st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat(timespec="milliseconds")),
    st.times().map(str),
    st.times(timezones=ZONES).map(str),
    st.times().map(lambda at: at.isoformat(timespec="seconds")),
    st.lists(TEXTS | st.sampled_from(["NULL", "{}", '"', "\\", ","]), max_size=3),
    st.ip_addresses(v=4).map(str),
    st.dictionaries(TEXTS, st.integers(), max_size=2),
)
NEVER = [
    ("day", "0000-01-01"), ("day", "0044-03-15 BC"), ("day", "-0044-03-15"), ("day", "2013-02-30"),
    ("day", "infinity"), ("day", "2013-01-01T00:00:00"), ("day", "epoch"), ("day", "99999999-01-01"),
    ("day", 20130101), ("moment", "2013-01-01T10:00:00"), ("moment", "2013-01-01T24:00:00Z"),
    ("moment", "2013-06-30T23:59:60Z"), ("moment", "300000-01-01T00:00:00Z"),
    ("moment", "2013-01-01T10:00:00.1234567Z"), ("moment", "now"), ("moment", "2013-01-01T10:00:00 Europe/Berlin"),
    ("moment_3", "2013-01-01T10:00:00.1234Z"), ("local", "2013-01-01T10:00:00Z"), ("local_0", "2013-01-01T10:00:00.5"),
    ("local", "infinity"), ("clock", "24:00:00"), ("clock", "23:59:60"), ("clock", "10:00:00+01"),
    ("clock_2", "10:00:00.125"), ("zoned", "10:00:00"), ("char_3", "a "), ("char_3", "abcd"), ("varchar_3", "abc "),
    ("varchar_3", "é😀xy"), ("short_text", "abcdef"), ("money", "12345.67"), ("money", Decimal("1.005")), ("part", 1),
    ("tiny", Decimal("0.1")), ("hundreds", 150), ("hundreds", 1_000_000), ("whole", 1.5), ("single", 16_777_217),
    ("single", 1.4013e-45), ("single", 1e39), ("uid", "x"), ("color", "green"), ("color", 1), ("truth", 1),
    ("truth", "true"), ("words", ["a", 1]), ("words", [["a"]]), ("words", ["a\0"]), ("span", "1 day"),
    ("span", "PT0.1234567S"), ("span", "P"), ("span", "P0.5D"), ("price", Decimal("1.005")), ("price", Decimal(-1)),
    ("single", Decimal("sNaN")), ("money", 10**400), ("whole", 10**999), ("varchar_3", 10**999),
    ("net", "10.0.0.1/33"),
]  # fmt: skip
ALWAYS = [
    ("day", "1969-07-20"), ("day", "0044-03-15"), ("day", "9999-12-31"), ("moment", "0001-01-01T00:00:00Z"),
    ("moment", "1969-12-31T23:59:59.999999Z"), ("moment_3", "2013-01-01T10:00:00.1230Z"),
    ("local", "2013-01-01 10:00:00"), ("char_3", "ab"), ("varchar_3", "é😀x"), ("short_text", "abcde"),
    ("money", "1234.50"), ("money", Decimal("1E+3")), ("part", 0), ("part", Decimal("0.00")), ("part", 0.25),
    ("tiny", Decimal("0.0099")), ("tiny", 0), ("hundreds", 1200), ("hundreds", Decimal("9.99E+4")), ("hundreds", 0),
    ("whole", 999), ("whole", Decimal("-0")), ("single", 0.1), ("single", 1.5), ("single", -0.0),
    ("uid", "6F9619FF-8B86-D011-B42D-00CF4FC964FF"), ("color", "red"), ("truth", False), ("words", []),
    ("words", ["NULL", "", '"', "{a,b}", "\\"]), ("clock", "23:59:59.999999"), ("zoned", "10:00:00+05:30"),
    ("price", Decimal("1.10")), ("net", "10.0.0.1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    declared = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
    made.run(
        "CREATE TYPE color AS ENUM ('red', 'blue'); CREATE DOMAIN shorter AS varchar(5); "
        "CREATE DOMAIN short_text AS shorter; CREATE DOMAIN price AS numeric(8,2) CHECK (value >= 0); "
        f"CREATE TABLE held (key text PRIMARY KEY, {declared})"
    )
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> PostgresOffice:
    return database.fresh()


@pytest.fixture
def desk(office: PostgresOffice) -> Iterator["Desk"]:
    with closing(Desk(office)) as made:
        yield made


class Desk:
    """Puts values into columns, one in a row, and reads them back."""

    def __init__(self, office: PostgresOffice) -> None:
        self._office = office
        mapping = TableMapping("held", columns={name: name for name in COLUMNS})
        entity = Entity("held", Kind.STATE, mapping, None)
        store = office.store([entity])
        store.check([entity])
        self._session = store.session()
        self._applier = Applier(
            self._session, {"held": entity}, FakeClock(), Metrics(), history=False, quick=self._session
        )
        self._keys = itertools.count()

    def close(self) -> None:
        self._session.close()

    def put(self, cases: list[tuple[str, Any]]) -> list[tuple[Outcome | None, str | None]]:
        """Give, for each column and value, the outcome and what the column shows of it."""
        keys = [str(next(self._keys)) for _ in cases]
        batch = [
            upsert(1, key)._replace(entity="held", data={**dict.fromkeys(COLUMNS), column: value})
            for key, (column, value) in zip(keys, cases, strict=True)
        ]
        outcomes = self._applier.apply([delivered(change) for change in batch])
        shown = ", ".join(_SHOWN.get(name, "{}::text").format(name) for name in COLUMNS)
        found = {row[0]: row[1:] for row in self._office.run(f"SELECT key, {shown} FROM held")}  # noqa: S608 - constants
        names, rows = list(COLUMNS), []
        for key, outcome, (column, _) in zip(keys, outcomes, cases, strict=True):
            row = dict(zip(names, found.get(key, [None] * len(names)), strict=True))
            rows.append((outcome, row.pop(column)))
            assert set(row.values()) == {None}
        return rows


@pytest.mark.parametrize("expected, cases", [(PARKED, NEVER), (APPLIED, ALWAYS)], ids=["never", "always"])
def test_these_values_are_never_held_and_those_always(
    desk: Desk, expected: Outcome, cases: list[tuple[str, Any]]
) -> None:
    found = desk.put(cases)
    assert [case for case, (outcome, _) in zip(cases, found, strict=True) if outcome is not expected] == []
    if expected is APPLIED:
        wrong = [
            (*case, held)
            for case, (_, held) in zip(cases, found, strict=True)
            if not COLUMNS[case[0]][1](case[1], str(held))
        ]
        assert wrong == []


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(list(COLUMNS)), VALUES), min_size=1, max_size=12))
def test_whatever_a_column_takes_it_shows_as_it_was_meant(desk: Desk, cases: list[tuple[str, Any]]) -> None:
    for (column, value), (outcome, held) in zip(cases, desk.put(cases), strict=True):
        assert outcome in {APPLIED, PARKED}
        assert (held is None) == (outcome is PARKED)
        if held is not None:
            assert COLUMNS[column][1](value, held), (column, value, held)


def test_a_number_of_more_digits_than_python_writes_is_parked() -> None:
    with pytest.raises(Poison, match="too many digits"):
        number_text(10**5000)


def test_a_span_of_time_is_held_in_all_its_parts(desk: Desk, office: PostgresOffice) -> None:
    assert desk.put([("span", "P1Y2M3DT4H5M6.789S")])[0][0] is APPLIED
    assert office.run("SELECT span = '1 year 2 months 3 days 04:05:06.789' FROM held") == [(True,)]


@pytest.mark.parametrize("text", ["\\u0000", "a\\u0000b", "\\\\u0000", "\\\\\\u0000"])
def test_a_text_that_only_looks_like_a_nul_in_json_is_held(office: PostgresOffice, text: str) -> None:
    office.run("CREATE TABLE IF NOT EXISTS document (key text PRIMARY KEY, body jsonb)")
    entity = Entity("document", Kind.STATE, TableMapping("document", columns={"body": "body"}), None)
    with closing(office.store([entity]).session()) as session:
        applier = Applier(session, {"document": entity}, FakeClock(), Metrics(), history=False)
        changes = [
            upsert(1, key)._replace(entity="document", data={"body": {"a": value}})
            for key, value in (("looks", text), ("is", text + "\0"))
        ]
        assert applier.apply([delivered(change) for change in changes]) == [APPLIED, PARKED]
    assert office.run("SELECT body ->> 'a' FROM document") == [(text,)]
