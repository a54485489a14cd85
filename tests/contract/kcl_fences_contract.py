"""A child of the library's daemon on a real front office: what a checkpoint passes is durable, fences above all.

The checkpoint lies in the library's lease, and not with the fences: a fence that were not durable before would never be
raised again, for its marker does not come again.
"""

import random
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest

from isthmus.attempts import AttemptsByPart
from isthmus.change import Change, Outcome, Verb
from isthmus.consumer.feed import Place
from isthmus.consumer.runtimes.kcl.child import Child
from isthmus.consumer.runtimes.kcl.settings import ChildSettings
from isthmus.consumer.runtimes.kcl.states import ChildState
from isthmus.consumer.stores.port import Decider
from tests.fakes.kcl_daemon import SHARD, SHARD_END, FakeShard, order
from tests.fakes.kcl_desk import BATCH, BEGIN, ENDED, Ask, ScriptedLines, batch
from tests.fakes.processor_desk import ProcessorDesk, record
from tests.fakes.store_world import FrontOffice, World, event, marker, upsert


class Crash(BaseException):
    """The process dies here."""


class Dying:
    """A decider whose process dies around one of its batches: before it, or when all of it is durable."""

    def __init__(self, decider: Decider, left: int, *, after: bool) -> None:
        self._decider = decider
        self._left = left
        self._after = after

    def apply(self, changes: list[object]) -> list[Outcome | None]:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Crash
        outcomes = self._decider.apply(changes)  # type: ignore[arg-type]  # as they came
        if self._left == 0:
            raise Crash
        return outcomes


class Sent(NamedTuple):
    """What lies in the shard: of two owners, the second of which takes over twice; both send on meanwhile."""

    records: list[list[Change]]

    def markers_up_to(self, place: Place) -> int:
        """Give the highest epoch whose marker lies at or before a place."""
        found = [
            change.epoch
            for number, changes in enumerate(self.records)
            for change in changes
            if change.verb is Verb.MARKER and (place == SHARD_END or order(Place(str(9 + number))) <= order(place))
        ]
        return max(found, default=0)


def sent() -> Sent:
    return Sent([
        [marker(1), upsert(1), event(1, "e")],
        [upsert(2), marker(2)],
        # The old owner has not noticed yet.
        [upsert(3, epoch=1), event(2, "e", epoch=1)],
        [upsert(4, "k", epoch=2)],
        [marker(3), event(3, "e", epoch=3)],
        [upsert(5, epoch=2), event(4, "e", epoch=2)],
        [upsert(6, epoch=3)],
    ])  # fmt: skip


class KclFencesContract:
    """An adapter's test module provides the fixture `office`."""

    @pytest.fixture
    def world(self, office: FrontOffice) -> Iterator[World]:
        made = World(office)
        yield made
        made.close()

    @pytest.mark.parametrize("after", [False, True])
    def test_a_fence_is_durable_before_the_checkpoint_passes_its_marker_and_holds_in_every_later_life(
        self, world: World, *, after: bool
    ) -> None:
        history = sent()
        shard = FakeShard([record(9 + number, *changes) for number, changes in enumerate(history.records)])

        def fenced(place: Place) -> None:
            highest = max((row["epoch"] for row in world.office.own("fence")), default=0)
            assert highest >= history.markers_up_to(place), place

        shard.on_checkpoint = fenced
        lives = 0
        while not shard.ended:
            lives += 1
            desk = ProcessorDesk(batch_changes=2, shard=SHARD)
            decider = world.elsewhere()
            dying: object = Dying(decider, 2 + lives % 2, after=after) if lives < 6 else decider
            desk.processor._decider = dying  # type: ignore[assignment]  # it is used as one
            with suppress(Crash):
                assert self._life(shard, desk, BEGIN, batch(1), batch(2), BATCH, ENDED) is ChildState.ENDED
            decider.close()

        assert lives > 1
        assert sorted(world.effects()) == ["e-1", "e-3", "k-1", "k-2", "k-4", "k-6"]
        assert set(world.effects().values()) == {1}
        assert [row["size"] for row in world.office.rows("thing")] == [6]

    def _life(self, shard: FakeShard, desk: ProcessorDesk, *script: Ask) -> ChildState:
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
        return child.run()
