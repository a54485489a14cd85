"""Notes on the DynamoDB table of the application, beside its checkpoints."""

from typing import TYPE_CHECKING, Any, Final

from isthmus.checkpoint import items
from isthmus.checkpoint.items import ItemKind
from isthmus.checkpoint.notes import Note, Telling, merged
from isthmus.checkpoint.table import Table, Unmet
from isthmus.clock import Clock, rfc3339
from isthmus.errors import Transient
from isthmus.stream import StreamIdentity

if TYPE_CHECKING:
    from isthmus.checkpoint.items import Attribute, Item

_ATTEMPTS: Final = 5
"""Against others of the same moment: one worker has a shard, and another may just have had it."""


class DynamoNotes:
    """`Notes` on DynamoDB. Raises `Missing` where there is no such table, and `Fatal` where AWS does not let us in."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def read_all(self) -> dict[str, Note]:
        """Give every shard's note. See the port."""
        found = map(note_of, self._table.all_of(ItemKind.NOTE))
        return {note.shard: note for note in found}

    def tell(self, telling: Telling) -> None:
        """Add to a shard's note. See the port."""
        place = items.key(ItemKind.NOTE, telling.shard)
        for _ in range(_ATTEMPTS):
            item: Any = self._table.get(place)
            note = merged(None if item is None else note_of(item), telling)
            if note is None or self._write(note, 0 if item is None else int(item["version"]["N"])):
                return
        raise Transient(f"The note of {telling.shard} was written by others all the time.", cause="conflict")

    def _write(self, note: Note, seen: int) -> bool:
        attributes = note_attributes(note) | {
            "version": items.number(seen + 1),
            "updated": items.text(rfc3339(self._clock.now_ms())),
        }
        gone = tuple(name for name in ("decided_until", "sequence") if name not in attributes)
        # What it is made of was read: whoever wrote in between must not be written over.
        condition = "#version = :seen" if seen else "attribute_not_exists(#kind)"
        try:
            self._table.write(
                items.key(ItemKind.NOTE, note.shard),
                attributes,
                condition,
                {"seen": items.number(seen)} if seen else {},
                remove=gone,
            )
        except Unmet:
            return False
        return True


def note_attributes(note: Note) -> "dict[str, Attribute]":
    """Give what a note holds, but for when it was written."""
    attributes: dict[str, Attribute] = {
        "ended": {"BOOL": note.ended},
        "counts": {"M": {name: items.number(count) for name, count in note.counts.items()}},
        "tellers": {"L": [{"M": {"who": items.text(who), "number": items.number(n)}} for who, n in note.tellers]},
        **items.stream_attributes(note.stream),
    }
    if note.decided_until_ms is not None:
        attributes["decided_until"] = items.number(note.decided_until_ms)
    if note.sequence is not None:
        attributes["sequence"] = items.text(note.sequence)
    return attributes


def note_of(item: "Item") -> Note:
    """Give the note that an item holds."""
    tellers = [held["M"] for held in item["tellers"]["L"]]
    return Note(
        shard=item[items.SORT_KEY]["S"],
        stream=StreamIdentity(arn=item["stream_arn"]["S"], created=item["stream_created"]["S"]),
        decided_until_ms=int(item["decided_until"]["N"]) if "decided_until" in item else None,
        sequence=item["sequence"]["S"] if "sequence" in item else None,
        ended=item["ended"]["BOOL"],
        counts={name: int(count["N"]) for name, count in item["counts"]["M"].items()},
        tellers=tuple((held["who"]["S"], int(held["number"]["N"])) for held in tellers),
        updated=item["updated"]["S"],
    )
