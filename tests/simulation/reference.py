"""What must become of what the stream holds: decided once, in the stream's order, by the plainest program there is.

A front office may read the stream as often as it likes, in as many lives and processes: it must come to the same.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.simulation.office import ENTITY, MOVES, refuses


def spoken(version: str) -> str:
    """Give a version as a person reads it: the position, and the generation before it where it was raised."""
    generation, position = int(version[:8] or 0), int(version[8:] or 0)
    return f"{generation}:{position}" if generation else str(position)


class Event(NamedTuple):
    """A change as it stands in the stream, read without the product's codec."""

    key: str
    version: str
    txn: str
    source: str
    entity: str
    verb: str
    lane: str
    epoch: int
    whole: Any
    """The CloudEvent."""

    @property
    def identity(self) -> tuple[str, str]:
        return (self.key, self.version)

    @property
    def short(self) -> str:
        """Give it in two words, for a trace."""
        return f"marker {self.epoch}" if self.verb == "marker" else f"{self.key}@{spoken(self.version)}"

    def __str__(self) -> str:
        return f"{self.source} {self.key} version {spoken(self.version)} ({self.verb}, epoch {self.epoch})"


def events_of(record: bytes) -> list[Event]:
    """Read a bundle."""
    return [_event(event) for event in json.loads(record)]


def _event(event: Any) -> Event:
    _, entity, verb = event["type"].split(".")
    return Event(
        event.get("subject", ""),
        event.get("sequence", ""),
        event["id"],
        event["source"],
        entity,
        verb,
        event["partitionkey"],
        int(event.get("epoch", "0")),
        event,
    )


@dataclass
class Reference:
    """The state of a front office that has decided everything."""

    fences: dict[tuple[str, str], int] = field(default_factory=dict)
    """The highest epoch whose marker passed, by source and lane."""
    guards: dict[str, str] = field(default_factory=dict)
    """The version of each entity of kind `state`."""
    states: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """Version and data of each that is not deleted."""
    applied: dict[tuple[str, str], Event] = field(default_factory=dict)
    """What took effect, by key and version, in order."""
    unchanged: set[tuple[str, str]] = field(default_factory=set)
    """What was read again and found as it was, by key and version: it has no effect."""
    parked: dict[str, dict[str, Event]] = field(default_factory=dict)
    """What is parked, by key and version."""
    fenced: set[tuple[str, str, int]] = field(default_factory=set)
    """What came behind a newer owner's marker, by key, version and epoch."""

    def decide(self, events: Iterable[Event]) -> list[Event]:
        """Take in a record; give those that must be decided for a checkpoint to pass it: all but what is fenced."""
        return [event for event in events if self._decide(event)]

    def _decide(self, event: Event) -> bool:
        place = (event.source, event.lane)
        if event.verb == "marker":
            self.fences[place] = max(event.epoch, self.fences.get(place, 0))
            return False
        if event.epoch < self.fences.get(place, 0):
            self.fenced.add((*event.identity, event.epoch))
            return False
        parked = self.parked.setdefault(event.key, {})
        is_event = event.entity == ENTITY[MOVES]
        poison = event.verb == "untranslated" or refuses(event.entity, event.whole.get("data"))
        known = event.identity in self.applied or event.identity in self.unchanged or event.version in parked
        if known or (not is_event and event.version <= self.guards.get(event.key, "")):
            pass
        elif poison or (is_event and parked):
            parked[event.version] = event
        else:
            self._apply(event, is_event=is_event)
        return True

    def _apply(self, event: Event, *, is_event: bool) -> None:
        if not is_event and self._is_again(event):
            self.unchanged.add(event.identity)
        else:
            self.applied[event.identity] = event
        if is_event:
            return
        self.guards[event.key] = event.version
        self.parked[event.key] = {
            version: parked for version, parked in self.parked[event.key].items() if version > event.version
        }
        if event.verb == "delete":
            self.states.pop(event.key, None)
        else:
            self.states[event.key] = (event.version, event.whole["data"])

    def _is_again(self, event: Event) -> bool:
        """Say whether it is another generation of the very row that stands there."""
        if event.verb == "delete" or event.key not in self.states:
            return False
        number, data = self.states[event.key]
        return number[:8] != event.version[:8] and data == event.whole["data"]
