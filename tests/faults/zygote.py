"""`python -m tests.faults.zygote`: starts lives of `isthmus` quickly, forked with all modules loaded.

On stdin, one JSON object a line: `{"arguments": [...], "log": path, "at": place, "signal": name}`; on stdout
`{"started": pid}`, and `{"ended": pid, "code": n}` once it has ended (negative: the signal). Where `at` is given, as
`sink.put:after:2`, the process gives itself that signal before or after that call of that port, counted from 1. When
stdin ends, every life is ended.
"""

import ctypes
import functools
import itertools
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final

from isthmus.checkpoint.dynamodb import DynamoLeases, DynamoShardCheckpoints
from isthmus.console.main import cli, invoke
from isthmus.consumer.deadletters.sqs import SqsQueue
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.consumer.stores.sqlite.outbox import SqliteOutbox
from isthmus.consumer.stores.sqlite.store import SqliteSession, SqliteStore
from isthmus.consumer.stores.sqlite.unit import SqliteUnit
from isthmus.producer.kinesis import KinesisSink
from isthmus.producer.sources.sql import SqlSource
from tests.faults import restarts

PORTS: Final[dict[str, tuple[type, str]]] = {
    "leases.read": (DynamoLeases, "read"),
    "leases.take": (DynamoLeases, "take"),
    "leases.beat": (DynamoLeases, "beat"),
    "leases.advance": (DynamoLeases, "advance"),
    "leases.give_back": (DynamoLeases, "give_back"),
    "source.read": (SqlSource, "read"),
    "sink.put": (KinesisSink, "put"),
    "shards.read_all": (DynamoShardCheckpoints, "read_all"),
    "shards.save": (DynamoShardCheckpoints, "save"),
    "feed.shards": (KinesisFeed, "shards"),
    "feed.iterator": (KinesisFeed, "iterator"),
    "feed.fetch": (KinesisFeed, "fetch"),
    "store.open": (SqliteStore, "session"),
    "store.begin": (SqliteSession, "unit"),
    "store.load": (SqliteUnit, "load"),
    "store.previous": (SqliteUnit, "previous"),
    "store.write": (SqliteUnit, "write"),
    "store.save": (SqliteUnit, "save"),
    "store.commit": (SqliteUnit, "commit"),
    "queue.send": (SqsQueue, "send"),
    "outbox.sent": (SqliteOutbox, "sent"),
}
"""Every call of a port that goes out of the process, where it is made."""

_PR_SET_PDEATHSIG: Final = 1
"""prctl(2)."""
_TICK: Final = 0.01


def main() -> None:
    """Start what is asked for until nobody asks any more."""
    # What a life would load is loaded once. Nothing here starts a thread: a fork would lose it.
    import boto3  # noqa: F401, PLC0415

    cli.load_all()
    living: set[int] = set()
    buffer = b""
    while True:
        readable, _, _ = select.select([0], [], [], _TICK)
        if readable:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, buffer = (buffer + read).split(b"\n")
            for line in lines:
                living.add(_start(json.loads(line)))
        for pid in list(living):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                living.remove(pid)
                _tell(ended=pid, code=os.waitstatus_to_exitcode(status))
    for pid in living:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _tell(**facts: int) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


def _start(life: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        _tell(started=pid)
        return pid
    code = 1
    try:
        code = _live(life)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _live(life: dict[str, Any]) -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    log = os.open(life["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, new in ((0, nothing), (1, log), (2, log)):
        os.dup2(new, place)
    os.closerange(3, max(log, nothing) + 1)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    if life["at"]:
        _arm(life["at"], signal.Signals[life["signal"]])
    if life["arguments"][0] == "restarts":
        return restarts.main(life["arguments"][1:])
    return invoke(life["arguments"])


def _arm(at: str, number: signal.Signals) -> None:
    """Plant the signal."""
    call, moment, nth = at.split(":")
    place, method = PORTS[call]
    setattr(place, method, _striking(getattr(place, method), number, int(nth), after=moment == "after"))


def _striking(original: Callable[..., Any], number: signal.Signals, nth: int, *, after: bool) -> Callable[..., Any]:
    calls = itertools.count(1)

    def strike() -> None:
        # To this very thread: sent to the process, it may reach another one first, and this one goes past its place.
        signal.pthread_kill(threading.get_ident(), number)

    @functools.wraps(original)
    def called(*arguments: Any, **named: Any) -> Any:
        due = next(calls) == nth
        if due and not after:
            strike()
        answer = original(*arguments, **named)
        if due and after:
            if isinstance(answer, AbstractContextManager):
                # Nothing has begun before somebody enters it.
                return _striking_inside(answer, strike)
            strike()
        return answer

    return called


@contextmanager
def _striking_inside(made: AbstractContextManager[Any], strike: Callable[[], None]) -> Iterator[Any]:
    with made as begun:
        strike()
        yield begun


if __name__ == "__main__":
    main()
