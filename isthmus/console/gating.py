"""Gates by the settings: what reads them, and what drains what they held."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.gates import Covers, Gate, Readings
from isthmus.checkpoint.tries import Tries
from isthmus.console.declaring import AskingGates, declared_of
from isthmus.console.front_offices import dynamo_portions
from isthmus.console.lot.pacing import Pace
from isthmus.console.wiring import Wiring, lending_of, reader_of
from isthmus.consumer.braking import Braking
from isthmus.consumer.draining import Drainer
from isthmus.consumer.gates import AskedGates, Gatekeeper, GateReader
from isthmus.consumer.portions import UnitPortions
from isthmus.consumer.stores.held import HeldReader, Holding
from isthmus.consumer.stores.port import Entity, Store, TransactionalStore
from isthmus.consumer.unheld import Portions, Unheld
from isthmus.lifecycle import Stop

R = TypeVar("R", bound=GateReader)


def gates_of(wiring: Wiring, store: Store) -> GateReader | None:
    """Give what reads the gates for who consumes; None, and no client of AWS, where the settings watch none.

    It reads what probes said, and asks none: see `declaring.start_probing`.
    """
    if not wiring.settings.watches_gates:
        return None
    checkpoints = wiring.checkpoints()
    declared = declared_of(wiring.settings, checkpoints.verdicts.read_all)
    return _reader(wiring, checkpoints, store, GateReader, declared.at)


def asked_gates_of(wiring: Wiring, store: Store) -> AskedGates | None:
    """Give the same for a command that decides for a moment."""
    if not wiring.settings.watches_gates:
        return None
    checkpoints = wiring.checkpoints()
    declared = declared_of(wiring.settings, checkpoints.verdicts.read_all)
    return _reader(wiring, checkpoints, store, AskedGates, AskingGates(wiring, checkpoints, declared).at)


def drainer_of(
    wiring: Wiring,
    store: Store,
    entities: Mapping[str, Entity],
    gates: Gatekeeper | None,
    *,
    stop: Stop,
    brake: Braking | None = None,
    tries: Tries | None = None,
    on_duty: Callable[[], bool] = lambda: True,
) -> Drainer | None:
    """Give what drains what is held, whether or not gates are closed now; None where nothing can be held.

    With `tries` errors that may come only so often at a change are counted, as they are of one from the stream.
    Nobody else drains: where the settings watch gates no more, what they held comes out all the same.
    """
    holding: object = store
    if not isinstance(holding, Holding):
        return None
    portions = _portions_of(wiring, store, entities, gates, stop, brake, tries)
    reader = reader_of(wiring.settings, list(entities.values()))
    rate = wiring.settings.gate.drain_per_second
    return Drainer(
        holding,
        portions,
        entities,
        gates,
        reader=reader if isinstance(reader, HeldReader) else None,
        clock=wiring.clock,
        stop=stop,
        metrics=wiring.metrics,
        rest=Pace(float(rate) if rate else None, clock=wiring.clock, stop=stop).rest,
        brake=brake,
        on_duty=on_duty,
    )


def _portions_of(  # noqa: PLR0917 - as the drainer's
    wiring: Wiring,
    store: Store,
    entities: Mapping[str, Entity],
    gates: Gatekeeper | None,
    stop: Stop,
    brake: Braking | None,
    tries: Tries | None,
) -> Portions:
    settings, clock, metrics, payloads = wiring.settings, wiring.clock, wiring.metrics, wiring.payloads()
    unheld = Unheld(payloads, wiring.attempts.watch("payloads", "held"))
    lending = lending_of(settings, clock)
    if not isinstance(store, TransactionalStore):
        return dynamo_portions(settings, entities, gates, unheld, clock, metrics, payloads, stop, lending, brake, tries)
    return UnitPortions(
        store.session,
        entities,
        gates,
        unheld,
        clock=clock,
        metrics=metrics,
        history=settings.store.history,
        lending=lending,
        brake=brake,
        tries=tries,
    )


def _reader(
    wiring: Wiring,
    checkpoints: DynamoCheckpoints,
    store: Store,
    kind: type[R],
    others: Callable[[int], Sequence[Gate]],
) -> R:
    section = wiring.settings.gate
    return kind(
        checkpoints.gates,
        Readings([Covers(process=name) for name in section.processes], holds=section.hold),
        clock=wiring.clock,
        watch=wiring.attempts.watch("gates"),
        metrics=wiring.metrics,
        mirror=store.mirror if section.strict and isinstance(store, Holding) else None,
        others=others,
    )
