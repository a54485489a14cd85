"""Planted bugs that the simulation must catch: each is a few lines put over the real code while a block runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import orjson

from isthmus.change import Outcome, Verb
from isthmus.checkpoint import memory, ownership
from isthmus.checkpoint.progress import Progress
from isthmus.consumer import applier, deciding, processor
from isthmus.consumer.runtimes import reader, shards
from isthmus.consumer.stores.port import Log
from isthmus.errors import OwnershipLost, Transient
from isthmus.producer import lanes, publisher, service
from isthmus.producer.pacing import NEVER
from isthmus.producer.sink import Put


class Mutant(NamedTuple):
    """One planted bug: what stands where, and how the sentence of the oracle may begin that tells of it."""

    name: str
    target: Any
    attribute: str
    replacement: Any
    caught_by: tuple[str, ...]


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Let the house have this bug while the block runs."""
    with patch.object(mutant.target, mutant.attribute, mutant.replacement):
        yield


class _HastyProgress(Progress[str]):
    """Holds everything for finished as soon as it is begun."""

    def begin(self, mark: str, parts: int = 1) -> int:
        return super().begin(mark, 0 * parts)

    def finish(self, ticket: int) -> None:
        """Do nothing: it is finished."""


def _mark_and_go_on(self: Any) -> bool:
    for lane in range(self._publisher.lanes):
        self._publisher.offer(lane, self._marker(lane, ""), self._progress.begin(self._after))
    return True


def _answered_resending_last(original: Callable[..., list[int]]) -> Callable[..., list[int]]:
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


def _next_request_of_many(original: Callable[..., Any]) -> Callable[..., Any]:
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


def _answered_believing(original: Callable[..., list[int]]) -> Callable[..., list[int]]:
    def answered(self: Any, request: Any, puts: Sequence[Put], now: float) -> list[int]:
        return original(self, request, [put._replace(error="") for put in puts], now)

    return answered


def _settle_believing(self: Any, sent: Any) -> list[int]:
    try:
        puts = sent.handle.result()
    except Transient:
        puts = [Put("shard") for _ in sent.request.entries]
    tickets: list[int] = self._answered(sent.request, puts)
    return tickets


def _advance_of_anybody(self: Any, name: str, epoch: int, watermark: str, *, step: int = 0) -> None:
    del epoch, step
    self._memory.leases[name] = replace(self._memory.leases[name], watermark=watermark)


def _attempt_believing_the_first_look(original: Callable[..., Any]) -> Callable[..., Any]:
    def attempt(self: Any) -> Any:
        seen = self.leases.read(self.name)
        lease = original(self)
        return replace(lease, watermark=seen.watermark) if lease is not None and seen is not None else lease

    return attempt


def _taken_with_what_was_seen(_standing: Any) -> Callable[..., Any]:
    def taken(lease: Any, standing: Any, *, replaced: bool, now: str) -> Any:
        del standing, replaced, now
        return lease

    return taken


def _process_claiming_all(original: Callable[..., None]) -> Callable[..., None]:
    def process(self: Any, records: Any) -> None:
        try:
            original(self, records)
        finally:
            self._position = records[-1].sequence

    return process


def _apply_in_two(self: Any, batch: Any) -> Any:
    with self._session.unit() as unit:
        log = Log(0, keeps_history=False)
        decided = applier._Batch(unit, unit.load([item.change for item in batch]), self._entities, log)
        outcomes = decided.run(batch)
    with self._session.unit() as unit:
        unit.save(log)
    return outcomes


def _free_all(original: Callable[..., None]) -> Callable[..., None]:
    def free(self: Any, newer: Any) -> None:
        original(self, newer)
        self._log.freed[newer.key] = "9" * 38

    return free


def _decide_overtaking(original: Callable[..., Any]) -> Callable[..., Any]:
    def decide(*arguments: Any) -> Any:
        decision = original(*arguments)
        return deciding.TRY if decision == deciding._BEHIND else decision

    return decide


def _park_nothing(self: Any, index: int, _delivered: Any, _refusal: Any) -> None:
    self._outcomes[index] = Outcome.PARKED


