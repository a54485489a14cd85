"""Decides a batch of changes in one transaction of the front-office store."""

from collections.abc import Collection, Mapping, Sequence

from isthmus.change import Outcome
from isthmus.checkpoint.gates import View
from isthmus.clock import Clock
from isthmus.consumer.at_once import NOT_TAKEN, AtOnce
from isthmus.consumer.batch import Batch
from isthmus.consumer.braking import Braking, NoBrake
from isthmus.consumer.gates import NO_GATES, Gatekeeper, Outdated, with_mirrored
from isthmus.consumer.lending import Lending, Patient
from isthmus.consumer.pieces import Pieces
from isthmus.consumer.stores.poisoned import Undone
from isthmus.consumer.stores.port import Delivered, Entity, Log, QuickSession, Refusal, Session
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
        gates: Gatekeeper | None = None,
        brake: Braking | None = None,
        lending: Lending | None = None,
    ) -> None:
        """Decide by what `gates` say at the moment; None: nothing is gated.

        `brake` is told before anything is parked, and may raise `Braked`. `lending` is this decider's alone, and is
        closed with it; None: a handler may take as long as it likes.
        """
        self._lending = lending or Patient()
        self._brake = brake or NoBrake()
        self._gates = gates
        self._session = session
        self._at_once = AtOnce(quick, entities, clock, history=history) if quick is not None else None
        self._entities = entities
        self._clock = clock
        self._metrics = metrics
        self._history = history
        self._pieces = Pieces()

    def close(self) -> None:
        """Give the connection back. Safe to repeat."""
        self._lending.close()
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
            return self._decided([batch[0]._replace(refused=Refusal(undone.poison, "store"))], self._view())

    def _attempt(self, batch: Sequence[Delivered], at_once: AtOnce | None) -> list[Outcome | None]:
        view = self._view()
        taken = at_once.take(batch, view, lambda: self._confirm(view)) if at_once is not None else NOT_TAKEN
        if taken.done:
            return self._with_those_aside(batch, taken.aside)
        return self._decided(batch, view, suspects=taken.aside)

    def _view(self) -> View:
        view = NO_GATES if self._gates is None else self._gates.view()
        if view.waits is not None:
            # Whoever calls this stands until it is over.
            raise Outdated
        return view

    def _confirm(self, view: View) -> None:
        if self._gates is not None:
            self._gates.confirm(view)

    def _decided(
        self, batch: Sequence[Delivered], view: View, *, suspects: Collection[int] = ()
    ) -> list[Outcome | None]:
        with self._session.unit() as unit:
            memory = unit.load([delivered.change for delivered in batch])
            log = Log(self._clock.now_ms(), keeps_history=self._history)
            if self._gates is not None and self._gates.strict:
                view = with_mirrored(view, memory.gates, log.decided_ms)
            decided = Batch(
                unit,
                memory,
                self._entities,
                log,
                suspects=suspects,
                gates=view,
                lending=self._lending,
                pieces=self._pieces,
            )
            outcomes = decided.run(batch)
            # Before any of it is durable: more than the brake allows is never parked.
            self._brake.park(log.parked.values())
            log.decided_ms = self._clock.now_ms()
            unit.save(log)
            # At the end: what was read when it began is older by all that it took.
            self._confirm(view)
        # Counted only now: a batch that is rolled back and tried again must not count twice.
        for parking in log.parked.values():
            self._metrics.parked.labels(parking.reason).inc()
        if decided.alarms:
            self._metrics.hash_alarms.inc(decided.alarms)
        return outcomes

    def _with_those_aside(self, batch: Sequence[Delivered], aside: Sequence[int]) -> list[Outcome | None]:
        """Give the outcomes of a batch that took effect at once but for some, which are decided now."""
        outcomes: list[Outcome | None] = [Outcome.APPLIED] * len(batch)
        if aside:
            # Not at once: it would fail there as well, and the next batch would be sent the other way for it.
            for place, outcome in zip(aside, self._apply([batch[place] for place in aside], None), strict=True):
                outcomes[place] = outcome
        return outcomes
