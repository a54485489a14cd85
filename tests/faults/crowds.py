"""Many workers on few entities: overlapping batches in random turns, with restarts and kills, in every store."""

import itertools
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Final

from isthmus.change import Change
from isthmus.clock import SystemClock
from isthmus.consumer.feed import Record
from isthmus.consumer.processor import ShardProcessor
from isthmus.consumer.stores.port import Decider, Delivered
from isthmus.lifecycle import ThreadStop
from isthmus.pipeline import Transaction
from tests.fakes.greenlets import Killed
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.store_world import FrontOffice
from tests.faults.cases import random_changes
from tests.faults.front import records_of
from tests.faults.offices import AnyFront, dynamodb_office, judged, postgres_server, sqlite_office
from tests.faults.row import Context, Result
from tests.simulation.ground import quiet

WORKERS: Final = 4
ROUNDS: Final = 8
_CHANGES: Final = 30
_STORES: Final = ("SQLite", "PostgreSQL", "DynamoDB", "PostgreSQL, processes")
_TOGETHER: Final = "{}: two at one key at once"
_ANEW, _KILLED = "{}: a worker began anew", "{}: a worker was killed"


def stream(seed: int) -> tuple[list[Change], list[Record]]:
    """Give what comes to a seed's crowd: changes of few entities of both kinds, one in a record."""
    chance = random.Random(seed)
    changes = random_changes(chance, _CHANGES)
    return changes, records_of([[change] for change in changes])


class _InHand:
    """The batches that are being decided now, and how often one met another of the same key."""

    def __init__(self) -> None:
        self.met = 0
        self._lock = threading.Lock()
        self._keys: dict[int, set[str]] = {}

    def begins(self, batch: Sequence[Delivered]) -> None:
        keys = {delivered.change.key for delivered in batch}
        with self._lock:
            self.met += any(keys & others for others in self._keys.values())
            self._keys[threading.get_ident()] = keys

    def over(self) -> None:
        with self._lock:
            self._keys.pop(threading.get_ident(), None)


class _Thread:
    """A worker with a decider of its own, as another process has one."""

    def __init__(self, front: AnyFront, in_hand: _InHand, records: Sequence[Record]) -> None:
        self.position = 0
        self._front = front
        self._in_hand = in_hand
        self._records = records
        self._decider: Decider = front.world.elsewhere()
        self._processor: ShardProcessor | None = None

    def run(self, begin: int, end: int, strike: int) -> bool:
        """Decide these records; say whether it came to the end."""
        decider = self._decider
        if strike:
            self._front.office.break_at(decider, strike, Killed())
        if self._processor is None:
            self._processor = self._front.processor_on(decider, self._in_hand.begins)
        try:
            self._processor.process(self._records[begin:end])
        except Killed:
            return False
        finally:
            self._in_hand.over()
        return True

    def anew(self) -> None:
        """Be another process."""
        self._decider.close()
        self._decider = self._front.world.elsewhere()
        self._processor = None

    def close(self) -> None:
        self._decider.close()


class _Process:
    """A worker that is a process."""

    def __init__(self, url: str, seed: int) -> None:
        self.position = 0
        self.met = 0
        self._work = url, seed
        self._start()

    def run(self, begin: int, end: int, strike: int) -> bool:
        """Let it decide these records; say whether it came to the end."""
        self._pipe.send((begin, end, strike % 3 + 1 if strike else 0))
        try:
            self.met += self._pipe.recv()
        except EOFError:
            self._process.join(30)
            assert self._process.exitcode == -signal.SIGKILL, f"a worker ended with {self._process.exitcode}"
            return False
        return True

    def anew(self) -> None:
        """Kill it, if it lives, and start another one."""
        self.close()
        self._start()

    def close(self) -> None:
        self._process.kill()
        self._process.join(30)
        self._process.close()
        self._pipe.close()

    def _start(self) -> None:
        # Forked from a process that has loaded everything, and has no thread.
        nursery = multiprocessing.get_context("forkserver")
        nursery.set_forkserver_preload([__name__])
        self._pipe, theirs = nursery.Pipe()
        self._process = nursery.Process(target=_be_a_worker, args=(*self._work, theirs), daemon=True)
        self._process.start()
        theirs.close()


