"""The baseline with the real daemon: amazon-kclpy's own sample application must fail the oracle that ours passes."""

import random
from typing import Final

from tests.faults.baselines import Found
from tests.faults.kcl_aws import Aws, aws
from tests.faults.kcl_feed import wait_for
from tests.faults.kcl_oracle import wrong
from tests.faults.kcl_strikes import kill, must, workers_up
from tests.faults.kcl_world import CHILD, History, history
from tests.faults.row import Result

NAME: Final = "amazon-kclpy's sample application, which writes each event as it comes"
NAIVE: Final = "tests.faults.kcl_naive"
KILLS: Final = 2
_BEFORE_KILL: Final = 60
_AFTERWARDS_SECONDS: Final = 60.0
STEPS: Final = (
    "one worker, one shard, fed all the time; some changes are poison",
    "a child is killed (-9) after at least 60 further effects, and the library gives its records to another one",
    "the daemon is killed (-9) in the same way, and started again",
    "the feeding ends, and the last record is read",
)


def kclpy_sample() -> Found:
    """Try it in a world of its own."""
    with aws() as world:
        return tried(world)


def tried(world: Aws, seed: int = 7) -> Found:
    """Run the sample, and then ours, under the same kills."""
    theirs, ours = _broken(world, NAIVE, seed), _broken(world, CHILD, seed)
    # What is lost may be late; what has come twice, or fell, has.
    theirs.sort(key=lambda sentence: not sentence.startswith(("I2", "I3")))
    return Found(NAME, 1, STEPS, theirs[0] if theirs else "", tuple(ours))


def _broken(world: Aws, child: str, seed: int) -> list[str]:
    chance, result = random.Random(seed), Result()
    with history(world, seed, shards=1, rate=30.0, child=child) as made:
        workers_up(made, 1)
        for turn in range(KILLS):
            _kill(made, chance, daemon=turn == 1)
        if child == CHILD:
            made.settled(result)
            made.judge(result)
            return result.violations
        made.feeder.pause()
        # Its effects come to an end: those of the last record stand there, whatever became of the others.
        newest = [each.txn for each in made.feeder.fed if each.fate == "fine"][-1]
        wait_for(lambda: newest in {effect.txn for effect in made.office.effects()}, _AFTERWARDS_SECONDS)
        return wrong(made.office, made.feeder.fed)


def _kill(made: History, chance: random.Random, *, daemon: bool) -> None:
    effects = len(made.office.effects())
    (worker,) = made.workers
    must(lambda: len(made.office.effects()) > effects + _BEFORE_KILL and worker.children(), made, "it goes on")
    victim = worker.daemon() if daemon else chance.choice(worker.children())
    if victim is not None:
        kill(victim)
