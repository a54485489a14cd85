"""Carrying a plan out: one step, wait, look, plan again.

Nothing is remembered but what is wanted. Before every step the plan is made anew from the shards that are there, so
whatever became of the step before, whose answer may be lost, is seen and not guessed.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from isthmus.attempts import UNKNOWN_ATTEMPTS
from isthmus.console.resharding.cover import Piece, cover, cuts_of
from isthmus.console.resharding.plan import Split, Step, after, plan
from isthmus.console.resharding.port import ACTIVE, Objected, Reshardable, StreamState
from isthmus.consumer.feed import Shard
from isthmus.errors import UNKNOWN, Fatal, Missing, Refused, Transient
from isthmus.lifecycle import Stop, Stopped

LOOK_EVERY: Final = 0.5
"""Seconds. Two DescribeStreamSummary a second of the 20 of an account, and at most two steps of the 5 (Kinesis API)."""
_LOOKS: Final = 240
"""Two minutes: what Kinesis accepted must show by then. The answer of DescribeStreamSummary may be a little old."""
_OBJECTIONS: Final = 10
"""Five seconds: what Kinesis objects to may be the very step whose answer was lost, and which does not show yet."""

Tell = Callable[[str], None]
"""Shows, in words, what is waited for; empty when nothing is."""


class Seen(NamedTuple):
    """An active stream."""

    shards: Sequence[Shard]
    pieces: Sequence[Piece]
    """Its open shards."""

    @property
    def cuts(self) -> tuple[int, ...]:
        """Between them."""
        return cuts_of(self.pieces)


class Carrying:
    """Reshards one stream. `tell` is told what is waited for."""

    def __init__(self, stream: Reshardable, *, stop: Stop, tell: Tell) -> None:
        self._stream = stream
        self._stop = stop
        self._tell = tell

    def look(self) -> Seen:
        """Wait until the stream is active, and give its shards.

        Raises `Refused` where it is on demand, `Missing` where it is not there or being deleted, and `Stopped`.
        """
        trouble = _Trouble()
        while True:
            try:
                state = self._stream.state()
                _check(state)
                if state.status == ACTIVE:
                    shards = self._stream.shards()
                    seen = Seen(shards, cover(shards))
                    self._tell("")
                    return seen
                words = f"waiting for Kinesis: the stream is {state.status}"
            except Transient as error:
                words = trouble.words(error)
            self._tell(words)
            self._wait()

    def reach(self, planned: Seen, goal: Collection[int], done: Callable[[Step, int], None]) -> Seen:
        """Take steps until the cuts are as wanted, and give what is there then.

        `planned` is what was there when somebody agreed to the plan: no cut that others made since may be taken for one
        that nobody wants. `done(step, left)` is told of each step that took effect, and how many are left. Raises as
        `look` and as `Reshardable` do, and `Refused` when somebody else reshards too.
        """
        seen = self.look()
        if seen.cuts != planned.cuts:
            raise Refused("The stream has changed since the plan was made.", hint="Run the same again.")
        while steps := plan(seen.cuts, goal):
            seen = self._take(seen, steps[0])
            done(steps[0], len(steps) - 1)
        return seen

    def _take(self, seen: Seen, step: Step) -> Seen:
        """Take one step, whatever that takes, and give what is there then."""
        before, wanted = list(seen.cuts), after(seen.cuts, step)
        trouble, accepted, looks, objections = _Trouble(), False, 0, 0
        while True:
            try:
                if not accepted:
                    self._ask(seen, step)
                    accepted = True
            except Objected:
                objections += 1
                if objections > _OBJECTIONS:
                    raise
            except Transient as error:
                self._tell(trouble.words(error))
            seen = self.look()
            if list(seen.cuts) == wanted:
                return seen
            if list(seen.cuts) != before:
                raise Refused(
                    "Somebody else reshards this stream at the same time.",
                    hint="When they are done, run the same again: it goes on from what is there.",
                )
            looks += accepted
            if looks > _LOOKS:
                raise Fatal("Kinesis has accepted a step that does not show.", hint="Run the same again.")
            self._wait()

    def _ask(self, seen: Seen, step: Step) -> None:
        by_place = {place: piece.id for piece in seen.pieces for place in (piece.low, piece.high)}
        if isinstance(step, Split):
            self._stream.split(by_place[step.low], step.at)
        else:
            self._stream.merge(by_place[step.low], by_place[step.high])

    def _wait(self) -> None:
        if self._stop.wait(LOOK_EVERY):
            raise Stopped


class _Trouble:
    """Watches what goes wrong again and again: what nobody knows is given up."""

    def __init__(self) -> None:
        self._unknown = 0

    def words(self, error: Transient) -> str:
        """Give an error in words. Raises `Fatal` when nobody knows it, and it came five times in a row."""
        self._unknown = self._unknown + 1 if error.cause == UNKNOWN else 0
        if self._unknown >= UNKNOWN_ATTEMPTS:
            raise Fatal(f"An unknown error came {self._unknown} times in a row: {error.message}") from error
        return str(error)


def _check(state: StreamState) -> None:
    if state.status == "DELETING":
        raise Missing("The stream is being deleted.", hint="Run `isthmus setup` when it is gone.")
    if not state.provisioned:
        raise Refused(
            "The stream is on demand: there Kinesis itself splits and merges shards, and nobody else may.",
            hint="Give it the mode PROVISIONED to do it yourself.",
        )
