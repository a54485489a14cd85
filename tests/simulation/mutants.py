"""Planted bugs that the simulation must catch: each is a few lines put over the real code while a block runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from isthmus.checkpoint import memory, ownership, resync
from isthmus.consumer import applier, batch, deciding, processor
from isthmus.consumer.runtimes import reader, shards
from isthmus.consumer.stores.sqlite import quick, unit
from isthmus.producer import lanes, publisher, service, translator
from tests.simulation import bugs


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


def _over(target: Any, attribute: str, make: Callable[[Any], Any]) -> tuple[Any, str, Any]:
    return target, attribute, make(getattr(target, attribute))


_Lanes: Final = lanes.Lanes
_NEWER: Final = "isthmus_guard.version < excluded.version AND isthmus_guard.txn <> excluded.txn"

MUTANTS: Final = (
    Mutant("the watermark is saved before the acknowledgement", service, "Progress", bugs.HastyProgress, ("I6",)),
    Mutant(
        "a refused entry counts as acknowledged", *_over(_Lanes, "answered", bugs.answered_believing), ("I6", "markers")
    ),
    Mutant(
        "an unanswered request counts as acknowledged",
        publisher.Publisher,
        "_settle",
        bugs.settle_believing,
        ("I6", "markers"),
    ),
    Mutant(
        "failed entries are sent again after later ones",
        *_over(_Lanes, "answered", bugs.answered_resending_last),
        ("I4",),
    ),
    Mutant("two bundles of a lane are in flight", *_over(_Lanes, "next_request", bugs.next_request_of_many), ("I4",)),
    Mutant("the markers are not awaited", service.Producer, "_mark_epoch", bugs.mark_and_go_on, ("markers",)),
    Mutant("the fence is forgotten", batch, "fenced", lambda *_: False, ("fence",)),
    Mutant(
        "the fence is <= for <",
        batch,
        "fenced",
        lambda change, fences: change.epoch <= fences.get((change.source, change.lane), 0),
        ("I5",),
    ),
    Mutant(
        "the epoch is not in the watermark's condition",
        memory.MemoryLeases,
        "advance",
        bugs.advance_of_anybody,
        ("ownership", "I6"),
    ),
    Mutant(
        "the watermark is read before the epoch is raised",
        *_over(ownership._Claim, "attempt", bugs.attempt_believing_the_first_look),
        ("take-over", "ownership"),
    ),
    Mutant(
        "a take-over writes the watermark back",
        *_over(memory, "_taken", bugs.taken_with_what_was_seen),
        ("take-over", "ownership"),
    ),
    Mutant(
        "a resync leaves the watermark where it is",
        *_over(memory, "_taken", bugs.taken_keeping_the_watermark),
        ("resync",),
    ),
    Mutant(
        "a resync does not raise the generation",
        resync,
        "Lease",
        bugs.lease_of_the_same_generation,
        ("take-over",),
    ),
    Mutant(
        "a resync does not raise the epoch",
        resync,
        "next_epoch",
        lambda last, now_ms: last or now_ms // 1000,
        ("take-over",),
    ),
    Mutant(
        "an old owner saves its watermark after a resync",
        *_over(memory.MemoryLeases, "_change", bugs.change_after_a_resync),
        ("ownership",),
    ),
    Mutant(
        "after a resync the markers are not awaited",
        *_over(service.Producer, "_mark_epoch", bugs.mark_and_go_on_after_a_resync),
        ("markers",),
    ),
    Mutant(
        "after a resync the versions are of the first generation",
        *_over(translator.Translator, "__init__", bugs.translator_of_the_first_generation),
        ("generation",),
    ),
    Mutant("the guard is dropped", deciding, "_by_guard", lambda *_: None, ("I2", "I3", "I1", "fence")),
    Mutant("the ledger is not asked", deciding, "_by_ledger", lambda *_: None, ("I2", "consumer")),
    Mutant("guard and effect are two transactions", applier.Applier, "_apply", bugs.apply_in_two, ("I2", "I5", "I3")),
    Mutant("a state frees what is newer", *_over(batch.Batch, "_free", bugs.free_all), ("I1", "I5")),
    Mutant("a parked event is overtaken", *_over(batch, "decide", bugs.decide_overtaking), ("I4",)),
    Mutant("poison is dropped", batch.Batch, "_park", bugs.park_nothing, ("I1", "I5")),
    Mutant(
        "a delete is forgotten",
        *_over(batch.Batch, "_applied", bugs.applied_without_tombstone),
        ("I5", "I2", "I3", "I1", "fence"),
    ),
    Mutant(
        "a checkpoint lies at the newest",
        *_over(processor.ShardProcessor, "process", bugs.process_claiming_all),
        ("I5",),
    ),
    Mutant("poison is not undone", unit.SqliteUnit, "savepoint", bugs.no_savepoint, ("I1", "I2")),
    Mutant("the fence is not durable", *_over(unit.SqliteUnit, "save", bugs.save_without_fences), ("fence",)),
    Mutant("the quick way does not ask the fence", quick, "fenced", lambda *_: False, ("fence",)),
    Mutant(
        "the quick way passes by what is parked",
        quick,
        "sql",
        bugs.statements_with("ANYTHING", ("EXISTS (SELECT 1 FROM isthmus_parked)", "0")),
        ("I9",),
    ),
    Mutant(
        "the quick way writes a guard whatever stands there",
        quick,
        "sql",
        bugs.statements_with("CLAIM_GUARD", (_NEWER, "true")),
        ("I3", "I5", "I2"),
    ),
    Mutant(
        "the quick way lets the same ID take effect again",
        quick,
        "sql",
        bugs.statements_with("CLAIM_GUARD", (_NEWER, "isthmus_guard.version <= excluded.version")),
        ("I2",),
    ),
    Mutant("the quick way keeps what was not plainly new", *_over(quick, "take", bugs.take_believing), ("I3", "I5")),
    Mutant(
        "the translator sends the state before",
        *_over(translator.Translator, "translate", bugs.translate_the_state_before),
        ("payload",),
    ),
    Mutant(
        "a lease is taken whatever stands there",
        *_over(memory.MemoryLeases, "take", bugs.take_whatever_stands),
        ("take-over",),
    ),
    Mutant("the source is read past its page", *_over(service.Producer, "_read", bugs.read_past_the_page), ("I6",)),
    Mutant(
        "the last change of a transaction is left out",
        *_over(processor.ShardProcessor, "_groups", bugs.groups_without_the_last),
        ("I5",),
    ),
    Mutant(
        "children start before their parent's end",
        shards.ShardTree,
        "ready",
        bugs.ready_at_once,
        ("I5", "I4", "I3", "I1"),
    ),
    Mutant(
        "a page counts as decided after its first record",
        reader.ShardReader,
        "_decide",
        bugs.run_keeping_position,
        ("I5",),
    ),
)
