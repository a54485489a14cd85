"""The ports of a front-office store.

What every store offers a consumer is `Store` and `Decider`; every adapter passes `tests/contract/store_contract.py` and
`store_life_contract.py`. Where a batch is one transaction, `TransactionalStore`, `Session` and `Unit` are what the
applier makes a decider of; such an adapter passes `store_transaction_contract.py` too.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from isthmus.change import Change, Kind, Outcome
from isthmus.consumer.deadletters.port import Outbox
from isthmus.consumer.deciding import Guard, Memory
from isthmus.consumer.stores.held import Held
from isthmus.consumer.stores.lot import Audited, Waiting
from isthmus.contracts import Bounds
from isthmus.errors import Poison
from isthmus.lifecycle import Stop
from isthmus.payloads import Payloads
from isthmus.pipeline import Handler, Transaction


@dataclass(frozen=True, slots=True)
class TableMapping:
    """Where the entities of one type lie in the user's own tables."""

    table: str
    key_column: str = "key"
    version_column: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Column by field of the contract, in the order in which they are written."""
    key_columns: Mapping[str, str] = field(default_factory=dict)
    """Where the key is not one column's text as it is: template by column, see `isthmus.keytemplates`."""
    values: Callable[[Any], Sequence[Any]] | None = None
    """The user's function from a state's data to the values of `columns`, in their order, instead of its fields.

    Its fields are then no more than names. It raises `Poison` whatever goes wrong in it: that change is parked.
    """
    schema: str | None = None
    """The schema of the table, in stores that have some. None: as the store finds it by the table's name."""

    @property
    def keys(self) -> Mapping[str, str]:
        """Give the template of every key column."""
        return self.key_columns or {self.key_column: "{key}"}


@dataclass(frozen=True, slots=True)
class Entity:
    """Everything the consumer knows of one entity type."""

    name: str
    kind: Kind
    mapping: TableMapping | None
    """None where no table is written (kind `event` with handlers only)."""
    validate: Callable[[Any], None] | None
    """Raises `Poison` when the data does not keep the contract."""
    handlers: Sequence[Handler] = ()
    process: str = ""
    types: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By field of the contract: what its value can be, in the words of `isthmus.contracts`. Empty: not known."""
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """By field of the contract: how large its value may be, where that is known."""


class Refusal(NamedTuple):
    """Why a change can never be applied as it is, and at what stage that showed."""

    poison: Poison
    stage: str
    """decode, translate, contract, store or handler; `order` for what waits behind another."""


class Delivered(NamedTuple):
    """A change with the place in the stream where it came from.

    The change is as the codec reads it: no half of a surrogate pair, no NaN. Key, ID, source and entity hold no NUL.
    """

    change: Change
    shard: str
    sequence: str
    arrived_ms: int
    raw: bytes | None = None
    """The event's own bytes, where they are at hand: always for what could not be decoded."""
    refused: Refusal | None = None
    """Where it is known before: a claim check whose payload is missing."""

    @property
    def decoded(self) -> bool:
        """Say whether the bytes are a change. What could not be decoded has a key that was made here, and no source."""
        return self.change.source != ""


class Parking(NamedTuple):
    """One row of the parking lot."""

    delivered: Delivered
    reason: str
    """A short, constant word."""
    message: str
    """At most some hundred characters, without NUL."""
    stage: str
    event: bytes
    """The whole event, or the undecoded bytes."""


class Keeping(NamedTuple):
    """One change to be held."""

    delivered: Delivered
    gate: str
    """The name of the closed gate, or `behind`."""
    event: bytes
    """The whole event, or the undecoded bytes."""


class Told(NamedTuple):
    """One row of the history."""

    delivered: Delivered
    outcome: Outcome


