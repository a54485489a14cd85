"""The audit: who did what with which parked change, and why. Its items never expire, and lie with their key's."""

from typing import TYPE_CHECKING

from isthmus.consumer.stores.dynamodb.bodies import NAMES
from isthmus.consumer.stores.dynamodb.items import PARTITION_KEY, audit_key
from isthmus.consumer.stores.dynamodb.values import number, text
from isthmus.consumer.stores.dynamodb.writes import Action, put_new
from isthmus.consumer.stores.lot import Deed

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item

MADE = "made_"
"""Begins the names of the attributes that hold what an edit made of an event, or say where it is."""

_KEPT = ("key", "txn", "version", "source", "entity", "reason", "message")
_LONGEST_WORD = 8192
"""Characters of who and why: beside the event an item has room for no more."""


def audited(
    table: str, row: "Item", deed: Deed, who: str, why: str, *, now_ms: int, turn: int, made: "Item | None" = None
) -> Action:
    """Give the write of what was done with a parked change, which is kept as it was; `turn` is that of its lot then.

    `made` are the attributes of the event that an edit puts in its place.
    """
    item: dict[str, Attribute] = {
        **audit_key(row["key"]["S"], now_ms, turn, row["txn"]["S"]),
        "at": number(now_ms),
        "who": _word(who),
        "why": _word(why),
        "deed": text(deed),
        **{name: row[name] for name in (*_KEPT, *NAMES) if name in row},
        **{f"{MADE}{name}": value for name, value in (made or {}).items()},
    }
    return put_new(table, item, PARTITION_KEY)


def _word(said: str) -> "Attribute":
    # What comes from a terminal may hold bytes that are no text.
    return text(said[:_LONGEST_WORD].encode("utf-8", "replace").decode())
