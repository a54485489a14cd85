"""For the contract of holding: a decider behind gates that a test closes, and a drainer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from isthmus.attempts import Attempts
from isthmus.change import Change
from isthmus.checkpoint.gates import Closing, Covers, Mode, State, View
from isthmus.checkpoint.tries import Tries
from isthmus.consumer.applier import Applier
from isthmus.consumer.braking import Braking
from isthmus.consumer.draining import Drainer
from isthmus.consumer.gates import Gatekeeper, Outdated
from isthmus.consumer.lending import Lending
from isthmus.consumer.portions import UnitPortions
from isthmus.consumer.redrive import Redriver, Remake, TransactionalRedriver
from isthmus.consumer.stores.held import Held, HeldReader, Holding
from isthmus.consumer.stores.port import Decider, Delivered, Entity, QuickSession, Store, TransactionalStore
from isthmus.consumer.unheld import Portions, Unheld
from isthmus.payloads import Payloads
from tests.fakes.clock import FakeStop
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.store_world import FrontOffice, World

BOARDS, BILLING = Covers(process="boards"), Covers(process="billing")


def closing(covers: Covers, mode: Mode = Mode.HOLD) -> Closing:
    return Closing(covers, State.CLOSED, mode, "month's end", "ada", 1_000)


class FakeGates:
    """A `Gatekeeper` that a test opens and closes. What was decided by another view than the last is outdated."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self._closed: dict[Covers, Closing] = {}
        self._waits: Closing | None = None
        self._revision = 0
        self.at_confirm: list[object] = []
        """Functions that are called, one each time, before a commit is confirmed."""

    def close(self, covers: Covers) -> None:
        self._closed[covers] = closing(covers)
        self._revision += 1

    def open(self, covers: Covers) -> None:
        self._closed.pop(covers, None)
        self._revision += 1

    def stand(self, *, waits: bool) -> None:
        self._waits = closing(Covers(), Mode.WAIT) if waits else None
        self._revision += 1

    @property
    def closed(self) -> Sequence[Covers]:
        return list(self._closed)

    def view(self) -> View:
        return View(tuple(self._closed.values()), self._waits, 0.0, self._revision)

    def confirm(self, view: View) -> None:
        if self.at_confirm:
            action = self.at_confirm.pop(0)
            assert callable(action)
            action()
        if view.revision != self._revision or self._waits is not None:
            raise Outdated


class GateWorld(World):
    """A world whose things are of the process `boards`, and whose postings are of `billing`."""

    def __init__(self, office: FrontOffice, *, strict: bool = False) -> None:
        self.gates = FakeGates(strict=strict)
        self.drainers: list[Drainer] = []
        super().__init__(office)
        self.decider.close()
        processes = {"thing": "boards", "posting": "billing"}
        self.entities = [replace(entity, process=processes[entity.name]) for entity in self.entities]
        self.plain = [entity for entity in self.entities if entity.name == "thing"]
        self.decider = self.elsewhere()

    def without_handlers(self) -> "GateWorld":
        """Give the same world, but things change nothing but their own row: the quick way takes them."""
        self.decider.close()
        self.entities = [replace(entity, handlers=()) if entity.name == "thing" else entity for entity in self.entities]
        self.decider = self.elsewhere()
        return self

    def _decider(self, store: Store) -> Decider:
        if isinstance(self.office, DynamoOffice):
            return self.office.decider(
                store, self.by_name, self.clock, self.metrics, history=self.history, gates=self.gates
            )
        assert isinstance(store, TransactionalStore)
        session = store.session()
        quick = session if isinstance(session, QuickSession) else None
        return Applier(
            session,
            self.by_name,
            self.clock,
            self.metrics,
            history=self.history,
            quick=quick,
            gates=self.gates,
        )

    @property
    def by_name(self) -> Mapping[str, Entity]:
        return {entity.name: entity for entity in self.entities}

    def drainer(
        self,
        payloads: Payloads | None = None,
        *,
        portion: int = 200,
        tries: Tries | None = None,
        lending: Lending | None = None,
    ) -> Drainer:
        """Give a drainer, as another process has one."""
        store = self.office.store(self.entities)
        assert isinstance(store, Holding)
        made = Drainer(
            store,
            self.portions(store, payloads, tries=tries, lending=lending),
            self.by_name,
            self.gates,
            reader=self.held_reader(),
            clock=self.clock,
            stop=FakeStop(self.clock),
            metrics=self.metrics,
            rest=lambda _changes, _begun: None,
            portion=portion,
        )
        self.drainers.append(made)
        return made

    def portions(
        self,
        store: Store,
        payloads: Payloads | None = None,
        *,
        brake: Braking | None = None,
        tries: Tries | None = None,
        lending: Lending | None = None,
    ) -> Portions:
        """Give what decides what is held."""
        unheld = Unheld(payloads, Attempts("draining", self.metrics, self.clock))
        if isinstance(self.office, DynamoOffice):
            return self.office.portions(
                self.by_name,
                self.gates,
                unheld,
                self.clock,
                self.metrics,
                history=self.history,
                brake=brake,
                tries=tries,
                lending=lending,
            )
        assert isinstance(store, TransactionalStore)
        return UnitPortions(
            store.session,
            self.by_name,
            self.gates,
            unheld,
            clock=self.clock,
            metrics=self.metrics,
            history=self.history,
            brake=brake,
            tries=tries,
            lending=lending,
        )

    def gated_redriver(self, remake: Remake) -> Redriver:
        """Give a redriver behind the gates, as another process has one."""
        store = self.office.store(self.entities)
        if isinstance(self.office, DynamoOffice):
            return self.office.redriver(store, self.by_name, remake, self.clock, history=self.history, gates=self.gates)
        assert isinstance(store, TransactionalStore)
        return TransactionalRedriver(
            store.session(), self.by_name, remake, self.clock, history=self.history, gates=self.gates
        )

    def held_reader(self) -> HeldReader:
        reader = self.office.reader()
        assert isinstance(reader, HeldReader)
        return reader

    def deliver(self, *batch: Delivered) -> list[object]:
        self.clock.move(1)
        return [*self.decider.apply(list(batch))]

    def drain(self) -> int:
        self.clock.move(1)
        return self.drainer().sweep()

    def held(self, key: str = "k") -> list[str]:
        return [held.txn for held in self.held_reader().held_of(key)]

    def whole_held(self, key: str = "k") -> list[Held]:
        return self.held_reader().held_of(key)

    def close(self) -> None:
        for drainer in self.drainers:
            drainer.close()
        super().close()


def is_covered(change: Change, gates: Gatekeeper, by_name: Mapping[str, Entity]) -> bool:
    process = by_name[change.entity].process
    view = gates.view()
    return view.closing(process=process, source=change.source, entity=change.entity, key=change.key) is not None
