"""The replacements that make a bug: each stands for a line that somebody could have written."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from isthmus.change import Outcome, Verb
from isthmus.checkpoint.ports import Lease
from isthmus.checkpoint.progress import Progress
from isthmus.consumer import batch as batches
from isthmus.consumer import deciding
from isthmus.consumer.runtimes import shards
from isthmus.consumer.stores.port import Log
from isthmus.consumer.stores.sqlite import statements
from isthmus.errors import OwnershipLost, Transient
from isthmus.producer import lanes
from isthmus.producer.pacing import NEVER
from isthmus.producer.sink import Put


class HastyProgress(Progress[str]):
    """Holds everything for finished as soon as it is begun."""

    def begin(self, mark: str, parts: int = 1) -> int:
        return super().begin(mark, 0 * parts)

    def finish(self, ticket: int) -> None:
        """Do nothing: it is finished."""


def mark_and_go_on(self: Any) -> bool:
    for lane in range(self._publisher.lanes):
        self._publisher.offer(lane, self._marker(lane, ""), self._progress.begin(self._after))
    return True


def answered_resending_last(original: Callable[..., list[int]]) -> Callable[..., list[int]]:
    def answered(self: Any, request: Any, puts: Sequence[Put], now: float) -> list[int]:
        sent = self._sent[request.number]
        tickets = original(self, request, puts, now)
        for lane, put in zip(sent, puts, strict=True):
            if put.error and lane.queue:
                failed, lane.bundle, lane.retry_at = lane.bundle, None, NEVER
                events = [orjson.dumps(event) for event in orjson.loads(failed.data)]
                lane.queue.extend(zip(events, failed.tickets, strict=True))
                self._queued_events += len(events)
        return tickets

    return answered


def next_request_of_many(original: Callable[..., Any]) -> Callable[..., Any]:
    def next_request(self: Any, now: float, most_entries: int = 500) -> Any:
        request = original(self, now, most_entries)
        if request is not None:
            flying = []
            for lane in self._sent[request.number]:
                alone = lanes._Lane(lane.lane)
                alone.bundle, lane.bundle = lane.bundle, None
                flying.append(alone)
                if lane.queue:
                    self._line.append(lane)
            self._sent[request.number] = flying
        return request

    return next_request


def answered_believing(original: Callable[..., list[int]]) -> Callable[..., list[int]]:
    def answered(self: Any, request: Any, puts: Sequence[Put], now: float) -> list[int]:
        return original(self, request, [put._replace(error="") for put in puts], now)

    return answered


def settle_believing(self: Any, sent: Any) -> list[int]:
    try:
        puts = sent.handle.result()
    except Transient:
        puts = [Put("shard") for _ in sent.request.entries]
    tickets: list[int] = self._answered(sent.request, puts)
    return tickets


def advance_of_anybody(self: Any, name: str, epoch: int, watermark: str, *, step: int = 0) -> None:
    del epoch, step
    self._memory.leases[name] = replace(self._memory.leases[name], watermark=watermark)


def attempt_believing_the_first_look(original: Callable[..., Any]) -> Callable[..., Any]:
    def attempt(self: Any) -> Any:
        seen = self.leases.read(self.name)
        lease = original(self)
        return replace(lease, watermark=seen.watermark) if lease is not None and seen is not None else lease

    return attempt


def taken_with_what_was_seen(_standing: Any) -> Callable[..., Any]:
    def taken(lease: Any, standing: Any, *, replaced: bool, now: str) -> Any:
        del standing, replaced, now
        return lease

    return taken


def taken_keeping_the_watermark(original: Callable[..., Any]) -> Callable[..., Any]:
    def taken(lease: Any, standing: Any, *, replaced: bool, now: str) -> Any:
        after = original(lease, standing, replaced=replaced, now=now)
        return replace(after, watermark=standing.watermark) if replaced and standing is not None else after

    return taken


def lease_of_the_same_generation(**fields: Any) -> Any:
    return Lease(**{**fields, "generation": fields["generation"] - 1})


def change_after_a_resync(original: Callable[..., None]) -> Callable[..., None]:
    def change(self: Any, name: str, epoch: int, make: Callable[[Any], Any]) -> None:
        standing = self._memory.leases.get(name)
        if standing is not None and standing.holder is None and standing.generation:
            self._memory.leases[name] = make(standing)
        else:
            original(self, name, epoch, make)

    return change


def mark_and_go_on_after_a_resync(original: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def mark(self: Any) -> bool:
        return mark_and_go_on(self) if self._lease.generation else original(self)

    return mark


def translator_of_the_first_generation(original: Callable[..., None]) -> Callable[..., None]:
    def begin(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **{**named, "generation": 0})

    return begin


def process_claiming_all(original: Callable[..., None]) -> Callable[..., None]:
    def process(self: Any, records: Any) -> None:
        try:
            original(self, records)
        finally:
            self._position = records[-1].place

    return process


def apply_in_two(self: Any, batch: Any, *_: Any) -> Any:
    with self._session.unit() as part:
        log = Log(0, keeps_history=self._history)
        decided = batches.Batch(part, part.load([item.change for item in batch]), self._entities, log)
        outcomes = decided.run(batch)
    with self._session.unit() as part:
        part.save(log)
    return outcomes


def free_all(original: Callable[..., None]) -> Callable[..., None]:
    def free(self: Any, newer: Any) -> None:
        original(self, newer)
        self._log.freed[newer.key, newer.entity] = "9" * 38

    return free


def decide_overtaking(original: Callable[..., Any]) -> Callable[..., Any]:
    def decide(*arguments: Any) -> Any:
        decision = original(*arguments)
        return deciding.TRY if decision == deciding._BEHIND else decision

    return decide


def park_nothing(self: Any, index: int, _delivered: Any, _refusal: Any) -> None:
    self._outcomes[index] = Outcome.PARKED


def applied_without_tombstone(original: Callable[..., None]) -> Callable[..., None]:
    def applied(self: Any, part: Any, unchanged: Any) -> None:
        original(self, part, unchanged)
        for change in (tried.delivered.change for tried in part):
            if change.verb is Verb.DELETE:
                self._log.guards[change.key] = self._log.guards[change.key]._replace(version="0" * 38, txn="")

    return applied


def ready_at_once(self: Any) -> list[str]:
    early = {shards.ShardState.READY, shards.ShardState.WAITING}
    return [name for name, state in self._states.items() if state in early]


def run_keeping_position(self: Any, records: Any) -> None:
    if self._lost():
        raise OwnershipLost("lost")
    # Read, therefore done: the failure is forgotten with the page.
    self._handed = records[-1].sequence
    self._processor._position = records[-1].place
    self._processor.process(records[:1])
    self._processor._position = records[-1].place


@contextmanager
def no_savepoint(_self: Any) -> Iterator[None]:
    yield


def save_without_fences(original: Callable[..., None]) -> Callable[..., None]:
    def save(self: Any, log: Log) -> None:
        log.fences = {}
        original(self, log)

    return save


def take_whatever_stands(original: Callable[..., None]) -> Callable[..., None]:
    def take(self: Any, lease: Any, _seen: Any, **options: bool) -> None:
        original(self, lease, self._memory.leases.get(lease.name), **options)

    return take


def read_past_the_page(original: Callable[..., None]) -> Callable[..., None]:
    def read(self: Any, now: float) -> None:
        original(self, now)
        if self._rows:
            self._after = str(int(self._after) + 1)

    return read


def groups_without_the_last(original: Callable[..., Any]) -> Callable[..., Any]:
    def groups(self: Any, records: Any) -> Iterator[Any]:
        for group in original(self, records):
            yield group._replace(changes=group.changes[:-1]) if len(group.changes) > 3 else group

    return groups


def statements_with(name: str, *changes: tuple[str, str]) -> SimpleNamespace:
    """Give all statements, of which one reads otherwise."""
    statement = getattr(statements, name)
    for old, new in changes:
        assert statement.count(old) == 1, f"{name} has no {old!r} any more"
        statement = statement.replace(old, new)
    return SimpleNamespace(**{**vars(statements), name: statement})


def take_believing(original: Callable[..., bool]) -> Callable[..., bool]:
    def take(*arguments: Any, **named: Any) -> bool:
        original(*arguments, **named)
        return True

    return take


def translate_the_state_before(original: Callable[..., Any]) -> Callable[..., Any]:
    seen: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()

    def translate(self: Any, row: Any, epoch: int) -> Any:
        rows = seen.setdefault(self, {})
        before = rows.get(row.values["id"], row)
        rows[row.values["id"]] = row
        return original(self, row._replace(values=before.values), epoch)

    return translate
