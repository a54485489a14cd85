"""Rows about dead letters and redrives with real processes: a shop whose poison comes out again."""

import itertools
import json
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from isthmus.aws import ensure_queue
from isthmus.console.children import Child
from isthmus.consumer.deadletters.reading import waiting_in
from isthmus.consumer.deadletters.sqs import SqsMailbox
from isthmus.settings import load
from tests.fakes.shop import until
from tests.faults.real import Life, Works, works
from tests.faults.row import Context, Result

_PARKED_EXIT: Final = 5
_ROUND: Final = 7
"""Customers in a transaction: one of them is poison in every round."""
_HOLD: Final = 3_600
_WAS_PARKED: Final = """
    CREATE TABLE was_parked (txn TEXT);
    CREATE TRIGGER now_parked AFTER INSERT ON isthmus_parked WHEN new.reason <> 'behind'
        BEGIN INSERT INTO was_parked VALUES (new.txn); END;
"""


class Letters:
    """All that ever lay in the queue: each is taken out, and remembered."""

    def __init__(self, shop: Works) -> None:
        self._shop = shop
        self._mailbox = SqsMailbox(shop.emulator.client("sqs"), load(shop.shop.config).dead_letters.queue)
        self.events: dict[str, bytes] = {}
        self.times: Counter[str] = Counter()
        self.other: list[str] = []
        with closing(sqlite3.connect(shop.shop.front)) as connection, connection:
            connection.executescript(_WAS_PARKED)

    def take(self) -> None:
        """Take out what lies there now."""
        while found := self._mailbox.receive(10, _HOLD):
            for message in found:
                letter = waiting_in(message, None)
                if self.events.setdefault(letter.txn, letter.event) != letter.event:
                    self.other.append(letter.txn)
                self.times[letter.txn] += 1
                self._mailbox.delete(message)

    def complete(self) -> bool:
        """Say whether there is a letter of each that was ever parked, and the outbox is empty."""
        self.take()
        waits = self._shop.shop.read("SELECT 1 FROM isthmus_outbox")
        return not waits and self._parked() <= self.events.keys()

    def wrong(self) -> Iterator[str]:
        """Compare with what the front office says that it parked."""
        if lost := self._parked() - self.events.keys():
            yield f"I1: {len(lost)} were parked, and their copies never came: {sorted(lost)[:3]}"
        if false := [txn for txn, event in self.events.items() if not _is_poison(event)]:
            yield f"I9: letters for {false[:3]}, with which nothing is wrong"
        if self.other:
            yield f"I1: two letters of {self.other[:3]} hold two events"
        for txn, event in self._shop.shop.read("SELECT txn, event FROM isthmus_parked"):
            if self.events.get(txn) != bytes(event):
                yield f"I1: the letter of {txn} holds other bytes than the lot"

    def _parked(self) -> set[str]:
        return {txn for (txn,) in self._shop.shop.read("SELECT txn FROM was_parked")}


def _is_poison(event: bytes) -> bool:
    """Say whether it is of a customer in a country that nobody knows."""
    return json.loads(event)["data"].get("row", {}).get("CTRY", "DE") not in {"DE", "FR"}


class BadQueue:
    """Our own fault proxy, in front of SQS alone."""

    def __init__(self, upstream: str, faults: Sequence[str], log: Path) -> None:
        specs = [word for fault in faults for word in ("--fault", fault)]
        arguments = ["dev", "proxy", "--sqs", upstream, *specs, "--json"]
        self._child = Child("proxy", "isthmus.console.main", arguments, log, talks=True)
        self.url = json.loads(self._child.stdout.readline())["addresses"]["sqs"]
        self.fired: Counter[str] = Counter()
        self._listener = threading.Thread(target=self._listen, name="bad-queue")
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._child.signal(signal.SIGTERM)
        self._child.wait(10)
        self._listener.join()
        self._child.end()

    def _listen(self) -> None:
        for line in self._child.stdout:
            told: Mapping[str, Any] = json.loads(line)
            if told["event"] == "fired":
                self.fired[told["kind"]] += 1


