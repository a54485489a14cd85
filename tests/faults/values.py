"""Rows of the matrix about what values, sizes and times may be: the real translator, codec and store."""

import math
import random
import string
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from isthmus.change import MAX_KEY_BYTES, Change, Kind, Verb
from isthmus.clock import from_rfc3339, rfc3339
from isthmus.codec import Undecodable, bundle, decode
from isthmus.pipeline import Pipeline, Translated
from isthmus.producer.lanes import Lanes, Limits
from isthmus.producer.sink import Put
from isthmus.producer.sources.port import SourceRow
from isthmus.producer.sources.references import NoReferences
from isthmus.producer.translator import Encoded, Translator
from isthmus.rawrow import row_in, row_out
from isthmus.references import References
from isthmus.retry import Backoff
from tests.fakes.clock import FakeClock
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.plain import plain
from tests.fakes.store_world import upsert
from tests.faults.front import METRICS, Front, front, records_of
from tests.faults.row import Context, Result

LANES: Final = 4
_ZONES: Final = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu")


class Loose(BaseModel):
    """A contract that takes any value."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    value: Any


def translator(clock: FakeClock, *, version: str = "1", claims: MemoryPayloads | None = None) -> Translator:
    """Give the real one for a table `t` with the key column `id` and one value."""

    def translate(row: Mapping[str, Any], _references: References) -> Sequence[Translated]:
        return [Loose(value=row["value"])]

    return Translator(
        Pipeline("thing", Loose, lambda row: row["id"], translate, Kind.STATE, version=version),
        source="t",
        name="t",
        key_columns=("id",),
        generation=0,
        lanes=LANES,
        references=NoReferences(),
        clock=clock,
        metrics=METRICS,
        payloads=claims,
        claim_threshold=2_000,
        max_event_bytes=8_000,
        time_column="at",
    )


def row(number: int, value: Any, *, key: str = "k", at: Any = None) -> SourceRow:
    """Give a row of the table."""
    return SourceRow({"id": key, "value": value, "at": at}, number, f"[{number}]", f'["{number}"]')


def clocks(context: Context) -> Result:
    """F06: identity, version and hash of a change are the same at any time; a time without a zone is refused."""
    result = Result.expecting(["the clock jumped", "a local time that exists twice or never", "a naive time"])
    for seed in range(context.first, context.first + context.goal):
        chance = random.Random(seed)
        made = [
            _decoded(translator(FakeClock(chance.randrange(10**13))).translate(row(7, 1), 1)[0].event) for _ in range(2)
        ]
        result.struck("the clock jumped")
        if len({(one.id, one.version, one.rowhash, one.data["value"]) for one in made}) > 1:
            result.violated(f"seed {seed}: the clock is in the identity")
        _check_local_time(chance, seed, result)
        result.counts["times"] += 1
        context.tell(seed - context.first + 1, context.goal)
    return result


def _check_local_time(chance: random.Random, seed: int, result: Result) -> None:
    zone = ZoneInfo(chance.choice(_ZONES))
    instant = datetime(chance.randint(1990, 2035), 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(525_600))
    for hours in range(-24 * 200, 24 * 200, 24 * 10):
        near = (instant + timedelta(hours=hours)).astimezone(zone)
        if near.utcoffset() != (near + timedelta(days=10)).utcoffset():
            instant = _change_of(near.astimezone(UTC), zone)
            result.struck("a local time that exists twice or never")
            break
    local = instant
    for minutes in (-30, 0, 30, 60):
        local = (instant + timedelta(minutes=minutes)).astimezone(zone)
        millis = round(local.timestamp() * 1000)
        change = _decoded(translator(FakeClock()).translate(row(7, 1, at=local), 1)[0].event)
        if from_rfc3339(rfc3339(millis)) != millis or change.time != rfc3339(millis):
            result.violated(f"seed {seed}: {local.isoformat()} became {change.time}")
    naive = local.replace(tzinfo=None)
    result.struck("a naive time")
    clock = FakeClock()
    change = _decoded(translator(clock).translate(row(7, 1, at=naive), 1)[0].event)
    if change.time != rfc3339(clock.now_ms()):
        result.violated(f"seed {seed}: the naive {naive.isoformat()} was taken for {change.time}")


def _change_of(low: datetime, zone: ZoneInfo) -> datetime:
    """Find the hour in which the zone's offset changes, within ten days."""
    for hour in range(24 * 10):
        here = low + timedelta(hours=hour)
        if here.astimezone(zone).utcoffset() != (here + timedelta(hours=1)).astimezone(zone).utcoffset():
            return here + timedelta(hours=1)
    return low


