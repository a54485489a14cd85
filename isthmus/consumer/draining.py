"""Out of what gates held: decided as if it arrived now, key by key in order, while live changes go on behind.

When it sweeps, at what pace, and what it waits for. What decides the changes are `Portions`, by the store.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from isthmus.checkpoint.gates import View
from isthmus.clock import Clock
from isthmus.consumer.braking import Braking
from isthmus.consumer.gates import Gatekeeper, OpenGates, Outdated, stand
from isthmus.consumer.stores.held import HeldGate, HeldReader, Holding
from isthmus.consumer.stores.port import Entity
from isthmus.consumer.unheld import Portions
from isthmus.errors import IsthmusError, Transient
from isthmus.lifecycle import Stop, Stopped
from isthmus.log import get_logger
from isthmus.metrics import Metrics

log = get_logger(__name__)

PORTION: Final = 200
"""Changes in one transaction: a live batch of the same keys waits for no longer than one of its own takes."""
_KEYS: Final = 50
_HELD: Final = "held"
"""What a brake knows the drainer by, beside the shards."""
_SOON: Final = 0.5
_RARELY: Final = 30.0
"""Seconds between two sweeps that found nothing to drain: each one reads the first change of every held key."""


class Drainer:
    """Drains what no gate keeps back any more. `rest(changes, begun)` sets the pace: called after each transaction.

    Several may drain at once, in several processes.
    """

    def __init__(
        self,
        store: Holding,
        portions: Portions,
        entities: Mapping[str, Entity],
        gates: Gatekeeper | None,
        *,
        reader: HeldReader | None,
        clock: Clock,
        stop: Stop,
        metrics: Metrics,
        rest: Callable[[int, float], object],
        portion: int = PORTION,
        brake: Braking | None = None,
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """Tell numbers by what `reader` says; None: nobody asks for them here. `gates` None: all are open.

        `portions` are this drainer's alone, and are closed with it. With a `brake`, which they are to be told of too, a
        sweep waits for whatever is away, as a shard does. While `on_duty` says no, `run` leaves it to another process.
        """
        self._brake = brake
        self._store = store
        self._portions = portions
        self._on_duty = on_duty
        self._entities = entities
        self._gates = gates or OpenGates()
        self._reader = reader
        self._clock = clock
        self._stop = stop
        self._metrics = metrics
        self._rest = rest
        self._portion = portion
        self._failed = False

    def run(self) -> None:
        """Sweep until a stop is requested. Raises nothing: what is away is waited for."""
        pause, revision = _SOON, -1
        while not self._stop.requested():
            view = self._gates.view()
            # What another process held by an older reading comes a moment after a gate has opened.
            pause = _SOON if view.revision != revision else pause
            revision = view.revision
            if self._turn(view):
                pause = _SOON
            if self._wait(pause, revision):
                break
            pause = min(_RARELY, 2 * pause)
        self.close()

    def close(self) -> None:
        """Give the connection back. Safe to repeat."""
        self._portions.close()

    def sweep(self) -> int:
        """Drain all that no gate keeps back now; give how many changes. Raises as a unit does, and `Outdated`."""
        number, free, after = 0, 0, ""
        while not self._stop.requested() and (heads := self._store.held_heads(after=after, most=_KEYS)):
            view = self._gates.view()
            if view.waits is not None:
                free = 0
                break
            keys = [head.key for head in heads if not self._is_kept_back(view, head.source, head.entity, head.key)]
            free += len(keys)
            if keys:
                # Told before they are tried: whatever is in their way, or hangs, they have been told.
                self._metrics.held_drainable.set(free)
            while keys and not self._stop.requested():
                begun = self._clock.monotonic()
                done, keys = self._braked(keys, max(1, self._portion // len(keys)))
                number += done
                if done:
                    self._rest(done, begun)
            after = heads[-1].key
        self._metrics.held_drainable.set(free)
        return number

    def _wait(self, seconds: float, revision: int) -> bool:
        """Wait so long, or until the gates say something else; say whether a stop was requested."""
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and self._gates.view().revision == revision:
            if self._stop.wait(_SOON):
                return True
        return self._stop.requested()

    def _turn(self, view: View) -> bool:
        """Sweep once; say whether there may be more to do soon."""
        on_duty = self._on_duty()
        if not on_duty:
            # Another one tells it now; what stood here would stay for ever.
            self._numbers(())
        if view.waits is not None or not on_duty:
            self._metrics.held_drainable.set(0)
            return False
        try:
            number = self.sweep()
            self._tell()
        except Stopped:
            return False
        except Transient:
            # Where the front office is away the shards say so; where payloads are, `_fetched` did.
            return True
        except IsthmusError as error:
            self._said_once(error.message)
            return False
        except Exception as error:  # noqa: BLE001 - a defect here must not end the task: held keys would stay held
            self._said_once(type(error).__name__)
            return False
        self._failed = False
        if number:
            log.info("drained", changes=number)
        return number > 0

    def _said_once(self, why: str) -> None:
        if not self._failed:
            self._failed = True
            log.error("draining_failed", why=why)

    def _tell(self) -> None:
        if self._reader is None:
            return
        self._numbers(self._reader.held_by_gate())

    def _numbers(self, found: Sequence[HeldGate]) -> None:
        self._metrics.held_keys.set(sum(each.keys for each in found))
        self._metrics.held_changes.set(sum(each.changes for each in found))
        self._metrics.held_since.set(min((each.since_ms for each in found), default=0) / 1000)

    def _is_kept_back(self, view: View, source: str, entity: str, key: str) -> bool:
        known = self._entities.get(entity)
        process = known.process if known is not None else ""
        return view.closing(process=process, source=source, entity=entity, key=key) is not None

    def _braked(self, keys: Sequence[str], each: int) -> tuple[int, list[str]]:
        if self._brake is None:
            return self._portions.drain(keys, each)
        # Whoever has the brake's permit must come back with an end, and not with an outage.
        return self._brake.hold(_HELD, (), lambda: self._patiently(keys, each), stop=self._stop)

    def _patiently(self, keys: Sequence[str], each: int) -> tuple[int, list[str]]:
        while True:
            stand(self._gates, self._stop)
            try:
                return self._portions.drain(keys, each)
            except Outdated:
                continue
            except Transient as error:
                if self._stop.wait(_SOON):
                    raise Stopped from error