@dataclass(slots=True)
class Log:
    """What one batch leaves behind, besides the business tables."""

    decided_ms: int
    keeps_history: bool = True
    """False: `history` stays empty, and what is freed leaves no row there either."""
    guards: dict[str, Guard] = field(default_factory=dict)
    ledger: list[Delivered] = field(default_factory=list)
    parked: dict[tuple[str, str], Parking] = field(default_factory=dict)
    outbox: list[Parking] = field(default_factory=list)
    held: dict[tuple[str, str], Keeping] = field(default_factory=dict)
    drained: list[tuple[str, str]] = field(default_factory=list)
    """Key and ID of what is held no more: it was decided."""
    freed: dict[tuple[str, str], str] = field(default_factory=dict)
    """By key and entity type: the version below which everything parked of them is superseded."""
    history: list[Told] = field(default_factory=list)
    fences: dict[tuple[str, int], int] = field(default_factory=dict)
    redriven: list[tuple[str, str]] = field(default_factory=list)
    """Key and ID of what leaves the lot without being superseded: it was decided, or discarded."""
    again: dict[tuple[str, str], Parking] = field(default_factory=dict)
    """What lies in the lot, was tried again and stays there: one attempt more, and its newest reason."""
    edited: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """New events of what lies in the lot."""
    settled: list[str] = field(default_factory=list)
    audit: list[Audited] = field(default_factory=list)


class Pruned(NamedTuple):
    """How many rows a pruning deleted."""

    guards: int
    ledger: int
    settled: int
    history: int


class Taken(NamedTuple):
    """What became of an attempt to let a whole batch take effect at once."""

    done: bool
    """All of it took effect, durably; or else nothing was changed."""
    suspects: Sequence[int] = ()
    """The places of changes that stood in the way, in order: a guess at what was refused, or what waits of its key."""


class Effects(Protocol):
    """The handlers of a part, one change after another."""

    def of(self, place: int) -> None:
        """Say that what runs from here on is of the change in this place of the part."""
        ...


class NoPlaces:
    """`Effects` of a store that answers every statement at once."""

    def of(self, place: int) -> None:
        """Take in whose turn it is, which an error says by itself here."""


