"""Gates beside what they guard, for `gate.strict`: each transaction has the condition that they are as they were read.

| `pk` | `sk` | what |
|---|---|---|
| `gates` | `<name>` | one gate, as it was last closed or opened |
| `gate#<copy>` | `turn` | a number that grows with every change of any gate |

A transaction cannot ask about gates that it does not know of, so it asks whether anything has changed: the turn. One
item for all would take 500 transactions a second and be in everybody's way, so there are copies, and each key asks its
own. Who mirrors writes the gate first and raises every turn after it, one copy at a time: a transaction over all of
them would find one in use at any moment. Once it returns, each transaction that had found the gate open has ended, or
fails. Who decides reads in the other order, the turn first: so it never takes an old gate for what a new turn says.

A gate is `done` once all turns were raised for it. Whoever mirrors it again after a crash raises them all again.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from isthmus.checkpoint.gatehouse import gate_attributes, gate_from
from isthmus.checkpoint.gates import Gate
from isthmus.consumer.stores.dynamodb.cancelled import Unmet
from isthmus.consumer.stores.dynamodb.items import TURN, item_key, short
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.values import number
from isthmus.consumer.stores.dynamodb.writes import Action, Expression, Place, as_seen, check, put, update

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute

COPIES: Final = 32
"""One item takes 1,000 write units a second, and a condition in a transaction costs two: 16,000 changes a second."""
_GATES, _COPY, _DONE = "gates", "gate#", "done"
_STANDS = ("since", "revision")
"""What orders two states of a gate: a table of gates that was made anew numbers from the start."""


class Known(NamedTuple):
    """What one copy said, and the gates as they stood then, or later."""

    turn: Place
    gates: Sequence[Gate]

    def unchanged(self) -> Action:
        """Give the condition that no gate was changed since."""
        expression = Expression()
        return check(self.turn, expression, as_seen(expression, self.turn, (TURN,)))


class Mirrored:
    """Reads what is mirrored. Safe for many threads."""

    def __init__(self, requests: Requests, table: str) -> None:
        self._requests = requests
        self._table = table
        self._known: dict[int, Known] = {}

    def known(self, key: str, *, anew: bool) -> Known:
        """Give what is known for a key. What was read before may be old: its turn then fails a transaction."""
        copy = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[0] % COPIES
        found = None if anew else self._known.get(copy)
        if found is None:
            turn = Place(self._table, _turn_key(copy))
            turn = turn._replace(item=self._requests.get(turn))
            gates = [gate_from(item) for item in self._requests.query(self._table, _GATES, "", {})]
            found = self._known[copy] = Known(turn, gates)
        return found


def mirror(requests: Requests, table: str, gates: Sequence[Gate]) -> None:
    """Write gates; see `Holding.mirror`. Raises as a request does: then it is to be called again."""
    pending = [place for gate in gates if (place := _written(requests, table, gate)) is not None]
    if not pending:
        return
    for copy in range(COPIES):
        expression = Expression()
        turn = expression.name(TURN)
        added = f"ADD {turn} {expression.value(number(1))}"
        key = _turn_key(copy)
        requests.write(
            Action("Update", {"TableName": table, "Key": key, "UpdateExpression": added, **expression.members()})
        )
    for place in pending:
        expression = Expression()
        with suppress(Unmet):
            # Else somebody has mirrored a later one.
            condition = as_seen(expression, place, _STANDS)
            requests.write(update(place, {_DONE: {"BOOL": True}}, [], expression, condition))


def _written(requests: Requests, table: str, gate: Gate) -> Place | None:
    """Write one gate over an earlier one. Give where it stands, if turns are to be raised for it."""
    place, item = Place(table, item_key(_GATES, short(gate.name))), gate_attributes(gate)
    mine = (gate.since_ms, gate.revision)
    while True:
        place = place._replace(item=requests.get(place))
        if place.item is not None:
            there = (int(place.item["since"]["N"]), int(place.item["revision"]["N"]))
            if there > mine or (there == mine and _DONE in place.item):
                return None
            if there == mine:
                return place
        expression = Expression()
        with suppress(Unmet):
            requests.write(put(table, {**place.key, **item}, expression, as_seen(expression, place, _STANDS)))
            return place._replace(item=item)


def _turn_key(copy: int) -> "dict[str, Attribute]":
    return item_key(f"{_COPY}{copy}", TURN)
