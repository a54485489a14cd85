"""A redrive of letters on a real front office in SQLite, with a queue in memory."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from isthmus.chance import seeded_chance
from isthmus.change import Change, Verb
from isthmus.codec import decode
from isthmus.console.dlq.braking import LetterBrake
from isthmus.console.dlq.opening import reading
from isthmus.console.dlq.redriving import RedrivingLetters, Tools, Wanted
from isthmus.console.dlq.told import Told
from isthmus.console.lot.pacing import Pace
from isthmus.console.lot.patience import Patience
from isthmus.console.lot.walking import changes_of
from isthmus.consumer.deadletters.letters import letter_of
from isthmus.consumer.deadletters.port import Letter
from isthmus.consumer.deadletters.redriving import TransactionalLetters
from isthmus.consumer.gates import Gatekeeper
from isthmus.consumer.lending import Lending, Patient
from isthmus.consumer.redrive import Remake, TransactionalRedriver
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.port import HasOutbox
from isthmus.errors import Poison
from isthmus.payloads import Folder
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.mailbox import MemoryMailbox
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import World

_DAY_MS = 24 * 3600 * 1000
FOREIGN = Letter("order 66", {"id": "1"})
ALL = Wanted()


def letters_of(world: World, payloads: MemoryPayloads | None = None, limit: int = 1_000_000) -> list[Letter]:
    put = None if payloads is None else lambda event: payloads.put(event, Folder.PARKED)
    """Give the letters that a sender would send now."""
    assert isinstance(world.store, HasOutbox)
    with closing(world.store.outbox()) as outbox:
        return [letter_of(copy, put, limit=limit) for copy in outbox.pending(1000, 10_000_000)]


def as_it_waits(waiting: Waiting) -> Sequence[Change]:
    """Make nothing anew: what was not translated is poison still."""
    changes = [change for change in decode(waiting.event) if isinstance(change, Change)]
    if any(change.verb is Verb.UNTRANSLATED for change in changes):
        raise Poison("no-airport", "BQN is unknown still")
    return changes


class Desk:
    """One queue, one front office, and runs of a redrive between them."""

    def __init__(self, office: SqliteOffice) -> None:
        self.world = World(office)
        self.clock = FakeClock(self.world.clock.now_ms() + 60_000)
        self.stop = FakeStop(self.clock)
        self.mailbox = MemoryMailbox(self.clock)
        self.payloads: MemoryPayloads | None = MemoryPayloads()
        self.gates: Gatekeeper | None = None
        self.brake: LetterBrake | None = None
        self.lending: Callable[[], Lending] = Patient
        self.remake: Remake = as_it_waits
        self.cut: Callable[[str], object] = lambda _statement: None

    def lose_the_lot(self) -> None:
        """Begin anew with a front office that remembers nothing; the letters are in the queue."""
        self.mailbox.put(*letters_of(self.world))
        self.world.close()
        assert isinstance(self.world.office, SqliteOffice)
        self.world = World(self.world.office.fresh())

    def run(self, wanted: Wanted = ALL, *, most: int = 10_000, rehearse: bool = False) -> Told:
        world, history = self.world, self.world.history
        by_name = {entity.name: entity for entity in world.entities}
        assert isinstance(world.office, SqliteOffice)
        store = world.office.store(world.entities)
        lot = world.office.reader()
        with (
            closing(
                TransactionalLetters(
                    store.session(),
                    by_name,
                    self.remake,
                    self.clock,
                    history=history,
                    gates=self.gates,
                    lending=self.lending(),
                )
            ) as letters,
            closing(
                TransactionalRedriver(store.session(), by_name, self.remake, self.clock, history=history)
            ) as redriver,
        ):
            shared: Any = store._shared
            shared.connection = Cutting(shared.connection, self.cut)
            tools = Tools(
                self.mailbox,
                letters,
                redriver,
                read=reading(lambda: self.payloads),
                in_lot=lambda key, txn: next((each for each in changes_of(lot, key) if each.txn == txn), None),
                is_done=lambda _key, txn: any(row["txn"] == txn for row in world.office.own("history")),
                brake=self.brake,
            )
            redriving = RedrivingLetters(
                tools,
                wanted,
                most=most,
                not_before_ms=self.clock.now_ms() - 14 * _DAY_MS,
                ask=Patience(
                    60.0, clock=self.clock, stop=self.stop, chance=seeded_chance("1"), say=lambda _words: None
                ),
                pace=Pace(None, clock=self.clock, stop=self.stop),
                clock=self.clock,
                stop=self.stop,
                rehearse=rehearse,
            )
            self.told = redriving.told
            redriving.run(lambda _told: None)
        return redriving.told


class Cutting:
    """A connection that asks before each statement, and after each commit, whether it may."""

    def __init__(self, connection: Any, may: Callable[[str], object]) -> None:
        self._connection = connection
        self._may = may

    def execute(self, statement: str, *rest: Any) -> Any:
        self._may(statement)
        found = self._connection.execute(statement, *rest)
        if statement == "COMMIT":
            self._may("COMMITTED")
        return found

    def executemany(self, statement: str, *rest: Any) -> Any:
        self._may(statement)
        return self._connection.executemany(statement, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
