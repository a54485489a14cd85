"""What a user writes: one object that says how rows of a source become entities of the front office.

    flights = Pipeline(entity="flight", contract=Flight, key=flight_key, translate=translate, handlers=(on_change,))

The settings name it as `module:object`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel

from isthmus.change import Change, Kind
from isthmus.detached import detached
from isthmus.errors import IsthmusError, Poison
from isthmus.references import References

Row = Mapping[str, Any]
MAPPING = "mapping"
"""The reason of a change whose state a `RowFunction` does not make a row of."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """An entity's new state under a key other than the row's own, where one row makes several entities."""

    key: str
    state: BaseModel


@dataclass(frozen=True, slots=True)
class Delete:
    """The entity leaves the front office's scope, or is gone."""

    key: str


@dataclass(frozen=True, slots=True)
class Skip:
    """This row never belongs to the front office. It is counted under its reason: a short, constant word."""

    reason: str


Translated = BaseModel | Upsert | Delete | Skip


class Transaction(Protocol):
    """What an effect handler may do.

    Statements inside the transaction that also writes the entity. It neither commits nor rolls back.
    """

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement with its parameters and give the rows it returns, none for a write."""
        ...


Handler = Callable[[Transaction, Change, Row | None], object]
"""`on_change(tx, change, previous)`.

`previous` is the entity's row before this change, or None; `change.data` is its new state, or None. Both are copies.
It returns nothing, but in DynamoDB a list of actions; anything else parks the change.
"""


@dataclass(frozen=True, slots=True)
class RowFunction:
    """How a state becomes a row of the business table, where it is not one column for each field of the contract.

        RowFunction(columns=("name", "initial"), values=lambda state: {"name": state["name"], "initial": ...})

    `values` gets a copy of a state's data, as JSON has it (a Decimal or a date of the contract is text there), and
    gives a value for each of `columns`, and for no other. Key and version columns are not among them. It is called
    again for the same state, and should give the same.
    """

    columns: Sequence[str]
    values: Callable[[Any], Row]

    def row(self, data: Any) -> tuple[Any, ...]:
        """Give the values in the order of the columns.

        Raises `Poison` whatever goes wrong in the user's function, unless it raises another error of ours itself.
        """
        try:
            made = dict(self.values(detached(data)))
            values = tuple(made.pop(column) for column in self.columns)
        except IsthmusError:
            raise
        except (Exception, SystemExit, GeneratorExit) as error:
            # Its message may hold values of the row.
            raise Poison(MAPPING, f"{type(error).__name__} was raised") from error
        if made:
            raise Poison(MAPPING, f"{len(made)} values for columns that it does not name")
        return values


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How rows of one source become entities of one type.

    `contract` is strict (`ConfigDict(strict=True)`): the settings' reader refuses another.
    `key(row)` gives the entity key from the row's key columns alone. `translate(row, references)` gives the row's
    entities: models of the
    contract (their key is the row's own), `Upsert`, `Delete` or `Skip`; whatever it raises makes the row an
    *untranslated* change.
    `row` makes a row of a state where field by field will not do.
    `version` names this translator's release and travels with every change.
    """

    entity: str
    contract: type[BaseModel]
    key: Callable[[Row], str]
    translate: Callable[[Row, References], Sequence[Translated]]
    kind: Kind = Kind.STATE
    handlers: Sequence[Handler] = field(default=())
    version: str = "1"
    row: RowFunction | None = None
