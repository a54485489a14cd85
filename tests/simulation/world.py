"""One history: the model of everything around the processes, from a plan to a verdict."""

import itertools
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from isthmus.change import lane_of
from isthmus.checkpoint.memory import MemoryCheckpoints
from isthmus.codec import bundle
from isthmus.consumer.feed import Fetched
from isthmus.consumer.stores.port import Taken
from isthmus.errors import HeldByAnother, IsthmusError, OwnershipLost
from isthmus.lifecycle import Stopped
from isthmus.producer.sink import Entry, Put
from isthmus.producer.sources.port import Page
from tests.fakes.clock import FakeClock
from tests.fakes.greenlets import Killed
from tests.fakes.stream import MemoryStream
from tests.simulation import actors, oracle
from tests.simulation.adversary import FAULTS_END, Adversary
from tests.simulation.ground import empty_front_office, folder, quiet
from tests.simulation.office import ALIEN_KEY, Office, foreign_events
from tests.simulation.plan import Fault, Kind, Modification, Plan, Step
from tests.simulation.processes import Process

CATCH_UP: Final = 60.0
"""Virtual seconds within which everything must be done once the faults are over (I8)."""
_LOOK: Final = 0.5
_YEARS: Final = 1e9
_LIVES: Final = {"producer": actors.produce, "consumer": actors.consume, "operator": actors.resync}
_SUPERVISED: Final = ("producer", "consumer")


class Verdict(NamedTuple):
    """What became of a history."""

    plan: Plan
    violations: tuple[str, ...]
    trace: tuple[str, ...]
    fired: Counter[tuple[Kind, Step]]
    seconds: float
    """Virtual."""

    @property
    def fingerprint(self) -> str:
        """Give the hash of the trace: the same for the same plan, in every process."""
        return blake2b("\n".join(self.trace).encode(), digest_size=16).hexdigest()


class WatchedStream(MemoryStream):
    """The stream in memory, which tells the oracle what it takes, when it takes it."""

    def __init__(self, world: "World", clock: FakeClock, **sizes: Any) -> None:
        super().__init__(clock, retention_seconds=_YEARS, **sizes)
        self._world = world

    @property
    def all_delivered(self) -> bool:
        return not self._late

    def is_closed(self, shard: str) -> bool:
        return self._shards[shard].closed_ms is not None

    def upset(self, fault: Fault) -> None:
        """Reshard, or answer readers badly."""
        opened = self.open_shards()
        place = int(fault.amount * len(opened))
        match fault.kind:
            case Kind.SPLIT:
                self.split(opened[place])
            case Kind.MERGED:
                if len(opened) == 1:
                    opened = list(self.split(opened[0]))
                self.merge(*opened[place - 1 : place + 1] if place else opened[:2])
            case Kind.EXPIRED:
                self.expire_iterators()
            case Kind.EMPTY:
                self.answer_empty(1 + int(4 * fault.amount))
            case _:
                raise AssertionError(f"{fault.kind} would be counted and do nothing")

    def _append(self, entry: Entry) -> Put:
        put = super()._append(entry)
        self._world.oracle.accepted(entry, put)
        return put