def new_translator(context: Context) -> Result:
    """F42: the same row through a new release of the translator has the same ID and hash, and raises no alarm."""
    result = Result.expecting(["the same row, a new translator"])
    with front() as office:
        for seed in range(context.first, context.first + context.goal):
            data = {"size": seed, "note": "old"}
            events = [
                translator(FakeClock(), version=version).translate(row(1, data), 1)[0].event for version in ("1", "2")
            ]
            changes = [_decoded(one)._replace(entity="thing") for one in events]
            changes = [one._replace(data=one.data["value"]) for one in changes]
            office.reset()
            before = office.metrics.hash_alarms._value.get()
            for change in changes:
                office.life().process(records_of([[change]]))
            result.struck("the same row, a new translator", int(changes[0].dataschema != changes[1].dataschema))
            if office.metrics.hash_alarms._value.get() != before:
                result.violated("a new translator raises an alarm")
            result.counts["translations"] += 1
    return result


def odd_values(context: Context) -> Result:
    """F45: each value arrives in the stream exactly, raw or translated, and in the store exactly or in the lot."""
    result = Result.expecting(
        ["NaN or infinity", "a negative zero", "a NUL", "half of a surrogate pair", "a long number"]
    )
    chance = random.Random(context.first)
    one = translator(FakeClock(), claims=MemoryPayloads())
    with front(batch_changes=500) as office:
        pending: list[tuple[str, Any]] = []
        for number in range(1, context.goal + 1):
            value = _odd(chance, result)
            values, words = row_out({"value": value})
            if not _same(row_in(values, words)["value"], value):
                result.violated(f"raw: {value!r} came back as {row_in(values, words)['value']!r}")
            _check_carried(one.translate(row(number, value), 1)[0], value, result)
            pending.append((f"v{number}", value))
            if len(pending) == 500 or number == context.goal:
                _check_stored(office, pending, result)
                pending = []
                context.tell(number, context.goal)
            result.counts["values"] += 1
    return result


def _odd(chance: random.Random, result: Result) -> Any:  # noqa: PLR0911 - one for each kind of value
    match chance.randrange(9):
        case 0:
            result.struck("NaN or infinity")
            return chance.choice([math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("-Infinity")])
        case 1:
            result.struck("a negative zero")
            return chance.choice([-0.0, Decimal("-0"), Decimal("-0.00")])
        case 2:
            result.struck("a long number")
            return chance.choice(
                [Decimal("1E126"), Decimal("-9.99E125"), 10**126, Decimal(chance.randrange(10**38)) / 7]
            )
        case 3:
            result.struck("a NUL")
            return f"a\0{chance.random()}"
        case 4:
            result.struck("half of a surrogate pair")
            return f"{chr(chance.randint(0xD800, 0xDFFF))}x{chance.random()}"
        case 5:
            return Decimal(chance.randrange(-(10**30), 10**30)).scaleb(chance.randint(-40, 40))
        case 6:
            return chance.randrange(-(2**70), 2**70)
        case 7:
            return chance.choice([1e308, 5e-324, chance.random(), 2.0**53 + 1])
        case _:
            return "".join(chance.choice(string.printable + "äß€😀") for _ in range(chance.randint(0, 12)))


def _same(found: Any, value: Any) -> bool:
    if isinstance(value, float) and math.isnan(value):
        return isinstance(found, float) and math.isnan(found)
    if isinstance(value, Decimal) and value.is_nan():
        return isinstance(found, Decimal) and found.is_nan()
    return type(found) is type(value) and plain(found) == plain(value)


def _check_carried(encoded: Encoded, value: Any, result: Result) -> None:
    change = _decoded(encoded.event)
    if change.verb is Verb.UNTRANSLATED:
        carried = row_in(change.data["row"], change.data["types"])["value"]
        result.counts["untranslated"] += 1
    else:
        carried = change.data["value"]
        if isinstance(value, Decimal):
            # By contract a decimal travels as its text.
            carried = Decimal(carried)
        result.counts["translated"] += 1
    if not _same(carried, value) and plain(carried) != plain(value):
        result.violated(f"wire: {value!r} came as {carried!r} ({change.verb})")


