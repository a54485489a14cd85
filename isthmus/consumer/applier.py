"""Decides a batch of changes in one transaction of the front-office store."""

from collections.abc import Mapping, Sequence

from isthmus.change import Outcome
from isthmus.clock import Clock
from isthmus.consumer.at_once import NOT_TAKEN, AtOnce
from isthmus.consumer.batch import Batch
from isthmus.consumer.stores.port import Delivered, Entity, Log, QuickSession, Refusal, Session, Undone
from isthmus.metrics import Metrics


class Applier:
    """Decides batches for one shard, through one session of the store."""

    def __init__(
        self,
        session: Session,
        entities: Mapping[str, Entity],
        clock: Clock,
        metrics: Metrics,
        *,
        history: bool,
        quick: QuickSession | None = None,
    ) -> None:
        self._session = session
        self._at_once = AtOnce(quick, entities, clock, history=history) if quick is not None else None
        self._entities = entities
        self._clock = clock
        self._metrics = metrics
        self._history = history

    def close(self) -> None:
        """Give the connection back. Safe to repeat."""
        self._session.close()

    def probe(self) -> None:
        """Begin and end a transaction that does nothing."""
        with self._session.unit():
            pass

    def apply(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        """Decide every change of the batch, in order; give one outcome each, None for an epoch marker.

        When it returns, all of it is durable. When it raises (`Transient`, `TargetDown`, `Fatal`), none of it is, or a
        commit's answer was lost: what is durable then is found as `duplicate` by the next attempt.
        """
        return self._apply(batch, self._at_once)

    def _apply(self, batch: Sequence[Delivered], at_once: AtOnce | None) -> list[Outcome | None]:
        try:
            return self._attempt(batch, at_once)
        except Undone as undone:
            if len(batch) > 1:
                middle = len(batch) // 2
                return self._apply(batch[:middle], at_once) + self._apply(batch[middle:], at_once)
            return self._decided([batch[0]._replace(refused=Refusal(undone.poison, "store"))], None)

    def _attempt(self, batch: Sequence[Delivered], at_once: AtOnce | None) -> list[Outcome | None]:
        taken = at_once.take(batch) if at_once is not None else NOT_TAKEN
        if taken.done:
            return self._with_the_suspect(batch, taken.suspect)
        return self._decided(batch, taken.suspect)

    def _decided(self, batch: Sequence[Delivered], suspect: int | None) -> list[Outcome | None]:
        with self._session.unit() as unit:
            memory = unit.load([delivered.change for delivered in batch])
            log = Log(self._clock.now_ms(), keeps_history=self._history)
            decided = Batch(unit, memory, self._entities, log, suspect=suspect)
            outcomes = decided.run(batch)
            log.decided_ms = self._clock.now_ms()
            unit.save(log)
        # Counted only now: a batch that is rolled back and tried again must not count twice.
        for parking in log.parked.values():
            self._metrics.parked.labels(parking.reason).inc()
        if decided.alarms:
            self._metrics.hash_alarms.inc(decided.alarms)
        return outcomes

    def _with_the_suspect(self, batch: Sequence[Delivered], suspect: int | None) -> list[Outcome | None]:
        """Give the outcomes of a batch that took effect at once but for the suspect, which is decided now."""
        outcomes: list[Outcome | None] = [Outcome.APPLIED] * len(batch)
        if suspect is not None:
            # Not at once: it would fail there alone as well, and the next batch would be sent the other way for it.
            (outcomes[suspect],) = self._apply(batch[suspect : suspect + 1], None)
        return outcomes
