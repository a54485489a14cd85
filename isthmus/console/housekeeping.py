"""What a consumer does beside deciding: it forgets what is old, and shows how much is parked."""

from collections.abc import Callable

from isthmus.clock import Clock
from isthmus.consumer.stores.port import Store
from isthmus.consumer.stores.reading import StoreReader
from isthmus.errors import IsthmusError
from isthmus.lifecycle import Stop
from isthmus.log import get_logger
from isthmus.metrics import Metrics
from isthmus.settings import Store as StoreSettings

log = get_logger(__name__)

FIRST_PRUNING = 60.0
"""Seconds after the start: by then the pipeline runs, and one that is started again and again still forgets."""
PRUNE_EVERY = 3600.0
LOOK_EVERY = 5.0
"""Seconds between two looks into the parking lot, at the least."""
_LOOK_RARELY = 60.0
_REST = 20
"""How many times as long as a look took nobody looks again: of a very large lot a store reads a gigabyte each time."""
_DAY_MS = 24 * 3600 * 1000


class Housekeeping:
    """One task of a consumer.

    One worker of an application does it at a time, the one that is `on_duty`. Others may do the same meanwhile and do
    no harm, but each of them would read all of what may be old.
    """

    def __init__(
        self,
        store: Store,
        reader: StoreReader,
        settings: StoreSettings,
        *,
        clock: Clock,
        stop: Stop,
        metrics: Metrics,
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._reader = reader
        self._settings = settings
        self._clock = clock
        self._stop = stop
        self._parked = metrics.parked_keys
        self._oldest = metrics.parked_oldest
        self._on_duty = on_duty
        self._look_failed = False

    def run(self) -> None:
        """Keep house until a stop is requested. What fails is logged, and tried again at its next time."""
        prune_at = self._clock.monotonic() + FIRST_PRUNING
        while not self._stop.requested():
            pause = LOOK_EVERY
            if self._on_duty():
                begun = self._clock.monotonic()
                self._look()
                pause = min(_LOOK_RARELY, max(pause, _REST * (self._clock.monotonic() - begun)))
                if self._clock.monotonic() >= prune_at:
                    self._prune()
                    prune_at = self._clock.monotonic() + PRUNE_EVERY
            else:
                # Another one tells it now; what stood here would stay for ever.
                self._parked.clear()
                self._oldest.clear()
            self._stop.wait(pause)

    def _look(self) -> None:
        try:
            reasons = self._reader.parked_by_reason()
        except IsthmusError:
            return  # whoever decides in the same store says that it is away
        except Exception as error:  # noqa: BLE001 - as below: nobody would prune any more
            if not self._look_failed:
                self._look_failed = True
                log.warning("parked_not_counted", why=type(error).__name__)
            return
        self._look_failed = False
        # Cleared: a reason for which nothing is parked any more leaves no number behind.
        self._parked.clear()
        self._oldest.clear()
        for reason in reasons:
            self._parked.labels(reason.reason).set(reason.keys)
            self._oldest.labels(reason.reason).set(reason.since_ms / 1000)

    def _prune(self) -> None:
        now_ms = self._clock.now_ms()
        try:
            pruned = self._store.prune(
                memory_before_ms=now_ms - self._settings.delete_memory_days * _DAY_MS,
                history_before_ms=now_ms - self._settings.history_days * _DAY_MS,
                stop=self._stop,
            )
        except IsthmusError as error:
            log.warning("pruning_failed", why=error.message)
            return
        except Exception as error:  # noqa: BLE001 - a defect here must not end the task, silently and for good
            log.warning("pruning_failed", why=type(error).__name__)
            return
        if any(pruned):
            log.info("pruned", **pruned._asdict())
