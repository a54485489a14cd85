"""`[gate]`: what may be closed, and how strictly. With what must hold between it and the other sections."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from isthmus.settings.section import Section
from isthmus.settings.values import Name, between

if TYPE_CHECKING:
    from isthmus.settings.declared import Declared
    from isthmus.settings.models import Entity


class Gate(Section):
    """`[gate]`: whether consumers look at gates, and what becomes of changes before a closed one."""

    watched: bool | None = None
    """None: where gates are declared. See `Settings.watches_gates`."""
    hold: bool = True
    strict: bool = False
    processes: list[Name] = Field(default_factory=list)
    """Processes whose gates must be there: where one is missing, the process is closed."""
    drain_per_second: Annotated[int, between(0, 1_000_000, "changes")] = 0
    """0: as fast as live traffic leaves room for."""


def watching(gate: Gate, gates: "Mapping[str, Declared]") -> Iterator[tuple[tuple[str, ...], str]]:
    """See that somebody looks where there is something to look at."""
    if gate.watched is False and gates:
        yield ("gate", "watched"), f"must be true, or left out, beside [gates.{next(iter(gates))}]: nobody looks at it"
    if not is_watched(gate, gates):
        for key in ("strict", "processes"):
            if getattr(gate, key):
                yield ("gate", "watched"), f"must be true beside {key}: nobody looks at gates without it"


def is_watched(gate: Gate, gates: "Mapping[str, Declared]") -> bool:
    """Say whether consumers look at gates."""
    return bool(gates) if gate.watched is None else gate.watched


def processes(gate: Gate, entities: "Mapping[str, Entity]") -> Iterator[tuple[tuple[str, ...], str]]:
    """See that a process that must have a gate is some entity type's."""
    known = {entity.process or name for name, entity in entities.items()}
    for name in gate.processes:
        if name not in known:
            yield ("gate", "processes"), f"{name} is the process of no entity type: {', '.join(sorted(known))}"
