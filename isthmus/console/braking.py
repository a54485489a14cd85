"""The park brake by the settings."""

from typing import Any

from isthmus.checkpoint.brakecounts import BrakeCounts
from isthmus.checkpoint.brakes import BrakeNote, BrakeNotes
from isthmus.clock import rfc3339
from isthmus.console.wiring import Wiring
from isthmus.consumer.braking import ParkBrake


def brake_of(wiring: Wiring, notes: BrakeNotes, counts: BrakeCounts | None = None) -> ParkBrake | None:
    """Give the brake of this process, which holds everything until its `run` has read the notes; None: it is off.

    By `counts` it shares its limit with the other processes of the application; None: no other one decides.
    """
    most = wiring.settings.consumer.park_brake
    if not most:
        return None
    return ParkBrake(
        most,
        notes,
        clock=wiring.clock,
        chance=wiring.chance,
        metrics=wiring.metrics,
        watch=wiring.attempts.watch("park_brake"),
        counts=counts,
    )


def note_as_json(note: BrakeNote) -> dict[str, Any]:
    """Give a note as `isthmus brake status --json` documents it."""
    return {
        "reason": note.reason,
        "state": note.word.value,
        "number": note.number,
        "since": rfc3339(note.since_ms),
        "shard": note.shard,
        "sequence": note.sequence,
        "keys": note.keys,
        "who": note.who,
        "why": note.why,
        "until": None if note.until_ms is None else rfc3339(note.until_ms),
    }
