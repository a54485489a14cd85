"""Rows about what dead letters hold and for how long: payloads of any size and bytes, and a queue that forgets."""

import random
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Final

import orjson

from isthmus.change import Change, Verb
from isthmus.clock import from_rfc3339
from isthmus.codec import decode, encode
from isthmus.console.housekeeping import Housekeeping
from isthmus.consumer.deadletters.letters import event_of, letter_of
from isthmus.consumer.deadletters.port import MOST_BYTES, Letter, Message
from isthmus.consumer.deadletters.reading import waiting_in
from isthmus.consumer.redrive import TransactionalRedriver
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.payloads import Folder
from isthmus.settings import Store
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.letters_desk import Desk, letters_of
from tests.fakes.mailbox import MemoryMailbox
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.processor_desk import raw_record
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import event, untranslated, upsert
from tests.faults.alarms import AgeAlarm
from tests.faults.front import Front, front
from tests.faults.row import Context, Result
from tests.simulation.ground import folder

LARGEST: Final = 10 * 1024 * 1024
"""Bytes of a record (the matrix)."""
SIZES: Final = (0, 1, 255, 65_537, MOST_BYTES - 400, MOST_BYTES, MOST_BYTES + 1, 3_000_000)
_CONTROLS: Final = bytes(range(32)) + b"\x7f"
_TEN_MIB: Final = "10 MiB"
_ALLOWED: Final = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
"""What a message and its attributes may hold (SQS API, SendMessage)."""


def _any_bytes(chance: random.Random, size: int) -> bytes:
    return b"\x01" + chance.randbytes(size)


