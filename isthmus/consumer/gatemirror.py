"""Which gates must be written beside what they guard, where `gate.strict` asks for it. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from isthmus.checkpoint.gates import Gate

LENDS_MS: Final = 120_000
"""How long the mirror of a declared gate stays closed by itself. Where the settings declare it no more, or whoever
mirrored it died, nobody would ever open it there."""
_RENEWS_MS: Final = LENDS_MS // 2


class Mirrored:
    """What this process has mirrored. A gate of people's is mirrored when its revision is new.

    A declared one has no revisions: many processes, each by its own clock, find that it closes. It is mirrored when
    this process finds it closed or open for the first time, when that changes, and again before its mirror opens by
    itself. The later one counts, by the clock.
    """

    def __init__(self) -> None:
        self._revisions: dict[str, int] = {}
        self._declared: dict[str, Gate] = {}

    def due(self, found: Sequence[Gate], now_ms: int) -> list[Gate]:
        """Give what must be written now, in the form in which it is written."""
        return [made for gate in found for made in self._made(gate, now_ms)]

    def done(self, written: Sequence[Gate]) -> None:
        """Note that these were written."""
        for gate in written:
            if gate.declared:
                self._declared[gate.name] = gate
            else:
                self._revisions[gate.name] = gate.revision

    def _made(self, gate: Gate, now_ms: int) -> list[Gate]:
        if not gate.declared:
            return [gate] if self._revisions.get(gate.name, 0) < gate.revision else []
        closed = gate.is_closed(now_ms)
        last = self._declared.get(gate.name)
        if last is not None and last.closed == closed and not (closed and self._ends_soon(last, gate, now_ms)):
            return []
        since_ms = now_ms if last is None else max(now_ms, last.since_ms + 1)
        until_ms = _earlier(now_ms + LENDS_MS, gate.until_ms) if closed else None
        return [replace(gate, closed=closed, since_ms=since_ms, until_ms=until_ms, revision=1)]

    @staticmethod
    def _ends_soon(last: Gate, gate: Gate, now_ms: int) -> bool:
        return last.until_ms is not None and last.until_ms != gate.until_ms and last.until_ms - now_ms < _RENEWS_MS


def _earlier(one: int, other: int | None) -> int:
    return one if other is None else min(one, other)
