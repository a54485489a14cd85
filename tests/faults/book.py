"""The results of all runs so far, in one JSON file: a run that is interrupted goes on where it was."""

import fcntl
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Entry:
    """One run of one part of a row. `wrong` is empty when it passed."""

    unit: str
    reached: int
    asked: int
    counts: dict[str, int]
    fired: dict[str, int]
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    date: str = ""
    command: str = ""


class Book:
    """Entries by place: `F13/S/full`."""

    def __init__(self, path: Path) -> None:
        """Read what is there."""
        self._path = path
        self.entries: dict[str, Entry] = {}
        self._read()

    def passed(self, place: str) -> bool:
        """Say whether this is done and need not be done again."""
        return place in self.entries and not self.entries[place].wrong

    def write(self, place: str, entry: Entry) -> None:
        """Remember a run, at once: the next one may be interrupted."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            # Another row may be run beside this one: what it wrote since we read must stay.
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            self.entries[place] = entry
            new = self._path.with_suffix(".new")
            new.write_text(
                json.dumps({name: asdict(one) for name, one in sorted(self.entries.items())}, indent=1) + "\n"
            )
            new.replace(self._path)

    def _read(self) -> None:
        if self._path.exists():
            self.entries = {place: Entry(**entry) for place, entry in json.loads(self._path.read_text()).items()}
