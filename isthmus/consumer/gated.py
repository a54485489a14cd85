"""A parking lot behind gates, in a store where a change is a transaction of its own."""

from collections.abc import Mapping, Sequence
from typing import Final

from isthmus.change import Outcome
from isthmus.consumer.gates import Gatekeeper
from isthmus.consumer.redrive import GATE_CLOSED, Redriven, Redriver, StillPoison
from isthmus.consumer.stores.lot import LotReader, Waiting
from isthmus.consumer.stores.port import Entity

_MOST: Final = 25
"""Changes that are tried between two looks at the gates: well under a second's worth."""


class GatedRedriver:
    """A `Redriver` that looks at the gates before each handful of changes.

    It never looks inside of a transaction: a gate that closes meanwhile counts from the next handful on.
    """

    def __init__(self, inner: Redriver, lot: LotReader, entities: Mapping[str, Entity], gates: Gatekeeper) -> None:
        self._inner = inner
        self._lot = lot
        self._entities = entities
        self._gates = gates

    def redrive(self, key: str, *, most: int = 500, rehearse: bool = False) -> Redriven:
        """Try the first changes of a key, as far as no gate keeps them back."""
        number = 0
        for waiting in self._lot.parked_of(key, most=min(most, _MOST)):
            why = closed_before(self._gates, waiting, self._entities)
            if why:
                if number == 0:
                    stopped = StillPoison(waiting.txn, GATE_CLOSED, why, "gate")
                    return Redriven({str(Outcome.PARKED): 1}, stopped)
                break
            number += 1
        return self._inner.redrive(key, most=max(1, number), rehearse=rehearse)

    def discard(self, key: str, txns: Sequence[str], *, who: str, why: str) -> int:
        """Take changes out for good: that has no effect on the front office, and asks no gate."""
        return self._inner.discard(key, txns, who=who, why=why)

    def edit(self, key: str, old: Waiting, event: bytes, *, who: str, why: str) -> bool:
        """Put another event in a change's place; likewise."""
        return self._inner.edit(key, old, event, who=who, why=why)

    def close(self) -> None:
        """Give connections back."""
        self._inner.close()


def closed_before(gates: Gatekeeper, waiting: Waiting, entities: Mapping[str, Entity]) -> str:
    """Say what keeps a parked change back, or nothing."""
    view, known = gates.view(), entities.get(waiting.entity)
    process = known.process if known is not None else ""
    closing = view.waits or view.closing(process=process, source=waiting.source, entity=waiting.entity, key=waiting.key)
    return "" if closing is None else f"{closing.name}: {closing.reason}"
