"""The task that drains: when it sweeps, at what pace, and what it waits for."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from isthmus.consumer.braking import Braked
from isthmus.consumer.draining import Drainer
from isthmus.consumer.portions import UnitPortions
from isthmus.consumer.stores.held import HeldHead
from isthmus.consumer.stores.port import Delivered, Parking
from isthmus.errors import TargetDown
from isthmus.lifecycle import Stop, Stopped
from tests.fakes.clock import FakeStop
from tests.fakes.gate_world import BILLING, BOARDS, GateWorld
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import event, upsert

T = TypeVar("T")


class NotingBrake:
    """Lets so many changes be parked, until it is released."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[str] = []

    def park(self, parkings: Iterable[Parking]) -> None:
        if len(list(parkings)) > self.most:
            raise Braked

    def hold(self, shard: str, _batch: Sequence[Delivered], action: Callable[[], T], *, stop: Stop) -> T:
        while True:
            self.asked.append(shard)
            try:
                return action()
            except Braked:
                if stop.wait(5.0):
                    raise Stopped from None


class Desk:
    """A drainer on virtual time, before a real store."""

    def __init__(self, world: GateWorld) -> None:
        self.world, self.clock = world, world.clock
        self.stop = FakeStop(world.clock)
        self.sweeps: list[float] = []
        self.rested: list[int] = []
        self.away: list[TargetDown] = []
        self.duty = True
        self.brake: NotingBrake | None = None

    def held_heads(self, *, after: str = "", most: int = 100) -> list[HeldHead]:
        self.sweeps.append(self.clock.monotonic())
        if self.away:
            raise self.away.pop()
        store: SqliteOffice = self.world.office  # type: ignore[assignment]
        return store.store([]).held_heads(after=after, most=most)

    def mirror(self, gates: object) -> None:
        raise NotImplementedError

    def drainer(self) -> Drainer:
        return Drainer(
            self,
            self.world.portions(self.world.store, brake=self.brake),
            self.world.by_name,
            self.world.gates,
            reader=self.world.held_reader(),
            clock=self.clock,
            stop=self.stop,
            metrics=self.world.metrics,
            rest=lambda changes, _begun: self.rested.append(changes),
            portion=2,
            brake=self.brake,
            on_duty=lambda: self.duty,
        )

    def runs(self, seconds: float) -> None:
        self.clock.at(self.clock.monotonic() + seconds, self.stop.request)
        self.drainer().run()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    world = GateWorld(SqliteOffice(tmp_path))
    yield Desk(world)
    world.close()


def test_what_is_held_drains_soon_after_its_gate_opens_and_its_numbers_are_told(desk: Desk) -> None:
    world = desk.world
    world.gates.close(BILLING)
    world.apply(*[event(number) for number in range(1, 6)])
    told: list[tuple[float, float]] = []
    metrics = world.metrics
    desk.clock.at(100.0, lambda: told.append((metrics.held_keys._value.get(), metrics.held_changes._value.get())))
    desk.clock.at(100.0, lambda: world.gates.open(BILLING))
    desk.clock.at(102.0, lambda: told.append((metrics.held_changes._value.get(), float(len(world.effects())))))
    desk.runs(200)
    assert told == [(1.0, 5.0), (0.0, 5.0)]
    assert desk.rested == [2, 2, 1]


def drainable(desk: Desk) -> float:
    value: float = desk.world.metrics.held_drainable._value.get()
    return value


def test_what_is_held_before_a_closed_gate_is_not_told_as_drainable(desk: Desk) -> None:
    told: list[float] = []
    desk.world.gates.close(BILLING)
    desk.world.apply(event(1), event(1, "e"))
    desk.clock.at(90.0, lambda: told.append(drainable(desk)))
    desk.clock.at(100.0, lambda: desk.world.gates.open(BILLING))
    desk.runs(200)
    assert (told, drainable(desk), desk.world.held()) == ([0.0], 0.0, [])