KINDS: Final = ("reset", "unavailable", "error", "partial", "answer-lost")
_GONE: Final = "the queue deleted, and made anew"
_STRUCK: Final = "a request struck"
_ARRIVED_SECONDS: Final = 150.0
"""The sender waits for a minute at most between two attempts."""


def queue_in_trouble(context: Context) -> Result:
    """F48: every other request to the queue goes wrong, and it is gone for a while: consumption goes on meanwhile."""
    result = Result.expecting([*KINDS, _GONE] if context.full else [_STRUCK])
    every = 2 * len(KINDS)
    specs = [f"sqs SendMessageBatch {kind} every={every} first={1 + 2 * place}" for place, kind in enumerate(KINDS)]
    with works() as shop, BadQueue(shop.emulator.url, specs, shop.place / "bad-queue.log") as queue:
        shop.shop.set("[stream]", f'endpoints.sqs = "{queue.url}"\n[stream]')
        letters = Letters(shop)
        halves = [shop.live("produce"), shop.live("consume")]
        for number in itertools.count():
            fired = queue.fired.total()
            if fired >= context.goal or result.violations:
                break
            shop.sell(number, 2 * _ROUND)
            # Whatever becomes of the queue.
            shop.judge(result)
            if context.full and number % 20 == 19:
                _gone(shop, letters, number, result)
            until(
                lambda: queue.fired.total() > fired or letters.complete() or _ended(halves),  # noqa: B023 - waited for here
                "a fault, or every letter",
                seconds=_ARRIVED_SECONDS,
            )
            if _ended(halves):
                result.violated("\n".join(f"one half ended with {half.code}\n{half.text()}" for half in halves))
            context.tell(queue.fired.total(), context.goal)
            result.counts["rounds"] += 1
        until(letters.complete, f"every copy arrives\n{halves[1].text()}", seconds=_ARRIVED_SECONDS)
        for sentence in letters.wrong():
            result.violated(sentence)
        for kind, times in queue.fired.items():
            result.struck(kind if kind in result.fired else _STRUCK, times)
        result.counts["faults"] = queue.fired.total()
        result.counts["letters"] = letters.times.total()
    return result


def _ended(halves: Sequence[Life]) -> bool:
    return any(half.code is not None for half in halves)


def _gone(shop: Works, letters: Letters, number: int, result: Result) -> None:
    """Delete the queue, let poison come, and make it anew: what lay there was taken out, what comes waits."""
    until(letters.complete, "every letter so far", seconds=_ARRIVED_SECONDS)
    client, name = shop.emulator.client("sqs"), load(shop.shop.config).dead_letters.queue
    client.delete_queue(QueueUrl=client.get_queue_url(QueueName=name)["QueueUrl"])
    shop.sell(number + 1, 2 * _ROUND)
    shop.judge(result)
    until(lambda: shop.shop.read("SELECT 1 FROM isthmus_outbox"), "the outbox holds it")
    ensure_queue(client, name)
    result.struck(_GONE)


BETWEEN: Final = (
    "outbox.sent:after:1",
    "queue.send:after:1",
    "outbox.sent:before:1",
    "queue.send:before:1",
    "shards.save:before:1",
)
"""Between the parking and its checkpoint, which is saved seconds later."""
_ONCE_MORE: Final = {"queue.send:after:1", "outbox.sent:before:1"}


def killed_between(context: Context) -> Result:
    """F49: the consumer is killed when a copy was sent, and before its checkpoint is saved."""
    result = Result.expecting(BETWEEN if context.goal >= len(BETWEEN) else ["killed"])
    with works() as shop:
        shop.shop.set("checkpoint_interval = 0.2", "checkpoint_interval = 4.0")
        letters, crossed = Letters(shop), 0
        shop.live("produce")
        for number in range(context.goal):
            at = BETWEEN[number % len(BETWEEN)]
            shop.sell(number, _ROUND)
            life = shop.live("consume", at=at)
            if life.ends(at) != -signal.SIGKILL:
                result.violated(f"at {at} it ended with {life.code}\n{life.text()}")
            crossed += at in _ONCE_MORE
            result.struck(at if at in result.fired else "killed")
            result.counts["lives"] += 1
            context.tell(number + 1, context.goal)
        consumer = shop.live("consume")
        shop.judge(result)
        until(letters.complete, f"every copy arrives\n{consumer.text()}")
        twice = sum(times - 1 for times in letters.times.values())
        # A portion may have several letters.
        if twice > crossed * _ROUND:
            result.violated(f"{twice} letters came more than once, after {crossed} kills between copy and forgetting")
        for sentence in letters.wrong():
            result.violated(sentence)
    return result


