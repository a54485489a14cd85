"""Rows of the matrix with real processes."""

import itertools
import json
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from math import ceil
from typing import Final

from isthmus.console.proxy.faults import Fault
from tests.fakes.shop import until
from tests.faults.real import Life, Works, works
from tests.faults.row import Context, Result
from tests.faults.zygote import PORTS

PRODUCER_CALLS: Final = ("leases.read", "leases.take", "leases.beat", "source.read", "sink.put", "leases.advance")
CONSUMER_CALLS: Final = (
    *("leases.read", "leases.take", "leases.beat", "shards.read_all", "feed.shards", "feed.iterator", "feed.fetch"),
    *("store.open", "store.begin", "store.load", "store.previous", "store.write", "store.save", "store.commit"),
    "shards.save",
)
"""Those that the customers' consumer makes: its handler keeps it from the quick way, and nothing is read again here."""
_LATER: Final = {"sink.put": 2, "source.read": 2, "feed.fetch": 2}
"""Calls that are struck at a later time too: the first put holds the markers only."""
_TERMINATED: Final = 143
_HELD: Final = 4
_OWNS: Final = {"produce": "source_owned", "consume": "shard_started"}
"""What a process says when it has taken over."""
_ROUNDS: Final = 12
"""After so many lives everything must be in step once."""


def points(calls: Sequence[str]) -> list[str]:
    """Give every place of a role: before and after each of its calls."""
    found = [f"{call}:{moment}:1" for call in calls for moment in ("before", "after")]
    return found + [
        f"{call}:{moment}:{_LATER[call]}" for call in calls if call in _LATER for moment in ("before", "after")
    ]


def struck_at(role: str, calls: Sequence[str], strike: str) -> Callable[[Context], Result]:
    """Give a row's function: a process of this role gives itself a signal at every point, again and again."""
    return partial(_struck_at, role, tuple(calls), strike)


def _struck_at(role: str, calls: Sequence[str], strike: str, context: Context) -> Result:
    every = points(calls)
    result = Result.expecting(every if context.goal >= len(every) else ["struck"])
    code = _TERMINATED if strike == "SIGTERM" else -signal.Signals[strike]
    with works() as shop:
        command = "produce" if role == "producer" else "consume"
        other = shop.live("consume" if role == "producer" else "produce")
        for number in range(context.goal):
            at = every[number % len(every)]
            shop.sell(number)
            life = shop.live(command, at=at, strike=strike)
            ended = life.ends(at)
            if ended == code:
                result.struck(at if context.goal >= len(every) else "struck")
            else:
                result.violated(f"at {at} it ended with {ended}\n{life.text()}")
            result.counts["lives"] += 1
            context.tell(number + 1, context.goal)
            if number % _ROUNDS == _ROUNDS - 1 or number == context.goal - 1:
                _settle(shop, command, other, result)
        result.counts["modifications"] = 6 * context.goal
    return result


def _settle(shop: Works, command: str, other: Life, result: Result) -> None:
    """Let a life go on until everything is in step, and end it."""
    life = shop.live(command)
    shop.judge(result)
    life.terminate()
    if life.ends(command) != _TERMINATED:
        result.violated(f"the {command} that was asked to end ended with {life.code}")
    if other.code is not None:
        result.violated(f"the other half ended with {other.code}\n{other.text()}")


def stopped(role: str, calls: Sequence[str]) -> Callable[[Context], Result]:
    """Give a row's function: a process stands still (SIGSTOP) at a point; another takes over; it goes on (SIGCONT)."""
    return partial(_stopped, role, tuple(calls))


def _stopped(role: str, calls: Sequence[str], context: Context) -> Result:
    every = [at for at in points(calls) if not at.startswith(("leases.read", "leases.take"))]
    result = Result.expecting(["stopped past its take-over, then continued"])
    command = "produce" if role == "producer" else "consume"
    with works() as shop:
        shop.live("consume" if role == "producer" else "produce")
        for number in range(context.goal):
            at = every[number % len(every)]
            shop.sell(3 * number)
            old = shop.live(command, at=at, strike="SIGSTOP")
            old.stands(at)
            inside = _is_locked(shop)
            shop.sell(3 * number + 1)
            new = _following(shop, command)
            if inside:
                # Nobody can write beside a transaction that stands still, and nobody may break it. The new one waits.
                _says(new, "front_office_away")
                result.counts["stops inside a transaction"] += 1
            else:
                shop.judge(result)
            old.signal(signal.SIGCONT)
            shop.sell(3 * number + 2)
            shop.judge(result)
            _told(old)
            result.struck("stopped past its take-over, then continued")
            for life in (old, new):
                life.terminate()
            for life in (old, new):
                life.ends(command)
            result.counts["stops"] += 1
            context.tell(number + 1, context.goal)
        ((fenced,),) = shop.shop.read("SELECT count(*) FROM isthmus_history WHERE outcome = 'fenced'")
        if role == "producer":
            result.counts["fenced"] = fenced
            # An old owner's put must really have come after the new one's marker, once in a while.
            if context.goal >= len(every):
                result.struck("what the old owner still sent was fenced", fenced)
    return result


def _following(shop: Works, command: str) -> Life:
    """Start lives, as an init system would, until one has taken over.

    A beat that was on its way when the old one was stopped may arrive afterwards, and then the old one seems to live.
    """
    while True:
        life = shop.live(command)
        _says(life, _OWNS[command], or_ends=_HELD)
        if life.code is None:
            return life


def _says(life: Life, event: str, *, or_ends: int | None = None) -> None:
    until(lambda: life.code is not None or f'"{event}"' in life.text(), event)
    if life.code is not None and life.code != or_ends:
        raise AssertionError(f"it ended with {life.code} before it said {event}\n{life.text()}")


