"""Asks what a gate's probe says, when it is due, and writes the answer down for all. One task for each probe.

It may wait for a database or a server of the user's as long as it likes: nobody waits for it. What does not come
counts no more after three intervals, see `isthmus.checkpoint.verdicts`.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from isthmus.attempts import Attempts
from isthmus.chance import Chance
from isthmus.checkpoint.declared import ProbeGate
from isthmus.checkpoint.verdicts import Verdict, Verdicts
from isthmus.clock import Clock
from isthmus.errors import UNKNOWN, IsthmusError, Transient
from isthmus.lifecycle import Stop

_AWAY_SECONDS: Final = 1.0
"""Between two looks at verdicts that cannot be read. Whoever reads the gates says that they are away."""
_WRITES: Final = 5
_LATE: Final = 0.1
"""Of an interval: workers come to a question at different moments, and whoever comes later finds it answered."""


class Answer(NamedTuple):
    """What a probe says."""

    closed: bool
    words: str
    """The same in words, without any value of a row or a page."""


class Prober:
    """Keeps the verdict of one probe. `ask` raises `IsthmusError` where there is no answer."""

    def __init__(
        self,
        gate: ProbeGate,
        ask: Callable[[], Answer],
        verdicts: Verdicts,
        *,
        who: str,
        clock: Clock,
        chance: Chance,
        watch: Attempts,
    ) -> None:
        self._gate = gate
        self._ask = ask
        self._verdicts = verdicts
        self._who = who
        self._clock = clock
        self._chance = chance
        self._watch = watch

    def run(self, stop: Stop) -> None:
        """Ask whenever it is due, until a stop is requested. Raises nothing."""
        while not stop.wait(self.turn()):
            pass

    def turn(self) -> float:
        """Ask if it is due; give in how many seconds to come again. Raises nothing."""
        interval_ms = self._gate.interval_ms
        try:
            standing = self._standing()
            wait_ms = standing.due_in_ms(self._clock.now_ms(), interval_ms)
            if wait_ms == 0:
                self._take(*self._asked())
                wait_ms = interval_ms
            elif not standing.why:
                # Somebody else has an answer: the gate is known.
                self._watch.recovered()
        except IsthmusError:
            return _AWAY_SECONDS
        return wait_ms / 1000 + _LATE * self._chance.random() * interval_ms / 1000

    def _standing(self) -> Verdict:
        return self._verdicts.read_all().get(self._gate.question, Verdict(self._gate.question))

    def _asked(self) -> tuple[Answer | Transient, int]:
        asked_ms, begun = self._clock.now_ms(), self._clock.monotonic()
        try:
            said: Answer | Transient = self._ask()
        except Transient as error:
            said = error if error.cause != UNKNOWN else Transient(error.message, cause="no-answer")
        except IsthmusError as error:
            said = Transient(error.message, cause="refused")
        except Exception as error:  # noqa: BLE001 - a driver may raise anything, and an answer it is not
            said = Transient(f"It failed ({type(error).__name__}).", cause="no-answer")
        took_ms = round((self._clock.monotonic() - begun) * 1000)
        if took_ms > self._gate.interval_ms:
            # It says how things were when they were asked for. That is too long ago, whatever it says.
            said = Transient(f"Its answer took {took_ms / 1000:,.1f} s.", cause="slow")
        return said, asked_ms

    def _take(self, said: Answer | Transient, asked_ms: int) -> None:
        if isinstance(said, Answer):
            self._watch.recovered()
        else:
            self._watch.failed(said)
        for _ in range(_WRITES):
            made = self._made(self._standing(), said, asked_ms)
            if made is None or self._verdicts.write(made):
                return

    def _made(self, standing: Verdict, said: Answer | Transient, asked_ms: int) -> Verdict | None:
        interval_ms = self._gate.interval_ms
        if isinstance(said, Answer):
            return standing.answered(
                closed=said.closed, said=said.words, asked_ms=asked_ms, who=self._who, interval_ms=interval_ms
            )
        return standing.failed(why=said.message, asked_ms=asked_ms, who=self._who, interval_ms=interval_ms)
