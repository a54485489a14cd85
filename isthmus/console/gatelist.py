"""What commands tell of gates and of what they hold. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from isthmus.checkpoint.gates import Covers, Gate, State
from isthmus.clock import rfc3339
from isthmus.consumer.stores.held import HeldGate


def gates_as_json(
    gates: Sequence[Gate],
    declared: Sequence[Covers],
    held: Sequence[HeldGate] | None,
    now_ms: int,
    told: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Give a row for each gate, the closed ones first; `held` None: it is not known what is held.

    `told` has what there is to tell of gates that close and open by themselves, by their names.
    """
    there = {gate.covers for gate in gates if not gate.declared}
    rows = [{**_row(gate, gate.state(now_ms), held), **told.get(gate.name, {})} for gate in gates]
    missing = [Gate(covers, closed=True, reason="its item is missing") for covers in declared if covers not in there]
    rows += [_row(gate, State.UNKNOWN, held) for gate in missing]
    return sorted(rows, key=lambda row: (row["state"] == State.OPEN, row["gate"]))


def named(row: Mapping[str, Any]) -> str:
    """Give a gate's name, with what it covers where the name does not say so."""
    return row["gate"] if row["kind"] == "hand" else f"{row['gate']} ({Covers(**row['covers']).name})"


def next_of(row: Mapping[str, Any]) -> str:
    """Say when an open window closes, or nothing."""
    return f"closes {row['changes']}" if row["state"] == State.OPEN and row["changes"] else ""


def what_probe_says(row: Mapping[str, Any]) -> str:
    """Say what a gate's probe said last, when, and why it says nothing since; empty where a gate has none."""
    probe = row["probe"]
    if probe is None:
        return ""
    said = f"{probe['asked']}: {probe['said']}" if probe["asked"] else ""
    since = f" since {probe['failing_since']}" if probe["failing_since"] else ""
    trouble = f"no answer{since}: {probe['trouble']}" if probe["trouble"] else ""
    return "; ".join(filter(None, (said, trouble)))


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
        "kind": "hand",
        "covers": {name: value for name, value in gate.covers._asdict().items() if value},
        "state": str(state),
        "mode": str(gate.mode),
        "since": rfc3339(gate.since_ms) if gate.since_ms else None,
        "until": None if gate.until_ms is None else rfc3339(gate.until_ms),
        "changes": None,
        "probe": None,
        "who": gate.who,
        "reason": gate.reason,
        "held_keys": None if held is None else sum(each.keys for each in mine),
        "held_changes": None if held is None else sum(each.changes for each in mine),
    }
