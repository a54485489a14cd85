"""One table says what every error means: the adapters ask it, and the document shows it."""

import sqlite3
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from isthmus.aws_errors import BY_CLASS, BY_CODE
from isthmus.console.wiring import contract_check
from isthmus.consumer.stores.dynamodb.cancelled import Refusing, verdict
from isthmus.consumer.stores.postgres import errors as postgres
from isthmus.consumer.stores.sqlite import errors as sqlite
from isthmus.errors import UNKNOWN, Fatal, IsthmusError, Missing, Poison, Refused, TargetDown, Transient
from isthmus.errortable import (
    AWS,
    BACK_OFFICE,
    BOTOCORE,
    DYNAMODB_TRANSACTION,
    MISSING,
    NETWORK,
    POSTGRESQL,
    REFUSED,
    SQLITE,
    STATEMENT,
    TABLE,
    VALUES,
    Meaning,
    Then,
    by_class,
    by_sqlstate,
    by_status,
    lines,
    meanings,
)
from isthmus.producer import usercode
from tests.unit.test_docs import DOCS, cells_of, words_in

CLASSES = {Then.TRANSIENT: Transient, Then.TARGET_DOWN: TargetDown, Then.POISON: Poison, Then.FATAL: Fatal}


def means(error: IsthmusError) -> Meaning:
    """Give class and word of one of our errors."""
    if isinstance(error, TargetDown):
        return Meaning(Then.TARGET_DOWN, error.cause)
    if isinstance(error, Transient):
        return Meaning(Then.TRANSIENT, error.cause)
    if isinstance(error, Poison):
        return Meaning(Then.POISON, error.reason)
    assert isinstance(error, Fatal)
    if isinstance(error, postgres.WrongStatement | sqlite.WrongStatement):
        return Meaning(Then.FATAL, STATEMENT)
    return Meaning(Then.FATAL, {Missing: MISSING, Refused: REFUSED}.get(type(error), ""))


def bare(meaning: Meaning) -> Meaning:
    return Meaning(meaning.then, meaning.word)


def pairs(rows: Any) -> list[Any]:
    return [pytest.param(error, meaning, id=error) for error, meaning in meanings(rows).items()]


def test_the_document_shows_the_table_row_by_row() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8").split("<!-- errors -->", 1)[1].split("\nHow the", 1)[0]
    told = [
        (row[0], " ".join(words_in(row[1])), *words_in(row[2]), "".join(words_in(row[3]))) for row in cells_of(text)
    ]

    assert told == list(lines())


def test_no_error_stands_in_two_rows_of_an_adapter() -> None:
    for rows in TABLE.values():
        assert sum(len(row.errors) for row in rows) == len(meanings(rows))
    with pytest.raises(ValueError, match="stands in two rows"):
        meanings(SQLITE + SQLITE[:1])


@pytest.mark.parametrize("rows", TABLE.values(), ids=TABLE)
def test_each_row_makes_an_error_of_its_class_with_its_word(rows: Any) -> None:
    for _, meaning in rows:
        error = meaning.error("Why.")
        assert issubclass(type(error), CLASSES[meaning.then])
        assert error.message == "Why."
        assert meaning.word or meaning.then is Then.FATAL
        if meaning.word != STATEMENT:
            assert means(error) == bare(meaning)


@pytest.mark.parametrize("code, meaning", pairs(POSTGRESQL))
def test_postgresql_is_judged_by_the_table(code: str, meaning: Meaning) -> None:
    assert means(postgres.translate(postgres_error(code))) == bare(meaning)


def postgres_error(name: str) -> psycopg.Error:
    """Give an error of a code, of a class of codes with a code that no row names, or of a class of psycopg's."""
    if len(name) == len("57014") and not name.isalpha():
        return psycopg.errors.lookup(name)("words")
    if len(name) == len("57"):
        error = psycopg.DatabaseError("words")
        error.sqlstate = f"{name}ZZZ"
        return error
    made: psycopg.Error = getattr(psycopg, name)("words")
    return made


@pytest.mark.parametrize("name, meaning", pairs(SQLITE))
def test_sqlite_is_judged_by_the_table(name: str, meaning: Meaning) -> None:
    error = sqlite3.OperationalError("words")
    # An extended code has its primary one in the low byte.
    error.sqlite_errorcode = getattr(sqlite3, name) | 0x300
    assert means(sqlite.translate(error)) == bare(meaning)


def test_a_result_code_that_no_row_names_is_tried_again_a_few_times() -> None:
    error = sqlite3.OperationalError("words")
    error.sqlite_errorcode = 0x77
    assert means(sqlite.translate(error)) == Meaning(Then.TRANSIENT, UNKNOWN)


def test_every_primary_result_code_of_an_error_stands_in_the_table() -> None:
    told = {getattr(sqlite3, name) for name in meanings(SQLITE)}
    # 0 is no error, from 27 on are notices and answers; 22 is SQLITE_NOLFS.
    assert set(range(1, 27)) <= told | {getattr(sqlite3, "SQLITE_NOLFS", 22)}


@pytest.mark.parametrize("reason, meaning", pairs(DYNAMODB_TRANSACTION))
def test_a_cancelled_transaction_is_judged_by_the_table(reason: str, meaning: Meaning) -> None:
    told = verdict([{"Code": reason, "Message": ""}], 0)
    error = told.poison if isinstance(told, Refusing) else told
    assert isinstance(error, IsthmusError)
    assert means(error) == bare(meaning)


def test_the_aws_adapter_has_the_rows_and_no_others() -> None:
    assert dict(BY_CODE) == meanings(AWS)
    assert dict(BY_CLASS) == meanings(BOTOCORE + NETWORK)


class Guest(BaseModel):
    name: str


def test_what_breaks_a_contract_has_one_reason_on_both_sides() -> None:
    with pytest.raises(Poison) as consumer:
        contract_check(Guest)({"name": 1})
    with pytest.raises(usercode.Untranslatable) as producer:
        usercode.guarded("other", Guest.model_validate, {"name": 1})

    expected = meanings(VALUES)["ValidationError"]
    assert means(consumer.value) == expected == Meaning(Then.POISON, producer.value.reason)


def test_a_back_office_makes_nobody_poison() -> None:
    assert all(meaning.then is not Then.POISON for _, meaning in BACK_OFFICE)


def test_the_most_special_class_counts() -> None:
    table = meanings(NETWORK)
    assert by_class(ConnectionRefusedError, table) == Meaning(Then.TARGET_DOWN, "unreachable")
    assert by_class(BrokenPipeError, table) == Meaning(Then.TARGET_DOWN, "connection-lost")
    assert by_class(ValueError, table) is None


@given(st.text(alphabet="0123456789ABCDEFGHP", min_size=5, max_size=5))
def test_a_sqlstate_means_what_its_own_row_says_or_else_its_class(code: str) -> None:
    told = meanings(POSTGRESQL)
    assert by_sqlstate(code) == told.get(code, told.get(code[:2]))


@given(st.integers(100, 599))
def test_a_status_says_something_only_where_the_server_is_in_trouble(status: int) -> None:
    told = by_status(status)
    assert (told is not None) == (status >= 500 or status in {408, 429})
