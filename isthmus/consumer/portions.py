"""What is held, decided a portion at a time, where a batch is one transaction.

One transaction takes the first changes of some keys, under their locks, through the whole decision, and takes them out
of what is held. So it may be cut off anywhere, and begun again by anybody: what was decided is no longer there. Whose
fault it is that something goes wrong shows when they come alone; the others do not wait for it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from isthmus.change import Outcome
from isthmus.checkpoint.gates import View
from isthmus.checkpoint.tries import Tries
from isthmus.clock import Clock
from isthmus.consumer.batch import Batch
from isthmus.consumer.braking import Braking
from isthmus.consumer.deciding import drained
from isthmus.consumer.gates import Gatekeeper, OpenGates, Outdated, keeps_back, with_mirrored
from isthmus.consumer.lending import Lending, Patient
from isthmus.consumer.limits import Suspects
from isthmus.consumer.stores.held import Held
from isthmus.consumer.stores.poisoned import Undone
from isthmus.consumer.stores.port import Delivered, Entity, Log, Refusal, Session, Unit
from isthmus.consumer.unheld import Unheld
from isthmus.errors import Transient
from isthmus.metrics import Metrics


class _Row(NamedTuple):
    """One held change, made anew."""

    held: Held
    delivered: Delivered


class UnitPortions:
    """`Portions` where a batch is one transaction. Several may drain at once: each key has one lock."""

    def __init__(
        self,
        open_session: Callable[[], Session],
        entities: Mapping[str, Entity],
        gates: Gatekeeper | None,
        unheld: Unheld,
        *,
        clock: Clock,
        metrics: Metrics,
        history: bool,
        lending: Lending | None = None,
        brake: Braking | None = None,
        tries: Tries | None = None,
    ) -> None:
        """Decide by what `gates` say; None: all are open. `brake` is told before anything is parked.

        `lending` is this one's alone, and is closed with it. With `tries` errors that may come only so often at a
        change are counted, as they are of a change from the stream.
        """
        self._suspects = Suspects(tries) if tries is not None else None
        self._lending = lending or Patient()
        self._brake = brake
        self._open_session = open_session
        self._opened: Session | None = None
        self._entities = entities
        self._gates = gates or OpenGates()
        self._unheld = unheld
        self._clock = clock
        self._metrics = metrics
        self._history = history

    def close(self) -> None:
        """Give the connection back. Safe to repeat."""
        self._lending.close()
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _session(self) -> Session:
        """The connection, opened when it is first needed: the store may be away."""
        if self._opened is None:
            self._opened = self._open_session()
        return self._opened

    def drain(self, keys: Sequence[str], each: int) -> tuple[int, list[str]]:
        """Drain the first changes of these keys; give how many, and the keys that may have more."""
        with self._session.unit() as unit:
            found = unit.held(keys, each)
        # Outside of the transaction: a payload may have to be fetched.
        rows = {(held.key, held.txn): _Row(held, self._unheld.made(held)) for held in found}
        suspected = {key for key, txn in rows if self._suspects is not None and txn in self._suspects}
        if suspected and len(rows) > 1:
            return self._around(keys, each, suspected)
        try:
            done, more = self._decided(keys, each, rows)
        except Undone as undone:
            if len(rows) > 1:
                return self._apart(keys)
            return self._refused(keys, rows, Refusal(undone.poison, "store"))
        except Transient as error:
            if self._suspects is None or error.attempts is None or not rows:
                raise
            if len(rows) > 1:
                return self._apart(keys)
            with self._session.unit():
                # Where the store says nothing, a handler that waits for it is not at fault.
                pass
            ((_, txn),) = rows
            done, more = self._refused(keys, rows, self._suspects.failed(txn, error))
        if done and len(rows) == 1 and self._suspects is not None:
            ((_, txn),) = rows
            self._suspects.settle(txn)
        return done, more

    def _around(self, keys: Sequence[str], each: int, suspected: Collection[str]) -> tuple[int, list[str]]:
        """Drain the keys with a change that failed before by themselves, behind all others."""
        others = [key for key in keys if key not in suspected]
        done, more = self.drain(others, each) if others else (0, [])
        alone, left = self._apart([key for key in keys if key in suspected])
        return done + alone, [*more, *left]

    def _apart(self, keys: Sequence[str]) -> tuple[int, list[str]]:
        """Drain the first change of each key by itself. What a limited error came at is raised when all had a turn."""
        number, left, failure = 0, list[str](), None
        for key in keys:
            try:
                done, more = self.drain([key], 1)
            except Transient as error:
                if error.attempts is None:
                    raise
                failure = failure or error
                continue
            number += done
            left += more
        if failure is not None:
            raise failure
        return number, left

    def _refused(
        self, keys: Sequence[str], rows: Mapping[tuple[str, str], _Row], refusal: Refusal
    ) -> tuple[int, list[str]]:
        alone = {place: row._replace(delivered=row.delivered._replace(refused=refusal)) for place, row in rows.items()}
        return self._decided(keys, 1, alone)

    def _decided(self, keys: Sequence[str], each: int, rows: Mapping[tuple[str, str], _Row]) -> tuple[int, list[str]]:
        view = self._gates.view()
        if view.waits is not None:
            raise Outdated
        attempt = Log(self._clock.now_ms(), keeps_history=self._history)
        with self._session.unit() as unit:
            lines = self._lines(unit, keys, each, rows)
            batch, outcomes, open_keys = self._attempt(unit, lines, view, attempt)
            if self._brake is not None:
                self._brake.park(attempt.parked.values())
            attempt.decided_ms = self._clock.now_ms()
            unit.save(attempt)
            self._gates.confirm(view)
        for parking in attempt.parked.values():
            self._metrics.parked.labels(parking.reason).inc()
        if batch.alarms:
            self._metrics.hash_alarms.inc(batch.alarms)
        for name, number in Counter(str(outcome) for outcome in outcomes if outcome is not None).items():
            self._metrics.drained.labels(name).inc(number)
        more = [key for key in open_keys if len(lines[key]) == each]
        return len(attempt.drained), more

    @staticmethod
    def _lines(
        unit: Unit, keys: Sequence[str], each: int, rows: Mapping[tuple[str, str], _Row]
    ) -> dict[str, list[_Row]]:
        """Give what is held of each key, in order, up to what was made anew: another may have drained meanwhile."""
        lines: dict[str, list[_Row]] = {key: [] for key in keys}
        unknown: set[str] = set()
        for held in unit.held(keys, each):
            row = rows.get((held.key, held.txn))
            if row is None:
                unknown.add(held.key)
            elif held.key not in unknown:
                lines[held.key].append(row)
        return lines

    def _attempt(
        self, unit: Unit, lines: Mapping[str, Sequence[_Row]], view: View, attempt: Log
    ) -> tuple[Batch, list[Outcome | None], list[str]]:
        memory = unit.load([row.delivered.change for line in lines.values() for row in line])
        if self._gates.strict:
            view = with_mirrored(view, memory.gates, attempt.decided_ms)
        # Fences are for what arrives from the stream: what is held passed them.
        memory.fences = {}
        open_lines = {key: self._open_part(view, line) for key, line in lines.items()}
        # One of each key after another: a key that comes again ends a wave of rows that are written together.
        chosen = [row for turn in zip_longest(*open_lines.values()) for row in turn if row is not None]
        for key in lines:
            drained(key, memory)
        attempt.drained.extend((row.held.key, row.held.txn) for row in chosen)
        batch = Batch(unit, memory, self._entities, attempt, lending=self._lending)
        outcomes = batch.run([row.delivered for row in chosen])
        return batch, outcomes, [key for key, line in open_lines.items() if len(line) == len(lines[key]) > 0]

    def _open_part(self, view: View, line: Sequence[_Row]) -> list[_Row]:
        """Give the first changes of a key that no gate keeps back: nothing of a key overtakes."""
        part = []
        for row in line:
            change = row.delivered.change
            if keeps_back(view, change, self._entities.get(change.entity)) is not None:
                break
            part.append(row)
        return part
