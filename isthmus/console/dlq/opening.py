"""Opens the dead-letter queue, and the front office for what lies in it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache

from isthmus import aws
from isthmus.change import Outcome
from isthmus.console.dlq.braking import LetterBrake
from isthmus.console.dlq.place import NO_QUEUE, NO_QUEUE_HINT, queue_name
from isthmus.console.dlq.redriving import Tools
from isthmus.console.front_offices import dynamo_letters
from isthmus.console.gating import asked_gates_of
from isthmus.console.lot.opening import remaking
from isthmus.console.lot.remaking import LOT_LIMITS
from isthmus.console.lot.walking import Ask, changes_of
from isthmus.console.wiring import Lot, Wiring, entities_of, lending_of, lot_of, redriver_of, store_of
from isthmus.consumer.deadletters.port import Message
from isthmus.consumer.deadletters.reading import waiting_in
from isthmus.consumer.deadletters.redriving import LetterDecider, TransactionalLetters
from isthmus.consumer.deadletters.sqs import SqsMailbox
from isthmus.consumer.redrive import Remake
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.port import Entity, Store, TransactionalStore
from isthmus.errors import Poison, Refused
from isthmus.payloads import Payloads

_NOT_THE_END = {str(outcome) for outcome in (Outcome.FENCED, Outcome.HELD, Outcome.PARKED)}


def mailbox_of(wiring: Wiring) -> tuple[SqsMailbox, str]:
    """Give the dead-letter queue and its name. Raises `Refused` where the settings name none."""
    name = queue_name(wiring.settings)
    if name is None:
        raise Refused(NO_QUEUE, hint=NO_QUEUE_HINT)
    return SqsMailbox(aws.client(wiring.access, "sqs"), name), name


@contextmanager
def opened_letters(wiring: Wiring, *, ask: Ask) -> Iterator[Tools]:
    """Open the front office, after it was compared with the settings; as `isthmus.console.lot.opening.opened`."""
    settings, pipelines = wiring.settings, wiring.pipelines()
    mailbox, _ = mailbox_of(wiring)
    entities = entities_of(settings, pipelines)
    store, lot = store_of(settings, entities), lot_of(settings)
    ask(lambda: wiring.check_front_office(store, entities))
    by_name = {entity.name: entity for entity in entities}
    with (
        remaking(wiring, pipelines) as remake,
        closing(ask(lambda: redriver_of(wiring, store, by_name, remake))) as redriver,
        closing(ask(lambda: letters_of(wiring, store, by_name, remake))) as letters,
    ):
        yield Tools(
            mailbox,
            letters,
            redriver,
            read=reading(wiring.payloads),
            in_lot=lambda key, txn: next((each for each in changes_of(lot, key) if each.txn == txn), None),
            is_done=lambda key, txn: _is_done(lot, key, txn),
            brake=_brake_of(wiring),
        )


def _brake_of(wiring: Wiring) -> LetterBrake | None:
    most = wiring.settings.consumer.park_brake
    return LetterBrake(most, wiring.checkpoints().brakes.read_all, wiring.clock) if most else None


def letters_of(wiring: Wiring, store: Store, entities: Mapping[str, Entity], remake: Remake) -> LetterDecider:
    """Give what decides dead letters. Raises as the store's `session`."""
    settings = wiring.settings
    gates, lending = asked_gates_of(wiring, store), lending_of(settings, wiring.clock)
    if isinstance(store, TransactionalStore):
        return TransactionalLetters(
            store.session(),
            entities,
            remake,
            wiring.clock,
            history=settings.store.history,
            gates=gates,
            lending=lending,
        )
    return dynamo_letters(settings, entities, remake, wiring.clock, wiring.payloads(), wiring.stop, gates, lending)


def reading(payloads: Callable[[], Payloads | None]) -> Callable[[Message], Waiting]:
    """Give what reads letters. It connects to the payloads when the first one of them lies there."""
    opened = cache(payloads)

    def get(reference: str) -> bytes:
        found = opened()
        if found is None:
            raise Poison("payload-missing", "The settings name no bucket of payloads.")
        return found.get(reference)

    return lambda message: waiting_in(message, get, LOT_LIMITS)


def _is_done(lot: Lot, key: str, txn: str) -> bool:
    """Say whether it is known of a change that it was decided for good: what was is told, where history is kept."""
    found = lot.trace(txn)
    if found is None or found.key != key:
        return False
    told = any(row.txn == txn and row.outcome not in _NOT_THE_END for row in found.history)
    return told or found.took_effect_ms is not None or (found.guard is not None and found.guard.txn == txn)
