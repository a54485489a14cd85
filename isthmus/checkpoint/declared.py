"""Gates that the settings declare: what each of them says at a moment. Pure.

```
   window:   OPEN ---- closed_from ----> CLOSED ---- closed_until ----> OPEN

   probe:    OPEN <--- says open, or closed ---> CLOSED
              |                                    |
              +----> UNKNOWN, which is closed <----+   no answer for three intervals, or none yet
```

Nobody opens them by hand, and nobody needs to: a window ends by itself, and a probe that is mended says what it sees.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from isthmus.checkpoint.gates import Covers, Gate, Mode
from isthmus.checkpoint.verdicts import Verdict
from isthmus.windows import Window

SILENT: Final = "nothing is known: its probe gives no answer"
"""The same words whatever the cause: they are part of what a transaction is decided by, and a new cause is no news."""


@dataclass(frozen=True, slots=True)
class DeclaredGate:
    """What the settings say of a gate, but for when it is closed."""

    name: str
    covers: Covers
    mode: Mode
    reason: str
    owner: str


@dataclass(frozen=True, slots=True)
class WindowGate:
    """A gate that is closed in a window of the calendar."""

    gate: DeclaredGate
    window: Window

    def at(self, now_ms: int) -> Gate:
        """Give the gate as it is at this moment."""
        found = self.window.at(now_ms)
        return _gate(
            self.gate,
            closed=found.closed,
            since_ms=found.since_ms or 0,
            until_ms=found.changes_ms if found.closed else None,
        )


@dataclass(frozen=True, slots=True)
class ProbeGate:
    """A gate that is closed while a condition of the user's holds."""

    gate: DeclaredGate
    question: str
    """See `Verdict.question`."""
    interval_ms: int

    def at(self, now_ms: int, verdict: Verdict | None) -> Gate:
        """Give the gate as it is at this moment, by the verdict that was read."""
        if verdict is None or verdict.closed is None:
            return _gate(self.gate, closed=True, unknown=True, reason=SILENT)
        if not verdict.counts(now_ms, self.interval_ms):
            since_ms = verdict.counts_until(self.interval_ms)
            return _gate(self.gate, closed=True, unknown=True, reason=SILENT, since_ms=since_ms)
        return _gate(self.gate, closed=verdict.closed, since_ms=verdict.since_ms)


class DeclaredGates:
    """All of them. `read` gives the verdicts by question, and is asked only where there is a probe."""

    def __init__(
        self,
        windows: Sequence[WindowGate],
        probes: Sequence[ProbeGate],
        read: Callable[[], Mapping[str, Verdict]],
    ) -> None:
        self.windows = tuple(windows)
        self.probes = tuple(probes)
        self._read = read

    def at(self, now_ms: int) -> list[Gate]:
        """Give each gate as it is at this moment. Raises as `read` does."""
        return self.by(self.verdicts(), now_ms)

    def by(self, verdicts: Mapping[str, Verdict], now_ms: int) -> list[Gate]:
        """Give the same by verdicts that were read."""
        return [
            *(each.at(now_ms) for each in self.windows),
            *(each.at(now_ms, verdicts.get(each.question)) for each in self.probes),
        ]

    def covering(self, covers: Covers) -> list[str]:
        """Give the names of those that cover just the same. Reads nothing."""
        all_of_them = [*(each.gate for each in self.windows), *(each.gate for each in self.probes)]
        return [gate.name for gate in all_of_them if gate.covers == covers]

    def verdicts(self) -> Mapping[str, Verdict]:
        """Give what the probes said last. Raises as `read` does."""
        return self._read() if self.probes else {}


def _gate(
    gate: DeclaredGate,
    *,
    closed: bool,
    unknown: bool = False,
    reason: str = "",
    since_ms: int = 0,
    until_ms: int | None = None,
) -> Gate:
    return Gate(
        gate.covers,
        closed,
        gate.mode,
        gate.owner,
        reason or gate.reason,
        since_ms,
        until_ms,
        declared=gate.name,
        unknown=unknown,
    )
