"""Rows of the matrix about single bad rows, with real processes: a pipeline that runs, and what comes into it."""

import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Final

from tests.fakes.shop import until
from tests.faults.real import Works, works
from tests.faults.row import Context, Result

_TOGETHER: Final = 8
"""Customers that are modified in one transaction: every set of them is poison once in 256 rounds."""
_MOST_STALL_SECONDS: Final = 1.0
"""For one poison record (the matrix)."""
_SIZES: Final = (100_000, 190_000, 200_000, 900_000, 1_100_000, 3_000_000)
"""Characters of a name: below and above the claim check's threshold, and beyond the largest record of this stream."""


def poison_anywhere(context: Context) -> Result:
    """F47: every set of a transaction's rows is poison once, for the front office itself refuses them.

    What is healthy goes through, what is poison is parked by itself, and neither waits a second for a poison record.
    """
    result = Result.expecting(["a poison row", "nothing but poison", "poison between healthy rows"])
    with works() as shop:
        with closing(sqlite3.connect(shop.shop.front)) as connection, connection:
            connection.execute("CREATE UNIQUE INDEX one_welcome ON welcome (customer)")
        shop.live("produce")
        shop.live("consume")
        shop.judge(result)
        longest = 0.0
        for number in range(context.goal):
            numbers = range(1_000 + _TOGETHER * number, 1_000 + _TOGETHER * (number + 1))
            sets = number % 2**_TOGETHER if context.full else 2**_TOGETHER - 1 - 90 * number
            poison = {each for place, each in enumerate(numbers) if sets >> place & 1}
            longest = max(longest, _round(shop, numbers, poison, result))
            result.struck("a poison row", len(poison))
            result.struck("nothing but poison", len(poison) == _TOGETHER)
            result.struck("poison between healthy rows", 0 < len(poison) < _TOGETHER)
            result.counts["transactions"] += 1
            context.tell(number + 1, context.goal)
        result.counts["longest wait for a poison record in ms"] = round(1000 * longest)
    return result


def _round(shop: Works, numbers: Iterable[int], poison: set[int], result: Result) -> float:
    """Modify these customers at once; give the seconds that all of it took, by poison record."""
    healthy = {f"customer/{number}" for number in numbers} - (bad := {f"customer/{number}" for number in poison})
    with closing(sqlite3.connect(shop.shop.front)) as connection, connection:
        connection.executemany("INSERT INTO welcome (customer) VALUES (?)", [(key,) for key in bad])
    begun = time.monotonic()
    _write(shop, dict.fromkeys(numbers, "SOME BODY"))

    def settled() -> bool:
        there = {key for (key,) in shop.shop.read("SELECT key FROM customer")}
        lot = {key for (key,) in shop.shop.read("SELECT key FROM isthmus_parked WHERE reason = 'constraint'")}
        return healthy <= there and bad <= lot

    until(settled, f"{len(healthy)} healthy and {len(bad)} poison rows are decided")
    took = (time.monotonic() - begun) / max(1, len(poison))
    there = {key for (key,) in shop.shop.read("SELECT key FROM customer")}
    if there & bad:
        result.violated(f"I2: {sorted(there & bad)} were written although they are poison")
    if poison and took > _MOST_STALL_SECONDS:
        result.violated(f"a poison record held its shard for {took:.1f} s")
    return took


def too_large(context: Context) -> Result:
    """F16: rows of every size go through the pipeline: in the record, or by claim check. None blocks another."""
    result = Result.expecting(["a row beyond the claim check's threshold", "a row larger than a record"])
    with works() as shop:
        shop.shop.set("[metrics]", f'[claim_check]\nbucket = "{shop.shop.name}"\n[metrics]')
        said = shop.shop.command("setup")
        assert said.code == 0, said
        shop.live("produce")
        shop.live("consume")
        for number in range(context.goal):
            size = _SIZES[number % len(_SIZES)]
            large = 2_000 + number
            _write(shop, {large: "X" * size, 3_000 + number: "SOME BODY"})
            result.struck("a row beyond the claim check's threshold", size > _SIZES[1])
            result.struck("a row larger than a record", size > _SIZES[3])
            result.counts["large rows"] += 1
            shop.judge(result)
            context.tell(number + 1, context.goal)
        claimed = shop.emulator.client("s3").list_objects_v2(Bucket=shop.shop.name).get("KeyCount", 0)
        result.counts["payloads in S3"] = claimed
        if not claimed:
            result.violated("no payload went by claim check")
        for reason, keys in shop.shop.read("SELECT reason, count(*) FROM isthmus_parked GROUP BY reason"):
            if reason != "translate-failed":
                result.violated(f"{keys} rows are parked: {reason}")
    return result


def _write(shop: Works, names: Mapping[int, str]) -> None:
    with closing(sqlite3.connect(shop.shop.back)) as connection, connection:
        connection.executemany(
            "INSERT INTO CUST (CUSTNO, NAM1, CTRY, CLS, STAT, TYP) VALUES (?, ?, 'DE', 'A', 'L', 'PRIV')",
            list(names.items()),
        )
