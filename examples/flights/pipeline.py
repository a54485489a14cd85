"""The pipeline of the flights: from rows of the back office's `FLTMST` to the front office's `flight`.

The key function, the translator, the contract and the effect handler are all that a user writes. The references are
`airports` (by `FAA`) and `carriers` (by `CARR`).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from isthmus.change import Change
from isthmus.errors import Poison
from isthmus.pipeline import Pipeline, Row, Transaction
from isthmus.references import References

from .clocks import day_text, first_after, moment_of, utc_text

_NEW_YORK: Final = "America/New_York"
_CARRIER_LETTERS: Final = 2
_AIRPORT_LETTERS: Final = 3

Status = Literal["scheduled", "departed", "arrived", "diverted", "cancelled"]

STATUSES: Final[Mapping[str, Status]] = {
    "S": "scheduled",
    "D": "departed",
    "A": "arrived",
    "V": "diverted",
    "X": "cancelled",
}
"""The front office's word for each letter of `STAT`."""

_FLOWN: Final = frozenset({"departed", "arrived", "diverted"})

Moment = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
Airport = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{3}$")]
Carrier = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2}$")]


class Flight(BaseModel):
    """A flight, as the front office knows it. Times are UTC, null where unknown."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    carrier_code: Carrier
    carrier_name: str
    flight_number: Annotated[int, Field(ge=1, le=9999)]
    tail_number: str | None
    origin: Airport
    destination: Airport
    status: Status
    scheduled_departure: Moment
    actual_departure: Moment | None
    scheduled_arrival: Moment
    actual_arrival: Moment | None


def flight_key(row: Row) -> str:
    """Give the key of a row's flight, e.g. `flight/UA1545/2013-01-01/EWR`, from its key columns alone.

    Raises `Poison` for values that make no key.
    """
    carrier, number, origin = row["CARR"], row["FLTNO"], row["ORIG"]
    # A code of another length would give two flights one key: U2 with 1, and U with 21.
    if not _is_code(carrier, _CARRIER_LETTERS) or type(number) is not int or not _is_code(origin, _AIRPORT_LETTERS):
        raise Poison("impossible-key", "The carrier, the number or the origin of the flight cannot be part of a key.")
    try:
        return f"flight/{carrier}{number}/{day_text(row['DEPDT'])}/{origin}"
    except (ValueError, TypeError):
        raise Poison("impossible-key", "The day of the flight is no day of the calendar.") from None


def translate(row: Row, references: References) -> list[Flight]:
    """Give the flight of a row. Raises `Poison` for a code that nobody knows and for impossible times."""
    destination = references.table("airports").get(row["DEST"])
    if destination is None:
        raise Poison("unknown-airport", "The destination is not among the airports.")
    carrier = references.table("carriers").get(row["CARR"])
    if carrier is None:
        raise Poison("unknown-carrier", "The carrier is not among the carriers.")
    status = STATUSES.get(row["STAT"])
    if status is None:
        raise Poison("unknown-status", "The status is none of those that are known.")
    try:
        departure = moment_of(row["DEPDT"], row["SDEP"], _NEW_YORK)
        arrival = first_after(departure, row["SARR"], destination["TZONE"])
    except (ValueError, TypeError, OverflowError):
        raise Poison("impossible-time", "The day, a clock time or the zone of the destination is none.") from None
    return [
        Flight(
            carrier_code=row["CARR"],
            carrier_name=carrier["NAME"],
            flight_number=row["FLTNO"],
            tail_number=row["TAIL"],
            origin=row["ORIG"],
            destination=row["DEST"],
            status=status,
            scheduled_departure=utc_text(departure),
            actual_departure=_delayed(departure, row["DDLY"]) if status in _FLOWN else None,
            scheduled_arrival=utc_text(arrival),
            actual_arrival=_delayed(arrival, row["ADLY"]) if status == "arrived" else None,
        )
    ]


_COUNT: Final = """
    INSERT INTO airport_board (airport, departures, arrivals, cancellations, diversions) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (airport) DO UPDATE SET
        departures = airport_board.departures + excluded.departures,
        arrivals = airport_board.arrivals + excluded.arrivals,
        cancellations = airport_board.cancellations + excluded.cancellations,
        diversions = airport_board.diversions + excluded.diversions