class Unit(Protocol):
    """One transaction. The keys it loaded are locked until it ends.

    Every method raises `TargetDown` or `Transient` when the store cannot go on (locked, full, away): then the whole
    unit is rolled back and may be tried again; `Fatal` where no repeat helps. Only `same`, `write` and
    `transaction.execute` raise `Poison`. Those, and the end of the unit, raise `Undone` when the store could not refuse
    the change alone.
    """

    @property
    def transaction(self) -> Transaction:
        """Give what effect handlers get.

        It maps errors in the same way, and runs nothing that would end the transaction. Once it has raised anything
        but `Poison`, it raises that again and again, and so does the savepoint around it: a handler that swallows an
        outage must not lead to a commit of half of its work, nor to a dead letter.
        """
        ...

    def load(self, changes: Sequence[Change]) -> Memory:
        """Give what is remembered of the keys, transaction IDs and lanes of these changes: of a key, of all types."""
        ...

    def waiting(self, keys: Sequence[str], each: int, *, only: Collection[str] = ()) -> list[Waiting]:
        """Give the first of what is parked of these keys, of each at most so many; with `only`, of these IDs.

        Those of one key in the order of their versions. The keys are locked from then on.
        """
        ...

    def held(self, keys: Sequence[str], each: int) -> list[Held]:
        """Give the first that are held of these keys, of each at most so many, in their order.

        The keys are locked from then on.
        """
        ...

    def previous(self, entity: Entity, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Give the entities' rows, by key, as they are in this transaction.

        A key without a row is left out; so is one of another shape than the key columns take, which `write` refuses.
        """
        ...

    def same(self, entity: Entity, changes: Sequence[Change]) -> set[str]:
        """Give the keys of which the row holds exactly what `write` would put there, a version column aside.

        All are upserts, the keys are distinct. Raises as `write` does. In doubt a row is another one.
        """
        ...

    def write(self, entity: Entity, changes: Sequence[Change]) -> None:
        """Upsert or delete the entities' rows. The keys are distinct.

        Raises `Poison` when the store refuses a change for what it is: a constraint, a value that no column holds
        exactly. What was written before it is then to be undone by a savepoint.
        """
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Run a part so that an exception undoes the part alone.

        Raises `Poison`, and undoes the part, where the store refused a statement of a handler's that hid it, and the
        store cannot go on after that.
        """
        ...

    def effects(self) -> AbstractContextManager["Effects"]:
        """Run the handlers of a part inside: at its end everything that they ran has been answered.

        A store may send a handler's statement before the one before it was answered. What was refused then shows
        later: when a handler looks at rows, or at the end, as `PoisonIn` with the place that had its turn.
        """
        ...

    def save(self, log: Log) -> None:
        """Write everything else of the log. What is redriven goes before anything is freed: it is not superseded."""
        ...


class Session(Protocol):
    """One connection, used by one shard processor at a time."""

    def unit(self) -> AbstractContextManager[Unit]:
        """Begin a transaction; commit it at the end, durably, or roll it back when an exception passes."""
        ...

    def close(self) -> None:
        """Give the connection back. Safe to repeat."""
        ...


@runtime_checkable
class QuickSession(Session, Protocol):
    """A session with a quick way for batches of nothing but changes that are plainly new."""

    def take(
        self,
        batch: Sequence[Delivered],
        entities: Sequence[Entity],
        now_ms: int,
        *,
        history: bool,
        confirm: Callable[[], None] = lambda: None,
    ) -> Taken:
        """Let every change of the batch take effect in one transaction, or change nothing.

        `entities` has the entity type of each. Keys and transaction IDs are distinct; every change is an upsert or a
        delete of an entity of kind `state` with a table and without handlers, and keeps its contract. It takes effect
        only if for every single one nothing newer, not the same ID, and nothing of another generation or entity type
        stands there, no fence of its source is above the lowest epoch, and neither its key is parked or held nor its ID
        settled or in the ledger, and no gate is mirrored as closed. `confirm` is called last of all before the commit:
        what it raises undoes everything, and is raised. Raises as a unit does, but for `Poison` and `Undone`.
        """
        ...


class Decider(Protocol):
    """Decides the batches of one shard, one batch at a time."""

    def apply(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        """Decide every change of the batch, each key's in their order; give one outcome each, None for an epoch marker.

        Two entity types of kind `state` may have keys of the same text by mistake. Neither makes the other stale:
        where the guards of all types lie together, what comes second is parked (`key-of-another-type`); where each
        lies with its own type's item, both live. Types of kind `event` may share keys with all others.

        When it returns, all of it is durable, fences too. When it raises (`Transient`, `TargetDown`, `Fatal`), the
        batch is to be decided again as a whole: what is durable of it by then is found as `duplicate`, and what was
        parked as `parked`.
        """
        ...

    def probe(self) -> None:
        """Ask the store for something harmless, as a batch would ask it. Raises `TargetDown` while it is away."""
        ...

    def close(self) -> None:
        """Give connections back. Safe to repeat."""
        ...


class Store(Protocol):
    """A front-office store."""

    def prepare(self, *, dry_run: bool = False) -> list[str]:
        """Make our own tables where they are not there, up to this release's schema version.

        Give the statements, run or not. Safe to repeat; all or nothing. Raises `Refused` for a newer release's tables.
        """
        ...

    def check(self, entities: Sequence[Entity]) -> None:
        """Compare mappings with the real tables. Changes nothing.

        Raises `Missing` or `Refused`, naming table, column and the statement that mends it.
        """
        ...

    def prune(self, *, memory_before_ms: int, history_before_ms: int, stop: Stop, portion: int = 1000) -> Pruned:
        """Forget what was decided before these moments (milliseconds since 1970), while others go on deciding.

        Memory is what decides: guards of deleted entities, ledger, settled IDs. Whoever calls this answers for it that
        nothing so old can come again: not from the stream, a pause or the parking lot. Guards of living entities,
        parking lot, outbox and fences are never touched.

        Deletes at most `portion` rows in one transaction, so that nobody waits long for it. Ends early, between two
        of them, when a stop is requested. Safe to repeat, also after an error.
        """
        ...


@runtime_checkable
class HasOutbox(Protocol):
    """A store that gives out what waits for the dead-letter queue."""

    def outbox(self, payloads: Payloads | None = None, *, stop: Stop | None = None) -> Outbox:
        """Give the outbox, for one task at a time. Connects to nothing yet.

        `payloads` is where whoever parks keeps what is too large for the store; `stop` ends waits between attempts.
        """
        ...


@runtime_checkable
class Versioned(Protocol):
    """A store that can say which schema version its own tables have."""

    def versions(self) -> tuple[int | None, int]:
        """Give the version of the tables that are there, None where there are none, and the one that `prepare` makes.

        Changes nothing. Raises `TargetDown` when the store is away.
        """
        ...


@runtime_checkable
class TransactionalStore(Store, Protocol):
    """A store where a batch is one transaction."""

    def session(self) -> Session:
        """Open a connection. Raises `TargetDown` when the store is not there."""
        ...