def _is_locked(shop: Works) -> bool:
    """Say whether one that stands still holds the front office: at the place of the strike, or in a thread beside."""
    with closing(sqlite3.connect(shop.shop.front, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
    return False


def _told(life: Life) -> None:
    """Wait until it knows that it was followed."""
    until(lambda: life.code is not None or "_lost" in life.text(), f"it notices that it was followed\n{life.text()}")


def between(faults: Sequence[Fault]) -> Callable[[Context], Result]:
    """Give a row's function: these faults strike the requests of both halves, as often as the goal says in all."""
    return partial(_between, tuple(faults))


def _between(faults: Sequence[Fault], context: Context) -> Result:
    times = ceil(context.goal / len(faults))
    result = Result.expecting(fault.value for fault in faults)
    with works(faults, times) as shop:
        assert shop.between is not None
        halves = [shop.live("produce"), shop.live("consume")]
        wanted = times * len(faults)
        fired = shop.between.fired
        for number in itertools.count():
            before = fired.total()
            if before >= wanted:
                break
            shop.sell(number)
            _moved(shop, before, halves)
            for half in halves:
                if half.code is not None:
                    result.violated(f"it ended with {half.code}\n{half.text()}")
                    return result
            context.tell(fired.total(), wanted)
            result.counts["rounds"] += 1
        shop.judge(result)
        for fault in faults:
            result.struck(fault.value, fired[fault.value])
        result.counts["faults"] = fired.total()
    return result


def _moved(shop: Works, fired: int, halves: Sequence[Life]) -> None:
    """Wait for another fault, or until everything is in step (then more must be modified), or one half has ended."""
    now = shop.between.fired if shop.between else Counter[str]()
    until(
        lambda: now.total() > fired or shop.shop.in_step() or any(half.code is not None for half in halves),
        "a fault, or everything in step\n" + "\n".join(half.text() for half in halves),
    )


def replayed(context: Context) -> Result:
    """F30: every checkpoint is forgotten, three times, and the whole stream is read again: the same state."""
    result = Result.expecting(["replays from the beginning"])
    with works() as shop:
        producer = shop.live("produce")
        consumer = shop.live("consume")
        for number in range(context.goal):
            shop.sell(number, customers=200 if context.full else 20)
            context.tell(number, context.goal)
            until(shop.shop.in_step, "everything is in step")
            result.counts["rounds"] += 1
        shop.judge(result)
        before = _state(shop)
        for _ in range(3):
            consumer.terminate()
            consumer.ends("the consumer")
            forgotten = _forget_checkpoints(shop)
            consumer = shop.live("consume")
            _reads_up_to(shop, forgotten)
            result.struck("replays from the beginning")
            shop.judge(result)
            if _state(shop) != before:
                result.violated("I2, I3: a replay has changed the front office")
        if producer.code is not None:
            result.violated(f"the producer ended with {producer.code}")
    return result


def _reads_up_to(shop: Works, checkpoints: dict[str, str]) -> None:
    until(lambda: _checkpoints(shop) == checkpoints, "everything was read again")


def _state(shop: Works) -> list[object]:
    tables = ("customer", "welcome", "isthmus_guard", "isthmus_parked")
    columns = {"isthmus_parked": "key, txn, version, reason, event", "isthmus_guard": "key, version, txn, deleted"}
    return [sorted(shop.shop.read(f"SELECT {columns.get(table, '*')} FROM {table}")) for table in tables]  # noqa: S608 - the list above


def _checkpoints(shop: Works) -> dict[str, str]:
    items = shop.emulator.client("dynamodb").scan(TableName=_table(shop), ConsistentRead=True)["Items"]
    return {item["id"]["S"]: item["sequence"]["S"] for item in items if "sequence" in item}


def _forget_checkpoints(shop: Works) -> dict[str, str]:
    """Delete every shard's checkpoint; give what they were."""
    found = _checkpoints(shop)
    client = shop.emulator.client("dynamodb")
    for item in client.scan(TableName=_table(shop), ConsistentRead=True)["Items"]:
        if "sequence" in item:
            client.delete_item(TableName=_table(shop), Key={name: item[name] for name in ("kind", "id")})
    return found


def _table(shop: Works) -> str:
    (name,) = [name for name in shop.emulator.client("dynamodb").list_tables()["TableNames"] if shop.shop.name in name]
    return str(name)


def descriptors(context: Context) -> Result:
    """F62: so many starts and stops of both halves inside one process: open descriptors grow by at most two."""
    result = Result.expecting(["restarts"])
    with works() as shop:
        shop.shop.set("poll_interval = 0.1\nquery_timeout", "poll_interval = 0.05\nquery_timeout")
        life = shop.zygote.start(["restarts", str(shop.shop.config), str(context.goal)], shop.place / "restarts.log")
        told: list[dict[str, int]] = []

        def ended() -> bool:
            lines = [line for line in life.text().splitlines() if line.startswith('{"lives"') and line.endswith("}")]
            told[:] = [json.loads(line) for line in lines]
            if told:
                context.tell(told[-1]["lives"], context.goal)
            return life.code is not None

        until(ended, "the restarts end", seconds=60 + 5.0 * context.goal)
        if life.code != 0 or not told or "before" not in told[-1]:
            result.violated(f"it ended with {life.code}\n{life.text()}")
            return result
        last = told[-1]
        result.struck("restarts", last["lives"])
        result.counts.update({"restarts": last["lives"], "descriptors before": last["before"]})
        result.counts["descriptors after"] = last["descriptors"]
        if last["descriptors"] > last["before"] + 2:
            result.violated(f"descriptors grew from {last['before']} to {last['descriptors']}")
    return result


assert set(PRODUCER_CALLS) | set(CONSUMER_CALLS) <= set(PORTS)
