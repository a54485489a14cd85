"""The whole event of a parked change, wherever it fits: in its item, compressed, in the bucket, or in parts."""

import gzip
import hashlib
from typing import TYPE_CHECKING

from isthmus.clock import Clock
from isthmus.consumer.stores.dynamodb.items import BODY, item_key
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.values import number, text
from isthmus.errors import Poison
from isthmus.payloads import Folder, Payloads

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item

MAX_INSIDE = 350 * 1024
"""Bytes of an event inside an item of 400 KB: the rest is for names, reason and message."""
EVENT, PACKED, CLAIMED, PARTS, HASH = NAMES = "event", "packed", "claimed", "parts", "body"


class Bodies:
    """Keeps and gives back events.

    What does not fit into an item is written before the item that names it, under the hash of its content: a crash
    between the two leaves a body that nothing names, which pruning deletes, and never a name without a body.
    """

    def __init__(self, requests: Requests, table: str, payloads: Payloads | None, clock: Clock) -> None:
        self._requests = requests
        self._table = table
        self._payloads = payloads
        self._clock = clock

    def keep(self, event: bytes, most: int = MAX_INSIDE) -> "dict[str, Attribute]":
        """Give the attributes that hold the event, or say where it is. Then it is durable there.

        `most` is how many bytes the item has room for.
        """
        if len(event) <= most:
            return {EVENT: {"B": event}}
        if self._payloads is not None:
            return {CLAIMED: text(self._payloads.put(event, Folder.PARKED))}
        packed = gzip.compress(event, mtime=0)
        if len(packed) <= most:
            return {PACKED: {"B": packed}}
        name = hashlib.sha256(packed).hexdigest()
        parts = [packed[begin : begin + MAX_INSIDE] for begin in range(0, len(packed), MAX_INSIDE)]
        written = number(self._clock.now_ms())
        for place, part in enumerate(parts):
            # One by one: each is nearly as large as an item may be, and written anew its age begins anew.
            key = item_key(f"{BODY}{name}", f"{place:04d}")
            item: dict[str, Attribute] = {**key, "part": {"B": part}, "written": written}
            self._requests.write_many(self._table, put=[item])
        return {HASH: text(name), PARTS: number(len(parts))}

    def event(self, item: "Item", prefix: str = "") -> bytes:
        """Give the event of an item. Raises `Poison("payload-missing")` where a part of it is gone or is another.

        `prefix` begins the names of its attributes, where an item holds two.
        """
        if prefix:
            item = {name: item[f"{prefix}{name}"] for name in NAMES if f"{prefix}{name}" in item}
        if EVENT in item:
            return bytes(item[EVENT]["B"])
        if PACKED in item:
            return gzip.decompress(item[PACKED]["B"])
        if CLAIMED in item:
            if self._payloads is None:
                raise Poison("payload-missing", "The settings name no bucket of payloads.")
            return self._payloads.get(item[CLAIMED]["S"])
        parts = self._requests.query(self._table, f"{BODY}{item[HASH]['S']}", "", {})
        packed = b"".join(part["part"]["B"] for part in parts)
        if hashlib.sha256(packed).hexdigest() != item[HASH]["S"]:
            raise Poison("payload-missing", "A part of the parked event is not there.")
        return gzip.decompress(packed)
