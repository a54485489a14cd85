"""Gates: what they cover, when they are open, and the port behind which they lie. Pure, but for the port.

```
                 close                                     until passes
   OPEN -------------------------> CLOSED -------------------------------------> OPEN
    ^ |                             | ^  ^------- close (another reason) -------- |
    | |          open               | |                                           |
    | +<----------------------------+ |
    |                                 | a declared gate's item is gone, or nothing could be read:
    |    read again, and open         | last known for `LAST_KNOWN_SECONDS`, then
    +----------- UNKNOWN <------------+ closed, until it is read again
```

A gate that the settings declare closes and opens by a window or by what its probe says, see `declared.py`; nobody
closes or opens it by hand. Where its probe says nothing it is `UNKNOWN`.

A gate that lets pass by mistake cannot be mended afterwards; one that is closed by mistake costs time. So whatever is
not known is closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

LAST_KNOWN_SECONDS: Final = 1.5
"""How old a reading may be when a transaction is about to commit. After a gate closes nothing may take effect later
than 2 s: half a second is left for the commit itself."""


class Mode(StrEnum):
    """What becomes of changes before a closed gate."""

    HOLD = "hold"
    """They are kept in order in the front-office store, per key, and everything else goes on."""
    WAIT = "wait"
    """The shards stand. Only for a gate that covers everything: else it would stop what it does not cover."""


class State(StrEnum):
    """Where a gate is in its life."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"
    """It should be there and is not, or nothing could be read: closed."""


class Covers(NamedTuple):
    """Which changes a gate is for: those to which all that is said applies. Nothing said is everything."""

    process: str = ""
    source: str = ""
    """As changes carry it: `/application/source`."""
    entity: str = ""
    prefix: str = ""
    """How the entity key begins."""

    @property
    def name(self) -> str:
        """The gate's name: there is one gate for each combination."""
        said = [f"{word}={value}" for word, value in zip(_WORDS, self, strict=True) if value]
        return " ".join(said) or EVERYTHING

    @property
    def everything(self) -> bool:
        """Whether it covers every change there is."""
        return not any(self)

    def fits(self, *, process: str, source: str, entity: str, key: str) -> bool:
        """Say whether a change is covered. A change whose key is not known yet is under no prefix."""
        return (
            self.process in {"", process}
            and self.source in {"", source}
            and self.entity in {"", entity}
            and key.startswith(self.prefix)
        )


