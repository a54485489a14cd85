"""What changes the parking lot, with the user's own code of now."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import NamedTuple

from isthmus.console.lot.remaking import Remaking
from isthmus.console.lot.translating import SourcesOfNow
from isthmus.console.lot.walking import Ask, at_once
from isthmus.console.wiring import Wiring, entities_of, redriver_of, store_of
from isthmus.consumer.redrive import Redriver
from isthmus.consumer.stores.port import Entity
from isthmus.pipeline import Pipeline


class Tools(NamedTuple):
    """What an operator works with."""

    redriver: Redriver
    remake: Remaking
    entities: Mapping[str, Entity]


@contextmanager
def remaking(wiring: Wiring, pipelines: Mapping[str, Pipeline]) -> Iterator[Remaking]:
    """Give what makes anew what waits. Connects to back office and payloads when they are first needed."""
    with closing(SourcesOfNow(wiring, pipelines)) as rows:
        yield Remaking(rows, wiring.payloads)


@contextmanager
def opened(wiring: Wiring, *, ask: Ask = at_once) -> Iterator[Tools]:
    """Open the front office, after it was compared with the settings.

    Raises as `Wiring.check_front_office` does: where a table is missing, nothing that waits is at fault.
    """
    settings, pipelines = wiring.settings, wiring.pipelines()
    entities = entities_of(settings, pipelines)
    store = store_of(settings, entities)
    ask(lambda: wiring.check_front_office(store, entities))
    by_name = {entity.name: entity for entity in entities}
    with (
        remaking(wiring, pipelines) as remake,
        closing(ask(lambda: redriver_of(wiring, store, by_name, remake))) as redriver,
    ):
        yield Tools(redriver, remake, by_name)


@contextmanager
def opened_for_discarding(wiring: Wiring) -> Iterator[Redriver]:
    """Open the parking lot alone: what is discarded needs none of the user's code, which may be what is broken."""
    redriver = redriver_of(wiring, store_of(wiring.settings, []), {}, lambda _waiting: ())
    with closing(redriver):
        yield redriver
