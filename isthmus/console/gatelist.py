"""What commands tell of gates and of what they hold. Pure."""

from collections.abc import Sequence
from typing import Any

from isthmus.checkpoint.gates import Covers, Gate, State
from isthmus.clock import rfc3339
from isthmus.consumer.stores.held import HeldGate


def gates_as_json(
    gates: Sequence[Gate], declared: Sequence[Covers], held: Sequence[HeldGate] | None, now_ms: int
) -> list[dict[str, Any]]:
    """Give a row for each gate, the closed ones first; `held` None: it is not known what is held."""
    there = {gate.covers for gate in gates}
    rows = [_row(gate, gate.state(now_ms), held) for gate in gates]
    missing = [Gate(covers, closed=True, reason="its item is missing") for covers in declared if covers not in there]
    rows += [_row(gate, State.UNKNOWN, held) for gate in missing]
    return sorted(rows, key=lambda row: (row["state"] == State.OPEN, row["gate"]))


def held_as_json(held: Sequence[HeldGate]) -> list[dict[str, Any]]:
    """Give how much is held for which gate, and since when."""
    return [
        {"gate": each.gate, "keys": each.keys, "changes": each.changes, "since": rfc3339(each.since_ms)}
        for each in held
    ]


def deed_as_json(gate: Gate) -> dict[str, Any]:
    """Give a row of the history."""
    return {
        "at": rfc3339(gate.since_ms),
        "gate": gate.name,
        "did": "closed" if gate.closed else "opened",
        "mode": str(gate.mode),
        "who": gate.who,
        "reason": gate.reason,
        "until": None if gate.until_ms is None else rfc3339(gate.until_ms),
    }


def _row(gate: Gate, state: State, held: Sequence[HeldGate] | None) -> dict[str, Any]:
    mine = [each for each in held or () if each.gate == gate.name]
    return {
        "gate": gate.name,
        "covers": {name: value for name, value in gate.covers._asdict().items() if value},
        "state": str(state),
        "mode": str(gate.mode),
        "since": rfc3339(gate.since_ms) if gate.revision else None,
        "until": None if gate.until_ms is None else rfc3339(gate.until_ms),
        "who": gate.who,
        "reason": gate.reason,
        "held_keys": None if held is None else sum(each.keys for each in mine),
        "held_changes": None if held is None else sum(each.changes for each in mine),
    }