def test_keys_of_open_gates_that_something_keeps_from_being_drained_are_told(desk: Desk) -> None:
    world = desk.world
    world.gates.close(BOARDS)
    world.apply(upsert(1, size=-1), upsert(1, "b", size=-1))
    world.gates.open(BOARDS)
    brake = desk.brake = NotingBrake(1)
    told: list[float] = []
    for moment in (20.0, 45.0):
        desk.clock.at(moment, lambda: told.append(drainable(desk)))
    desk.clock.at(50.0, lambda: setattr(brake, "most", 2))
    desk.runs(120)
    assert (told, drainable(desk)) == ([2.0, 2.0], 0.0)


def test_keys_that_nobody_drains_although_nothing_fails_stay_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.world.gates.close(BILLING)
    desk.world.apply(event(1))
    desk.world.gates.open(BILLING)
    monkeypatch.setattr(UnitPortions, "drain", lambda *_: (0, []))
    told: list[float] = []
    for moment in range(5, 200, 5):
        desk.clock.at(moment, lambda: told.append(drainable(desk)))
    desk.runs(200)
    assert set(told) == {1.0}


def test_while_every_shard_stands_nothing_is_drainable(desk: Desk) -> None:
    world = desk.world
    world.gates.close(BILLING)
    world.apply(event(1))
    world.gates.open(BILLING)
    brake = desk.brake = NotingBrake(0)
    world.metrics.held_drainable.set(1)
    world.gates.stand(waits=True)
    desk.runs(20)
    assert (drainable(desk), brake.asked) == (0.0, [])


def test_who_is_relieved_tells_nothing_of_what_is_held_any_more(desk: Desk) -> None:
    world = desk.world
    world.gates.close(BILLING)
    world.apply(event(1))
    metrics, told = world.metrics, list[tuple[float, ...]]()

    def numbers() -> None:
        gauges = (metrics.held_keys, metrics.held_changes, metrics.held_since, metrics.held_drainable)
        told.append(tuple(gauge._value.get() for gauge in gauges))

    desk.clock.at(10.0, numbers)
    desk.clock.at(10.0, lambda: metrics.held_drainable.set(1))
    desk.clock.at(10.0, lambda: setattr(desk, "duty", False))
    desk.runs(100)
    numbers()
    first, last = told
    assert first[:2] == (1.0, 1.0)
    assert first[2] > 0
    assert last == (0.0, 0.0, 0.0, 0.0)


def test_while_nothing_opens_it_looks_more_and_more_rarely(desk: Desk) -> None:
    desk.world.gates.close(BILLING)
    desk.world.apply(event(1))
    desk.runs(3600)
    assert len(desk.sweeps) < 300
    assert max(later - sooner for sooner, later in zip(desk.sweeps, desk.sweeps[1:], strict=False)) <= 31


def test_who_is_not_on_duty_drains_nothing(desk: Desk) -> None:
    desk.world.gates.close(BILLING)
    desk.world.apply(event(1))
    desk.world.gates.open(BILLING)
    desk.duty = False
    desk.runs(60)
    assert desk.world.held() == ["k-1"]


def test_while_the_front_office_is_away_it_tries_on_and_says_nothing(desk: Desk) -> None:
    desk.world.gates.close(BILLING)
    desk.world.apply(event(1))
    desk.world.gates.open(BILLING)
    desk.away = [TargetDown("away") for _ in range(20)]
    desk.runs(60)
    assert desk.world.held() == []
    assert desk.world.effects() == {"k-1": 1}


def test_more_than_the_brake_allows_is_not_parked_and_waits_for_its_release(desk: Desk) -> None:
    world = desk.world
    world.gates.close(BOARDS)
    world.apply(upsert(1, size=-1), upsert(1, "b", size=-1))
    world.gates.open(BOARDS)
    brake = desk.brake = NotingBrake(1)
    found: list[int] = []
    desk.clock.at(50.0, lambda: found.append(len(world.parked())))
    desk.clock.at(50.0, lambda: setattr(brake, "most", 2))
    desk.runs(100)
    assert found == [0]
    assert len(world.parked()) == 2
    assert set(brake.asked) == {"held"}


def test_a_stop_ends_it_under_the_brake_too(desk: Desk) -> None:
    desk.world.gates.close(BOARDS)
    desk.world.apply(upsert(1, size=-1))
    desk.world.gates.open(BOARDS)
    desk.brake = NotingBrake(0)
    desk.runs(20)
    assert desk.world.held() == ["k-1"]
