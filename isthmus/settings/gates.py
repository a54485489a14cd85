"""`[gate]`: what may be closed, and how strictly. With what must hold between it and the other sections."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from isthmus.settings.section import Section
from isthmus.settings.stores import Store, StoreKind
from isthmus.settings.values import Name, between

if TYPE_CHECKING:
    from isthmus.settings.models import Entity

HOLDING = frozenset({StoreKind.SQLITE, StoreKind.POSTGRESQL})
"""Stores that can hold, and that gates can be mirrored into."""


class Gate(Section):
    """`[gate]`: whether consumers look at gates, and what becomes of changes before a closed one."""

    watched: bool = False
    hold: bool = True
    strict: bool = False
    processes: list[Name] = Field(default_factory=list)
    """Processes whose gates must be there: where one is missing, the process is closed."""
    drain_per_second: Annotated[int, between(0, 1_000_000, "changes")] = 0
    """0: as fast as live traffic leaves room for."""


def watching(gate: Gate, store: Store) -> Iterator[tuple[tuple[str, ...], str]]:
    """See that the store can do what is asked for."""
    if not gate.watched:
        for key in ("strict", "processes"):
            if getattr(gate, key):
                yield ("gate", "watched"), f"must be true beside {key}: nobody looks at gates without it"
        return
    if store.kind in HOLDING:
        return
    if gate.hold:
        yield (
            ("gate", "hold"),
            f"must be false: a front office in {store.kind} holds nothing; gates then make shards wait",
        )
    if gate.strict:
        yield ("gate", "strict"), f"must be false: gates cannot be mirrored into a front office in {store.kind}"


def processes(gate: Gate, entities: "Mapping[str, Entity]") -> Iterator[tuple[tuple[str, ...], str]]:
    """See that a process that must have a gate is some entity type's."""
    known = {entity.process or name for name, entity in entities.items()}
    for name in gate.processes:
        if name not in known:
            yield ("gate", "processes"), f"{name} is the process of no entity type: {', '.join(sorted(known))}"
