"""What runs in the background, written down: which processes, since when, at which addresses, with which logs."""

import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from isthmus.checkpoint.ports import Holder
from isthmus.checkpoint.process import is_dead
from isthmus.errors import Fatal


class State(StrEnum):
    """Where a stand-in is in its life."""

    STARTING = "starting"
    """Its process runs and has not answered yet, or whoever started it ended before it did."""
    RUNNING = "running"
    """It answered, and its process runs."""
    ENDED = "ended"
    """Its process is no more, and nobody asked it to end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stand-in that was started and not ended."""

    name: str
    process: Holder
    mark: str
    """In the environment of its process and of all that it started: `MARK`."""
    log: str
    grace: float
    """Seconds that it gets to end by itself; see `Plan`."""
    url: str = ""
    """Empty until it answered."""

    def state(self) -> State:
        """Ask the operating system. Raises `Fatal` where that cannot tell whose process it is."""
        dead = is_dead(self.process)
        if dead is None:
            raise Fatal(
                f"Nobody can tell from here whether process {self.process.pid} of {self.process.host} is {self.name}.",
                hint="Run this where it was started, on Linux.",
            )
        if dead:
            return State.ENDED
        return State.RUNNING if self.url else State.STARTING


class Folder:
    """The file with the entries. Whoever changes it holds the folder's lock: see `background`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path / "running.json"

    @property
    def lock(self) -> Path:
        """The file to lock for as long as what runs is changed."""
        return self.path / ".lock"

    def entries(self) -> dict[str, Entry]:
        """Give what is written down, by name, in the order of starting. Raises `Fatal` when it cannot be read."""
        try:
            written = orjson.loads(self._file.read_bytes())
            return {each["name"]: _entry(each) for each in written}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Fatal(
                f"{self._file} cannot be read: {type(error).__name__}.",
                hint="It says which processes are ours: end them yourself, then remove it.",
            ) from error

    def note(self, entry: Entry) -> None:
        """Write an entry down, in the place of one of the same name. It is durable when this returns."""
        self._write(self.entries() | {entry.name: entry})

    def forget(self, name: str) -> None:
        """Cross an entry out, if it is there."""
        self._write({key: entry for key, entry in self.entries().items() if key != name})

    def _write(self, entries: dict[str, Entry]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        beside = self._file.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(orjson.dumps([asdict(entry) for entry in entries.values()], option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._file)


def _entry(written: dict[str, Any]) -> Entry:
    return Entry(**written | {"process": Holder(**written["process"])})
