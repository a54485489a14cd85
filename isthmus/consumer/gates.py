"""The gates as whoever decides meets them: read about twice a second, and confirmed before each commit."""

import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from isthmus.attempts import Attempts
from isthmus.change import Change
from isthmus.checkpoint.gates import Closing, Gate, Gates, Mode, Readings, State, View
from isthmus.clock import Clock, rfc3339
from isthmus.consumer.gatemirror import Mirrored
from isthmus.consumer.stores.port import Entity
from isthmus.errors import Fatal, IsthmusError, Transient
from isthmus.lifecycle import Stop, Stopped
from isthmus.log import get_logger
from isthmus.metrics import Metrics

log = get_logger(__name__)

READ_EVERY: Final = 0.5
"""Seconds. A reading counts for 1.5 s (`LAST_KNOWN_SECONDS`): two may fail, or be slow, before anything stands."""
_LOOK_SECONDS: Final = 0.1
"""How soon a shard that stands goes on after a reading that lets it."""

NO_GATES: Final = View((), None, 0.0)


class Outdated(Transient):
    """What was decided rests on a reading of the gates that does not count any more. Nothing has taken effect."""

    def __init__(self) -> None:
        super().__init__("The gates were not read for too long, or say something else now.", cause="gates")


class Gatekeeper(Protocol):
    """What says, at any moment and without waiting, what may take effect. Safe for many threads."""

    strict: bool
    """Whether what the store itself knows of gates counts too."""

    def view(self) -> View:
        """Give what counts now."""
        ...

    def confirm(self, view: View) -> None:
        """See, right before a commit, that what was decided by this view may still take effect. Raises `Outdated`."""
        ...


class OpenGates:
    """The `Gatekeeper` where nobody watches gates."""

    strict = False

    def view(self) -> View:
        """Say that everything is open."""
        return NO_GATES

    def confirm(self, view: View) -> None:
        """Nothing can have closed."""


class GateReader:
    """A `Gatekeeper` that reads the gates: `run` in a task of its own.

    `mirror` is told of all gates that have changed, where `strict` is set; it may raise `Transient`, and is then told
    again. `others` gives gates that nobody closed by hand, closed at the moment that it is asked for (milliseconds
    since 1970): windows, and what probes said, see `isthmus.checkpoint.declared`. What it raises counts as a reading
    that failed.
    """

    def __init__(
        self,
        gates: Gates,
        readings: Readings,
        *,
        clock: Clock,
        watch: Attempts,
        metrics: Metrics,
        mirror: Callable[[Sequence[Gate]], None] | None = None,
        others: Callable[[int], Sequence[Gate]] = lambda _now_ms: (),
    ) -> None:
        self.strict = mirror is not None
        self._gates = gates
        self._readings = readings
        self._clock = clock
        self._watch = watch
        self._metrics = metrics
        self._mirror = mirror
        self._others = others
        self._mirrored = Mirrored()
        self._lock = threading.Lock()
        self._found: Sequence[Gate] = ()
        self._told: dict[str, Closing] = {}
        self._failed = False

    def view(self) -> View:
        """Give what counts now."""
        with self._lock:
            return self._readings.view(self._clock.monotonic(), self._clock.now_ms())

    def confirm(self, view: View) -> None:
        """See that what was decided by this view may still take effect."""
        # The reading of now, not the one that was decided by: a long transaction outlives several that say the same.
        now = self.view()
        if now.waits is not None or now.revision != view.revision:
            raise Outdated

    def look(self) -> None:
        """Read the gates once. Raises what kept it from that; what was read before counts for a while."""
        asked = self._clock.monotonic()
        now_ms = self._clock.now_ms()
        found = [*self._gates.read_all(), *self._others(now_ms)]
        if self._mirror is not None and (changed := self._mirrored.due(found, now_ms)):
            self._mirror(changed)
            self._mirrored.done(changed)
        with self._lock:
            self._readings.read(found, asked)
        self._found = found

    def run(self, stop: Stop) -> None:
        """Read until a stop is requested. Whatever goes wrong is told once; then everything waits, and it is tried on.

        Raises nothing.
        """
        while not stop.requested():
            self.turn()
            stop.wait(READ_EVERY)

    def turn(self) -> None:
        """Read once, and tell what has changed. Raises nothing."""
        try:
            self.look()
        except Transient as error:
            self._away(error)
        except IsthmusError as error:
            self._said_once(error.message)
        except Exception as error:  # noqa: BLE001 - a defect here must not end the task: gates would never be read again
            self._said_once(type(error).__name__)
        else:
            self._failed = False
            self._watch.recovered()
        self._tell()

    def _away(self, error: Transient) -> None:
        try:
            self._watch.failed(error)
        except Fatal as fatal:
            self._said_once(fatal.message)

    def _said_once(self, why: str) -> None:
        if not self._failed:
            self._failed = True
            log.error("gates_unreadable", why=why)

    def _tell(self) -> None:
        view = self.view()
        now = {closing.name: closing for closing in (*view.holds, *filter(None, [view.waits]))}
        for name in self._told.keys() - now.keys():
            log.info("gate_opened", gate=name)
        for name, closing in now.items():
            if self._told.get(name) != closing:
                log.warning("gate_closed", gate=name, **told(closing))
        self._told = now
        for mode in Mode:
            number = sum(closing.mode is mode for closing in now.values())
            self._metrics.gates_closed.labels(str(mode)).set(number)
        self._metrics.gates_unknown.set(sum(closing.state is State.UNKNOWN for closing in now.values()))
        endless = {gate.name for gate in self._found if gate.until_ms is None}
        since = [each.since_ms for each in now.values() if each.state is State.CLOSED and each.name in endless]
        self._metrics.gates_closed_since.set(min(since, default=0) / 1000)


class AskedGates(GateReader):
    """A `Gatekeeper` of a command that decides for a moment: it reads when it is asked, and has no task."""

    def view(self) -> View:
        """Give what counts now, by a reading of now. Raises as `Gates.read_all`."""
        self.look()
        return super().view()


def told(closing: Closing) -> dict[str, str]:
    """Give what there is to say of a closing, for a log line."""
    since = rfc3339(closing.since_ms) if closing.since_ms else ""
    return {"state": str(closing.state), "mode": str(closing.mode), "why": closing.reason, "who": closing.who} | (
        {"since": since} if since else {}
    )


def stand(gates: Gatekeeper, stop: Stop) -> View:
    """Wait until no gate makes the shards wait; give what counts then. Raises `Stopped`."""
    while (view := gates.view()).waits is not None:
        if stop.wait(_LOOK_SECONDS):
            raise Stopped
    return view


def with_mirrored(view: View, mirrored: Sequence[Gate], now_ms: int) -> View:
    """Give the view with what the store itself knows of closed gates. Whatever is closed there holds.

    Also one that makes the shards wait: nobody can wait inside of a transaction. The next batch does.
    """
    closed = [
        Closing(gate.covers, State.CLOSED, Mode.HOLD, gate.reason, gate.who, gate.since_ms)
        for gate in mirrored
        if gate.is_closed(now_ms)
    ]
    return view._replace(holds=(*view.holds, *closed)) if closed else view


def keeps_back(view: View, change: Change, entity: Entity | None) -> Closing | None:
    """Give what keeps a change back, or None."""
    process = entity.process if entity is not None else ""
    return view.closing(process=process, source=change.source, entity=change.entity, key=change.key)