POINTS: Final = tuple(
    f"store.{call}:{moment}:{nth}"
    for nth in (1, 4)
    for call in ("begin", "load", "previous", "write", "save", "commit")
    for moment in ("before", "after")
)
"""Steps of a redrive at which it is killed."""
_KILLED: Final = "a redrive killed half-way"
_TWICE: Final = "two redrives at once, with live traffic"
_STALE: Final = "a letter redriven of what is decided"


def redrives(context: Context) -> Result:
    """F52: `parked retry` is killed half-way, twice begun again at once, while the back office goes on."""
    result = Result.expecting([_KILLED, _TWICE] + ([_STALE] if context.full else []))
    with works() as shop:
        halves = [shop.live("produce"), shop.live("consume")]
        for number in range(context.goal):
            code = f"X{number}"
            _poisoned(shop, code, number)
            shop.shop.write("INSERT INTO COUNTRY VALUES (?, ?)", code, f"Country {number}")
            first = shop.live("parked", "retry", "--all", at=POINTS[number % len(POINTS)])
            _live_traffic(shop, code, number)
            result.struck(_KILLED, int(first.ends("the first redrive") == -signal.SIGKILL))
            both = [shop.live("parked", "retry", "--all") for _ in range(2)]
            _live_traffic(shop, code, number + 1)
            for each in both:
                if each.ends("a redrive") not in {0, _PARKED_EXIT}:
                    result.violated(f"a redrive ended with {each.code}\n{each.text()}")
            result.struck(_TWICE)
            if context.full and number % 5 == 4:
                _stale(shop, result)
            _all_right(shop, result)
            result.counts["redrives"] += 1
            context.tell(number + 1, context.goal)
            if _ended(halves) or result.violations:
                result.violated("\n".join(half.text() for half in halves if half.code is not None) or "see above")
                break
    return result


_CUSTOMERS: Final = range(100, 112)


def _poisoned(shop: Works, code: str, number: int) -> None:
    """Let half of the customers go to a country that nobody knows yet, and wait until they are parked."""
    for customer in _CUSTOMERS:
        shop.shop.customer(customer, f"BODY {number}", code if (customer + number) % 2 else "DE")
    until(lambda: not _differing(shop, unknown=code), f"{code} is parked")


def _live_traffic(shop: Works, code: str, number: int) -> None:
    for customer in _CUSTOMERS:
        if (customer + number) % 3 == 0:
            shop.shop.customer(customer, f"LIVE {number}", code if customer % 2 else "FR")


def _differing(shop: Works, unknown: str = "") -> list[object]:
    """Give what is not as the back office says it; who lives in the unknown country is to be parked."""
    statement = """SELECT 'customer/' || CUSTNO, NAM1, NAME, CTRY FROM CUST JOIN COUNTRY ON CODE = CTRY
        WHERE CUSTNO >= 100 UNION SELECT 'customer/' || CUSTNO, NAM1, '', CTRY FROM CUST
        WHERE CUSTNO >= 100 AND CTRY NOT IN (SELECT CODE FROM COUNTRY)"""
    rows = {
        key: (name.title(), country, code) for key, name, country, code in shop.shop.read(statement, shop.shop.back)
    }
    must = {key: row[:2] for key, row in rows.items() if row[2] != unknown}
    there = {key: row for key, *row in shop.shop.read("SELECT key, name, country FROM customer") if key in must}
    lot = {key for (key,) in shop.shop.read("SELECT key FROM isthmus_parked WHERE key <> 'customer/4'")}
    away = {key for key, row in rows.items() if row[2] == unknown}
    return [key for key, row in must.items() if tuple(there.get(key, ())) != row] + sorted(lot ^ away)


