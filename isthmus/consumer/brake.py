"""The park brake's life: what may be parked while very many keys are. Pure: no clock, no threads, no I/O.

```
          more than `most` keys in a minute              the change that set it on went through
  ARMED -----------------------------------> ON -------------------------------------------> ARMED
    ^                                        |
    |                                        | a person releases it
    +--------------- RELEASED <--------------+
     a minute in which not more than `most` keys were parked
```

One life for each reason. More keys parked for one reason within a minute than `most` are a bad release, and not bad
data: then nothing more is parked for it, and consumption holds. The shard that met it tries its batch again, now and
then; when it is through without a single key parked for that reason, the cause is gone. What is released goes on until
it has come to an end: else a person would have to release it again for each `most` keys.

Processes that share a limit tell each other what they parked, after each batch that parked something: see `telling` and
`counted`. A batch is decided by what was known before it, so all of them together may park the limit and a batch of
each. Up to a hundredth of the limit within a minute a process tells nobody: a few odd rows shall cost nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from isthmus.chance import Chance
from isthmus.checkpoint.brakecounts import BrakeCount
from isthmus.checkpoint.brakes import BrakeNote, Word
from isthmus.consumer.brakecount import Minute, Share, as_count, counting, in_all, shares_of
from isthmus.retry import Backoff

WINDOW: Final = 60.0
"""Seconds: the design's minute."""
TRIALS: Final = Backoff(first=5.0, most=60.0)
"""When the shard that met it tries again, in seconds: half of it for sure, the other half by chance."""
_UNTOLD: Final = 100
"""What part of the limit a process parks without telling anybody."""
_NOT_READ: Final = 0.05
"""Seconds until the notes may have been read."""
_ASK_AGAIN: Final = 1.0
"""Seconds until another one may have let it go on."""


class State(StrEnum):
    """Where the brake is in its life, for one reason."""

    ARMED = "armed"
    ON = "on"
    RELEASED = "released"


class Permit(StrEnum):
    """What a shard may do."""

    GO = "go"
    TRIAL = "trial"
    """Decide one batch, and tell how it ended."""
    WAIT = "wait"


class Answer(NamedTuple):
    """What a shard may do, and how many seconds to wait before it asks again where it may do nothing."""

    permit: Permit
    seconds: float = 0.0


class Parked(NamedTuple):
    """A change that shall be parked."""

    reason: str
    key: str
    shard: str
    sequence: str


class Told(NamedTuple):
    """Something that a person shall hear of."""

    reason: str
    word: Word
    place: str
    """The shard that met it, or in which its cause was gone; or who released it."""
    keys: int = 0
    why: str = ""


@dataclass(slots=True)
class _Reason:
    parked: Minute
    """The keys of the last minute, as long as it is armed."""
    state: State = State.ARMED
    elsewhere: list[Share] = field(default_factory=list)
    """What other processes parked, as far as they told."""
    news: bool = False
    """Whether something was parked that no other process was told of."""
    presses: bool = False
    """Whether they are to be told before the next batch: there are keys among it that they do not know."""
    is_known: bool = False
    """Whether they were told anything that may count still."""
    number: int | None = None
    """Which time it is on, as all processes count them; None until that is written down."""
    shard: str = ""
    sequence: str = ""
    keys: int = 0
    failures: int = 0
    due: float = 0.0
    begun: float | None = None
    """Since when what was released is counted: the first time that something of it was parked."""


