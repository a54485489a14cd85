"""The row about a front office that is away for long: on virtual time, and with real processes."""

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from isthmus.attempts import Attempts
from isthmus.consumer.target import FRONT_OFFICE, Target
from isthmus.lifecycle import ThreadStop
from isthmus.settings import load
from tests.fakes.shop import until
from tests.fakes.store_world import event, upsert
from tests.faults.front import METRICS, Front, front, model_of, records_of
from tests.faults.real import Life, Works, works
from tests.faults.row import Context, Result

HALF_AN_HOUR: Final = 1_800.0
_OUTAGES: Final = 10
_PROBE_SECONDS: Final = 10.0
"""The longest time between two probes; half of it is the shortest, once it is away for long (`breaker.PROBES`)."""
_AWAY: Final = "the store away for half an hour"
_MIDWAY: Final = "it goes away inside of a transaction"


class _Line:
    """A connection to a store that goes away at one statement, and is back after half an hour."""

    def __init__(self, connection: Any, office: Front, clock: Any, at: int) -> None:
        self._connection, self._office, self._clock = connection, office, clock
        self._left = at
        self.since: float | None = None
        self.midway = False
        self.refused = 0
        self.breaker: list[float] = []

    def execute(self, statement: str, *rest: Any) -> Any:
        self._ask(statement)
        return self._connection.execute(statement, *rest)

    def executemany(self, statement: str, *rest: Any) -> Any:
        self._ask(statement)
        return self._connection.executemany(statement, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def _ask(self, statement: str) -> None:
        if statement == "ROLLBACK":
            # What was begun is undone, whoever is there to be told.
            return
        self._left -= 1
        now = self._clock.monotonic()
        if self._left < 0 and self.since is None:
            self.since, self.midway = now, self._connection.in_transaction
        if self.since is not None and now < self.since + HALF_AN_HOUR:
            self.refused += 1
            if now > self.since:
                self.breaker.append(METRICS.breaker_open.labels(FRONT_OFFICE)._value.get())
            raise self._office.office.outage()


def half_an_hour(context: Context) -> Result:
    """F51: the store goes away at any statement, for half an hour of virtual time: no dead letter, and no hammering."""
    result = Result.expecting([_AWAY, _MIDWAY])
    chance = random.Random(context.first)
    each = max(1, context.goal // _OUTAGES)
    with front(batch_changes=200) as office:
        for number in range(_OUTAGES):
            office.handled = number % 2 == 0
            office.reset()
            for sentence in _outage(office, chance, each, result):
                result.violated(f"outage {number}: {sentence}")
            result.counts["records"] += each
            context.tell(result.counts["records"], context.goal)
    return result


def _outage(office: Front, chance: random.Random, records: int, result: Result) -> Iterator[str]:
    changes = [
        (event if number % 4 == 0 else upsert)(number, f"{'e' if number % 4 == 0 else 'k'}{chance.randrange(500)}")
        for number in range(1, records + 1)
    ]
    clock, processor = office.processor._clock, office.processor
    attempts = Attempts("front_office", METRICS, clock)
    processor._target = Target(attempts, METRICS, clock=clock, chance=random.Random(1))
    assert office.session is not None
    statements = max(20, records // 10)
    line = _Line(office.session._shared.connection, office, clock, chance.randrange(statements))
    office.session._shared.connection = line  # type: ignore[assignment]
    processor.process(records_of([[change] for change in changes]))
    if line.since is None:
        yield "it was never away"
        return
    result.struck(_AWAY)
    result.struck(_MIDWAY, int(line.midway))
    least, most = HALF_AN_HOUR / _PROBE_SECONDS, 2 * HALF_AN_HOUR / _PROBE_SECONDS + 20
    if not least <= line.refused <= most:
        yield f"it was asked {line.refused} times in half an hour, and must be {least:g} to {most:g} times"
    if not all(line.breaker) or METRICS.breaker_open.labels(FRONT_OFFICE)._value.get():
        yield "the breaker's metric is not 1 while it is away, and 0 afterwards"
    if (late := clock.monotonic() - line.since - HALF_AN_HOUR) > 2 * _PROBE_SECONDS:
        yield f"I8: it went on {late:.0f} s after the store was back"
    yield from (f"I9: {row['txn']} is parked" for row in office.office.own("parked")[:3])
    yield from (f"I9: a dead letter for {row['txn']}" for row in office.office.own("outbox")[:3])
    yield from office.wrong(model_of(changes))


_HOUR: Final = 3_600.0
_MINUTE: Final = 60.0
_MOST_GROWTH_MIB: Final = 64
"""What a page of every shard, read and not decided, may take: memory is flat after that."""
_FIRST: Final = 100_000
"""The number of the first customer who comes meanwhile."""
_HOUR_OF_CHANGES: Final = 1_000_000
_CLEAN: Final = 20_000
_FULL_RATE: Final = 0.7
"""Of the rate without an outage: one measurement beside another one, on a machine that does other things too."""
_FILE_AWAY: Final = "the front office's folder moved away"


def an_hour(context: Context) -> Result:
    """F51: with real processes, an hour (in short: a minute) while the back office goes on."""
    result = Result.expecting([_FILE_AWAY])
    seconds = _HOUR if context.full else _MINUTE
    with works() as shop:
        shop.live("produce")
        clean = _clean(shop) if context.full else 0.0
        consumer = shop.live("consume")
        shop.judge(result)
        folder, hidden = shop.shop.front.parent, shop.shop.front.parent.with_name("away")
        folder.rename(hidden)
        most = _feed(shop, context, seconds, consumer)
        is_noticed = "front_office_away" in _log(consumer)
        hidden.rename(folder)
        result.struck(_FILE_AWAY, int(is_noticed))
        rate = _caught_up(shop, context.goal, _FIRST)
        shop.judge(result)
        result.counts["changes"] += context.goal
        result.counts["seconds away"] = round(seconds)
        result.counts["memory grew by, MiB"] = most
        result.counts["caught up, changes/s"] = round(rate)
        for sentence in _after(shop, consumer, most):
            result.violated(sentence)
        if context.full and rate < _FULL_RATE * clean:
            result.violated(f"it caught up at {rate:.0f} changes/s, and does {clean:.0f} without an outage")
    return result


def _after(shop: Works, consumer: Life, grown: int) -> Iterator[str]:
    if consumer.code is not None:
        yield f"it ended with {consumer.code}\n{consumer.text()}"
    if grown > _MOST_GROWTH_MIB:
        yield f"I10: its memory grew by {grown} MiB while the front office was away"
    # One customer of the example's own cannot be translated; nobody else may be parked.
    for table in ("parked", "outbox"):
        found = shop.shop.read(f"SELECT key FROM isthmus_{table} WHERE key <> 'customer/4'")  # noqa: S608 - two tables
        if found:
            yield f"I9: {len(found)} dead letters came of an outage, {found[0][0]} among them"
    queue = shop.emulator.client("sqs")
    url = queue.get_queue_url(QueueName=load(shop.shop.config).dead_letters.queue)["QueueUrl"]
    told = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    if int(told["ApproximateNumberOfMessages"]) > 1:
        yield f"I9: the queue has {told['ApproximateNumberOfMessages']} letters, and must have one at most"


def _feed(shop: Works, context: Context, seconds: float, consumer: Life) -> int:
    """Let customers come all the time, evenly; give by how many MiB the consumer's memory grew meanwhile."""
    pause, begun, written, most = ThreadStop(), time.monotonic(), 0, 0
    least = _memory(consumer)
    while (passed := time.monotonic() - begun) < seconds:
        due = min(context.goal, round(context.goal * passed / (0.9 * seconds))) - written
        written += _write(shop, due, _FIRST + written)
        most = max(most, _memory(consumer) - least)
        context.tell(written, context.goal)
        pause.wait(1.0)
    _write(shop, context.goal - written, _FIRST + written)
    return most


def _write(shop: Works, count: int, first: int) -> int:
    with closing(sqlite3.connect(shop.shop.back)) as connection, connection:
        connection.executemany(
            "INSERT INTO CUST (CUSTNO, NAM1, CTRY, CLS, STAT, TYP) VALUES (?, 'SOME BODY', 'DE', 'A', 'L', 'PRIV')",
            [(first + number,) for number in range(count)],
        )
    return count


def _clean(shop: Works) -> float:
    """Give how many a second are decided without an outage: as many wait in the stream when a consumer begins."""
    _write(shop, _CLEAN, _FIRST + _HOUR_OF_CHANGES)
    until(lambda: _is_published(shop), "all is published", seconds=60 + _CLEAN / 100)
    consumer = shop.live("consume")
    rate = _caught_up(shop, _CLEAN, _FIRST + _HOUR_OF_CHANGES)
    consumer.terminate()
    consumer.ends("the consumer")
    return rate


def _is_published(shop: Works) -> bool:
    (newest,) = shop.shop.read("SELECT max(CHGNO) FROM CUST", shop.shop.back)[0]
    client = shop.emulator.client("dynamodb")
    (table,) = [name for name in client.list_tables()["TableNames"] if shop.shop.name in name]
    items = client.scan(TableName=table, ConsistentRead=True)["Items"]
    return any(str(newest) in item["watermark"]["S"] for item in items if "S" in item.get("watermark", {}))


def _caught_up(shop: Works, count: int, first: int) -> float:
    """Wait until these are applied; give how many a second there were, by the front office's own history."""
    of_these = f"CAST(substr(key, 10) AS INTEGER) BETWEEN {first} AND {first + count - 1}"
    statement = f"SELECT count(*) FROM customer WHERE {of_these}"  # noqa: S608 - numbers
    until(lambda: shop.shop.read(statement) == [(count,)], f"all {count} are applied", seconds=60 + count / 100)
    statement = f"SELECT min(decided), max(decided) FROM isthmus_history WHERE {of_these}"  # noqa: S608 - same
    ((least, most),) = shop.shop.read(statement)
    return count / max(0.001, (int(most) - int(least)) / 1000)


def _log(life: Life) -> str:
    return life.log.read_text(errors="replace")


def _memory(life: Life) -> int:
    """Give a process's resident memory in MiB."""
    status = Path(f"/proc/{life.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) // 1024
