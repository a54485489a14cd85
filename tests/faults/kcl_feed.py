"""Puts known changes into a stream, in order per entity, through the product's own codec and publisher."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from isthmus.change import Change, Kind, Verb, lane_of, transaction_id, version_of
from isthmus.clock import SystemClock, rfc3339
from isthmus.codec import MARKER_ENTITY, encode, json_bytes
from isthmus.lifecycle import ThreadStop
from isthmus.metrics import Metrics
from isthmus.payloads import Payloads
from isthmus.producer.kinesis import KinesisSink
from isthmus.producer.lanes import Lanes, Limits
from isthmus.producer.publisher import Publisher
from isthmus.producer.threads import ThreadExecutor
from isthmus.retry import Backoff
from tests.faults.kcl_office import LANES, MOVE, THING, Fate, data_of

SOURCE: Final = "/kcl-rows/things"
_THINGS, _MOVES, _BAD_MOVES = 48, 16, 4
_MOST_WAITING: Final = 600
"""Nobody learns more from more, and a slow machine must catch up with all of it."""
_PATIENCE: Final = 60.0
"""Seconds within which the last change must be acknowledged."""
_EPOCH: Final = 1
_STATE_FATES: Final = (Fate.UNSTORABLE, Fate.OUT_OF_CONTRACT, Fate.UNHANDLED, Fate.CRASHING)
_EVENT_FATES: Final = _STATE_FATES[1:]


class Fed(NamedTuple):
    """One change that was published."""

    txn: str
    key: str
    version: str
    verb: Verb
    fate: Fate

    @property
    def kind(self) -> Kind:
        return Kind.EVENT if self.verb is Verb.EVENT else Kind.STATE


class Feeder:
    """A thread that publishes until it is told to pause. `fed` is all that it has offered, in order."""

    def __init__(
        self,
        kinesis: Any,
        stream: str,
        seed: int,
        *,
        rate: float,
        decided: Callable[[], int],
        payloads: Payloads | None = None,
    ) -> None:
        """Begin to feed. `rate` is changes a second, as long as not too many wait to be `decided`.

        With `payloads` some states go by claim check.
        """
        self.fed: list[Fed] = []
        self.acknowledged = 0
        """Every change up to here stands in the stream: the publisher has said so."""
        self._chance = random.Random(f"feed {seed}")
        self._rate = rate
        self._decided = decided
        self._payloads = payloads
        self._clock, self._stop = SystemClock(), ThreadStop()
        self._paused = threading.Event()
        self._idle = threading.Event()
        limits = Limits(shard_bytes_per_second=None, shard_records_per_second=None, max_bundle_events=12)
        executor = ThreadExecutor(2, self._stop, self._clock)
        self._executor = executor
        self._publisher = Publisher(
            Lanes(LANES, limits, Backoff(first=0.05, most=1.0), random.Random(seed)),
            KinesisSink(kinesis, stream, LANES),
            executor,
            source="things",
            clock=self._clock,
            metrics=Metrics(),
            linger=0.02,
        )
        self._tickets: set[int] = set()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="feeder")
        self._thread.start()

    def pause(self) -> None:
        """Feed nothing more until `go_on`, and wait until all is acknowledged. Raises what went wrong."""
        self._paused.set()
        assert self._idle.wait(_PATIENCE) or self._failed, "the stream does not take what is fed"
        if self._failed is not None:
            raise self._failed

    def go_on(self) -> None:
        """Feed again."""
        self._idle.clear()
        self._paused.clear()

    def close(self) -> None:
        """End. Safe to repeat."""
        self._stop.request()
        self._thread.join()
        self._executor.close()

    def _run(self) -> None:
        try:
            self._mark()
            while not self._stop.requested():
                begun = self._clock.monotonic()
                if not self._paused.is_set():
                    self._idle.clear()
                    if len(self.fed) - self._decided() < _MOST_WAITING:
                        # Bursts: what is offered at once shares bundles.
                        self._offer(1 + int(self._chance.random() * self._rate))
                elif self._publisher.idle():
                    self._idle.set()
                self._pump(until=begun + 0.5)
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            self._failed = error
            self._idle.set()

    def _pump(self, until: float) -> None:
        while not self._stop.requested():
            self._acknowledge(self._publisher.pump(0.05))
            if self._clock.monotonic() >= until:
                return
            if self._publisher.idle():
                self._stop.wait(0.02)

    def _acknowledge(self, tickets: list[int]) -> None:
        self._tickets.update(tickets)
        while self.acknowledged in self._tickets:
            self._tickets.remove(self.acknowledged)
            self.acknowledged += 1

    def _mark(self) -> None:
        """Publish the epoch's marker into every lane, as a new owner does before anything else."""
        for lane in range(LANES):
            change = Change("marker", SOURCE, MARKER_ENTITY, Verb.MARKER, "", "", lane, _EPOCH, self._now())
            self._publisher.offer(lane, encode(change), -1)
        while not self._publisher.idle() and not self._stop.requested():
            self._publisher.pump(0.05)

    def _offer(self, count: int) -> None:
        for _ in range(count):
            change, fate = self._next()
            self.fed.append(Fed(change.id, change.key, change.version, change.verb, fate))
            self._publisher.offer(change.lane, encode(change), len(self.fed) - 1)

    def _next(self) -> tuple[Change, Fate]:
        chance, number = self._chance, len(self.fed) + 1
        fate, verb = Fate.FINE, Verb.UPSERT
        if chance.random() < 0.6:
            key = f"{THING}/{chance.randrange(_THINGS)}"
            if chance.random() < 0.06:
                verb = Verb.DELETE
            elif chance.random() < 0.05:
                fate = chance.choice(_STATE_FATES)
        else:
            verb = Verb.EVENT
            key = f"{MOVE}/{chance.randrange(_MOVES)}"
            if chance.random() < 0.03:
                # Whatever follows poison on its key waits behind it: few keys may be spoilt.
                key = f"{MOVE}/bad-{chance.randrange(_BAD_MOVES)}"
                fate = chance.choice(_EVENT_FATES) if chance.random() < 0.3 else Fate.FINE
        version = version_of(0, number)
        data = None if verb is Verb.DELETE else data_of(fate, number)
        dataref = ""
        if self._payloads is not None and verb is Verb.UPSERT and chance.random() < 0.4:
            data, dataref = None, self._payloads.put(json_bytes(data))
        entity = MOVE if verb is Verb.EVENT else THING
        change = Change(
            transaction_id(SOURCE, key, version),
            SOURCE,
            entity,
            verb,
            key,
            version,
            lane_of(key, LANES),
            _EPOCH,
            self._now(),
            data,
            rowhash=f"{number:032x}",
            dataref=dataref,
        )
        return change, fate

    def _now(self) -> str:
        return rfc3339(self._clock.now_ms())


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Say whether a condition comes to hold within so many seconds."""
    pause, clock = ThreadStop(), SystemClock()
    end = clock.monotonic() + seconds
    while True:
        with suppress(ConnectionError):
            if condition():
                return True
        if clock.monotonic() >= end:
            return False
        pause.wait(0.1)
