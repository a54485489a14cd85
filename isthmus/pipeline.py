"""What a user writes: one object that says how rows of a source become entities of the front office.

    flights = Pipeline(entity="flight", contract=Flight, key=flight_key, translate=translate, handlers=(on_change,))

The settings name it as `module:object`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel

from isthmus.change import Change, Kind
from isthmus.references import References

Row = Mapping[str, Any]


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

`previous` is the entity's row before this change, or None; `change.data` is its new state, or None.
"""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How rows of one source become entities of one type.

    `contract` is strict (`ConfigDict(strict=True)`): the settings' reader refuses another.
    `key(row)` gives the entity key from the row's key columns alone. `translate(row, references)` gives the row's
    entities: models of the
    contract (their key is the row's own), `Upsert`, `Delete` or `Skip`; whatever it raises makes the row an
    *untranslated* change.
    `version` names this translator's release and travels with every change.
    """

    entity: str
    contract: type[BaseModel]
    key: Callable[[Row], str]
    translate: Callable[[Row, References], Sequence[Translated]]
    kind: Kind = Kind.STATE
    handlers: Sequence[Handler] = field(default=())
    version: str = "1"
