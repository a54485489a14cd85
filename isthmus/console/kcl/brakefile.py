"""The park brake's notes for the shards' processes: their worker reads them for all, and each reads a small file.

So a shard's process needs no client of AWS as long as the brake is off and hardly anything is parked. Who puts it on or
takes it off, or has keys to tell the others of, speaks to DynamoDB itself.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from isthmus.checkpoint.brakecounts import BrakeCount, BrakeCounts
from isthmus.checkpoint.brakes import BrakeNote, BrakeNotes, Word
from isthmus.checkpoint.tries import Tries
from isthmus.consumer.braking import READ_EVERY
from isthmus.errors import IsthmusError
from isthmus.lifecycle import Stop

FILE: Final = "brakes.json"
_DRAFT: Final = ".draft"


def publish(notes: BrakeNotes, folder: Path) -> None:
    """Write the file as the notes are now, whole or not at all. Raises as the notes do."""
    draft = (folder / FILE).with_suffix(_DRAFT)
    draft.write_text(json.dumps([asdict(note) for note in notes.read_all().values()]), encoding="utf-8")
    draft.replace(folder / FILE)


def keep_published(notes: BrakeNotes, folder: Path, stop: Stop) -> None:
    """Write it twice as often as it is read, until a stop is requested. What is away is as it was last known."""
    while not stop.wait(READ_EVERY / 2):
        try:
            publish(notes, folder)
        except IsthmusError:
            continue


class PublishedBrakes:
    """`BrakeNotes` by that file. `direct` gives the notes themselves, where they are written, or nobody publishes."""

    def __init__(self, folder: Path, direct: Callable[[], BrakeNotes]) -> None:
        self._file = folder / FILE
        self._direct = direct

    def read_all(self) -> dict[str, BrakeNote]:
        """Give all notes; see the port."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return self._direct().read_all()
        notes = [BrakeNote(**{**each, "word": Word(each["word"])}) for each in found]
        return {note.reason: note for note in notes}

    def put_on(self, note: BrakeNote) -> BrakeNote:
        """Say that it is on; see the port."""
        return self._direct().put_on(note)

    def let_off(self, note: BrakeNote) -> BrakeNote:
        """Say that it is off; see the port."""
        return self._direct().let_off(note)


class LateCounts:
    """`BrakeCounts` that are opened when the first keys are told."""

    def __init__(self, direct: Callable[[], BrakeCounts]) -> None:
        self._direct = direct

    def tell(self, reason: str, process: str, count: BrakeCount) -> Mapping[str, BrakeCount]:
        """Say what a process counts; see the port."""
        return self._direct().tell(reason, process, count)


class LateTries:
    """`Tries` that are opened when the first change fails."""

    def __init__(self, direct: Callable[[], Tries]) -> None:
        self._direct = direct

    def failed(self, txn: str) -> int:
        """Count one more; see the port."""
        return self._direct().failed(txn)

    def settled(self, txn: str) -> None:
        """Forget the change; see the port."""
        self._direct().settled(txn)
