"""What is remembered of the park brake between lives, and what all processes of an application see of it.

One note for each reason for which it was ever on. `number` counts how often that was: a release is of one time it was
on, and never of the next.
"""

import threading
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from isthmus.checkpoint import items
from isthmus.checkpoint.items import ItemKind
from isthmus.checkpoint.table import Table, Unmet
from isthmus.errors import Missing

if TYPE_CHECKING:
    from isthmus.checkpoint.items import Attribute, Item


class Word(StrEnum):
    """What a note says."""

    ON = "on"
    RELEASED = "released"
    """A person let it go on: what is poison for this reason is parked."""
    EASED = "eased"
    """The cause is gone: what set it on went through."""


@dataclass(frozen=True, slots=True)
class BrakeNote:
    """The note of one reason."""

    reason: str
    number: int
    """Which time it is, or was, on: from 1."""
    word: Word
    shard: str
    """The shard that met it. It alone tries, now and then, whether the cause is gone."""
    sequence: str
    """The Kinesis sequence number of the change that set it on."""
    keys: int
    """How many keys were parked for it in the minute before."""
    since_ms: int
    """When it went on, milliseconds since 1970."""
    who: str = ""
    """Who released it, or the shard in which the cause was gone."""
    why: str = ""
    until_ms: int | None = None
    """When it was released, or eased."""


class BrakeNotes(Protocol):
    """Where notes lie. Safe to repeat.

    Methods raise `Transient` or `TargetDown` where nothing is known of the answer.
    """

    def read_all(self) -> dict[str, BrakeNote]:
        """Give the note of every reason (a consistent read)."""
        ...

    def put_on(self, note: BrakeNote) -> BrakeNote:
        """Say that it is on, unless it is on already; give what stands there then, which may be another's.

        The number that is passed in is ignored: it is one above what stood there.
        """
        ...

    def let_off(self, note: BrakeNote) -> BrakeNote:
        """Say that this time, by its `number`, it was released or eased; give what stands there then.

        Another time, or one that is off already, stays as it is. Raises `Missing` where there is no note.
        """
        ...


class MemoryBrakes:
    """`BrakeNotes` in memory. `error`, while it is set, is raised by every call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notes: dict[str, BrakeNote] = {}
        self.error: Exception | None = None

    def read_all(self) -> dict[str, BrakeNote]:
        """Give all notes; see the port."""
        with self._lock:
            self._fail()
            return dict(self._notes)

    def put_on(self, note: BrakeNote) -> BrakeNote:
        """Say that it is on; see the port."""
        with self._lock:
            self._fail()
            standing = self._notes.get(note.reason)
            if standing is None or standing.word is not Word.ON:
                self._notes[note.reason] = replace(note, number=_next(standing))
            return self._notes[note.reason]

    def let_off(self, note: BrakeNote) -> BrakeNote:
        """Say that it is off; see the port."""
        with self._lock:
            self._fail()
            standing = self._notes.get(note.reason)
            if standing is None:
                raise no_note(note.reason)
            if (standing.number, standing.word) == (note.number, Word.ON):
                self._notes[note.reason] = _off(standing, note)
            return self._notes[note.reason]

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class DynamoBrakes:
    """`BrakeNotes` on the DynamoDB table of the application."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read_all(self) -> dict[str, BrakeNote]:
        """Give all notes; see the port."""
        return {note.reason: note for note in map(_note_of, self._table.all_of(ItemKind.BRAKE))}

    def put_on(self, note: BrakeNote) -> BrakeNote:
        """Say that it is on; see the port."""
        place = items.key(ItemKind.BRAKE, note.reason)
        # The words of the time before go: whoever reads this must not take an old release for one of now.
        gone = ("who", "why", "until")
        condition = "attribute_not_exists(#kind) OR #word <> :word"
        try:
            self._table.write(place, _on_attributes(note), condition, {}, remove=gone, add="number")
        except Unmet as unmet:
            return _note_of(unmet.standing)
        return self._standing(note)

    def let_off(self, note: BrakeNote) -> BrakeNote:
        """Say that it is off; see the port."""
        place = items.key(ItemKind.BRAKE, note.reason)
        attributes: dict[str, Attribute] = {
            "word": items.text(note.word),
            "who": items.text(note.who),
            "why": items.text(note.why),
            "until": items.number(note.until_ms or 0),
        }
        compared = {"its_number": items.number(note.number), "on": items.text(Word.ON)}
        try:
            self._table.write(place, attributes, "#number = :its_number AND #word = :on", compared)
        except Unmet as unmet:
            if not unmet.standing:
                raise no_note(note.reason) from unmet
            return _note_of(unmet.standing)
        return self._standing(note)

    def _standing(self, note: BrakeNote) -> BrakeNote:
        found = self._table.get(items.key(ItemKind.BRAKE, note.reason))
        if found is None:
            raise no_note(note.reason)
        return _note_of(found)


def no_note(reason: str) -> Missing:
    """Give the error for a reason for which it was never on."""
    return Missing(f"The park brake was never on for {reason!r}.", hint="See `isthmus brake status`.")


def _next(standing: BrakeNote | None) -> int:
    return 1 if standing is None else standing.number + 1


def _off(standing: BrakeNote, note: BrakeNote) -> BrakeNote:
    return replace(standing, word=note.word, who=note.who, why=note.why, until_ms=note.until_ms)


def _on_attributes(note: BrakeNote) -> "dict[str, Attribute]":
    return {
        "word": items.text(Word.ON),
        "shard": items.text(note.shard),
        "sequence": items.text(note.sequence),
        "keys": items.number(note.keys),
        "since": items.number(note.since_ms),
    }


def _note_of(item: "Item") -> BrakeNote:
    return BrakeNote(
        reason=item[items.SORT_KEY]["S"],
        number=int(item["number"]["N"]),
        word=Word(item["word"]["S"]),
        shard=item["shard"]["S"],
        sequence=item["sequence"]["S"],
        keys=int(item["keys"]["N"]),
        since_ms=int(item["since"]["N"]),
        who=item["who"]["S"] if "who" in item else "",
        why=item["why"]["S"] if "why" in item else "",
        until_ms=int(item["until"]["N"]) if "until" in item else None,
    )
