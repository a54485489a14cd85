"""A process that decides batches of poison in DynamoDB under a park brake that it shares: one command a line.

    decide PREFIX COUNT   decides one batch of so many keys; answers `parked`, or `held` where the brake was on

Started as `python -m tests.fakes.brake_process URL CHECKPOINTS OFFICE LIMIT`; says `ready` when it may be asked.
"""

import sys
from contextlib import closing

from isthmus.attempts import Attempts
from isthmus.chance import seeded_chance
from isthmus.change import Kind, Outcome
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.clock import SystemClock
from isthmus.consumer.braking import ParkBrake
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.port import Entity
from isthmus.lifecycle import Stopped, ThreadStop
from isthmus.log import configure
from isthmus.metrics import Metrics
from tests.fakes.emulator import Endpoint
from tests.fakes.store_world import delivered, untranslated

_BRAKES_OWN = 0.01
"""Seconds: waits for an answer are shorter."""


def main(url: str, table: str, office: str, limit: int) -> None:
    configure("json", "error")
    client = Endpoint(url).client("dynamodb")
    clock, metrics, stop = SystemClock(), Metrics(), ThreadStop()
    checkpoints = DynamoCheckpoints(client, table, clock)
    brake = ParkBrake(
        limit,
        checkpoints.brakes,
        clock=clock,
        chance=seeded_chance("brake"),
        metrics=metrics,
        watch=Attempts("park_brake", metrics, clock),
        counts=checkpoints.brake_counts,
    )
    entities = {"posting": Entity("posting", Kind.EVENT, None, None)}
    settings = DynamoSettings(table=office)
    decider = DynamoDecider(client, settings, entities, clock, metrics, history=False, brake=brake)
    # Before the notes were read nothing is decided.
    brake.sync()
    task = ThreadTask("park-brake", lambda: brake.run(stop))
    with closing(decider):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for line in sys.stdin:
            _, prefix, count = line.split()
            sys.stdout.write(f"{_decided(decider, brake, prefix, int(count))}\n")
            sys.stdout.flush()
    stop.request()
    task.result()


class Impatient(ThreadStop):
    """Waits for answers, and not for the brake: that it is on is enough to know here."""

    def wait(self, seconds: float) -> bool:
        if seconds >= _BRAKES_OWN:
            self.request()
        return super().wait(seconds)


def _decided(decider: DynamoDecider, brake: ParkBrake, prefix: str, count: int) -> str:
    batch = [delivered(untranslated(1, f"{prefix}/{number}", "posting")) for number in range(count)]
    try:
        outcomes = brake.hold(prefix, batch, lambda: decider.apply(batch), stop=Impatient())
    except Stopped:
        return "held"
    assert set(outcomes) == {Outcome.PARKED}
    return "parked"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