def _applied_without_tombstone(original: Callable[..., None]) -> Callable[..., None]:
    def applied(self: Any, tried: Any) -> None:
        original(self, tried)
        if tried.delivered.change.verb is Verb.DELETE:
            guard = self._log.guards[tried.delivered.change.key]
            self._log.guards[tried.delivered.change.key] = guard._replace(version="0" * 38, txn="")

    return applied


def _ready_at_once(self: Any) -> list[str]:
    early = {shards.ShardState.READY, shards.ShardState.WAITING}
    return [name for name, state in self._states.items() if state in early]


def _run_keeping_position(self: Any, records: Any) -> None:
    if self._lost():
        raise OwnershipLost("lost")
    # Read, therefore done: the failure is forgotten with the page.
    self._handed = self._processor._position = records[-1].sequence
    self._processor.process(records[:1])
    self._processor._position = records[-1].sequence


def _over(target: Any, attribute: str, make: Callable[[Any], Any]) -> tuple[Any, str, Any]:
    return target, attribute, make(getattr(target, attribute))


_Lanes: Final = lanes.Lanes

MUTANTS: Final = (
    Mutant("the watermark is saved before the acknowledgement", service, "Progress", _HastyProgress, ("I6",)),
    Mutant(
        "a refused entry counts as acknowledged", *_over(_Lanes, "answered", _answered_believing), ("I6", "markers")
    ),
    Mutant(
        "an unanswered request counts as acknowledged",
        publisher.Publisher,
        "_settle",
        _settle_believing,
        ("I6", "markers"),
    ),
    Mutant(
        "failed entries are sent again after later ones",
        *_over(_Lanes, "answered", _answered_resending_last),
        ("I4",),
    ),
    Mutant("two bundles of a lane are in flight", *_over(_Lanes, "next_request", _next_request_of_many), ("I4",)),
    Mutant("the markers are not awaited", service.Producer, "_mark_epoch", _mark_and_go_on, ("markers",)),
    Mutant("the fence is forgotten", applier, "fenced", lambda *_: False, ("fence",)),
    Mutant(
        "the fence is <= for <",
        applier,
        "fenced",
        lambda change, fences: change.epoch <= fences.get((change.source, change.lane), 0),
        ("I5",),
    ),
    Mutant(
        "the epoch is not in the watermark's condition",
        memory.MemoryLeases,
        "advance",
        _advance_of_anybody,
        ("ownership", "I6"),
    ),
    Mutant(
        "the watermark is read before the epoch is raised",
        *_over(ownership._Claim, "attempt", _attempt_believing_the_first_look),
        ("take-over", "ownership"),
    ),
    Mutant(
        "a take-over writes the watermark back",
        *_over(memory, "_taken", _taken_with_what_was_seen),
        ("take-over", "ownership"),
    ),
    Mutant("the guard is dropped", deciding, "_by_guard", lambda *_: None, ("I2", "I3", "I1", "fence")),
    Mutant("the ledger is not asked", deciding, "_by_ledger", lambda *_: None, ("I2", "consumer")),
    Mutant("guard and effect are two transactions", applier.Applier, "_apply", _apply_in_two, ("I2", "I5", "I3")),
    Mutant("a state frees what is newer", *_over(applier._Batch, "_free", _free_all), ("I1", "I5")),
    Mutant("a parked event is overtaken", *_over(applier, "decide", _decide_overtaking), ("I4",)),
    Mutant("poison is dropped", applier._Batch, "_park", _park_nothing, ("I1", "I5")),
    Mutant(
        "a delete is forgotten",
        *_over(applier._Batch, "_applied", _applied_without_tombstone),
        ("I5", "I2", "I3", "I1", "fence"),
    ),
    Mutant(
        "a checkpoint lies at the newest",
        *_over(processor.ShardProcessor, "process", _process_claiming_all),
        ("I5",),
    ),
    Mutant(
        "children start before their parent's end", shards.ShardTree, "ready", _ready_at_once, ("I5", "I4", "I3", "I1")
    ),
    Mutant(
        "a page counts as decided after its first record", reader.ShardReader, "_decide", _run_keeping_position, ("I5",)
    ),
)
