"""Every sequence of deliveries of one entity's changes over a small alphabet, as rounds of one store with many keys."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from isthmus.change import Change
from tests.fakes.store_world import delete, event, marker, untranslated, upsert

LENGTH: Final = 5
_FEW: Final = 100
"""Sequences for a store that decides some hundred changes a second."""
_SEED: Final = 5
_TAKE_OVER: Final = "take-over"

Letter = Callable[[str], Change | None]
"""Gives the delivery for a key. A letter that comes twice in a sequence is a duplicate delivery."""


def _take_over(_key: str) -> None:
    """Stand for a new owner's marker: it belongs to a lane, and not to a key."""


def _other(change: Change) -> Change:
    return change._replace(rowhash="other", data={"size": 99, "note": "other"})


# The poison has the version of the delete, and the old owner's change that of the new one's: equal is not newer.
STATE: Mapping[str, Letter] = {
    "upsert": lambda key: upsert(1, key),
    "poison": lambda key: untranslated(3, key)._replace(epoch=2, id=f"{key}-poison"),
    "delete": lambda key: delete(3, key)._replace(epoch=2),
    "recreate": lambda key: upsert(4, key, epoch=2),
    "other-hash": lambda key: _other(upsert(4, key, epoch=2)),
    "old-owner": lambda key: upsert(4, key, id=f"{key}-old"),
    _TAKE_OVER: _take_over,
}
EVENT: Mapping[str, Letter] = {
    "event": lambda key: event(1, key),
    "next": lambda key: event(2, key, epoch=2),
    "other-hash": lambda key: _other(event(2, key, epoch=2)),
    "poison": lambda key: event(3, key, epoch=2, note="wrong"),
    "old-owner": lambda key: event(4, key),
    _TAKE_OVER: _take_over,
}


class Sequences:
    """All sequences of five letters, each with a key of its own; the shorter ones are their beginnings.

    Sequences with their first take-over in the same place share a lane, so that one marker serves them all.
    """

    def __init__(self, alphabet: Mapping[str, Letter], *, few: bool) -> None:
        words: Sequence[tuple[str, ...]] = list(itertools.product(alphabet, repeat=LENGTH))
        if few:
            words = random.Random(_SEED).sample(words, _FEW)
        self._alphabet = alphabet
        self._words = {f"k{number}": word for number, word in enumerate(words)}

    def rounds(self) -> Iterator[list[Change]]:
        """Give the first deliveries of all sequences, then the second ones, and so on."""
        for place in range(LENGTH):
            yield [marker(2, lane=1 + place), *self._round(place)]

    def word(self, change: Change) -> str:
        """Give the sequence that a change belongs to, for whoever reads of a difference."""
        return " ".join(self._words.get(change.key, ()))

    def _round(self, place: int) -> Iterator[Change]:
        for key, word in self._words.items():
            change = self._alphabet[word[place]](key)
            if change is not None:
                yield change._replace(lane=1 + word.index(_TAKE_OVER) if _TAKE_OVER in word else 0)