class World:
    """What stays when a process goes."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.clock = FakeClock()
        self.chance = random.Random(f"{plan.seed}/world")
        self.office = Office(handled=plan.sizes.handled)
        self.checkpoints = MemoryCheckpoints(self.clock)
        self.adversary = Adversary(self, plan)
        self.processes: list[Process] = []
        self.front_office = folder / "front-office.db"
        self.front_office.write_bytes(empty_front_office(handled=plan.sizes.handled))
        self._read = sqlite3.connect(self.front_office, isolation_level=None)
        self.oracle = oracle.Oracle(self, self._read)
        self.stream = WatchedStream(
            self,
            self.clock,
            shards=plan.sizes.shards,
            lanes=plan.sizes.lanes,
            end_with_last_page=plan.sizes.end_with_last_page,
        )
        self._trace: list[tuple[float, str, str]] = []
        self._jump_ms = 0
        self._aliens = itertools.count(1)
        self._poisoned: set[tuple[str, int]] = set()

    def run(self) -> Verdict:
        """Let the history happen."""
        try:
            for modification in self.plan.modifications:
                self.clock.at(modification.at, partial(self._commit, modification))
            for role in _SUPERVISED:
                self.start(role)
            busy = max((modification.at for modification in self.plan.modifications), default=0.0)
            while not self.oracle.violations:
                self.clock.move(_LOOK)
                if self.clock.monotonic() <= busy:
                    continue
                behind = oracle.lag(self)
                if not behind:
                    self.oracle.finish()
                    break
                if self.clock.monotonic() > FAULTS_END + CATCH_UP:
                    self.oracle.violated(f"I8: {CATCH_UP:g} s after the last fault, {behind}")
        finally:
            for process in self.processes:
                process.end()
            self._read.close()
        return Verdict(
            self.plan,
            tuple(self.oracle.violations),
            tuple(f"{moment:8.3f} {who:11} {what}" for moment, who, what in self._trace),
            self.adversary.fired,
            self.clock.monotonic(),
        )

    def note(self, who: str, what: str) -> None:
        """Write a line of the trace."""
        self._trace.append((self.clock.monotonic(), who, what))

    def short(self, sequence: str | None) -> str:
        """Give a sequence number as a person reads it."""
        return "the beginning" if sequence is None else f"#{int(sequence) % 10**9}"

    def answer(self, result: object) -> str:
        """Give what a trace tells of an answer."""
        if isinstance(result, list) and result and isinstance(result[0], Put):
            return " -> " + " ".join(put.error[:11] or self.short(put.sequence) for put in result)
        if isinstance(result, Page):
            return " -> " + (", ".join(row.watermark for row in result.rows) or "nothing")
        if isinstance(result, Fetched):
            found = " ".join(self.short(record.sequence) for record in result.records)
            return f" -> {found or 'nothing'}{'' if result.iterator else ', the end'}"
        if isinstance(result, Taken):
            return " -> all of it" if result.done else " -> nothing"
        return ""

    def now_ms(self) -> int:
        """Give everybody's wall clock. It jumps."""
        return self.clock.now_ms() + self._jump_ms

    def forgivingly(self, action: Callable[[], None]) -> None:
        """Do what may fail, as a process does on its way out."""
        with suppress(IsthmusError):
            action()

    # processes

    def start(self, role: str) -> None:
        """Start a process. Only the hub may call it."""
        process = Process(self.clock, role, len(self.processes), self.plan.seed)
        self.processes.append(process)
        self.note(process.name, "starts")
        process(role, partial(self._live, process))

    def kill(self, process: Process) -> None:
        """SIGKILL. Only the hub may call it."""
        self.note(process.name, "is killed")
        process.end()
        self._replace(process)

    def _live(self, process: Process) -> None:
        try:
            _LIVES[process.role](self, process)
        except Stopped:
            pass
        except (OwnershipLost, HeldByAnother) as error:
            self.note(process.name, f"ends: {error.message}")
        except Killed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the product must not end so
            self.oracle.violated(f"{process.name} ended with {type(error).__name__}: {error}")
        self.clock.at(self.clock.monotonic(), partial(self._ended, process))

    def _ended(self, process: Process) -> None:
        # What it has still on its way may arrive: a process that ends does not take back what it has sent.
        self.note(process.name, "has ended")
        process.alive = False
        self._replace(process)

    def _replace(self, process: Process) -> None:
        """Do as a supervisor does."""
        if process.role in _SUPERVISED and not any(
            other.alive for other in self.processes if other.role == process.role
        ):
            again = self.clock.monotonic() + 1.5 * self.chance.random()
            self.clock.at(again, partial(self._start_missing, process.role))

    def _start_missing(self, role: str) -> None:
        if not any(process.alive for process in self.processes if process.role == role):
            self.start(role)

    # what happens besides

    def _commit(self, modification: Modification) -> None:
        _, table, row_id, fate = modification
        row = self.office.commit(table, row_id, fate)
        self.note("office", f"commits {table} {row.id} as {row.position}, {row.fate}")
        place = (table, row_id)
        if row.fate.is_poison:
            self._poisoned.add(place)
            self.adversary.count(Kind.POISONED, ("office", "commit"))
        elif place in self._poisoned:
            self._poisoned.remove(place)
            self.adversary.count(Kind.MENDED, ("office", "commit"))

    def upset(self, fault: Fault, process: Process) -> None:
        """Let happen what is no matter of one call."""
        now = self.clock.monotonic()
        match fault.kind:
            case Kind.DOUBLED:
                self.clock.at(now, partial(self.start, process.role))
            case Kind.RESYNCED:
                self.clock.at(now, partial(self.start, "operator"))
            case Kind.REPLAYED:
                self.clock.at(now, self._replay)
            case Kind.CLOCK_JUMPED:
                self._jump_ms += round((fault.amount - 0.5) * 7_200_000)
            case Kind.FOREIGN:
                lane = lane_of(ALIEN_KEY, self.plan.sizes.lanes)
                chance, handled = random.Random(fault.amount), self.plan.sizes.handled
                for event in foreign_events(chance, self._aliens, lane, handled=handled):
                    self.stream.put([Entry(lane, bundle([event]))])
            case _:
                self.stream.upset(fault)

    def _replay(self) -> None:
        for process in self.processes:
            if process.role == "consumer" and process.alive:
                self.kill(process)
        self.checkpoints._memory.shards.clear()


def run(plan: Plan) -> Verdict:
    """Let the history of a plan happen, and judge it."""
    with quiet(), folder() as place:
        return World(plan, place).run()
