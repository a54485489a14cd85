"""The key and the translator of the flights."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from examples.flights import pipeline
from examples.flights.backoffice import _STATUS
from examples.flights.pipeline import STATUSES, Flight, flight_key, flights, translate
from isthmus.errors import Poison

ROW: Mapping[str, Any] = {
    "CARR": "UA",
    "FLTNO": 1545,
    "DEPDT": 20130101,
    "ORIG": "EWR",
    "DEST": "IAH",
    "TAIL": "N14228",
    "SDEP": 515,
    "ADEP": None,
    "SARR": 819,
    "AARR": None,
    "DDLY": None,
    "ADLY": None,
    "STAT": "S",
    "UPDSEQ": 1,
}
DEPARTED = {**ROW, "STAT": "D", "ADEP": 517, "DDLY": 2}
ARRIVED = {**DEPARTED, "STAT": "A", "AARR": 830, "ADLY": 11}


class Tables:
    def __init__(self) -> None:
        self._tables: dict[str, dict[Any, Mapping[str, Any]]] = {
            "airports": {
                "IAH": {"FAA": "IAH", "NAME": "Houston", "TZONE": "America/Chicago"},
                "HNL": {"FAA": "HNL", "NAME": "Honolulu", "TZONE": "Pacific/Honolulu"},
                "XXX": {"FAA": "XXX", "NAME": "Nowhere", "TZONE": None},
            },
            "carriers": {"UA": {"CARR": "UA", "NAME": "United Air Lines Inc."}},
        }

    def table(self, name: str) -> Mapping[Any, Mapping[str, Any]]:
        return self._tables[name]


TABLES = Tables()


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    (flight,) = translate(row, TABLES)
    return flight.model_dump()


def test_a_scheduled_flight_has_scheduled_times_only() -> None:
    assert told(ROW) == {
        "carrier_code": "UA",
        "carrier_name": "United Air Lines Inc.",
        "flight_number": 1545,
        "tail_number": "N14228",
        "origin": "EWR",
        "destination": "IAH",
        "status": "scheduled",
        "scheduled_departure": "2013-01-01T10:15:00Z",
        "actual_departure": None,
        "scheduled_arrival": "2013-01-01T14:19:00Z",
        "actual_arrival": None,
    }


def test_a_departed_flight_left_at_the_scheduled_time_plus_its_delay() -> None:
    assert told(DEPARTED) == told(ROW) | {"status": "departed", "actual_departure": "2013-01-01T10:17:00Z"}


def test_an_arrived_flight_came_at_the_scheduled_time_plus_its_delay() -> None:
    expected = told(DEPARTED) | {"status": "arrived", "actual_arrival": "2013-01-01T14:30:00Z"}
    assert told(ARRIVED) == expected


def test_a_delay_may_be_negative_and_lead_over_midnight() -> None:
    row = {**ARRIVED, "SDEP": 1905, "DDLY": -10, "SARR": 2400, "ADLY": 30}
    assert told(row)["actual_departure"] == "2013-01-01T23:55:00Z"
    assert told(row)["scheduled_arrival"] == "2013-01-02T06:00:00Z"
    assert told(row)["actual_arrival"] == "2013-01-02T06:30:00Z"


def test_a_diverted_flight_has_departed_and_never_arrives_wherever_it_landed() -> None:
    assert told({**DEPARTED, "STAT": "V", "AARR": 1100}) == told(DEPARTED) | {"status": "diverted"}
    assert told({**DEPARTED, "STAT": "V", "AARR": 1100, "ADLY": 5})["actual_arrival"] is None


@pytest.mark.parametrize("letter, word", [("S", "scheduled"), ("X", "cancelled")])
def test_a_flight_that_did_not_leave_has_no_actual_times_whatever_its_row_says(letter: str, word: str) -> None:
    assert told({**ARRIVED, "STAT": letter}) == told(ROW) | {"status": word}


def test_an_arrival_behind_the_date_line_of_the_clock_is_the_next_time_it_is_shown() -> None:
    assert told({**ROW, "DEST": "HNL", "SDEP": 2300, "SARR": 515})["scheduled_arrival"] == "2013-01-02T15:15:00Z"


def test_an_aircraft_may_be_unknown() -> None:
    assert told({**ROW, "TAIL": None})["tail_number"] is None


@pytest.mark.parametrize(
    "wrong, reason",
    [
        ({"DEST": "SJU"}, "unknown-airport"),
        ({"DEST": None}, "unknown-airport"),
        ({"CARR": "ZZ"}, "unknown-carrier"),
        ({"STAT": "Q"}, "unknown-status"),
        ({"STAT": None}, "unknown-status"),
        ({"DEST": "XXX"}, "impossible-time"),
        ({"SDEP": 2460}, "impossible-time"),
        ({"SARR": None}, "impossible-time"),
        ({"SDEP": 515.0}, "impossible-time"),
        ({"DEPDT": 20130230}, "impossible-time"),
        ({"DEPDT": 99991231}, "impossible-time"),
        ({"STAT": "D", "DDLY": None}, "impossible-time"),
        ({"STAT": "A", "DDLY": 1, "ADLY": None}, "impossible-time"),
        ({"STAT": "D", "DDLY": 1.5}, "impossible-time"),
        ({"STAT": "D", "DDLY": True}, "impossible-time"),
        ({"STAT": "D", "DDLY": 2**62}, "impossible-time"),
        ({"STAT": "D", "DDLY": float("nan")}, "impossible-time"),
    ],
)
def test_what_cannot_be_translated_is_poison_and_its_message_holds_no_value(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(Poison) as caught:
        translate({**ROW, **wrong}, TABLES)
    assert caught.value.reason == reason
    assert not any(value in str(caught.value).split() for value in map(str, {**ROW, **wrong}.values()))


@pytest.mark.parametrize("wrong", [{"TAIL": 5}, {"FLTNO": "1545"}, {"FLTNO": 0}, {"FLTNO": True}, {"ORIG": "New York"}])
def test_what_does_not_keep_the_contract_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        translate({**ROW, **wrong}, TABLES)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scheduled_departure": "2013-01-01 10:15:00"},
        {"actual_departure": "2013-01-01T10:15:00+00:00"},
        {"scheduled_arrival": None},
        {"status": "S"},
        {"carrier_code": "UAL"},
        {"gate": "C3"},
    ],
)
def test_the_contract_is_strict_and_closed(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Flight.model_validate(told(ROW) | wrong)


def test_a_flight_cannot_be_changed() -> None:
    (flight,) = translate(ROW, TABLES)
    with pytest.raises(ValidationError, match="frozen"):
        flight.status = "departed"  # type: ignore[misc] # this is what is refused


def test_every_letter_that_the_back_office_writes_has_a_word() -> None:
    assert {"S", *_STATUS.values()} == set(STATUSES)


def test_the_key_names_carrier_number_day_and_origin_and_reads_nothing_else() -> None:
    row = {name: ROW[name] for name in ("CARR", "FLTNO", "DEPDT", "ORIG")}
    assert flight_key(row) == "flight/UA1545/2013-01-01/EWR"


keys = st.fixed_dictionaries(
    {
        "CARR": st.sampled_from(["UA", "U2", "9E", "F9"]),
        "FLTNO": st.integers(1, 9999),
        "DEPDT": st.sampled_from([20130101, 20130102, 20131101]),
        "ORIG": st.sampled_from(["EWR", "JFK"]),
    }
)


@given(keys, keys)
def test_two_flights_have_one_key_only_if_their_key_columns_are_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (flight_key(one) == flight_key(other)) == (one == other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"CARR": None},
        {"CARR": "U"},
        {"CARR": "U/"},
        {"CARR": "Ü2"},
        {"FLTNO": "1545"},
        {"FLTNO": 1545.0},
        {"FLTNO": None},
        {"DEPDT": 20130230},
        {"DEPDT": 20130101.0},
        {"DEPDT": "2013-01-01"},
        {"DEPDT": None},
        {"ORIG": "EWRX"},
        {"ORIG": None},
    ],
)
def test_values_that_make_no_key_are_poison(wrong: dict[str, Any]) -> None:
    with pytest.raises(Poison) as caught:
        flight_key({**ROW, **wrong})
    assert caught.value.reason == "impossible-key"


def test_the_settings_find_the_pipeline_with_contract_translator_and_handler() -> None:
    assert flights.entity == "flight"
    assert flights.contract is Flight
    assert flights.translate is translate
    assert flights.key is flight_key
    assert list(flights.handlers) == [pipeline.on_change]