def _all_right(shop: Works, result: Result) -> None:
    """Redrive until nothing is parked that is mended; note every promise that is broken."""

    def settled() -> bool:
        if shop.shop.read("SELECT 1 FROM isthmus_parked WHERE key <> 'customer/4'"):
            # A producer that has not read the new country yet sends what must be translated again.
            shop.live("parked", "retry", "--all").ends("a redrive")
        return not _differing(shop)

    try:
        until(settled, "everything is as the back office says")
    except AssertionError as error:
        result.violated(f"I1, I3 or I8: {error}; differing: {_differing(shop)[:5]}")
    for table, column, where in (("welcome", "customer", ""), ("isthmus_history", "txn", "WHERE outcome = 'applied'")):
        statement = f"SELECT {column} FROM {table} {where} GROUP BY {column} HAVING count(*) > 1"  # noqa: S608 - two tables
        if found := shop.shop.read(statement):
            result.violated(f"I2: {found[:3]} in {table} more than once")
    for key, before, after in shop.shop.read("SELECT key, before, after FROM fell"):
        result.violated(f"I3: {key} fell from {before} to {after}")


def _stale(shop: Works, result: Result) -> None:
    """Redrive the queue, in which everything lies that was ever parked."""
    life = shop.live("dlq", "redrive", "--all")
    if life.ends("the queue's redrive") not in {0, _PARKED_EXIT}:
        result.violated(f"the queue's redrive ended with {life.code}\n{life.text()}")
    result.struck(_STALE)


_AGAIN, _ANEW = "poison again on redrive", "poison again where the lot was lost"


def poison_again(context: Context) -> Result:
    """F54: what is redriven and is poison still stays where it is, with one letter; every redrive ends."""
    result = Result.expecting([_AGAIN, _ANEW])
    with works() as shop:
        letters = Letters(shop)
        shop.live("produce")
        shop.live("consume")
        for number in range(context.goal):
            shop.sell(number, 2 * _ROUND)
            shop.judge(result)
            until(lambda: not shop.shop.read("SELECT 1 FROM isthmus_outbox"), "the letters are sent")
            lot, lying = _lot(shop), _in_queue(shop)
            _ends_as_poison(shop, result, "parked", "retry", "--all")
            _ends_as_poison(shop, result, "dlq", "redrive", "--all")
            if _lot(shop) != lot:
                result.violated(f"I1: the lot changed from {sorted(lot)} to {sorted(_lot(shop))}")
            result.struck(_AGAIN, len(lot))
            _lose(shop)
            _ends_as_poison(shop, result, "dlq", "redrive", "--all")
            if not lot <= _lot(shop):
                result.violated(f"I1: of {sorted(lot)} only {sorted(_lot(shop))} are parked anew")
            result.struck(_ANEW, len(lot))
            until(lambda: not shop.shop.read("SELECT 1 FROM isthmus_outbox"), "the letters are sent again")
            if _in_queue(shop) > lying:
                result.violated(f"there were {lying} letters, and there are {_in_queue(shop)}: it goes round in a loop")
            result.counts["rounds"] += 1
            context.tell(number + 1, context.goal)
        # Letters of what was superseded meanwhile are done with, and gone.
        letters.take()
        if lost := {txn for _, txn, _ in _lot(shop)} - letters.events.keys():
            result.violated(f"I1: {sorted(lost)} wait, and have no letter")
    return result


def _ends_as_poison(shop: Works, result: Result, *command: str) -> None:
    life = shop.live(*command)
    if life.ends(" ".join(command)) != _PARKED_EXIT:
        result.violated(f"{' '.join(command)} ended with {life.code}\n{life.text()}")


def _lot(shop: Works) -> set[tuple[str, str, str]]:
    return set(shop.shop.read("SELECT key, txn, reason FROM isthmus_parked"))


def _in_queue(shop: Works) -> int:
    client, name = shop.emulator.client("sqs"), load(shop.shop.config).dead_letters.queue
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(number) for number in told.values())


def _lose(shop: Works) -> None:
    with closing(sqlite3.connect(shop.shop.front)) as connection, connection:
        connection.execute("DELETE FROM isthmus_parked")
