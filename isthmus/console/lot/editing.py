"""What an edit makes of a change that waits, and what it may not. Pure, but for the translator of now."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from isthmus.change import RAW_KEY_PREFIX, Change, Verb
from isthmus.codec import decode, encode, json_bytes
from isthmus.console.lot.remaking import LOT_LIMITS, changes_in
from isthmus.consumer.redrive import Remake
from isthmus.consumer.refusals import refusal_of
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.port import Delivered, Entity
from isthmus.errors import Poison, Refused

_FIXED = {"id": "transaction ID", "source": "source", "entity": "entity", "key": "key", "version": "version"}
_AGAIN = "The change stays as it is."


class Edited(NamedTuple):
    """What shall stand in a change's place, and what the code of now makes of that: nothing where it is filtered."""

    event: bytes
    becomes: Sequence[Change]


class Editing:
    """One change that is edited. Every method raises `Refused`, with a sentence, for what may not be.

    `fixed_columns` are those of a source that name a row and its place in the order: key and cursor.
    """

    def __init__(self, waiting: Waiting, fixed_columns: Mapping[str, Sequence[str]]) -> None:
        self.waiting = waiting
        self.change = _only_change(waiting)
        self._fixed_columns = fixed_columns.get(waiting.source, ())

    @property
    def content(self) -> Any:
        """Give what may be edited: the raw row of an untranslated change, or else the data. None: a delete has none."""
        return self._row() if self.change.verb is Verb.UNTRANSLATED else self.change.data

    def with_content(self, content: Any) -> Change:
        """Put another row, or other data, in the place of the content."""
        if self.change.verb is Verb.DELETE:
            raise Refused("A delete has no data to be edited.", hint="Discard it, if it shall not take effect.")
        if self.change.verb is not Verb.UNTRANSLATED:
            return self.change._replace(data=content, dataref="")
        row = self._row()
        if not isinstance(content, dict):
            raise Refused("A row is a JSON object: a value by the name of each column.", hint=_AGAIN)
        if not self.waiting.key.startswith(RAW_KEY_PREFIX):
            for column in self._fixed_columns:
                # As JSON: to Python 1 is the same as true, and makes another key.
                if json_bytes(content.get(column)) != json_bytes(row.get(column)):
                    raise Refused(f"The column {column} says which row it is, and when; it is not edited.", hint=_AGAIN)
        words = self.change.data.get("types", {})
        # A value that was no text has none of the words for what text stands for.
        kept = {name: word for name, word in words.items() if isinstance(content.get(name), str)}
        return self.change._replace(data={**self.change.data, "row": content, "types": kept}, dataref="")

    def as_final(self, verb: Verb, data: Any) -> Change:
        """Put final data in the place of a row that is not translated any more."""
        if self.change.verb is not Verb.UNTRANSLATED:
            raise Refused(f"It is translated already, and stays what it is: {self.change.verb}.", hint=_AGAIN)
        if self.waiting.key.startswith(RAW_KEY_PREFIX):
            raise Refused("Its key is not known, so no data can be put under it.", hint="Edit its row instead.")
        return self.change._replace(verb=verb, data=None if verb is Verb.DELETE else data, dataref="")

    def from_event(self, event: bytes) -> Change:
        """Take a whole event, of which nothing but `data` may differ."""
        found = [each for each in decode(event, LOT_LIMITS) if isinstance(each, Change)]
        if len(found) != 1:
            raise Refused("This is no CloudEvent of one change.", hint=_AGAIN)
        new, old = found[0], self.change
        for name, word in _FIXED.items():
            if getattr(new, name) != getattr(old, name):
                raise Refused(f"The event has another {word} than the change that waits.", hint=_AGAIN)
        if _without_content(new) != _without_content(old) or new.dataref not in {"", old.dataref}:
            raise Refused(
                "Nothing of an event may be edited but its data, or its row if it is untranslated.", hint=_AGAIN
            )
        if new.verb is not Verb.UNTRANSLATED:
            return self.with_content(new.data)
        return self.with_content(new.data.get("row") if isinstance(new.data, dict) else None)

    def checked(self, new: Change, remake: Remake, entities: Mapping[str, Entity]) -> Edited:
        """See that the edited change would be taken now: by the translator, if it is a row, and by the contract."""
        try:
            event = encode(new)
        except ValueError as error:
            raise Refused(f"The edited change cannot be kept: {error}.", hint=_AGAIN) from error
        if event == self.waiting.event or new == self.change:
            raise Refused("Nothing differs.", hint=_AGAIN)
        try:
            becomes = remake(self.waiting._replace(event=event))
        except Poison as poison:
            raise _poison_again(poison) from poison
        for change in becomes:
            refusal = refusal_of(entities.get(change.entity), Delivered(change, "", "", 0))
            if refusal is not None:
                raise _poison_again(refusal.poison)
        return Edited(event, becomes)

    def _row(self) -> Any:
        data = self.change.data
        if not isinstance(data, dict) or not isinstance(data.get("row"), dict):
            raise Refused("Its row was not kept.", hint="Put final data in its place: --as upsert, delete or event.")
        return data["row"]


def _only_change(waiting: Waiting) -> Change:
    try:
        found = changes_in(waiting) if waiting.decodable else []
    except Poison:
        found = []
    if len(found) != 1:
        raise Refused("It could not be decoded, so there is nothing to edit.", hint="Retry it, or discard it.")
    return found[0]


def _without_content(change: Change) -> Change:
    """Leave out what may be edited."""
    data = None
    if change.verb is Verb.UNTRANSLATED and isinstance(change.data, dict):
        data = {name: value for name, value in change.data.items() if name != "row"}
    return change._replace(data=data, dataref="")


def _poison_again(poison: Poison) -> Refused:
    return Refused(f"The edited change would be poison again: {poison.reason}: {poison.message}", hint=_AGAIN)
