"""Out of what gates held: decided as if it arrived now, key by key in order, while live changes go on behind.

One transaction takes the first changes of some keys, under their locks, through the whole decision, and takes them out
of what is held. So it may be cut off anywhere, and begun again by anybody: what was decided is no longer there.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Final, NamedTuple

from isthmus.attempts import Attempts
from isthmus.change import Change, Outcome, Verb
from isthmus.checkpoint.gates import View
from isthmus.clock import Clock
from isthmus.codec import DEFAULT_LIMITS, NotJson, Undecodable, decode, json_value
from isthmus.consumer.batch import Batch
from isthmus.consumer.braking import Braking
from isthmus.consumer.deciding import drained
from isthmus.consumer.gates import Gatekeeper, OpenGates, Outdated, keeps_back, stand, with_mirrored
from isthmus.consumer.lending import Lending, Patient
from isthmus.consumer.stores.held import Held, HeldReader, Holding
from isthmus.consumer.stores.poisoned import Undone
from isthmus.consumer.stores.port import Delivered, Entity, Log, Refusal, Session, Unit
from isthmus.errors import IsthmusError, Poison, Transient
from isthmus.lifecycle import Stop, Stopped
from isthmus.log import get_logger
from isthmus.metrics import Metrics
from isthmus.payloads import Payloads

log = get_logger(__name__)

PORTION: Final = 200
"""Changes in one transaction: a live batch of the same keys waits for no longer than one of its own takes."""
_KEYS: Final = 50
_HELD: Final = "held"
"""What a brake knows the drainer by, beside the shards."""
_SOON: Final = 0.5
_RARELY: Final = 30.0
"""Seconds between two sweeps that found nothing to drain: each one reads the first change of every held key."""
_LIMITS: Final = replace(DEFAULT_LIMITS, max_bytes=2 * DEFAULT_LIMITS.max_bytes)
"""A held change carries its payload itself, which alone may be as large as the largest record."""


class _Row(NamedTuple):
    """One held change, made anew."""

    held: Held
    delivered: Delivered


class Drainer:
    """Drains what no gate keeps back any more. `rest(changes, begun)` sets the pace: called after each transaction.

    For a store where a batch is one transaction. Several may drain at once: each key has one lock.
    """

    def __init__(
        self,
        store: Holding,
        open_session: Callable[[], Session],
        entities: Mapping[str, Entity],
        gates: Gatekeeper | None,
        *,
        payloads: Payloads | None,
        reader: HeldReader | None,
        clock: Clock,
        stop: Stop,
        metrics: Metrics,
        watch: Attempts,
        rest: Callable[[int, float], object],
        history: bool,
        portion: int = PORTION,
        lending: Lending | None = None,
        brake: Braking | None = None,
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """Tell numbers by what `reader` says; None: nobody asks for them here. `gates` None: all are open.

        `lending` is this drainer's alone, and is closed with it. With a `brake` a sweep waits for whatever is away, as
        a shard does. While `on_duty` says no, `run` leaves it to another process.
        """
        self._lending = lending or Patient()
        self._brake = brake
        self._store = store
        self._open_session = open_session
        self._opened: Session | None = None
        self._on_duty = on_duty
        self._entities = entities
        self._gates = gates or OpenGates()
        self._payloads = payloads
        self._reader = reader
        self._clock = clock
        self._stop = stop
        self._metrics = metrics
        self._watch = watch
        self._rest = rest
        self._history = history
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

    def sweep(self) -> int:
        """Drain all that no gate keeps back now; give how many changes. Raises as a unit does, and `Outdated`."""
        number, after = 0, ""
        while not self._stop.requested() and (heads := self._store.held_heads(after=after, most=_KEYS)):
            view = self._gates.view()
            if view.waits is not None:
                break
            keys = [head.key for head in heads if not self._is_kept_back(view, head.source, head.entity, head.key)]
            while keys and not self._stop.requested():
                begun = self._clock.monotonic()
                done, keys = self._braked(keys, max(1, self._portion // len(keys)))
                number += done
                if done:
                    self._rest(done, begun)
            after = heads[-1].key
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
        if view.waits is not None or not self._on_duty():
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
        found = self._reader.held_by_gate()
        self._metrics.held_keys.set(sum(each.keys for each in found))
        self._metrics.held_changes.set(sum(each.changes for each in found))
        self._metrics.held_since.set(min((each.since_ms for each in found), default=0) / 1000)

    def _is_kept_back(self, view: View, source: str, entity: str, key: str) -> bool:
        known = self._entities.get(entity)
        process = known.process if known is not None else ""
        return view.closing(process=process, source=source, entity=entity, key=key) is not None

    def _braked(self, keys: Sequence[str], each: int) -> tuple[int, list[str]]:
        if self._brake is None:
            return self._drain(keys, each)
        # Whoever has the brake's permit must come back with an end, and not with an outage.
        return self._brake.hold(_HELD, (), lambda: self._patiently(keys, each), stop=self._stop)

    def _patiently(self, keys: Sequence[str], each: int) -> tuple[int, list[str]]:
        while True:
            stand(self._gates, self._stop)
            try:
                return self._drain(keys, each)
            except Outdated:
                continue
            except Transient as error:
                if self._stop.wait(_SOON):
                    raise Stopped from error

    def _drain(self, keys: Sequence[str], each: int) -> tuple[int, list[str]]:
        """Drain the first changes of these keys; give how many, and the keys that may have more."""
        with self._session.unit() as unit:
            found = unit.held(keys, each)
        # Outside of the transaction: a payload may have to be fetched.
        rows = {(held.key, held.txn): _Row(held, self._made(held)) for held in found}
        try:
            return self._decided(keys, each, rows)
        except Undone as undone:
            if len(rows) > 1:
                # Whose fault it was shows when they come alone, one after another.
                parts = [self._drain([key], 1) for key in keys]
                return sum(done for done, _ in parts), [key for _, more in parts for key in more]
            refused = Refusal(undone.poison, "store")
            alone = {
                place: row._replace(delivered=row.delivered._replace(refused=refused)) for place, row in rows.items()
            }
            return self._decided(keys, each, alone)

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

    def _made(self, held: Held) -> Delivered:
        """Give a held change as it was delivered. Raises `Transient` where its payload cannot be fetched now."""
        place = (held.shard, held.sequence, held.arrived_ms)
        change = _change_in(held)
        if not (held.decodable and change.dataref and change.data is None):
            return Delivered(change, *place, held.event)
        try:
            if self._payloads is None:
                raise Poison("payload-missing", "The settings name no bucket of payloads.")  # noqa: TRY301 - as below
            data = json_value(self._fetched(self._payloads, change.dataref), _LIMITS)
        except Poison as poison:
            return Delivered(change, *place, held.event, Refusal(poison, "decode"))
        except NotJson as error:
            return Delivered(change, *place, held.event, Refusal(Poison(error.reason, error.message), "decode"))
        return Delivered(change._replace(data=data, dataref=""), *place)

    def _fetched(self, payloads: Payloads, reference: str) -> bytes:
        try:
            content = payloads.get(reference)
        except Transient as error:
            self._watch.failed(error)
            raise
        self._watch.recovered()
        return content


def _change_in(held: Held) -> Change:
    found = next(iter(decode(held.event, _LIMITS)), None)
    if held.decodable and isinstance(found, Change):
        return found
    why = found if isinstance(found, Undecodable) else Undecodable("bad-key", "", held.event)
    return Change(
        id=held.txn,
        source=held.source,
        entity=held.entity,
        verb=Verb.UNTRANSLATED,
        key=held.key,
        version=held.version,
        lane=-1,
        epoch=held.epoch,
        time=held.detected,
        data={"reason": why.reason, "message": why.message},
        rowhash=held.rowhash,
    )
