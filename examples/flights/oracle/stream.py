"""Reads the stream as any CloudEvents reader would, and gives the distinct changes that were published."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from sys import intern
from typing import Any, NamedTuple

import orjson

from .findings import Findings
from .words import version_number

_MARKER = ".marker"
_CHANGES = frozenset({"isthmus.flight.upsert", "isthmus.flight.delete", "isthmus.flight.untranslated"})


class Published(NamedTuple):
    """What a published change is about."""

    key: str
    version: int


@dataclass(frozen=True, slots=True)
class Stream:
    """What the stream holds: the number of its records, and the changes in them by ID, each once."""

    records: int
    changes: dict[str, Published]


def read_stream(records: Iterable[bytes], findings: Findings) -> Stream:
    """Read the data of every Kinesis record, each a CloudEvents JSON batch; markers are no changes.

    What cannot be read, and an ID that is used for two different changes, is a finding; the first one stays.
    """
    changes: dict[str, Published] = {}
    count = 0
    for record in records:
        count += 1
        for event in _events(record, count, findings):
            name, found = _change(event)
            if name is None or found is None:
                findings.add("stream", f"record {count} holds an event that is no change of a flight: {event!r:.200}")
            elif changes.setdefault(name, found) != found:
                findings.add("stream", f"ID {name} stands for {changes[name]} and for {found}")
    return Stream(count, changes)


def _events(record: bytes, count: int, findings: Findings) -> Iterator[dict[str, Any]]:
    try:
        events = orjson.loads(record)
    except orjson.JSONDecodeError as error:
        findings.add("stream", f"record {count} is not JSON: {error}")
        return
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        findings.add("stream", f"record {count} is not a batch of events")
        return
    for event in events:
        if not str(event.get("type", "")).endswith(_MARKER):
            yield event


def _change(event: dict[str, Any]) -> tuple[str, Published] | tuple[None, None]:
    name, key, version = event.get("id"), event.get("subject"), version_number(event.get("sequence"))
    if event.get("type") in _CHANGES and isinstance(name, str) and isinstance(key, str) and version is not None:
        return intern(name), Published(intern(key), version)
    return None, None