EVERYTHING: Final = "everything"
_WORDS: Final = ("process", "source", "entity", "key-prefix")


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate, as it was last closed or opened."""

    covers: Covers
    closed: bool
    mode: Mode = Mode.HOLD
    who: str = ""
    reason: str = ""
    since_ms: int = 0
    """When it was closed or opened: milliseconds since 1970, as the next one."""
    until_ms: int | None = None
    """When it opens by itself. None: when somebody opens it."""
    revision: int = 0
    """How often it was changed. What stands in a store is replaced by a later revision only."""
    declared: str = ""
    """The name that the settings give it: nobody opens or closes it by hand. Empty: people do."""
    unknown: bool = False
    """Closed because nothing is known of it."""

    def __post_init__(self) -> None:
        """Refuse a gate that stops what it does not cover."""
        if self.mode is Mode.WAIT and not self.covers.everything:
            raise ValueError("a gate that does not cover everything cannot make the shards wait")

    @property
    def name(self) -> str:
        """The name of the gate."""
        return self.declared or self.covers.name

    def is_closed(self, now_ms: int) -> bool:
        """Say whether it is closed at this moment."""
        return self.closed and (self.until_ms is None or now_ms < self.until_ms)

    def state(self, now_ms: int) -> State:
        """Give its state, where it was read just now."""
        if not self.is_closed(now_ms):
            return State.OPEN
        return State.UNKNOWN if self.unknown else State.CLOSED

    def changed(
        self, *, closed: bool, mode: Mode, who: str, reason: str, now_ms: int, until_ms: int | None = None
    ) -> "Gate":
        """Give the gate after somebody closed or opened it."""
        return replace(
            self,
            closed=closed,
            mode=mode,
            who=who,
            reason=reason,
            since_ms=now_ms,
            until_ms=until_ms if closed else None,
            revision=self.revision + 1,
        )


class Closing(NamedTuple):
    """Why something is kept back now."""

    covers: Covers
    state: State
    mode: Mode
    reason: str
    who: str
    since_ms: int
    declared: str = ""

    @property
    def name(self) -> str:
        """The name of the gate."""
        return self.declared or self.covers.name


class View(NamedTuple):
    """What one reading says for one moment."""

    holds: tuple[Closing, ...]
    """What is closed and holds."""
    waits: Closing | None
    """Why no shard may go on, or None."""
    read_at: float
    """When the reading was asked for: monotonic seconds. Before that moment nothing is known of what it says."""
    revision: int = 0
    """Grows whenever another reading says something else."""

    def closing(self, *, process: str, source: str, entity: str, key: str) -> Closing | None:
        """Give what keeps a change back, or None."""
        for closing in self.holds:
            if closing.covers.fits(process=process, source=source, entity=entity, key=key):
                return closing
        return None


class _Said(NamedTuple):
    """What a view says, but for when it was read."""

    holds: tuple[Closing, ...]
    waits: Closing | None


class Readings:
    """What is known of the gates, from one reading to the next. Moments are monotonic seconds; it has no clock.

    `declared` are gates that must be there: one that is missing is closed, and not open as any other.
    """

    def __init__(self, declared: Sequence[Covers] = (), *, holds: bool = True) -> None:
        """Take `holds` for whether anything can be held; else whatever is closed makes every shard wait."""
        self._declared = tuple(declared)
        self._can_hold = holds
        self._gates: tuple[Gate, ...] = ()
        self._read_at: float | None = None
        self._seen: dict[Covers, tuple[float, Gate]] = {}
        self._said: _Said | None = None
        self._revision = 0
        self._silent_since_ms = 0

    def read(self, gates: Sequence[Gate], asked_at: float) -> None:
        """Take in a reading that was asked for at this moment. One that is older than the last is dropped."""
        if self._read_at is not None and asked_at < self._read_at:
            return
        self._gates, self._read_at = tuple(gates), asked_at
        for gate in gates:
            if gate.covers in self._declared and not gate.declared:
                self._seen[gate.covers] = asked_at, gate

    def view(self, now: float, now_ms: int) -> View:
        """Give what counts at this moment."""
        read_at = self._read_at
        if read_at is None or now - read_at > LAST_KNOWN_SECONDS:
            self._silent_since_ms = self._silent_since_ms or now_ms
            why = "nothing could be read of the gates"
            said = _Said((), Closing(Covers(), State.UNKNOWN, Mode.WAIT, why, "", self._silent_since_ms))
        else:
            self._silent_since_ms = 0
            said = self._of(self._standing(now), now_ms)
        if said != self._said:
            self._said = said
            self._revision += 1
        return View(*said, read_at if read_at is not None else now, self._revision)

    def _standing(self, now: float) -> list[Gate | Covers]:
        """Give the gates, and of those that should be there and are not what they cover."""
        there: list[Gate | Covers] = [*self._gates]
        # A gate of the settings' own that covers the same is no item that people open.
        known = {gate.covers for gate in self._gates if not gate.declared}
        for covers in self._declared:
            if covers not in known:
                seen_at, gate = self._seen.get(covers, (None, None))
                fresh = seen_at is not None and now - seen_at <= LAST_KNOWN_SECONDS
                there.append(gate if fresh and gate is not None else covers)
        return there

    def _of(self, standing: Sequence[Gate | Covers], now_ms: int) -> "_Said":
        holds = []
        waits = None
        for each in standing:
            if isinstance(each, Covers):
                closing = Closing(each, State.UNKNOWN, Mode.HOLD, "its item is missing", "", 0)
            elif each.is_closed(now_ms):
                told = (each.mode, each.reason, each.who, each.since_ms)
                closing = Closing(each.covers, each.state(now_ms), *told, each.declared)
            else:
                continue
            if closing.mode is Mode.WAIT or not self._can_hold:
                waits = waits or closing
            else:
                holds.append(closing)
        return _Said(tuple(holds), waits)


class Gates(Protocol):
    """Where gates lie. Methods raise `Transient` or `TargetDown` where nothing is known of the answer.

    Each adapter passes `tests/contract/gates_contract.py`.
    """

    def read_all(self) -> list[Gate]:
        """Give every gate that was ever changed, open ones too, in the order of their names (a consistent read)."""
        ...

    def change(self, gate: Gate) -> None:
        """Write a gate, and its row of the history, in one: both or none.

        Only over the revision before its own (0: over nothing). Raises `Refused` when somebody else was quicker. After
        `Transient` it may have taken effect: read again.
        """
        ...

    def history(self, *, most: int = 100) -> list[Gate]:
        """Give gates as they were each time after somebody changed one, the newest first."""
        ...