def many_on_one(context: Context) -> Result:
    """F43: four workers decide what one stream holds, all of them all of it, and the end is what the model says."""
    stores = _STORES[: max(1, context.goal)]
    result = Result.expecting(
        [fault.format(store) for store in stores for fault in (_TOGETHER, *((_ANEW, _KILLED) if context.full else ()))]
    )
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server())
        postgres = PostgresOffice(server)
        stack.callback(postgres.close)
        offices: dict[str, FrontOffice] = {
            "SQLite": stack.enter_context(sqlite_office()),
            "PostgreSQL": postgres,
            "DynamoDB": stack.enter_context(dynamodb_office()),
            "PostgreSQL, processes": postgres,
        }
        for number in range(context.goal):
            store, seed = _STORES[number % len(_STORES)], context.first + number
            _run(offices[store].fresh(), store, seed, result, ROUNDS if context.full else 3)
            result.counts["runs"] += 1
            context.tell(number + 1, context.goal)
    return result


def _run(office: FrontOffice, store: str, seed: int, result: Result, rounds: int) -> None:
    chance, (changes, records) = random.Random(f"turns of {seed}"), stream(seed)
    front = AnyFront(office, clock=SystemClock(), stop=ThreadStop(), batch_changes=chance.randint(2, 8))
    front.end()
    in_hand = _InHand()
    workers: list[_Thread] | list[_Process]
    if store.endswith("processes"):
        assert isinstance(office, PostgresOffice)
        workers = [_Process(office.url, seed) for _ in range(WORKERS)]
    else:
        workers = [_Thread(front, in_hand, records) for _ in range(WORKERS)]
    try:
        for turn in itertools.count(1):
            _turn(workers, len(records), chance, store, result, last=turn >= rounds)
            if turn >= rounds and all(worker.position == len(records) for worker in workers):
                break
    finally:
        for worker in workers:
            worker.close()
    met = in_hand.met + sum(worker.met for worker in workers if isinstance(worker, _Process))
    result.struck(_TOGETHER.format(store), met)
    for sentence in judged(front, changes):
        result.violated(f"{store}, seed {seed}: {sentence}")


def _turn(
    workers: Sequence["_Thread | _Process"],
    most: int,
    chance: random.Random,
    store: str,
    result: Result,
    *,
    last: bool,
) -> None:
    """Let all workers decide something at once: what comes next, perhaps with some of what they have decided."""
    asked: list[tuple[int, int, int]] = []
    for worker in workers:
        begin = max(0, worker.position - chance.choice([0, 0, 2, 10]))
        strike = chance.randint(1, 20) if not last and chance.random() < 0.15 else 0
        asked.append((begin, most if last else min(most, worker.position + chance.randint(1, 8)), strike))
    with ThreadPoolExecutor(len(workers)) as threads:
        ready = threading.Barrier(len(workers))
        running = [threads.submit(_together, ready, worker, *what) for worker, what in zip(workers, asked, strict=True)]
    for worker, (_, end, _), future in zip(workers, asked, running, strict=True):
        if not future.result():
            result.struck(_KILLED.format(store))
            worker.anew()
            continue
        worker.position = max(worker.position, end)
        if not last and chance.random() < 0.2:
            worker.anew()
            result.struck(_ANEW.format(store))


def _together(ready: threading.Barrier, worker: "_Thread | _Process", begin: int, end: int, strike: int) -> bool:
    ready.wait(60)
    return worker.run(begin, end, strike)


class _Mortal(PostgresOffice):
    """The parent's database, and a handler that may be the last thing this process does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.dies_at = 0
        self.met = 0
        super().__init__(self, tables="SELECT 1")  # type: ignore[arg-type]  # of a server it asks for a database only

    def database(self) -> str:
        return self.url

    def effect(self, tx: Transaction, txn: str) -> object:
        done = super().effect(tx, txn)
        # Nobody but a worker that wants the same lane waits for one.
        ((waiting,),) = tx.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        self.met += waiting > 0
        self.dies_at -= 1
        if self.dies_at == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done


def _be_a_worker(url: str, seed: int, pipe: Connection) -> None:
    """Decide what the pipe asks for, and say how often another one waited for what was in hand here."""
    _, records = stream(seed)
    office = _Mortal(url)
    front = AnyFront(office, clock=SystemClock(), stop=ThreadStop(), batch_changes=4)
    with quiet():
        while True:
            begin, end, office.dies_at = pipe.recv()
            office.met = 0
            front.process(records[begin:end])
            pipe.send(office.met)