def _no_utf8(_chance: random.Random, size: int) -> bytes:
    return b"{" + b"\xff\xfe\x80\xc0" * (1 + size // 4)


def _controls(chance: random.Random, size: int) -> bytes:
    return bytes(chance.choices(_CONTROLS, k=1 + min(size, 5_000))) + b"\x00" * size


def _surrogates(_chance: random.Random, size: int) -> bytes:
    return b'{"a":"\\ud800","b":"' + "\ufffe\U0001f600".encode() * (1 + size // 7) + b'"'


def _other_json(_chance: random.Random, size: int) -> bytes:
    return orjson.dumps({"order": 66, "note": "x" * size})


def _nothing(_chance: random.Random, size: int) -> bytes:
    return b" " * min(size, 1_000)


def _change(chance: random.Random, size: int) -> bytes:
    more = "".join(chance.choices('aé\u0001\u2028\ufffd😀"\\', k=min(500, size))) + "x" * size
    data = {"size": -1, "note": "wrong", "more": more}
    return encode(chance.choice([upsert, event])(1, f"k{chance.randrange(10**9)}")._replace(data=data))


KINDS: Final[Mapping[str, Callable[[random.Random, int], bytes]]] = {
    "any bytes": _any_bytes,
    "no UTF-8": _no_utf8,
    "NUL and control characters": _controls,
    "half a surrogate pair": _surrogates,
    "JSON of something else": _other_json,
    "nothing": _nothing,
    "a change of which the data are poison": _change,
}
"""Bytes that cannot be applied, of about a size."""


def any_payload(context: Context) -> Result:
    """F50: from a record's bytes into the lot, the outbox, a letter, the bucket, and back: the same bytes."""
    result = Result.expecting([*KINDS, _TEN_MIB, "a letter in the bucket", "a letter as base64"])
    with front() as office:
        for seed in range(context.first, context.first + context.goal):
            chance = random.Random(seed)
            kind, size = list(KINDS)[seed % len(KINDS)], chance.choice([chance.randrange(3_000), *SIZES])
            if seed % (5 * len(KINDS)) == 0:
                size = LARGEST - 1
                result.struck(_TEN_MIB)
            data = KINDS[kind](chance, size)
            office.reset()
            office.processor.process([raw_record(1, data)])
            result.struck(kind)
            for sentence in _kept(office, data, result):
                result.violated(f"seed {seed}, {kind}, {len(data)} bytes: {sentence}")
            result.counts["payloads"] += 1
            context.tell(seed - context.first + 1, context.goal)
    return result


def _kept(office: Front, data: bytes, result: Result) -> Iterator[str]:
    with closing(sqlite3.connect(office.office.path)) as connection:
        lot = connection.execute("SELECT event FROM isthmus_parked").fetchall()
    if [bytes(row) for (row,) in lot] != [data]:
        yield f"I1: {len(lot)} rows in the lot, and not these bytes"
    with closing(SqliteStore(office.office.path, []).outbox()) as outbox:
        copies = outbox.pending(10, 2 * LARGEST)
    if len(copies) != 1:
        yield f"I1: {len(copies)} copies"
        return
    payloads = MemoryPayloads()
    letter = letter_of(copies[0], lambda content: payloads.put(content, Folder.PARKED))
    result.struck("a letter in the bucket", int("dataref" in letter.attributes))
    result.struck("a letter as base64", int("encoding" in letter.attributes))
    yield from _illegal(letter)
    if event_of(letter.body, letter.attributes, payloads.get) != data:
        yield "I1: the letter holds other bytes"
    read = waiting_in(Message("m", "h", *letter, 0, 1), payloads.get)
    if (read.event, read.key, read.txn) != (data, copies[0].key, copies[0].txn):
        yield "I1: what is read of the letter is something else"


def _illegal(letter: Letter) -> Iterator[str]:
    """Say what SQS would refuse of a letter; it refuses all of a request then."""
    texts = {"body": letter.body, **letter.attributes}
    for name, text in texts.items():
        if not _ALLOWED.fullmatch(text):
            yield f"I8: SQS takes no {name} with such characters, or without any"
    size = sum(len(text.encode()) for text in texts.values()) + sum(len(f"{name}String") for name in letter.attributes)
    if size > MOST_BYTES or len(letter.attributes) > 10:
        yield f"I8: SQS takes no letter of {size} bytes with {len(letter.attributes)} attributes"


_DAY_MS: Final = 24 * 3600 * 1000
_KEPT_DAYS: Final = 14
"""As long as SQS keeps a message at most (SQS, "Amazon SQS message quotas")."""
_EXPIRED: Final = "a letter that the queue forgot"
_TOO_OLD: Final = "a letter parked longer ago than its memory"
_FRESH: Final = "a letter that was redriven in time"
_HALF: Final = "a day on which something is parked for half of that time"


class Forgetting(MemoryMailbox):
    """A queue that keeps a letter for fourteen days."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self._kept_since: dict[str, float] = {}
        self.forgotten = 0

    def put(self, *letters: Letter) -> None:
        before = {*self.lying}
        super().put(*letters)
        self._kept_since.update(dict.fromkeys(self.lying.keys() - before, self._clock.monotonic()))

    def receive(self, most: int, hold: int) -> list[Message]:
        for name in list(self.lying):
            if self._clock.monotonic() - self._kept_since[name] >= _KEPT_DAYS * _DAY_MS / 1000:
                del self.lying[name]
                self.forgotten += 1
        return super().receive(most, hold)


def forgotten_by_the_queue(context: Context) -> Result:
    """F53: letters lie for days, some longer than the queue keeps them: the lot has all of it, and all comes out.

    The alarm is asked on each day: by its own expression, on what the consumer's housekeeping counts.
    """
    result = Result.expecting([_EXPIRED, _TOO_OLD, _FRESH, _HALF])
    alarm = AgeAlarm("ParkedTooLong")
    if alarm.seconds * 1000 * 2 != _KEPT_DAYS * _DAY_MS:
        result.violated(f"the alarm comes after {alarm.seconds} s, which is not half of {_KEPT_DAYS} days")
    with folder() as place:
        office = SqliteOffice(place)
        for seed in range(context.first, context.first + context.goal):
            desk = Desk(office.fresh())
            try:
                for sentence in _Weeks(desk, random.Random(seed), result, alarm).run():
                    result.violated(f"seed {seed}: {sentence}")
            finally:
                desk.world.close()
            result.counts["histories"] += 1
            context.tell(seed - context.first + 1, context.goal)
    return result


class _Weeks:
    """Some weeks of a front office: poison comes, its letters are sent late, and are redriven later still."""

    def __init__(self, desk: Desk, chance: random.Random, result: Result, alarm: AgeAlarm) -> None:
        self._desk, self._chance, self._result, self._alarm = desk, chance, result, alarm
        desk.mailbox = self._queue = Forgetting(desk.clock)
        desk.remake = self._remake
        self._mended = False
        self._changes: list[Change] = []

    def run(self) -> Iterator[str]:
        for _ in range(self._chance.randint(1, 3)):
            self._poison()
            # The queue may have been away meanwhile: the outbox keeps what is older than a letter can get.
            yield from self._pass(self._chance.choice([0, 1, 6, 20]))
            self._send()
            yield from self._pass(self._chance.choice([0, 6, 13, 15]))
        yield from self._nothing_lost()
        self._mended = True
        lying, now = dict(self._queue.lying), self._desk.clock.now_ms()
        told = self._desk.run()
        forgotten = self._queue.forgotten
        old = sum(_parked_ms(each) < now - _KEPT_DAYS * _DAY_MS for each in lying.values()) - forgotten
        fresh = len(lying) - forgotten - old
        for fault, times in ((_EXPIRED, forgotten), (_TOO_OLD, old), (_FRESH, fresh)):
            self._result.struck(fault, max(0, times))
        if (told.done, told.old, len(self._queue.lying)) != (fresh, old, old):
            yield f"{fresh} letters are to be done and {old} too old to be tried: {told}"
        for key in sorted({row["key"] for row in self._desk.world.office.own("parked")}):
            self._retry(key)
        yield from self._all_took_effect()
        yield from self._alarmed()

    def _poison(self) -> None:
        number = len(self._changes)
        makes = (
            lambda n: upsert(n, f"s{n}", size=-1),
            lambda n: event(n, f"e{n % 3}", note="wrong"),
            lambda n: untranslated(n, f"u{n}"),
        )
        changes = [self._chance.choice(makes)(number + place) for place in range(1, 4)]
        self._changes += changes
        self._desk.world.apply(*changes)

    def _send(self) -> None:
        letters = letters_of(self._desk.world)
        self._queue.put(*letters)
        office = self._desk.world.office
        assert isinstance(office, SqliteOffice)
        office.run("DELETE FROM isthmus_outbox")

    def _pass(self, days: int) -> Iterator[str]:
        for _ in range(days):
            for clock in (self._desk.clock, self._desk.world.clock):
                clock.move(_DAY_MS / 1000)
            yield from self._alarmed()

    def _alarmed(self) -> Iterator[str]:
        """Compare the alarm with what lies there: no day too late, and none too early."""
        world, clock = self._desk.world, FakeClock()
        assert isinstance(world.office, SqliteOffice)
        stop = FakeStop(clock)
        clock.at(1.0, stop.request)
        settings = Store.model_construct(delete_memory_days=30, history_days=7)
        # One look, by a clock of its own: it forgets nothing before a minute has passed.
        reader, metrics = world.office.reader(), world.metrics
        Housekeeping(world.store, reader, settings, clock=clock, stop=stop, metrics=metrics).run()
        now = world.clock.now_ms()
        parked = world.office.run("SELECT reason, min(first_at) FROM isthmus_parked GROUP BY reason")
        old = {reason for reason, first_ms in parked if now - first_ms > _KEPT_DAYS * _DAY_MS / 2}
        self._result.struck(_HALF, len(old))
        if (firing := self._alarm.firing(metrics, now)) != old:
            yield f"the alarm fires for {sorted(firing)}, and must for {sorted(old)}"

    def _nothing_lost(self) -> Iterator[str]:
        lot = {row["txn"] for row in self._desk.world.office.own("parked")}
        if lot != {change.id for change in self._changes}:
            yield f"I1: {sorted(lot)} wait in the lot"

    def _retry(self, key: str) -> None:
        world = self._desk.world
        assert isinstance(world.office, SqliteOffice)
        by_name = {entity.name: entity for entity in world.entities}
        store = world.office.store(world.entities)
        redriver = TransactionalRedriver(store.session(), by_name, self._remake, self._desk.clock, history=False)
        with closing(redriver):
            redriver.redrive(key)

    def _all_took_effect(self) -> Iterator[str]:
        if effects := {**dict.fromkeys((change.id for change in self._changes), 1)}:
            found = self._desk.world.effects()
            if found != effects:
                yield f"I1, I2: effects are {found}, and must be one each of {sorted(effects)}"
        if lot := self._desk.world.office.own("parked"):
            yield f"I1: {len(lot)} wait still"

    def _remake(self, waiting: Waiting) -> Sequence[Change]:
        (change,) = [each for each in decode(waiting.event) if isinstance(each, Change)]
        if not self._mended:
            return [change]
        verb = Verb.EVENT if change.entity == "posting" else Verb.UPSERT
        return [change._replace(verb=verb, data={"size": 1, "note": "mended"})]


def _parked_ms(letter: Letter) -> int:
    return from_rfc3339(letter.attributes["parked"])
