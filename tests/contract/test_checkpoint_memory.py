"""The checkpoint ports in memory."""

import threading
from collections.abc import Callable

import pytest

from isthmus.checkpoint.memory import MemoryCheckpoints
from isthmus.errors import OwnershipLost, TargetDown, Transient
from tests.contract.checkpoint_contract import (
    NAME,
    LeasesContract,
    ShardCheckpointsContract,
    StreamRegistryContract,
    checkpoint,
    lease,
    plain,
    saved,
)
from tests.contract.hand_over_contract import HandOversContract
from tests.fakes.clock import FakeClock


@pytest.fixture
def checkpoints() -> MemoryCheckpoints:
    return MemoryCheckpoints(FakeClock())


class TestLeases(LeasesContract):
    pass


class TestShardCheckpoints(ShardCheckpointsContract):
    pass


class TestStreamRegistry(StreamRegistryContract):
    pass


class TestHandOvers(HandOversContract):
    pass


def test_a_planned_failure_comes_once_and_before_the_effect(checkpoints: MemoryCheckpoints) -> None:
    checkpoints.fail_next()
    with pytest.raises(Transient):
        checkpoints.leases.take(lease(), None)
    assert checkpoints.leases.read(NAME) is None


def test_a_lost_answer_comes_after_the_effect(checkpoints: MemoryCheckpoints) -> None:
    checkpoints.fail_next(after=True, error=TargetDown("away"))
    with pytest.raises(TargetDown):
        checkpoints.leases.take(lease(), None)
    assert plain(checkpoints.leases.read(NAME)) == lease()


def test_a_failure_may_wait_for_its_operation(checkpoints: MemoryCheckpoints) -> None:
    checkpoints.fail_next("shards.save")
    checkpoints.leases.take(lease(), None)
    with pytest.raises(Transient):
        checkpoints.shards.save(checkpoint("1"))
    checkpoints.shards.save(checkpoint("1"))


@pytest.mark.parametrize("after", [False, True])
def test_every_write_may_be_repeated_after_an_unknown_result(checkpoints: MemoryCheckpoints, *, after: bool) -> None:
    checkpoints.leases.take(lease(), None)
    writes: tuple[Callable[[], None], ...] = (
        lambda: checkpoints.shards.save(checkpoint("7")),
        lambda: checkpoints.leases.advance(NAME, 1, "20"),
        lambda: checkpoints.leases.give_back(NAME, 1),
    )
    for write in writes:
        checkpoints.fail_next(after=after)
        with pytest.raises(Transient):
            write()
        write()
    assert saved(checkpoints.shards) == ("7", False)
    assert plain(checkpoints.leases.read(NAME)) == lease(1, None, watermark="20")


def test_a_take_whose_answer_was_lost_refuses_its_repeat(checkpoints: MemoryCheckpoints) -> None:
    checkpoints.fail_next("leases.take", after=True)
    with pytest.raises(Transient):
        checkpoints.leases.take(lease(), None)
    with pytest.raises(OwnershipLost):
        checkpoints.leases.take(lease(), None)


def test_nothing_happens_between_the_condition_and_the_write() -> None:
    class Interrupting(FakeClock):
        """A clock that lets another thread try its luck when it is asked, which is in the middle of a write."""

        def now_ms(self) -> int:
            if not intruders:
                intruder = threading.Thread(target=checkpoints.leases.give_back, args=(NAME, 1))
                intruders.append(intruder)
                intruder.start()
                intruder.join(0.05)  # with the lock it waits for us, so this always takes that long
                waiting.append(intruder.is_alive())
            return super().now_ms()

    intruders: list[threading.Thread] = []
    waiting: list[bool] = []
    checkpoints = MemoryCheckpoints(Interrupting())
    checkpoints.leases.take(lease(), None)
    intruders[0].join(30)
    assert waiting == [True]
    assert plain(checkpoints.leases.read(NAME)) == lease(1, None)