class Brake:
    """One process's. Moments are monotonic seconds."""

    def __init__(self, most: int, chance: Chance, *, window: float = WINDOW) -> None:
        """Hold when more than `most` keys (1 or more) would be parked for one reason within the window's seconds."""
        if most < 1:
            raise ValueError("at least one key may be parked")
        self._most = most
        self._chance = chance
        self._window = window
        self._reasons: dict[str, _Reason] = {}
        self._seen: dict[str, int] = {}
        self._told: list[Told] = []
        self._begun = False
        self._to_write: list[tuple[str, Word, int | None]] = []

    # what shards ask

    def ask(self, now: float, shard: str) -> Answer:
        """Say what a shard may do now. Before the notes were read it may do nothing: the brake may be on."""
        if not self._begun:
            return Answer(Permit.WAIT, _NOT_READ)
        on = [each for each in self._reasons.values() if each.state is State.ON]
        if not on:
            return Answer(Permit.GO)
        due = [each.due for each in on if each.shard == shard]
        if due and now >= min(due):
            return Answer(Permit.TRIAL)
        return Answer(Permit.WAIT, min(_ASK_AGAIN, min(due) - now) if due else _ASK_AGAIN)

    def may_park(self, now: float, found: Iterable[Parked]) -> bool:
        """Say whether all of these may be parked, and count them if so. If not, it is on."""
        new: dict[str, dict[str, Parked]] = {}
        for each in found:
            new.setdefault(each.reason, {}).setdefault(each.key, each)
        # One after the other: what is refused for one reason must not count for the others.
        if not all(self._has_room(now, reason, keys) for reason, keys in new.items()):
            return False
        for reason, keys in new.items():
            self._count(now, self._reasons[reason], keys)
        return True

    @property
    def presses(self) -> bool:
        """Whether others are to be told of something before the next batch."""
        return any(each.presses for each in self._reasons.values())

    def telling(self, now: float, now_ms: int) -> dict[str, BrakeCount]:
        """Give, once, what others are to be told: what counts here, whole, for each reason of which there is news."""
        found = {}
        for reason, each in self._reasons.items():
            if each.state is State.ARMED:
                each.parked.forget(now)
            if not each.news or not (each.is_known or self._is_worth_telling(each)):
                continue
            released = self._seen.get(reason, 0) if each.state is State.RELEASED else 0
            found[reason] = as_count(each.parked.told(), released, now, now_ms)
            each.news = each.presses = False
            # What was told last, and is empty, is nothing that anybody has to be told again of.
            each.is_known = len(each.parked) > 0
        return found

    def tell_again(self, reasons: Iterable[str]) -> None:
        """Take back what could not be told."""
        for reason in reasons:
            self._reasons[reason].news = self._reasons[reason].is_known = True

    def counted(self, now: float, now_ms: int, reason: str, others: Iterable[BrakeCount]) -> None:
        """Take in what others say they parked."""
        each = self._reason(reason)
        each.elsewhere = shares_of(others, self._window, now, now_ms)
        mine = self._seen.get(reason, 0)
        if each.state is State.ARMED and any(share.released and share.released == mine for share in each.elsewhere):
            # A process that is new here must not put on again what a person has released.
            each.parked.forget(now)
            if len(each.parked) + in_all(each.elsewhere, now) > self._most:
                self._release(each)

    def tried(self, now: float, shard: str, reached: str | None) -> None:
        """Take in how a trial ended: all up to the sequence number `reached` is decided, or None: it was refused."""
        for reason, each in self._reasons.items():
            if each.state is not State.ON or each.shard != shard:
                continue
            if reached is None:
                self._fail(now, each)
            elif is_at(reached, each.sequence):
                self._ease(reason, each)
            else:
                # Not as far as what set it on yet: the next batch may go at once.
                each.due = now

    # what all processes know

    def begin(self, now: float, notes: Mapping[str, BrakeNote]) -> None:
        """Take in what was noted before this life. What is on stays on: a restart lets nothing through."""
        self._begun = True
        for reason, note in notes.items():
            if note.word is not Word.ON:
                # A release of days ago is none for what this life may meet.
                self._seen[reason] = note.number
        self.noted(now, notes)

    def noted(self, now: float, notes: Mapping[str, BrakeNote]) -> None:
        """Take in the notes as they stand now. An old reading changes nothing."""
        for reason, note in notes.items():
            each = self._reason(reason)
            if note.word is Word.ON:
                self._noted_on(now, each, note)
            elif note.number > self._seen.get(reason, 0) or each.number == note.number:
                self._noted_off(each, note)
            self._seen[reason] = max(note.number, self._seen.get(reason, 0))

    def to_write(self) -> list[tuple[str, Word, int | None]]:
        """Give what shall be written down, once: reason, what is to be said of it, and of which time."""
        wanted, self._to_write = self._to_write, []
        return wanted

    @property
    def is_urgent(self) -> bool:
        """Whether there is something to be written down that no other process knows of."""
        return bool(self._to_write)

    def write_again(self, wanted: tuple[str, Word, int | None]) -> None:
        """Take back what could not be written."""
        self._to_write.append(wanted)

    def told(self) -> list[Told]:
        """Give what a person shall hear of, once."""
        told, self._told = self._told, []
        return told

    def on(self, reason: str) -> tuple[str, str, int] | None:
        """Give shard, sequence number and keys of a reason for which it is on."""
        each = self._reasons.get(reason)
        return (each.shard, each.sequence, each.keys) if each is not None and each.state is State.ON else None

    def states(self) -> dict[str, State]:
        """Give the state of every reason that was met."""
        return {reason: each.state for reason, each in self._reasons.items()}

    # one reason

    def _has_room(self, now: float, reason: str, keys: Mapping[str, Parked]) -> bool:
        each = self._reason(reason)
        if each.state is State.RELEASED:
            self._rearm(now, each)
        if each.state is not State.ARMED:
            return each.state is State.RELEASED
        each.parked.forget(now)
        there = len(each.parked) + counting(each.elsewhere, now)
        beyond = [one for key, one in keys.items() if key not in each.parked][max(0, self._most - there) :]
        if not beyond:
            return True
        each.state, each.number, each.failures = State.ON, None, 0
        each.shard, each.sequence, each.keys = beyond[0].shard, beyond[0].sequence, there
        self._fail(now, each)
        self._to_write.append((reason, Word.ON, None))
        self._told.append(Told(reason, Word.ON, each.shard, each.keys))
        return False

    def _count(self, now: float, each: _Reason, keys: Iterable[str]) -> None:
        known = len(each.parked)
        for key in keys:
            each.parked.drop(key)
            # Of what is released it is enough to know whether there are too many.
            if each.state is State.ARMED or len(each.parked) <= self._most:
                each.parked.note(now, key)
        each.news = True
        # What is known and comes again may wait for its turn, and so may what nobody is held for.
        more = len(each.parked) > known and each.state is State.ARMED
        each.presses = each.presses or (more and self._is_worth_telling(each))
        if each.state is State.RELEASED and each.begun is None:
            each.begun = now

    def _reason(self, reason: str) -> _Reason:
        return self._reasons.setdefault(reason, _Reason(Minute(self._window)))

    def _is_worth_telling(self, each: _Reason) -> bool:
        return len(each.parked) > self._most // _UNTOLD

    def _rearm(self, now: float, each: _Reason) -> None:
        if each.begun is None or now - each.begun < self._window:
            return
        if len(each.parked) <= self._most:
            each.state = State.ARMED
        each.begun = None
        each.parked.clear()

    def _fail(self, now: float, each: _Reason) -> None:
        each.failures += 1
        exponent = min(each.failures - 1, 64)
        longest = min(TRIALS.most, TRIALS.first * TRIALS.factor**exponent)
        each.due = now + longest * (1 + self._chance.random()) / 2

    def _ease(self, reason: str, each: _Reason) -> None:
        # What was parked within the minute still counts: another shard may have more of it.
        each.state = State.ARMED
        self._to_write.append((reason, Word.EASED, each.number))
        self._told.append(Told(reason, Word.EASED, each.shard))

    def _noted_on(self, now: float, each: _Reason, note: BrakeNote) -> None:
        mine = each.state is State.ON and each.number in {None, note.number}
        if not mine and note.number <= self._seen.get(note.reason, 0):
            return
        if each.state is not State.ON:
            self._told.append(Told(note.reason, Word.ON, note.shard, note.keys))
            each.state, each.failures = State.ON, 0
            # Whoever met it may be gone: whoever reads that shard now may try at once.
            each.due = now
        each.number, each.shard, each.sequence, each.keys = note.number, note.shard, note.sequence, note.keys

    def _noted_off(self, each: _Reason, note: BrakeNote) -> None:
        if each.state is State.ON and each.number != note.number:
            # Of the time before: this time is not written down yet.
            return
        if each.state is State.ON:
            self._told.append(Told(note.reason, note.word, note.who, why=note.why))
        elif note.number <= self._seen.get(note.reason, 0):
            return
        if note.word is Word.EASED:
            each.state = State.ARMED
            return
        self._release(each)

    @staticmethod
    def _release(each: _Reason) -> None:
        each.state, each.begun = State.RELEASED, None
        each.parked.clear()
        # What others were told counts no more.
        each.news, each.presses = True, False


def is_at(reached: str, place: str) -> bool:
    """Say whether one sequence number is another one or after it. They are compared as integers."""
    if not (reached.isdecimal() and place.isdecimal()):
        return True
    return int(reached) >= int(place)
