"""Which names of a change every store can hold, and which may come over the stream. Pure."""

from typing import Final

from isthmus.change import MAX_KEY_BYTES, RAW_KEY_PREFIX, Change, Verb

RECORD_KEY: Final = f"{RAW_KEY_PREFIX}record/"
"""How the keys begin that are made here, for what could not be decoded."""
_SURELY_SHORT: Final = MAX_KEY_BYTES // 4
"""Characters: UTF-8 takes at most four bytes for each (RFC 3629, 3)."""


def may_be_named_so(change: Change) -> bool:
    """Say whether a change may have its names: they fit into every store, and its key may come over the stream."""
    return storable(change) and real(change)


def storable(change: Change) -> bool:
    """Say whether every store can hold the names: all of them in an index, PostgreSQL without NUL."""
    names = (change.key, change.id, change.source, change.entity)
    if max(map(len, names)) > _SURELY_SHORT and max(len(name.encode()) for name in names) > MAX_KEY_BYTES:
        return False
    return "\0" not in f"{change.key}{change.id}{change.source}{change.entity}{change.time}{change.rowhash}"


def real(change: Change) -> bool:
    """Say whether the key may come over the stream.

    A change that took effect under a key made here would make what cannot be decoded stale, and it would be lost.
    """
    key = change.key
    if not key.startswith(RAW_KEY_PREFIX):
        return key != ""
    return change.verb is Verb.UNTRANSLATED and not key.startswith(RECORD_KEY)
