"""A breaker's life: what may be tried while the front office is away. Pure: no clock, no threads.

```
            down                      due                    probe answers
  CLOSED ----------> OPEN ------------------> PROBING ----------------------> HALF_OPEN
    ^                 ^  ^  probe fails          |                              |   |
    |                 |  +-----------------------+                              |   |
    |                 +---------------------------- trial: down ----------------+   |
    +------------------------------------------------ trial: answered --------------+
```

Closed, everybody may go. Open, nobody may, until the next probe is due: one asker sends one harmless statement, and
when it is answered one batch goes as a trial. Only then everybody goes again: a target that has just come back is not
met by all who waited at once.
"""

from enum import StrEnum
from typing import NamedTuple

from isthmus.chance import Chance
from isthmus.retry import Backoff

PROBES = Backoff(first=0.2, most=10.0)
"""When the next probe is due, in seconds: half of it for sure, the other half by chance, so that many do not probe at
one moment and none probes without a pause."""
_ASK_AGAIN = 0.2
"""Seconds until somebody else's probe or trial may have ended."""


class State(StrEnum):
    """Where a breaker is in its life."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    HALF_OPEN = "half-open"


class Permit(StrEnum):
    """What an asker may do."""

    GO = "go"
    PROBE = "probe"
    """Send one harmless statement, and tell `probed`."""
    TRIAL = "trial"
    """Let one batch go, and tell what became of it."""
    WAIT = "wait"


class Answer(NamedTuple):
    """What an asker may do, and how many seconds to wait before asking again where it may do nothing."""

    permit: Permit
    seconds: float = 0.0


class Breaker:
    """One target's. Moments are monotonic seconds. Whoever has a permit but WAIT must tell its end, whatever it was."""

    def __init__(self, chance: Chance, probes: Backoff = PROBES) -> None:
        self._chance = chance
        self._probes = probes
        self.state = State.CLOSED
        self._failures = 0
        self._due = 0.0

    def ask(self, now: float) -> Answer:
        """Say what may be done now."""
        match self.state:
            case State.CLOSED:
                return Answer(Permit.GO)
            case State.OPEN if now >= self._due:
                self.state = State.PROBING
                return Answer(Permit.PROBE)
            case State.OPEN:
                return Answer(Permit.WAIT, self._due - now)
            case _:
                return Answer(Permit.WAIT, _ASK_AGAIN)

    def probed(self, now: float, *, answered: bool) -> Answer:
        """Take in the end of a probe; say whether its asker may let its batch go as the trial."""
        if answered:
            self.state = State.HALF_OPEN
            return Answer(Permit.TRIAL)
        self._open(now)
        return Answer(Permit.WAIT, self._due - now)

    def down(self, now: float, permit: Permit) -> bool:
        """Take in that the target was away; say whether that opened a closed breaker.

        Of those that went while it was closed, the first one opens it; the others say nothing new.
        """
        if permit is Permit.TRIAL:
            self._open(now)
            return False
        if self.state is not State.CLOSED:
            return False
        self._failures = 0
        self._open(now)
        return True

    def answered(self, permit: Permit) -> bool:
        """Take in that the target answered, whatever it said; say whether that closed the breaker.

        Who went while it was closed and comes back when it is open has asked before the target was away.
        """
        if permit is not Permit.TRIAL:
            return False
        self.state, self._failures = State.CLOSED, 0
        return True

    def _open(self, now: float) -> None:
        self.state = State.OPEN
        self._failures += 1
        exponent = min(self._failures - 1, 64)
        longest = min(self._probes.most, self._probes.first * self._probes.factor**exponent)
        self._due = now + longest * (1 + self._chance.random()) / 2
