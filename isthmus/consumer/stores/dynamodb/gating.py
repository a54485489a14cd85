"""The gates where each change is a transaction of its own: asked before it is decided, confirmed before each write."""

import threading
from collections.abc import Mapping, Sequence

from isthmus.change import Change
from isthmus.checkpoint.gates import Closing, View
from isthmus.clock import Clock
from isthmus.consumer.gates import Gatekeeper, OpenGates, Outdated, keeps_back, with_mirrored
from isthmus.consumer.stores.dynamodb.mirrored import Known, Mirrored
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.writes import Action
from isthmus.consumer.stores.port import Entity


class _Asked(threading.local):
    """By what a thread decides its change."""

    view: View | None = None
    known: Known | None = None


class Gating:
    """Asks for many threads at once; each one decides one change at a time.

    Whoever writes through these requests is asked to confirm before each attempt: what was decided by a reading that
    does not count any more is not written, and `Outdated` is raised.
    """

    def __init__(
        self,
        gates: Gatekeeper | None,
        requests: Requests,
        settings: DynamoSettings,
        entities: Mapping[str, Entity],
        clock: Clock,
        *,
        holds: bool,
    ) -> None:
        """Take `holds` for whether what is covered is to be held; else it is decided at another time: `Outdated`."""
        self._gates = gates or OpenGates()
        self._entities = entities
        self._clock = clock
        self._holds = holds
        self._asked = _Asked()
        self._mirrored = Mirrored(requests, settings.table)
        requests.before_write = self._confirm

    @property
    def strict(self) -> bool:
        """Whether what stands in the front office itself counts too: then every effect is a transaction."""
        return self._gates.strict

    def begin(self) -> View:
        """Give what counts from here on in this thread. Raises `Outdated` while the shards stand."""
        view = self._gates.view()
        if view.waits is not None:
            raise Outdated
        self._asked.view, self._asked.known = view, None
        return view

    def standing(self) -> Closing | None:
        """Give what makes the shards stand now, or None."""
        return self._gates.view().waits

    def end(self) -> None:
        """Let this thread write what no gate is asked for."""
        self._asked.view = self._asked.known = None

    def closing(self, change: Change) -> Closing | None:
        """Give what keeps a change back, by what counts from here on in this thread. Raises as `begin`."""
        view, entity = self.begin(), self._entities.get(change.entity)
        found = keeps_back(view, change, entity)
        if found is not None or not self.strict:
            return found
        # What was known before is good enough to let pass, for the transaction asks; and not to keep back.
        for anew in (False, True):
            self._asked.known = known = self._mirrored.known(change.key, anew=anew)
            found = keeps_back(with_mirrored(view, known.gates, self._clock.now_ms()), change, entity)
            if found is None:
                return None
        return found

    def gate(self, change: Change) -> str:
        """Give the name of the gate that holds a change, or an empty text. Raises as `begin`."""
        closing = self.closing(change)
        if closing is None:
            return ""
        if not self._holds:
            raise Outdated
        return closing.name

    def conditions(self) -> Sequence[Action]:
        """Give what is asked in the transaction of the change's effect."""
        known = self._asked.known
        return [] if known is None else [known.unchanged()]

    def unmet(self, change: Change) -> None:
        """Take in that a condition did not hold: it may have been that of a gate."""
        if self.strict:
            self._mirrored.known(change.key, anew=True)

    def _confirm(self) -> None:
        if self._asked.view is not None:
            self._gates.confirm(self._asked.view)
