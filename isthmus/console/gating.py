"""Gates by the settings: what reads them, and what drains what they held."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from isthmus.checkpoint.gates import Covers, Readings
from isthmus.console.lot.pacing import Pace
from isthmus.console.wiring import Wiring, lending_of, reader_of
from isthmus.consumer.braking import Braking
from isthmus.consumer.draining import Drainer
from isthmus.consumer.gates import AskedGates, Gatekeeper, GateReader
from isthmus.consumer.stores.held import HeldReader, Holding
from isthmus.consumer.stores.port import Entity, Store, TransactionalStore
from isthmus.lifecycle import Stop

R = TypeVar("R", bound=GateReader)


def gates_of(wiring: Wiring, store: Store) -> GateReader | None:
    """Give what reads the gates for who consumes; None, and no client of AWS, where the settings watch none."""
    return _reader(wiring, store, GateReader) if wiring.settings.gate.watched else None


def asked_gates_of(wiring: Wiring, store: Store) -> AskedGates | None:
    """Give the same for a command that decides for a moment."""
    return _reader(wiring, store, AskedGates) if wiring.settings.gate.watched else None


def drainer_of(
    wiring: Wiring,
    store: Store,
    entities: Mapping[str, Entity],
    gates: Gatekeeper | None,
    *,
    stop: Stop,
    brake: Braking | None = None,
    on_duty: Callable[[], bool] = lambda: True,
) -> Drainer | None:
    """Give what drains what is held, whether or not gates are closed now; None where nothing can be held.

    Nobody else drains: where the settings watch gates no more, what they held comes out all the same.
    """
    if not (isinstance(store, TransactionalStore) and isinstance(store, Holding)):
        return None
    reader = reader_of(wiring.settings, list(entities.values()))
    rate = wiring.settings.gate.drain_per_second
    return Drainer(
        store,
        store.session,
        entities,
        gates,
        payloads=wiring.payloads(),
        reader=reader if isinstance(reader, HeldReader) else None,
        clock=wiring.clock,
        stop=stop,
        metrics=wiring.metrics,
        watch=wiring.attempts.watch("payloads", "held"),
        rest=Pace(float(rate) if rate else None, clock=wiring.clock, stop=stop).rest,
        history=wiring.settings.store.history,
        lending=lending_of(wiring.settings, wiring.clock),
        brake=brake,
        on_duty=on_duty,
    )


def _reader(wiring: Wiring, store: Store, kind: type[R]) -> R:
    section = wiring.settings.gate
    return kind(
        wiring.checkpoints().gates,
        Readings([Covers(process=name) for name in section.processes], holds=section.hold),
        clock=wiring.clock,
        watch=wiring.attempts.watch("gates"),
        metrics=wiring.metrics,
        mirror=store.mirror if section.strict and isinstance(store, Holding) else None,
    )
