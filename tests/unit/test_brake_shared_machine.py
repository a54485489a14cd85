"""Whatever processes do that share the limit of the park brake: together they park it, and one batch of each."""

import random
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from isthmus.checkpoint.brakecounts import MemoryBrakeCounts
from isthmus.checkpoint.brakes import BrakeNote, Word
from isthmus.consumer.brake import WINDOW, Brake, Parked, Permit

MOST, BATCH, LIVES = 6, 2, 4
REASON = "constraint"


class Processes(RuleBasedStateMachine):
    """Lives that park, tell each other, learn of the brake, die and begin again. Nobody releases anything."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.counts = MemoryBrakeCounts()
        self.notes: dict[str, BrakeNote] = {}
        self.names = iter(range(10_000))
        self.lives = [self.life() for _ in range(LIVES)]
        self.parked: list[tuple[float, str, str]] = []
        """Moment, process, key."""

    def life(self) -> tuple[str, Brake]:
        brake = Brake(MOST, random.Random(1))
        brake.begin(self.now, self.notes)
        return f"p{next(self.names)}", brake

    @rule(seconds=st.one_of(st.floats(0.1, 5), st.floats(5, 90)))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        who=st.integers(0, LIVES - 1), keys=st.sets(st.integers(0, 12), min_size=1, max_size=BATCH), dies=st.booleans()
    )
    def park(self, who: int, keys: set[int], dies: bool) -> None:  # noqa: FBT001 - hypothesis names it
        name, brake = self.lives[who]
        shard = f"shard-{who}"
        permit = brake.ask(self.now, shard).permit
        if permit is Permit.WAIT:
            return
        # Each key is of one shard.
        wanted = [Parked(REASON, f"{who}/{key}", shard, str(key)) for key in keys]
        allowed = brake.may_park(self.now, wanted)
        if permit is Permit.TRIAL:
            brake.tried(self.now, shard, "99" if allowed else None)
        self.parked += [(self.now, name, each.key) for each in wanted if allowed]
        if dies:
            self.lives[who] = self.life()
        elif brake.presses:
            self.tell(who)

    @rule(who=st.integers(0, LIVES - 1))
    def tell(self, who: int) -> None:
        name, brake = self.lives[who]
        for reason, count in brake.telling(self.now, self.now_ms).items():
            others = self.counts.tell(reason, name, count)
            brake.counted(self.now, self.now_ms, reason, others.values())

    @rule(who=st.integers(0, LIVES - 1))
    def read_the_notes(self, who: int) -> None:
        _, brake = self.lives[who]
        for reason, word, number in brake.to_write():
            standing, on = self.notes.get(reason), brake.on(reason)
            if word is Word.ON and on is not None and (standing is None or standing.word is not Word.ON):
                self.notes[reason] = BrakeNote(reason, 1 + (standing.number if standing else 0), word, *on, 0)
            elif standing is not None and (standing.number, standing.word) == (number, Word.ON):
                self.notes[reason] = replace(standing, word=word)
        brake.noted(self.now, self.notes)

    @property
    def now_ms(self) -> int:
        return 1_000_000 + round(self.now * 1000)

    @invariant()
    def all_of_them_park_the_limit_within_a_minute_and_a_batch_of_each(self) -> None:
        recent = [(name, key) for at, name, key in self.parked if self.now - at < WINDOW]
        assert len({key for _, key in recent}) <= MOST + BATCH * len({name for name, _ in recent})


TestProcesses = Processes.TestCase
