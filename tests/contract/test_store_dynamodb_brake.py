"""The park brake on DynamoDB, where each change is a transaction of its own."""

import random
from contextlib import closing

import pytest

from isthmus.attempts import Attempts
from isthmus.change import Kind
from isthmus.checkpoint.brakes import MemoryBrakes, Word
from isthmus.consumer.braking import Braked, ParkBrake
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.port import Entity
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.store_world import PARKED, delivered, event, untranslated

MOST = 5


@pytest.fixture
def office(emulator: Emulator) -> DynamoOffice:
    made = DynamoOffice(emulator.client("dynamodb"))
    made.store([]).prepare()
    return made


def test_not_one_more_is_parked_than_is_allowed_however_many_are_tried_at_once(office: DynamoOffice) -> None:
    clock, metrics, notes = FakeClock(), Metrics(), MemoryBrakes()
    watch = Attempts("park_brake", metrics, clock)
    brake = ParkBrake(MOST, notes, clock=clock, chance=random.Random(1), metrics=metrics, watch=watch)
    brake.sync()
    entities = {"posting": Entity("posting", Kind.EVENT, None, None)}
    decider = DynamoDecider(office.client, office.settings, entities, clock, metrics, history=False, brake=brake)
    bad = [delivered(untranslated(1, f"bad/{number}", "posting")) for number in range(40)]
    good = [delivered(event(1, f"good/{number}")) for number in range(5)]
    with closing(decider):
        with pytest.raises(Braked):
            decider.apply([*good, *bad])
        assert len(office.own("parked")) <= MOST
        brake.sync()
        assert notes.read_all()["no-airport"].word is Word.ON
        # What is parked already, and what is no poison, is decided all the same when it comes again.
        there = {row["key"] for row in office.own("parked")}
        again = [each for each in bad if each.change.key in there]
        assert decider.apply(again) == [PARKED] * len(again)
