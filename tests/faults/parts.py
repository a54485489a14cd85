"""What the rows of the matrix have in common: how their parts are written down, and what many of them strike."""

from typing import Final

from tests.faults.row import How, Part
from tests.simulation.plan import CALLS, Kind

S, P, U = How.SIMULATED, How.PROCESSES, How.UNIT
KILLS: Final = (Kind.KILLED_BEFORE, Kind.KILLED_AFTER)
STORE_CALLS: Final = tuple(call for call in CALLS["consumer"] if call.startswith("store."))


def in_histories(goal: int | None, function: object, more: str = "", short: int = 6) -> Part:
    return Part(S, "histories", goal, short, function, more)  # type: ignore[arg-type]
