"""The park brake as all shards of a process meet it, and as all processes of an application share it.

It is held in memory at once and written down by a task of its own, so that no shard waits for the checkpoint table. But
what a process parks others are to know before its next batch: that is waited for, for a moment (`sharing`).
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from isthmus.attempts import Attempts
from isthmus.chance import Chance
from isthmus.checkpoint.brakecounts import BrakeCounts
from isthmus.checkpoint.brakes import BrakeNote, BrakeNotes, Word
from isthmus.clock import Clock
from isthmus.consumer.brake import Brake, Parked, Permit, Told
from isthmus.consumer.deciding import BEHIND
from isthmus.consumer.sharing import Sharing
from isthmus.consumer.stores.port import Delivered, Parking
from isthmus.errors import Fatal, IsthmusError, Transient
from isthmus.lifecycle import Stop, Stopped
from isthmus.log import get_logger
from isthmus.metrics import Metrics

T = TypeVar("T")
log = get_logger(__name__)

_LOOK_EVERY: Final = 0.1
"""Seconds until it is written down that the brake is on: so long a process that dies may forget it."""
READ_EVERY: Final = 2.0
"""Seconds. So long may a process go on after another one has put the brake on, or hold after a release."""


class Braked(IsthmusError):  # noqa: N818 - a fact about what should have been parked
    """Nothing was parked, and what was tried beside it is undone: the brake is on."""

    def __init__(self) -> None:
        super().__init__("The park brake is on.", hint="See `isthmus brake status`.")


class Braking(Protocol):
    """What holds consumption. Safe for many threads."""

    def park(self, parkings: Iterable[Parking]) -> None:
        """Count what is about to be parked. Raises `Braked` where it must not be."""
        ...

    def hold(self, shard: str, batch: Sequence[Delivered], action: Callable[[], T], *, stop: Stop) -> T:
        """Run the action as soon as the brake lets this shard go, as often as it raises `Braked`.

        Raises `Stopped` when a stop is requested while it waits, and whatever else the action raises.
        """
        ...


class NoBrake:
    """`Braking` that never holds."""

    def park(self, parkings: Iterable[Parking]) -> None:
        """Let it be parked."""

    def hold(self, shard: str, batch: Sequence[Delivered], action: Callable[[], T], *, stop: Stop) -> T:  # noqa: ARG002 - the port's names
        """Run the action."""
        return action()


class ParkBrake:
    """`Braking` by notes that all processes share. `run` is a task of its own; nothing goes before it has read them."""

    def __init__(
        self,
        most: int,
        notes: BrakeNotes,
        *,
        clock: Clock,
        chance: Chance,
        metrics: Metrics,
        watch: Attempts,
        counts: BrakeCounts | None = None,
        beside: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """Hold when more than `most` keys would be parked for one reason within a minute, by all who share `counts`.

        None: this is the only process that decides. `beside` is as `Sharing` takes it.
        """
        self._brake = Brake(most, chance)
        self._notes = notes
        self._clock = clock
        self._metrics = metrics
        self._watch = watch
        self._lock = threading.Lock()
        self._sharing = Sharing(self._brake, self._lock, counts, clock=clock, beside=beside) if counts else None
        self._begun = False
        self._failing = False

    def park(self, parkings: Iterable[Parking]) -> None:
        """Count what is about to be parked; see `Braking`."""
        # What waits behind a parked change is no poison of its own.
        found = [parked_of(parking) for parking in parkings if parking.reason != BEHIND]
        if not found:
            return
        with self._lock:
            allowed = self._brake.may_park(self._clock.monotonic(), found)
            self._tell()
        if not allowed:
            raise Braked

    def hold(self, shard: str, batch: Sequence[Delivered], action: Callable[[], T], *, stop: Stop) -> T:
        """Run the action as soon as this shard may go; see `Braking`."""
        while True:
            if self._sharing is not None:
                # Here, and not where it is asked: nothing of the front office is locked meanwhile.
                self._sharing.wait(stop)
            with self._lock:
                answer = self._brake.ask(self._clock.monotonic(), shard)
            if answer.permit is Permit.WAIT:
                if stop.wait(answer.seconds):
                    raise Stopped
                continue
            try:
                done = action()
            except Braked:
                self._tried(answer.permit, shard, None)
            else:
                self._tried(answer.permit, shard, batch[-1].sequence if batch else "")
                return done
            finally:
                if self._sharing is not None:
                    # Whatever ended it: what was parked is parked.
                    self._sharing.begin()

    def run(self, stop: Stop) -> None:
        """Read and write the notes until a stop is requested."""
        while not stop.requested():
            self.sync()
            self._rest(stop)
        # What came up since the last time: the next life shall know of it.
        self.sync()

    def sync(self) -> None:
        """Write down what is new here, and take in what others wrote. What is away is tried again the next time."""
        try:
            self._write()
            self._take_in(self._notes.read_all())
            if self._sharing is not None:
                self._sharing.tell()
        except IsthmusError as error:
            self._failed(error)
            return
        self._watch.recovered()
        self._failing = False

    def _take_in(self, notes: Mapping[str, BrakeNote]) -> None:
        with self._lock:
            now = self._clock.monotonic()
            if self._begun:
                self._brake.noted(now, notes)
            else:
                self._brake.begin(now, notes)
                self._begun = True
            self._tell()

    def _rest(self, stop: Stop) -> None:
        for _ in range(round(READ_EVERY / _LOOK_EVERY)):
            if stop.wait(_LOOK_EVERY):
                return
            with self._lock:
                # What could not be written is no news, and waits for its turn.
                if self._brake.is_urgent and not self._failing:
                    return

    def _write(self) -> None:
        with self._lock:
            wanted = self._brake.to_write()
        for place, (reason, word, number) in enumerate(wanted):
            try:
                self._write_one(reason, word, number)
            except IsthmusError:
                with self._lock:
                    for each in wanted[place:]:
                        self._brake.write_again(each)
                raise

    def _failed(self, error: IsthmusError) -> None:
        known = error if isinstance(error, Transient) else Transient(error.message, cause="refused", hint=error.hint)
        self._failing = True
        # Whatever it is: were this task to end, nobody would learn of a release any more.
        with suppress(Fatal):
            self._watch.failed(known)

    def _write_one(self, reason: str, word: Word, number: int | None) -> None:
        with self._lock:
            on = self._brake.on(reason)
        now = self._clock.now_ms()
        if word is Word.ON and on is not None:
            shard, sequence, keys = on
            note = self._notes.put_on(BrakeNote(reason, 0, word, shard, sequence, keys, now))
            with self._lock:
                self._brake.noted(self._clock.monotonic(), {reason: note})
        elif word is Word.EASED and number is not None:
            why = "What set it on went through."
            self._notes.let_off(BrakeNote(reason, number, word, "", "", 0, 0, "isthmus", why, now))

    def _tried(self, permit: Permit, shard: str, reached: str | None) -> None:
        if permit is not Permit.TRIAL:
            return
        with self._lock:
            self._brake.tried(self._clock.monotonic(), shard, reached)
            self._tell()

    def _tell(self) -> None:
        for told in self._brake.told():
            self._metrics.park_brake.labels(told.reason).set(1 if told.word is Word.ON else 0)
            _say(told)


def parked_of(parking: Parking) -> Parked:
    """Give what the brake counts of a row of the parking lot."""
    delivered = parking.delivered
    return Parked(parking.reason, delivered.change.key, delivered.shard, delivered.sequence)


def _say(told: Told) -> None:
    if told.word is Word.ON:
        log.error("park_brake_on", reason=told.reason, shard=told.place, keys=told.keys)
    else:
        log.info("park_brake_released", reason=told.reason, how=told.word.value, who=told.place, why=told.why)
