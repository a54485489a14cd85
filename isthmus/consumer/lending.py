"""What a handler gets of a transaction, for as long as its change has its turn, and how long that may be.

A handler is a user's code: it may keep the transaction and use it later, or never come back. So it is lent one that
ends with its turn; and where there is a deadline handlers run in a thread of their own, which is let go after it.
"""

import contextvars
import ctypes
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from isthmus.change import Change
from isthmus.clock import Clock
from isthmus.errors import Fatal, HandlerHangs, IsthmusError, Poison
from isthmus.log import get_logger
from isthmus.pipeline import Transaction

log = get_logger(__name__)
T = TypeVar("T")

TOO_LATE: Final = "handler-too-late"
"""The reason of a change whose handler used the transaction of another one's turn."""
MOST_LET_GO: Final = 8
"""Threads that were let go and have not ended: one more hanging handler ends the process, which ends them all."""
_INTERRUPT_AGAIN: Final = 0.05
"""Seconds: a statement may begin just after an interrupt."""


@runtime_checkable
class Interruptible(Protocol):
    """A store's own transaction."""

    def interrupt(self, error: IsthmusError) -> None:
        """End the statement that runs, from another thread: it, and whatever is run after it, raises this error."""
        ...


L = TypeVar("L", bound="Lent")


class Lent:
    """A `Transaction` for one turn."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._turn = threading.Lock()
        self._over = False
        self.raised: BaseException | None = None
        """What came out of the store, and not out of the handler."""

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement; see `Transaction`. Raises `Poison` when the turn is over."""
        return self.in_turn(lambda: self._transaction.execute(statement, parameters))

    def in_turn(self, action: Callable[[], T]) -> T:
        """Run something of the store's. Raises `Poison` when the turn is over."""
        with self._turn:
            if self._over:
                raise Poison(TOO_LATE, "a handler used its transaction after its change's turn was over")
            try:
                return action()
            except BaseException as error:
                self.raised = error
                raise

    def end(self) -> None:
        """Take it back. A statement that runs in another thread comes to its end first."""
        with self._turn:
            self._over = True

    def cut(self, error: IsthmusError) -> None:
        """Take it back at once: a statement that runs raises this error."""
        # Also where none runs here: a store may have sent one whose rows the handler waits for.
        self._interrupt(error)
        while not self._turn.acquire(timeout=_INTERRUPT_AGAIN):
            self._interrupt(error)
        self._over = True
        self._turn.release()

    def _interrupt(self, error: IsthmusError) -> None:
        if isinstance(self._transaction, Interruptible):
            self._transaction.interrupt(error)


class Lending(Protocol):
    """Lends a transaction to the handlers of one change after another. For one batch, or one thread, at a time."""

    def lend(self, lent: L, change: Change) -> L:
        """Give what a handler gets; call `end` of it when the handler is back."""
        ...

    def another(self) -> "Lending":
        """Give one for another thread. What hangs counts for all of them together."""
        ...

    def run(self, work: Callable[[], None]) -> None:
        """Run what lends. Raises what it raises."""
        ...

    def close(self) -> None:
        """End whatever runs. Safe to repeat."""
        ...


class Patient:
    """`Lending` without a deadline."""

    def lend(self, lent: L, change: Change) -> L:  # noqa: ARG002 - whose it is matters to no one
        """Give what a handler gets."""
        return lent

    def another(self) -> "Patient":
        """Give itself: it has no state."""
        return self

    def run(self, work: Callable[[], None]) -> None:
        """Run it here."""
        work()

    def close(self) -> None:
        """Nothing runs."""


class LetGo(BaseException):
    """Ends a thread that was let go, as soon as Python runs in it again."""


