"""Changes that wait in a parking lot, and a translator that gives what it is told to."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from isthmus.change import Change, Verb, version_of
from isthmus.codec import encode
from isthmus.consumer.stores.lot import Waiting
from isthmus.rawrow import row_out

ROW = {"ID": 7, "PRICE": Decimal("1.10"), "LOGO": b"\x00\xff"}
STATE = Change(
    id="txn-1",
    source="/shop/items",
    entity="item",
    verb=Verb.UPSERT,
    key="item/7",
    version=version_of(3, 42),
    lane=1,
    epoch=5,
    time="2013-01-01T00:00:00.000Z",
    data={"name": "seven"},
    rowhash="the-hash",
    sourcekey="[7]",
    traceparent="00-trace",
)


def untranslated(change: Change = STATE, row: Mapping[str, Any] = ROW) -> Change:
    values, types = row_out(row)
    data = {"row": values, "types": types, "reason": "no-airport", "message": "BQN is unknown."}
    return change._replace(verb=Verb.UNTRANSLATED, data=data)


def waiting(change: Change = STATE, event: bytes | None = None, *, decodable: bool = True) -> Waiting:
    return Waiting(
        key=change.key,
        txn=change.id,
        version=change.version,
        rowhash=change.rowhash,
        source=change.source,
        entity=change.entity,
        epoch=change.epoch,
        detected=change.time,
        arrived_ms=1,
        reason="no-airport",
        message="",
        stage="translate",
        event=encode(change) if event is None else event,
        decodable=decodable,
        shard="shard-0",
        sequence="1",
        attempts=1,
        first_at_ms=1,
        last_at_ms=1,
        edited=False,
    )


class Table:
    """`Rows` that give what they are told to, and note what they were asked."""

    def __init__(self, *made: Change) -> None:
        self.made = made
        self.asked: list[tuple[Change, Mapping[str, Any]]] = []

    def translate(self, waiting: Change, row: Mapping[str, Any]) -> Sequence[Change]:
        self.asked.append((waiting, row))
        return self.made