def _check_stored(office: Front, pending: Sequence[tuple[str, Any]], result: Result) -> None:
    """Send each value as another system's record would: it is in the column exactly, or in the parking lot."""
    sent: dict[str, Any] = {}
    changes: list[Change] = []
    for key, value in pending:
        if isinstance(value, str):
            # Half of a surrogate pair does not get past the codec; what it makes of one is asked elsewhere.
            sent[f"text/{key}"] = value.encode("utf-8", "replace").decode()
        elif isinstance(value, int | Decimal | float) and math.isfinite(value):
            sent[f"text/{key}"] = sent[f"number/{key}"] = value
    for key, value in sent.items():
        changes.append(upsert(1, key, note=value) if key.startswith("text") else upsert(1, key, size=value))
    office.reset()
    office.processor.process(records_of([changes]))
    with office._reading() as read:
        stored = {key: (size, note) for key, size, note in read("SELECT key, size, note FROM thing")}
        lot = {key for (key,) in read("SELECT key FROM isthmus_parked")}
    for key, value in sent.items():
        if key in lot:
            result.counts["parked"] += 1
        elif key not in stored:
            result.violated(f"store: {value!r} is lost")
        else:
            result.counts["stored"] += 1
            if not _holds(stored[key], value, number=key.startswith("number")):
                result.violated(f"store: {value!r} is stored as {stored[key]!r}")


def _holds(columns: tuple[Any, Any], value: Any, *, number: bool) -> bool:
    size, note = columns
    if isinstance(value, str):
        return bool(note == value)
    if not number:
        return bool(plain(Decimal(note)) == plain(value))
    # A number column of SQLite knows one zero.
    return bool(plain(size)[1] == plain(value)[1])


def too_large(context: Context) -> Result:
    """F16: a state of any size and a key of any length go into a record, a claim or the lot, and block nobody."""
    result = Result.expecting(["larger than a claim's threshold", "larger than a record", "a key too long"])
    chance = random.Random(context.first)
    with front() as office:
        for _ in range(context.goal):
            with_claims = chance.random() < 0.5
            claims = MemoryPayloads() if with_claims else None
            made = translator(FakeClock(), claims=claims)
            size = chance.choice([10, 1_990, 2_001, 7_000, 8_001, chance.randint(0, 60_000)])
            long_key = chance.random() < 0.3
            key = "ü" * (MAX_KEY_BYTES // 2 + 1) if long_key else "k"
            result.struck("larger than a claim's threshold", int(size > 2_000))
            result.struck("larger than a record", int(size > 8_000))
            result.struck("a key too long", int(long_key))
            encoded = [
                *made.translate(row(1, "x" * size, key=key), 1),
                *made.translate(row(2, "small", key="after"), 1),
            ]
            arrived = _through_lanes(encoded)
            if len(arrived) != len(encoded):
                result.violated(f"size {size}: {len(arrived)} of {len(encoded)} changes got through")
            first = next(one for one in arrived if one.version.endswith("1"))
            claimed = claims is not None and bool(claims.objects)
            parked = first.verb is Verb.UNTRANSLATED
            if parked != (long_key or (not with_claims and size > 7_900)) and not 7_000 < size < 8_100:
                result.violated(f"size {size}, long key {long_key}, claims {with_claims}: {first.verb}")
            _check_consumed(office, arrived, result)
            result.counts["claimed" if claimed else "parked" if parked else "inside"] += 1
            result.counts["rows"] += 1
            context.tell(result.counts["rows"], context.goal)
    return result


def _through_lanes(encoded: Sequence[Encoded]) -> list[Change]:
    limits = Limits(
        max_bundle_bytes=4_000,
        max_record_bytes=8_018,
        max_request_bytes=8_018,
        shard_bytes_per_second=None,
        shard_records_per_second=None,
    )
    lanes = Lanes(LANES, limits, Backoff(), random.Random(1))
    for ticket, one in enumerate(encoded):
        lanes.offer(one.lane, one.event, ticket)
    found: list[Change] = []
    while (request := lanes.next_request(0.0)) is not None:
        found += [_decoded_one(item) for entry in request.entries for item in decode(entry.data)]
        lanes.answered(request, [Put("shard", "1") for _ in request.entries], 0.0)
    return found


def _check_consumed(office: Front, arrived: Sequence[Change], result: Result) -> None:
    """See that the record is decided whatever is in it, by a front office that takes the small change only."""
    small = next(one for one in arrived if one.key == "after")._replace(
        entity="thing", data={"size": 1, "note": "fine"}
    )
    others = [one for one in arrived if one.key != "after"]
    office.reset()
    records = records_of([[*others, small]])
    office.processor.process(records)
    if office.processor.position() != records[-1].sequence:
        result.violated("I5: a large change stands in the way")
    with office._reading() as read:
        keys = {key for (key,) in read("SELECT key FROM thing UNION SELECT key FROM isthmus_parked")}
    if keys != {one.key for one in arrived}:
        result.violated(f"I1: {keys} were decided, of {[one.key for one in arrived]}")


def _decoded(event: bytes) -> Change:
    (item,) = decode(bundle([event]))
    return _decoded_one(item)


def _decoded_one(item: Change | Undecodable) -> Change:
    if isinstance(item, Undecodable):
        raise TypeError(f"our own event cannot be decoded: {item}")
    return item
