"""The results of all runs so far, in one JSON file: a run that is interrupted goes on where it was."""

import fcntl
import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


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
    code: str = ""
    """What it was run on, see `code_now`."""


def code_now() -> str:
    """Give a short word that is another one whenever the product's code is."""
    told = hashlib.sha256()
    for path in sorted((_ROOT / "isthmus").rglob("*.py")):
        told.update(f"{path.relative_to(_ROOT)}\0".encode() + path.read_bytes())
    return told.hexdigest()[:8]


class Book:
    """Entries by place: `F13/S/full`."""

    def __init__(self, path: Path, code: str = "") -> None:
        """Read what is there. `code` is what is run now."""
        self._path = path
        self.code = code
        self.entries: dict[str, Entry] = {}
        self._read()

    def passed(self, place: str) -> bool:
        """Say whether this is done and need not be done again."""
        found = self.entries.get(place)
        return found is not None and not found.wrong and found.code == self.code

    def write(self, place: str, entry: Entry) -> None:
        """Remember a run, at once: the next one may be interrupted."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            # Another row may be run beside this one: what it wrote since we read must stay.
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            self.entries[place] = replace(entry, code=self.code)
            new = self._path.with_suffix(".new")
            new.write_text(
                json.dumps({name: asdict(one) for name, one in sorted(self.entries.items())}, indent=1) + "\n"
            )
            new.replace(self._path)

    def _read(self) -> None:
        if self._path.exists():
            self.entries = {place: Entry(**entry) for place, entry in json.loads(self._path.read_text()).items()}
