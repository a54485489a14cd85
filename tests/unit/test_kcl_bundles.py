"""The real shard processor behind a child: bundles cut by a crash, and records that a producer packed together."""

import random
from collections.abc import Sequence
from typing import cast

import pytest

from isthmus.attempts import AttemptsByPart
from isthmus.change import Change, Outcome
from isthmus.consumer.feed import Place, Record
from isthmus.consumer.runtimes.kcl.child import Child
from isthmus.consumer.runtimes.kcl.ending import serve
from isthmus.consumer.runtimes.kcl.settings import ChildSettings
from isthmus.consumer.stores.port import Decider, Delivered
from isthmus.lifecycle import Stopped
from tests.fakes.kcl_daemon import SHARD, SHARD_END, FakeShard
from tests.fakes.kcl_desk import BATCH, BEGIN, ENDED, Ask, ScriptedLines, batch, quiet
from tests.fakes.processor_desk import ProcessorDesk, change, raw_record, record

HISTORIES = 1_000


class Crash(BaseException):
    """The process dies here."""


def packed(sequence: int, *contents: bytes) -> list[Record]:
    return [raw_record(sequence, data)._replace(sub_sequence=sub) for sub, data in enumerate(contents)]


def life(shard: FakeShard, desk: ProcessorDesk, *script: Ask) -> int:
    """Let a child with the desk's processor serve a script; give its exit code."""
    child = Child(
        ScriptedLines(shard.daemon(), script),
        lambda _shard, _begin: desk.processor,
        stop=desk.stop,
        clock=desk.clock,
        chance=random.Random(1),
        metrics=desk.metrics,
        attempts=AttemptsByPart(desk.metrics, desk.clock),
        settings=ChildSettings(checkpoint_interval=0),
    )
    return serve(child)


class Store:
    """What is durable over all lives. Each change is a transaction of its own; it dies after so many more."""

    def __init__(self) -> None:
        self.committed: list[str] = []
        self.left: int | None = None

    def apply(self, changes: Sequence[Delivered]) -> list[Outcome | None]:
        for delivered in changes:
            if self.left == 0:
                raise Crash
            if self.left is not None:
                self.left -= 1
            self.committed.append(delivered.change.id)
        return [Outcome.APPLIED] * len(changes)


def test_a_bundle_cut_by_a_crash_comes_again_whole_in_a_thousand_histories() -> None:
    with quiet():
        cut = sum(history(seed) for seed in range(HISTORIES))
    assert cut > HISTORIES / 10


def history(seed: int) -> bool:
    """Live a few lives, the first of which die; say whether one died within a bundle."""
    dice = random.Random(seed)
    numbers = iter(range(1, 1000))
    contents = [[change(next(numbers)) for _ in range(dice.randint(1, 6))] for _ in range(4)]
    shard = FakeShard([record(9 + place, *changes) for place, changes in enumerate(contents)])
    store, cut = Store(), False
    for crashes in (True, True, False):
        if shard.ended:
            break
        desk = ProcessorDesk(batch_changes=dice.randint(1, 4), shard=SHARD)
        desk.processor._decider = cast("Decider", store)
        store.left = dice.randint(0, 12) if crashes else None
        life(shard, desk, BEGIN, batch(dice.randint(1, 3)), BATCH, ENDED)
        decided = set(store.committed)
        whole = {str(9 + place) for place, changes in enumerate(contents) if ids(changes) <= decided}
        # A checkpoint lies only behind a bundle of which every change is committed.
        assert all(place.sequence in whole or place == SHARD_END for place in shard.obeyed)
        cut |= any(ids(changes) & decided and not ids(changes) <= decided for changes in contents)
    assert shard.ended
    assert list(dict.fromkeys(store.committed)) == [each.id for changes in contents for each in changes], seed
    return cut


def ids(changes: Sequence[Change]) -> set[str]:
    return {change.id for change in changes}


def test_the_place_of_packed_records_tells_them_apart() -> None:
    desk = ProcessorDesk(batch_changes=1)
    assert desk.processor.place() is None
    desk.process(*packed(7, record(7, change(1)).data, record(7, change(2)).data))
    assert desk.processor.place() == Place("7", 1)
    assert desk.processor.position() == "7"


def test_a_stop_ends_between_packed_records_too() -> None:
    desk = ProcessorDesk(batch_changes=1)
    desk.applier.after = desk.stop.request
    with pytest.raises(Stopped):
        desk.process(*packed(7, *(record(7, change(number)).data for number in range(3))))
    assert desk.processor.place() == Place("7", 0)
    assert len(desk.delivered()) == 1


def test_packed_records_that_cannot_be_read_are_parked_apart_and_their_first_as_ever() -> None:
    desk = ProcessorDesk()
    desk.process(*packed(7, b"nonsense", b"nonsense", b"nonsense"))
    keys = [delivered.change.key for delivered in desk.delivered()]
    assert keys == ["~record/shard-0/7/0", "~record/shard-0/7.1/0", "~record/shard-0/7.2/0"]
