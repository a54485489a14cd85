"""What waits in the parking lot, as a redrive takes it: items to values, and to what is tried. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.change import Change, Verb
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.port import Delivered, Refusal

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item

EDITED = "edited"
"""There on a parked change of which an operator edited the event."""


def waiting_of(item: "Item", event: bytes) -> Waiting:
    """Give the parked change of an item."""
    return Waiting(
        key=item["key"]["S"],
        txn=item["txn"]["S"],
        version=item["version"]["S"],
        rowhash=item["rowhash"]["S"],
        source=item["source"]["S"],
        entity=item["entity"]["S"],
        epoch=int(item["epoch"]["N"]),
        detected=item["detected"]["S"],
        arrived_ms=int(item["arrived"]["N"]),
        reason=item["reason"]["S"],
        message=item["message"]["S"],
        stage=item["stage"]["S"],
        event=event,
        decodable=item["decodable"]["BOOL"],
        shard=item["shard"]["S"],
        sequence=item["sequence"]["S"],
        attempts=int(item["attempts"]["N"]),
        first_at_ms=int(item["first_at"]["N"]),
        last_at_ms=int(item["last_at"]["N"]),
        edited=EDITED in item,
    )


def as_it_waits(waiting: Waiting) -> Change:
    """Give a change with the names of what waits, and nothing of its content."""
    return Change(
        id=waiting.txn,
        source=waiting.source,
        entity=waiting.entity,
        verb=Verb.UPSERT,
        key=waiting.key,
        version=waiting.version,
        lane=-1,
        epoch=waiting.epoch,
        time=waiting.detected,
        rowhash=waiting.rowhash,
    )


def deliveries(waiting: Waiting, made: Sequence[Change] | Refusal) -> list[Delivered]:
    """Give what is tried: the changes that were made anew, or the one that waits, refused."""
    place = (waiting.shard, waiting.sequence, waiting.arrived_ms)
    if isinstance(made, Refusal):
        return [Delivered(as_it_waits(waiting), *place, waiting.event, made)]
    return [Delivered(change, *place) for change in made]


def names_same(change: Change, waiting: Waiting) -> bool:
    """Say whether a change is the one that waits, and not another one that was made of it."""
    names = (change.key, change.id, change.version, change.entity)
    return names == (waiting.key, waiting.txn, waiting.version, waiting.entity)
