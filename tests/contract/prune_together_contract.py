"""What happens where several workers prune one front office at once, while others decide in it.

Under the Kinesis Client Library one worker prunes, the leader; but two may believe that they lead, for a moment.
"""

import threading

from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.consumer.stores.port import Pruned
from isthmus.errors import Transient
from isthmus.lifecycle import ThreadStop
from tests.fakes.store_world import World, delete, event, upsert

WORKERS = 3
KEYS = range(12)


def pruned(world: World, before_ms: int, begin: threading.Barrier) -> Pruned:
    """Prune as a worker of its own; who meets another may be told to try again, as housekeeping does in an hour."""
    store = world.office.store(world.entities)
    begin.wait()
    for _ in range(100):
        try:
            return store.prune(memory_before_ms=before_ms, history_before_ms=before_ms, stop=ThreadStop(), portion=3)
        except Transient:
            continue
    raise AssertionError("it never came through")


def names(*parts: str) -> set[str]:
    return {part.format(key) for key in KEYS for part in parts}


class PruneTogetherContract:
    def test_several_that_prune_at_once_while_others_decide_forget_what_is_old_and_nothing_else(
        self, world: World
    ) -> None:
        for key in KEYS:
            world.apply(upsert(1, f"old-{key}"), delete(2, f"old-{key}"))
            world.apply(event(1, f"e-{key}"), upsert(1, f"live-{key}"))
        before = world.clock.now_ms() + 1
        world.clock.move(10)
        begin = threading.Barrier(WORKERS + 1)
        tasks = [ThreadTask("prune", lambda: pruned(world, before, begin)) for _ in range(WORKERS)]
        begin.wait()
        for key in KEYS:
            world.apply(upsert(1, f"new-{key}"), event(2, f"e-{key}"), upsert(2, f"live-{key}"))
        found = [task.result() for task in tasks]

        guards = {row["key"]: row["deleted"] for row in world.office.own("guard")}
        assert set(guards) == names("live-{}", "new-{}")
        assert not any(guards.values())
        assert {row["txn"] for row in world.office.own("ledger")} == names("e-{}-2")
        assert set(world.history_of()) == names("new-{}-1", "e-{}-2", "live-{}-2")
        # Each was forgotten by one of them.
        assert sum(each.guards for each in found) == len(KEYS)
        effects = names("old-{}-1", "old-{}-2", "e-{}-1", "e-{}-2", "live-{}-1", "live-{}-2", "new-{}-1")
        assert world.effects() == dict.fromkeys(effects, 1)
