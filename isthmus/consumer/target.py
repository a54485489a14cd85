"""The front office as all shards of a process meet it: through one breaker."""

import threading
from collections.abc import Callable
from typing import TypeVar

from isthmus.attempts import Attempts
from isthmus.chance import Chance
from isthmus.clock import Clock
from isthmus.consumer.breaker import Answer, Breaker, Permit
from isthmus.errors import TargetDown
from isthmus.lifecycle import Stop, Stopped
from isthmus.metrics import Metrics

T = TypeVar("T")

FRONT_OFFICE = "front_office"


class Target:
    """What may be away for all shards at once. Safe for many threads."""

    def __init__(self, attempts: Attempts, metrics: Metrics, *, clock: Clock, chance: Chance) -> None:
        """Tell by `attempts`, once, when it is away and when it is back: it is this target's alone."""
        self._breaker = Breaker(chance)
        self._lock = threading.Lock()
        self._attempts = attempts
        self._clock = clock
        self._open = metrics.breaker_open.labels(FRONT_OFFICE)
        self._open.set(0)

    def reach(self, action: Callable[[], T], probe: Callable[[], object], *, stop: Stop) -> T:
        """Run the action until the target was there for it.

        `probe` asks the target for something harmless. Raises `Stopped` when a stop is requested while it waits, and
        whatever the action raises besides `TargetDown`; the target has answered then.
        """
        while True:
            answer = self._ask()
            if answer.permit is Permit.PROBE:
                answer = self._probed(probe)
            if answer.permit is Permit.WAIT:
                if stop.wait(answer.seconds):
                    raise Stopped
                continue
            try:
                result = action()
            except TargetDown as error:
                self._down(error, answer.permit)
            except BaseException:
                self._answered(answer.permit)
                raise
            else:
                self._answered(answer.permit)
                return result

    def _ask(self) -> Answer:
        with self._lock:
            return self._breaker.ask(self._clock.monotonic())

    def _probed(self, probe: Callable[[], object]) -> Answer:
        answered = False
        try:
            probe()
            answered = True
        except TargetDown as error:
            with self._lock:
                self._attempts.failed(error)
        finally:
            # Whatever a probe raises: nobody else may probe before its end was told.
            with self._lock:
                answer = self._breaker.probed(self._clock.monotonic(), answered=answered)
        return answer

    def _down(self, error: TargetDown, permit: Permit) -> None:
        with self._lock:
            if self._breaker.down(self._clock.monotonic(), permit) or permit is Permit.TRIAL:
                self._open.set(1)
                self._attempts.failed(error)

    def _answered(self, permit: Permit) -> None:
        with self._lock:
            if self._breaker.answered(permit):
                self._open.set(0)
                self._attempts.recovered()