class Deadline:
    """`Lending` with a deadline in seconds for each change. Raises `HandlerHangs` when one takes longer."""

    def __init__(
        self, seconds: float, clock: Clock, *, attempts: int | None = None, let_go: "_LetGoThreads | None" = None
    ) -> None:
        """Let one change take longer so many times until it is poison; None: for ever."""
        self._seconds = seconds
        self._attempts = attempts
        self._clock = clock
        self._worker: _Worker | None = None
        self._let_go = let_go or _LetGoThreads()

    def another(self) -> "Deadline":
        """Give one for another thread, with the same deadline."""
        return Deadline(self._seconds, self._clock, attempts=self._attempts, let_go=self._let_go)

    def lend(self, lent: L, change: Change) -> L:
        """Give what a handler gets."""
        if self._worker is not None:
            self._worker.take_turn(lent, change, self._clock.monotonic())
        return lent

    def run(self, work: Callable[[], None]) -> None:
        """Run it in a thread of its own, and watch it."""
        worker = self._worker = self._worker or _Worker()
        worker.start(work)
        try:
            self._watch(worker)
        except BaseException as error:
            # Also where it was interrupted itself: the transaction ends now, and nobody else may be at it.
            self._let_go_of(worker, error if isinstance(error, IsthmusError) else Fatal("It was interrupted."))
            raise
        raised = worker.result()
        if raised is not None:
            raise raised

    def close(self) -> None:
        """End the thread. One that was let go ends by itself, or with the process."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _watch(self, worker: "_Worker") -> None:
        wait = self._seconds
        while not worker.done.wait(wait):
            turn = worker.turn
            wait = self._seconds
            if turn is not None:
                wait = turn.begun + self._seconds - self._clock.monotonic()
                if wait <= 0 and worker.stop(turn):
                    self._hang(turn)

    def _hang(self, turn: "_Turn") -> None:
        change = turn.change
        log.warning("handler_hangs", entity=change.entity, txn=change.id, seconds=self._seconds)
        alive = self._let_go.alive()
        if alive >= MOST_LET_GO:
            raise Fatal(
                f"{alive + 1} handlers hang in this process, and do not end.",
                hint="Give what they wait for a time limit of its own, or set handler_attempts under [consumer].",
            )
        raise HandlerHangs(f"A handler took longer than {self._seconds:g} s for one change.", self._attempts)

    def _let_go_of(self, worker: "_Worker", error: IsthmusError) -> None:
        worker.stop(worker.turn)
        if worker.turn is not None:
            worker.turn.lent.cut(error)
        # Only now: nothing of a store's may be broken off in the middle by this.
        worker.let_go()
        self._worker = None
        self._let_go.add(worker)


class _LetGoThreads:
    """The threads that were let go, and may run still."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[_Worker] = []

    def alive(self) -> int:
        with self._lock:
            return sum(each.is_alive for each in self._threads)

    def add(self, worker: "_Worker") -> None:
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive]
            self._threads.append(worker)


class _Turn:
    """One change whose handlers run."""

    __slots__ = ("begun", "change", "lent")

    def __init__(self, lent: Lent, change: Change, begun: float) -> None:
        self.lent = lent
        self.change = change
        self.begun = begun


class _Worker:
    """A thread that runs one piece of work after another, until it is closed or let go."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.turn: _Turn | None = None
        self._turns = threading.Lock()
        self._error: BaseException | None = None
        self._is_let_go = False
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="handlers", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def take_turn(self, lent: Lent, change: Change, now: float) -> None:
        """Say whose turn it is. All handlers of one change share it. Raises `LetGo` when there are no more turns."""
        with self._turns:
            if self._is_let_go:
                raise LetGo
            shared = self.turn is not None and self.turn.change is change
            self.turn = _Turn(lent, change, self.turn.begun if shared and self.turn is not None else now)

    def stop(self, turn: _Turn | None) -> bool:
        """Let nobody have a turn after this one, if it is this one's still; say whether it is."""
        with self._turns:
            if self.turn is not turn:
                return False
            self._is_let_go = True
            return True

    def start(self, work: Callable[[], None]) -> None:
        self.done.clear()
        self.turn, self._error = None, None
        context = contextvars.copy_context()
        self._work.put(lambda: context.run(work))

    def result(self) -> BaseException | None:
        error, self._error = self._error, None
        return error

    def close(self) -> None:
        self._work.put(None)

    def let_go(self) -> None:
        """Let it run nothing more: it ends when Python runs in it again, and what C code waits for it waits for."""
        self._work.put(None)
        if self._thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident), ctypes.py_object(LetGo))

    def _run(self) -> None:
        try:
            while (work := self._work.get()) is not None and not self._is_let_go:
                try:
                    work()
                except BaseException as error:  # noqa: BLE001 - it is raised again by whoever waits
                    self._error = error
                self.done.set()
        except LetGo:
            return