"""
_COUNT_POSTGRES: Final = _COUNT.replace("?", "%s")
_COLUMNS: Final = ("departures", "arrivals", "cancellations", "diversions")

Counted = frozenset[tuple[str, str]]
"""Where a state of a flight counts: airport and column of the board."""


def on_change(tx: Transaction, change: Change, previous: Row | None) -> None:
    """Keep `airport_board`: take back what the previous state counted and the new one does not, and add the reverse.

    States are compared, not steps, for a change may lie several steps behind the one before it, or take steps back.
    """
    for airport, numbers in _board_changes(change, previous):
        tx.execute(_COUNT, (airport, *numbers))


def on_change_postgres(tx: Transaction, change: Change, previous: Row | None) -> None:
    """Keep `airport_board` in PostgreSQL, where parameters stand at `%s`.

    The airports come in one order: transactions that lock several rows in different orders wait in a ring.
    """
    for airport, numbers in sorted(_board_changes(change, previous)):
        tx.execute(_COUNT_POSTGRES, (airport, *numbers))


def on_change_dynamodb(_tx: Transaction, change: Change, previous: Row | None) -> list[dict[str, Any]]:
    """Keep `airport_board` in DynamoDB: give the updates that join the transaction, one for each airport."""
    totals: dict[str, list[int]] = {}
    for airport, numbers in _board_changes(change, previous):
        totals[airport] = [sum(pair) for pair in zip(totals.get(airport, [0] * len(numbers)), numbers, strict=True)]
    return [
        {
            "Update": {
                "TableName": "airport_board",
                "Key": {"airport": airport},
                "UpdateExpression": "ADD " + ", ".join(f"{column} :{column}" for column in _COLUMNS),
                "ExpressionAttributeValues": {f":{name}": number for name, number in zip(_COLUMNS, total, strict=True)},
            }
        }
        for airport, total in totals.items()
    ]


def _board_changes(change: Change, previous: Row | None) -> list[tuple[str, tuple[int, ...]]]:
    before, after = _counted(previous), _counted(change.data)
    return [
        (airport, tuple(sign * (column == name) for name in _COLUMNS))
        for sign, counted in ((1, after - before), (-1, before - after))
        for airport, column in counted
    ]


@lru_cache(maxsize=8192)
def counts(status: str, origin: str, destination: str) -> Counted:
    """Say where a flight counts: departures and cancellations at its origin, arrivals and diversions at its end."""
    if status == "cancelled":
        return frozenset({(origin, "cancellations")})
    if status not in _FLOWN:
        return frozenset()
    ends = {"arrived": {(destination, "arrivals")}, "diverted": {(destination, "diversions")}}
    return frozenset({(origin, "departures"), *ends.get(status, ())})


def _counted(state: Mapping[str, Any] | None) -> Counted:
    return frozenset() if state is None else counts(state["status"], state["origin"], state["destination"])


def _delayed(moment: int, minutes: object) -> str:
    if type(minutes) is not int:
        raise Poison("impossible-time", "The status calls for a delay that is missing or no whole number.")
    try:
        return utc_text(moment + minutes)
    except OverflowError:
        raise Poison("impossible-time", "One of the delays leads out of the calendar.") from None


def _is_code(value: object, letters: int) -> bool:
    return isinstance(value, str) and len(value) == letters and value.isascii() and value.isalnum()


flights: Final = Pipeline(entity="flight", contract=Flight, key=flight_key, translate=translate, handlers=(on_change,))
"""What the settings name: `isthmus_examples.flights.pipeline:flights`."""
flights_postgres: Final = replace(flights, handlers=(on_change_postgres,))
flights_dynamodb: Final = replace(flights, handlers=(on_change_dynamodb,))
