"""Gates on the DynamoDB table of the application, beside its checkpoints, and in memory for tests."""

import threading
from typing import TYPE_CHECKING

from isthmus.checkpoint import items
from isthmus.checkpoint.gates import Covers, Gate, Mode
from isthmus.checkpoint.items import ItemKind
from isthmus.checkpoint.table import Table, Unmet
from isthmus.errors import Refused

if TYPE_CHECKING:
    from isthmus.checkpoint.items import Attribute, Item


class DynamoGates:
    """`Gates` on DynamoDB. Raises `Missing` where there is no such table, and `Fatal` where AWS does not let us in."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read_all(self) -> list[Gate]:
        """Give every gate. See the port."""
        return [gate_of(item) for item in self._table.all_of(ItemKind.GATE)]

    def change(self, gate: Gate) -> None:
        """Write a gate and its row of the history. See the port."""
        attributes = gate_attributes(gate)
        place, told = items.key(ItemKind.GATE, gate.name), items.key(ItemKind.GATE_HISTORY, history_name(gate))
        before = gate.revision - 1
        condition = "#revision = :before" if before else "attribute_not_exists(#kind)"
        compared = {"before": items.number(before)} if before else {}
        try:
            self._table.put_with({**attributes, **place}, condition, compared, {**attributes, **told})
        except Unmet as unmet:
            raise quicker(gate) from unmet

    def history(self, *, most: int = 100) -> list[Gate]:
        """Give the last changes. See the port."""
        # All of them: people made each one, and there is no other order to read them in.
        found = [gate_of(item) for item in self._table.all_of(ItemKind.GATE_HISTORY)]
        return found[: -most - 1 : -1]


class MemoryGates:
    """`Gates` in memory. `error`, while it is set, is raised by every call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gates: dict[str, Gate] = {}
        self._history: list[Gate] = []
        self.error: Exception | None = None

    def read_all(self) -> list[Gate]:
        """Give every gate. See the port."""
        with self._lock:
            self._fail()
            return [gate for _, gate in sorted(self._gates.items())]

    def change(self, gate: Gate) -> None:
        """Write a gate and its row of the history. See the port."""
        with self._lock:
            self._fail()
            standing = self._gates.get(gate.name)
            if (standing.revision if standing is not None else 0) != gate.revision - 1:
                raise quicker(gate)
            self._gates[gate.name] = gate
            self._history.append(gate)

    def history(self, *, most: int = 100) -> list[Gate]:
        """Give the last changes. See the port."""
        with self._lock:
            self._fail()
            return sorted(self._history, key=history_name)[: -most - 1 : -1]

    def lose(self, gate: Gate) -> None:
        """Forget a gate, as if its item had been deleted by hand."""
        with self._lock:
            del self._gates[gate.name]

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


def quicker(gate: Gate) -> Refused:
    """Give the refusal of a change that somebody else was quicker to make."""
    return Refused(
        f"Somebody else changed the gate {gate.name} just now; nothing was changed.", hint="See `isthmus gate list`."
    )


def history_name(gate: Gate) -> str:
    """Give what the history is ordered by: when, and which change of that gate."""
    return f"{gate.since_ms:015d}#{gate.revision:09d}#{gate.name}"


def gate_attributes(gate: Gate) -> "dict[str, Attribute]":
    """Give what a gate's item holds. A gate that covers everything has no word of what it covers."""
    covers = {name: items.text(value) for name, value in gate.covers._asdict().items() if value}
    attributes: dict[str, Attribute] = {
        "covers": {"M": covers},
        "closed": {"BOOL": gate.closed},
        "mode": items.text(gate.mode),
        "who": items.text(gate.who),
        "reason": items.text(gate.reason),
        "since": items.number(gate.since_ms),
        "revision": items.number(gate.revision),
    }
    if gate.until_ms is not None:
        attributes["until"] = items.number(gate.until_ms)
    return attributes


def gate_from(attributes: "Item") -> Gate:
    """Give the gate of `gate_attributes`. Raises KeyError, ValueError or TypeError where these are others."""
    return Gate(
        covers=Covers(**{name: value["S"] for name, value in attributes["covers"]["M"].items()}),
        closed=attributes["closed"]["BOOL"],
        mode=Mode(attributes["mode"]["S"]),
        who=attributes["who"]["S"],
        reason=attributes["reason"]["S"],
        since_ms=int(attributes["since"]["N"]),
        until_ms=int(attributes["until"]["N"]) if "until" in attributes else None,
        revision=int(attributes["revision"]["N"]),
    )


def gate_of(item: "Item") -> Gate:
    """Give the gate that an item holds. Raises `Refused` for an item that is none of ours: nobody may guess it open."""
    try:
        return gate_from(item)
    except (KeyError, ValueError, TypeError) as error:
        name = item[items.SORT_KEY]["S"]
        raise Refused(
            f"The item of the gate {name!r} cannot be read.", hint="Delete it, and close or open the gate anew."
        ) from error
