"""What a closed gate keeps back in the front office: what it is written down as, and how it is read again."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from isthmus.checkpoint.gates import Gate


class Held(NamedTuple):
    """One change that is held, whole. Changes of a key are in the order in which they came."""

    key: str
    txn: str
    version: str
    rowhash: str
    source: str
    entity: str
    epoch: int
    detected: str
    arrived_ms: int
    gate: str
    """The name of the gate that was closed, or `behind`: it came while something of its key was held."""
    event: bytes
    """The whole event, or the bytes that could not be decoded."""
    decodable: bool
    shard: str
    sequence: str
    held_ms: int


class HeldHead(NamedTuple):
    """The first change that is held of a key: what decides whether the key may be drained."""

    key: str
    source: str
    entity: str


class HeldGate(NamedTuple):
    """How much is held for one gate."""

    gate: str
    keys: int
    changes: int
    since_ms: int
    """Since when the oldest of them is held; milliseconds since 1970."""


@runtime_checkable
class HeldReader(Protocol):
    """Looks at what is held while others decide, and changes nothing. Raises as `StoreReader` does."""

    def held_by_gate(self) -> list[HeldGate]:
        """Give how much is held for which gate, the most changes first."""
        ...

    def held_of(self, key: str, *, most: int = 100) -> list[Held]:
        """Give the first that are held of a key, in their order."""
        ...


@runtime_checkable
class Holding(Protocol):
    """A store that can hold."""

    def held_heads(self, *, after: str = "", most: int = 100) -> list[HeldHead]:
        """Give the first held change of each key behind `after`, in the order of the keys. Changes nothing.

        Raises `TargetDown` or `Transient`.
        """
        ...

    def mirror(self, gates: Sequence[Gate]) -> None:
        """Write gates beside what they guard. Once it returns, whoever decides finds them there.

        Where a batch is one transaction, this is one too; else some keys may be kept back before it is at its end. No
        earlier revision replaces a later one. Safe to repeat. A transaction that found a gate open has ended when
        this returns. Raises `TargetDown` or `Transient`.
        """
        ...


def counts_of(found: Sequence[HeldGate]) -> Mapping[str, int]:
    """Give the numbers of changes by gate."""
    return {each.gate: each.changes for each in found}
