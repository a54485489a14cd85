"""What `--outage`, `--gate` and `--poison` let happen while the back office lives: one after the other, each once.

Each is a generator that does a little, and yields where it would have to wait: everything else is looked after
meanwhile.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from isthmus.clock import Clock
from isthmus.console.demo.example import BROKEN_REASON
from isthmus.errors import Fatal

OUTAGE_SECONDS: Final = 20.0
GATE_SECONDS: Final = 8.0
EFFECTS_END_SECONDS: Final = 2.0
"""After a gate was closed nothing may take effect later than that."""
PROCESS: Final = "operations"
"""The process of the flights, and of the boards that follow from them."""
_DEPLOY_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 600.0

Steps = Generator[None, None, None]


class Ask(Protocol):
    """Runs a command of `isthmus` as its user would, with `--json`, and gives what it says."""

    def __call__(self, *words: str) -> Generator[None, None, dict[str, Any]]:
        """Yield while it runs. Raises `Fatal` when it does not succeed."""
        ...


class Slot(NamedTuple):
    """When an episode has its turn, in shares of the live phase."""

    due: float
    horizon: float
    """The share that is not lived beyond before it is over: it must meet live changes."""


OUTAGE: Final = Slot(0.1, 0.4)
GATE: Final = Slot(0.4, 0.65)
POISON: Final = Slot(0.65, 0.9)


@dataclass
class Happened:
    """What the episodes did, for the oracle and the summary. None: it was not asked for."""

    outage: dict[str, Any] | None = None
    """`seconds`."""
    gate: dict[str, Any] | None = None
    """`closed_ms`: from when on nothing may have taken effect, until `opened_ms`; `held_changes` at the most."""
    poison: dict[str, Any] | None = None
    """`parked_changes` by the defect at its end, `redriven` by outcome, and what is `left`: behind other poison of its
    key, which no mended translator frees."""


@dataclass(frozen=True)
class Stage:
    """What episodes act on."""

    clock: Clock
    say: Callable[[str], None]
    away: Callable[[], AbstractContextManager[None]]
    """While it is entered, the front office's store is away."""
    deploy: Callable[[], None]
    """Starts producer and consumer anew, softly, with the mended pipeline."""
    deployed: Callable[[], bool]
    ask: Ask
    happened: Happened = field(default_factory=Happened)


class Episodes:
    """Those that were asked for, in their order."""

    def __init__(self, stage: Stage, *, outage: bool, gate: bool, poison: bool) -> None:
        self._stage = stage
        wanted = ((outage, OUTAGE, _outage), (gate, GATE, _gate), (poison, POISON, _mend))
        self._left = [(slot, play) for asked, slot, play in wanted if asked]
        self._now: tuple[Slot, Steps] | None = None

    @property
    def happened(self) -> Happened:
        """What they did so far."""
        return self._stage.happened

    def left(self) -> bool:
        """Say whether one is still to come, or not over."""
        return bool(self._left) or self._now is not None

    def horizon(self) -> float:
        """Give the share of the live phase that shall not be lived beyond as it stands."""
        if self._now is not None:
            return self._now[0].horizon
        return self._left[0][0].horizon if self._left else 1.0

    def advance(self, share: float) -> None:
        """Go on a little, without waiting; `share` is how much is lived. Raises `Fatal` when one does not succeed."""
        if self._now is None and self._left and share >= self._left[0][0].due:
            slot, play = self._left.pop(0)
            self._now = slot, play(self._stage)
        if self._now is not None:
            try:
                next(self._now[1])
            except StopIteration:
                self._now = None

    def last(self) -> Steps:
        """Do what is to be done once everything is decided."""
        poison = self.happened.poison
        if poison is not None:
            yield from _redrive(self._stage, poison)
            poison["left"] = yield from _parked(self._stage)

    def close(self) -> None:
        """Break off: what was taken away is there again."""
        if self._now is not None:
            self._now[1].close()


def _outage(stage: Stage) -> Steps:
    stage.say(f"the front office's store goes away, for {OUTAGE_SECONDS:.0f} s")
    with stage.away():
        yield from _wait(stage, OUTAGE_SECONDS)
    stage.happened.outage = {"seconds": OUTAGE_SECONDS}
    stage.say("the front office's store is back")


def _gate(stage: Stage) -> Steps:
    words = ("--process", PROCESS)
    yield from stage.ask("gate", "close", *words, "--reason", "the boards are closed")
    closed_ms = stage.clock.now_ms() + round(EFFECTS_END_SECONDS * 1000)
    stage.say(f"a gate is closed: changes of the process {PROCESS} are held, in their order")
    yield from _wait(stage, EFFECTS_END_SECONDS + GATE_SECONDS)
    held = yield from _held(stage)
    # From here on it may be open: the command says so only afterwards.
    opened_ms = stage.clock.now_ms()
    yield from stage.ask("gate", "open", *words, "--reason", "the boards are open")
    stage.happened.gate = {"closed_ms": closed_ms, "opened_ms": opened_ms, "held_changes": held}
    stage.say(f"the gate is open again: {held:,} changes were held")
    begun = stage.clock.monotonic()
    while (yield from _held(stage)):
        if stage.clock.monotonic() > begun + _DRAIN_SECONDS:
            raise Fatal(f"What was held has not come out within {_DRAIN_SECONDS:.0f} s. The consumer's log says why.")
    stage.say(f"what was held is applied, {stage.clock.monotonic() - begun:.1f} s later")


def _mend(stage: Stage) -> Steps:
    parked = yield from _parked(stage)
    stage.happened.poison = poison = {"parked_changes": parked, "redriven": {}, "left": parked}
    stage.say(f"{parked:,} changes are parked by a defect of the translator: a mended one is deployed")
    stage.deploy()
    begun = stage.clock.monotonic()
    while not stage.deployed():
        if stage.clock.monotonic() > begun + _DEPLOY_SECONDS:
            raise Fatal(f"Producer and consumer have not been deployed anew within {_DEPLOY_SECONDS:.0f} s.")
        yield
    yield from _redrive(stage, poison)


def _redrive(stage: Stage, poison: dict[str, Any]) -> Steps:
    told = yield from stage.ask("parked", "retry", "--reason", BROKEN_REASON)
    redriven = poison["redriven"]
    for outcome, number in told["outcomes"].items():
        redriven[outcome] = redriven.get(outcome, 0) + number
    stage.say(f"{sum(told['outcomes'].values()):,} of them are redriven, while everything goes on")


def _parked(stage: Stage) -> Generator[None, None, int]:
    told = yield from stage.ask("parked", "list")
    return sum(each["changes"] for each in told["reasons"] if each["reason"] == BROKEN_REASON)


def _held(stage: Stage) -> Generator[None, None, int]:
    told = yield from stage.ask("status")
    return sum(each["changes"] for each in told["held"] or ())


def _wait(stage: Stage, seconds: float) -> Steps:
    end = stage.clock.monotonic() + seconds
    while stage.clock.monotonic() < end:
        yield
