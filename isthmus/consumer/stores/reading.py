"""The read-only port for commands: what lies in a front office, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from isthmus.consumer.deciding import Guard
from isthmus.consumer.stores.held import Held

MOST_HELD = 1000
"""Held changes that are told of a key: a gate may be closed for a weekend."""


class ParkedReason(NamedTuple):
    """How much is parked for one reason, and since when."""

    reason: str
    keys: int
    changes: int
    since_ms: int
    """When the oldest of them was first parked; milliseconds since 1970. DynamoDB: perhaps earlier, see its reader."""


class HistoryRow(NamedTuple):
    """What became of one change that is not parked any more, or never was."""

    key: str
    version: str
    txn: str
    outcome: str
    source: str
    epoch: int
    detected: str
    """When the back office made it, or when it was detected: RFC 3339, as the change said."""
    arrived_ms: int
    """When it arrived in the stream; milliseconds since 1970, as the next one."""
    decided_ms: int
    shard: str
    sequence: str


class ParkedRow(NamedTuple):
    """One change in the parking lot."""

    key: str
    version: str
    txn: str
    source: str
    epoch: int
    detected: str
    arrived_ms: int
    reason: str
    message: str
    stage: str
    shard: str
    sequence: str
    attempts: int
    first_at_ms: int
    last_at_ms: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that the front office knows of one entity. Rows are in the order of their versions."""

    key: str
    guard: Guard | None
    history: Sequence[HistoryRow]
    parked: Sequence[ParkedRow]
    held: Sequence[Held] = ()
    """What gates hold of it, in the order in which it came: at most the first `MOST_HELD`."""
    took_effect_ms: int | None = None
    """When the transaction ID that was asked for took effect, by the ledger (kind `event`)."""


class StoreReader(Protocol):
    """Reads a front office while others decide in it, and changes nothing.

    Each answer is of one moment. Methods raise `TargetDown` or `Transient` when the store is away, `Missing` where our
    own tables are not there; all are safe to repeat.
    """

    def counts(self) -> Mapping[str, int]:
        """Give numbers of rows by name.

        `guards` and of them `deleted`, `ledger`, `settled`, `outbox`, `parked_keys`, `parked_changes`, and the history
        by outcome: `history_applied` and so on.
        """
        ...

    def parked_by_reason(self) -> list[ParkedReason]:
        """Give what is parked, the most changes first. A key may be parked for several reasons."""
        ...

    def trace(self, key_or_txn: str) -> Trace | None:
        """Explain the entity of a key, or of a transaction ID; None where neither is known."""
        ...
