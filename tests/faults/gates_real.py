"""Rows about gates with real processes: `isthmus gate` closes and opens while everything goes on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from isthmus.lifecycle import ThreadStop
from tests.fakes.forwarder import Forwarder
from tests.fakes.shop import until
from tests.faults.real import Life, Works, works
from tests.faults.row import Context, Result

MOST_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 1.5
"""For so long nothing may take effect then, while the back office goes on."""
_GATE: Final = "process=sales"
_FIRST: Final = 100
FLIPPED: Final = ("a gate that holds, closed under load", "the same with gate.strict")
_HELD: Final = "changes that came meanwhile"


@contextmanager
def gated(*, strict: bool, dynamodb: int | None = None, must_be_there: bool = False) -> Iterator[Works]:
    """Give a shop that watches gates; `dynamodb` is the port of whatever stands before that."""
    with works() as shop:
        lines = ["[gate]", "watched = true", f"strict = {str(strict).lower()}"]
        lines += ['processes = ["sales"]'] if must_be_there else []
        shop.shop.set("[metrics]", "\n".join([*lines, "[metrics]"]))
        shop.shop.set('table = "customer"', 'table = "customer"\nprocess = "sales"')
        if dynamodb is not None:
            shop.shop.set("[stream]", f'endpoints.dynamodb = "http://127.0.0.1:{dynamodb}"\n[stream]')
        yield shop


def flips(context: Context) -> Result:
    """F55: a gate closes while a backlog is decided: two seconds later, with `strict` at once, nothing takes effect."""
    result = Result.expecting([*(FLIPPED if context.goal >= 2 else FLIPPED[:1]), _HELD])
    for strict in (False, True):
        goal = context.goal // 2 if strict else context.goal - context.goal // 2
        if not goal:
            continue
        with gated(strict=strict) as shop:
            # So small a batch that there are many of them to close in the middle of.
            shop.shop.set("checkpoint_interval = 0.2", "checkpoint_interval = 0.2\nbatch_changes = 5")
            halves = [shop.live("produce"), shop.live("consume")]
            shop.judge(result)
            for number in range(goal):
                _flip(shop, number, strict=strict, result=result)
                result.struck(FLIPPED[strict])
                result.counts["flips"] += 1
                context.tell(result.counts["flips"], context.goal)
            shop.judge(result)
            _must_live(halves, result)
    return result


def _flip(shop: Works, number: int, *, strict: bool, result: Result) -> None:
    before = _effects(shop)
    _sell(shop, number, 300)
    until(lambda: _effects(shop) > before, "it decides")
    _command(shop, "close", "--reason", "books")
    if not strict:
        ThreadStop().wait(MOST_SECONDS)
    closed, seen = _effects(shop), time.monotonic()
    while time.monotonic() < seen + _LOOK_SECONDS:
        _sell(shop, number, 5, first=1_000)
        ThreadStop().wait(0.2)
    if (late := _effects(shop) - closed) != 0:
        result.violated(f"I7: {late} took effect while {_GATE} was closed{' strictly' if strict else ''}")
    until(lambda: shop.shop.read("SELECT 1 FROM isthmus_held"), "something is held")
    result.struck(_HELD, shop.shop.read("SELECT count(*) FROM isthmus_held")[0][0])
    _command(shop, "open")
    until(lambda: not shop.shop.read("SELECT 1 FROM isthmus_held"), "all of it is drained")


class Case(NamedTuple):
    """One trouble at one moment."""

    trouble: str
    moment: str
    strict: bool

    @property
    def name(self) -> str:
        return f"{self.trouble} {self.moment}{', strict' if self.strict else ''}"


MISSING, UNREADABLE, UNREACHABLE = "missing", "not readable", "not reachable"
AT_START, MIDWAY = "at the start", "midway"
CASES: Final = tuple(
    Case(trouble, moment, strict)
    for strict in (False, True)
    for moment in (MIDWAY, AT_START)
    for trouble in (MISSING, UNREADABLE, UNREACHABLE)
)


def unknown(context: Context) -> Result:
    """F56: the gate's item is deleted, or spoilt, or DynamoDB is cut off: closed, and open again once it is mended."""
    cases = CASES if context.full else CASES[: context.goal]
    result = Result.expecting(case.name for case in cases)
    for case in cases:
        _unknown(case, result)
        result.counts["cases"] += 1
        context.tell(result.counts["cases"], len(cases))
    return result


def _unknown(case: Case, result: Result) -> None:
    with gated(strict=case.strict, must_be_there=True) as shop:
        line = Forwarder(shop.emulator.port)
        try:
            shop.shop.set("[stream]", f'endpoints.dynamodb = "http://127.0.0.1:{line.port}"\n[stream]')
            _command(shop, "close", "--reason", "the first time")
            _command(shop, "open")
            halves = [shop.live("produce")]
            if case.moment == MIDWAY:
                halves.append(shop.live("consume"))
                shop.judge(result)
            _sell(shop, 1, 50)
            mend = _spoil(shop, case.trouble, line)
            if case.moment == AT_START:
                halves.append(shop.live("consume"))
            ThreadStop().wait(MOST_SECONDS)
            _late(shop, case, halves[-1], result)
            result.struck(case.name)
            mend()
            shop.judge(result)
            _must_live(halves, result)
        finally:
            line.close()


def _late(shop: Works, case: Case, consumer: Life, result: Result) -> None:
    before, begun = _effects(shop), time.monotonic()
    _sell(shop, 2, 20, first=500)
    while time.monotonic() < begun + _LOOK_SECONDS:
        ThreadStop().wait(0.2)
    if _effects(shop) > before:
        result.violated(f"I7: {_effects(shop) - before} took effect while the gate was {case.name}\n{consumer.text()}")


def _spoil(shop: Works, trouble: str, line: Forwarder) -> Callable[[], object]:
    """Bring the trouble about; give what mends it."""
    if trouble == UNREACHABLE:
        line.cut()
        return line.restore
    client = shop.emulator.client("dynamodb")
    (table,) = [name for name in client.list_tables()["TableNames"] if shop.shop.name in name]
    key = {"kind": {"S": "gate"}, "id": {"S": _GATE}}
    before = client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    if trouble == MISSING:
        client.delete_item(TableName=table, Key=key)
    else:
        client.put_item(TableName=table, Item={**key, "closed": {"S": "perhaps"}})
    return lambda: client.put_item(TableName=table, Item=before)


def _effects(shop: Works) -> int:
    return int(shop.shop.read("SELECT count(*) FROM isthmus_history WHERE outcome = 'applied'")[0][0])


def _sell(shop: Works, number: int, count: int, *, first: int = _FIRST) -> None:
    for customer in range(first, first + count):
        shop.shop.customer(customer, f"BODY {number} {time.monotonic_ns() % 1_000}")


def _command(shop: Works, what: str, *more: str) -> None:
    said = shop.shop.command("gate", what, "--process", "sales", *more)
    assert said.code == 0, said


def _must_live(halves: list[Life], result: Result) -> None:
    for half in halves:
        if half.code is not None:
            result.violated(f"it ended with {half.code}\n{half.text()}")
