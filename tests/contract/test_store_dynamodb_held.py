"""Where holding in DynamoDB is special: the mark on the entity's item, who comes between, crashes, sizes, costs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from isthmus.change import Change, Outcome
from isthmus.checkpoint.gates import Covers
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.dynamodb.draining import DynamoPortions
from isthmus.consumer.stores.port import Decider
from isthmus.errors import Transient
from tests.contract.store_redrive_contract import Mended
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.dynamodb_desk import Between
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.gate_world import BILLING, BOARDS, FakeGates, GateWorld
from tests.fakes.store_world import APPLIED, DUPLICATE, PARKED, delete, delivered, event, upsert

HELD = Outcome.HELD


@pytest.fixture(params=["item", "table"])
def office(request: pytest.FixtureRequest, emulator: Emulator) -> DynamoOffice:
    return DynamoOffice(emulator.client("dynamodb"), tombstones=request.param)


@pytest.fixture
def world(office: DynamoOffice) -> Iterator[GateWorld]:
    """Give a world in which a thing is one conditional write."""
    made = GateWorld(office).without_handlers()
    yield made
    made.close()


def items(office: DynamoOffice) -> list[Any]:
    """Give the items of things, with all that is ours on them."""
    return office.items(office.table("thing"))


def marked(office: DynamoOffice) -> list[str]:
    """Give the keys of which an item carries the mark, wherever it lies."""
    found = [item["key"]["S"] for item in items(office) if "isthmus_held" in item]
    own = office.items(office.settings.table)
    return sorted([*found, *(item["pk"]["S"].removeprefix("k#") for item in own if "isthmus_held" in item)])


def lines(office: DynamoOffice) -> list[str]:
    return sorted(
        item["sk"]["S"] for item in office.items(office.settings.table) if item["pk"]["S"].startswith("held#")
    )


def by_another(world: GateWorld, gates: FakeGates) -> DynamoDecider:
    """Give a decider as another process has one, with a reading of its own."""
    office = world.office
    assert isinstance(office, DynamoOffice)
    return office.decider(world.store, world.by_name, world.clock, world.metrics, history=False, gates=gates)


def closed(*covers: Covers) -> FakeGates:
    gates = FakeGates()
    for each in covers:
        gates.close(each)
    return gates


def between(decider: Decider, name: str, then: Callable[[], object]) -> Between:
    assert isinstance(decider, DynamoDecider)
    made = decider._requests._client = Between(decider._requests._client, name, then)
    return made


# the mark


def test_a_newer_state_by_the_one_write_does_not_pass_what_is_held_of_its_entity(
    world: GateWorld, office: DynamoOffice
) -> None:
    world.apply(upsert(1, "there"))
    world.gates.close(BOARDS)
    assert world.apply(upsert(1), upsert(2, "there")) == [HELD, HELD]
    world.gates.open(BOARDS)
    assert marked(office) == ["k", "there"]
    assert world.apply(upsert(2), delete(3, "there")) == [HELD, HELD]
    assert [(row["key"], row["size"]) for row in office.rows("thing")] == [("there", 1)]
    assert world.drain() == 4
    assert [(row["key"], row["size"]) for row in office.rows("thing")] == [("k", 2)]
    assert (marked(office), lines(office), office.own("held")) == ([], [], [])
    assert world.apply(upsert(3), upsert(4, "there")) == [APPLIED, APPLIED]


def test_the_mark_goes_in_the_write_of_the_last_one_and_not_before(world: GateWorld, office: DynamoOffice) -> None:
    world.gates.close(BOARDS)
    world.apply(upsert(1), upsert(2), upsert(3))
    world.gates.open(BOARDS)
    portions = world.portions(world.store)
    with closing(portions):
        assert portions.drain(["k"], 2) == (2, ["k"])
        assert [row["size"] for row in office.rows("thing")] == [2]
        assert marked(office) == ["k"]
        assert world.apply(upsert(4)) == [HELD]
        assert portions.drain(["k"], 5) == (2, [])
    assert marked(office) == []
    assert [row["size"] for row in office.rows("thing")] == [4]


def test_a_drain_that_was_throttled_once_grows_as_wide_again(world: GateWorld) -> None:
    world.gates.close(BOARDS)
    keys = [f"k{number}" for number in range(40)]
    world.apply(*(upsert(1, key) for key in keys))
    world.gates.open(BOARDS)
    portions = world.portions(world.store)
    assert isinstance(portions, DynamoPortions)
    with closing(portions):
        widest = portions._width.now
        portions._width.throttled()
        narrow = portions._width.now
        assert portions.drain(keys, 1)[0] == len(keys)
        assert narrow < portions._width.now <= widest


def test_where_nothing_that_was_held_takes_effect_no_trace_of_an_entity_stays(
    world: GateWorld, office: DynamoOffice
) -> None:
    world.gates.close(BOARDS)
    world.apply(upsert(1))
    office.settle("k-1")
    world.gates.open(BOARDS)
    assert world.drain() == 1
    assert items(office) == []
    assert (marked(office), lines(office)) == ([], [])


def test_what_drains_into_the_lot_leaves_its_flag_and_no_mark(world: GateWorld, office: DynamoOffice) -> None:
    world.gates.close(BOARDS)
    world.apply(upsert(1, note="wrong"))
    world.gates.open(BOARDS)
    world.drain()
    assert world.parked() == [("k-1", "contract")]
    assert marked(office) == []
    assert world.apply(upsert(2)) == [APPLIED]
    assert world.parked() == []


def test_a_tombstone_stays_while_something_of_it_is_held_and_expires_after_it(
    world: GateWorld, office: DynamoOffice
) -> None:
    def prune() -> None:
        world.store.prune(memory_before_ms=10**15, history_before_ms=0, stop=FakeStop(FakeClock()))

    def tombstones() -> list[Any]:
        own = office.items(office.settings.table)
        return [item for item in (*items(office), *own) if "isthmus_deleted" in item]

    world.apply(upsert(1), delete(2))
    world.gates.close(BOARDS)
    assert world.apply(upsert(3)) == [HELD]
    (held,) = tombstones()
    assert "isthmus_expires" not in held
    prune()
    assert tombstones() == [held]
    office.settle("k-3")
    world.gates.open(BOARDS)
    assert world.drain() == 1
    (left,) = tombstones()
    assert "isthmus_expires" in left
    assert "isthmus_held" not in left
    prune()
    assert tombstones() == []


def test_a_mark_that_nothing_stands_behind_stops_nobody_and_goes(world: GateWorld, office: DynamoOffice) -> None:
    world.gates.close(BOARDS)
    world.apply(upsert(1))
    world.gates.open(BOARDS)
    elsewhere = GateWorld(office)
    elsewhere.entities = [entity for entity in elsewhere.entities if entity.name != "thing"]
    with closing(elsewhere):
        # Who drains knows nothing of things.
        assert elsewhere.drain() == 1
    assert world.parked() == [("k-1", "unknown-entity")]
    assert marked(office) == ["k"]
    assert world.apply(upsert(2)) == [APPLIED]
    assert marked(office) == []


def test_two_types_of_one_key_are_two_entities_for_the_one_write_alone(world: GateWorld, office: DynamoOffice) -> None:
    world.apply(upsert(1))
    world.gates.close(BILLING)
    assert world.apply(event(1)) == [HELD]
    assert world.apply(upsert(2)) == [APPLIED]
    assert marked(office) == []
    world.gates.open(BILLING)
    assert world.drain() == 1
    assert world.effects() == {"k-1": 1}


def test_what_leaves_the_lot_leaves_the_mark_of_what_is_held_behind_it(world: GateWorld, office: DynamoOffice) -> None:
    assert world.apply(*[upsert(1, key, note="wrong") for key in "ab"]) == [PARKED, PARKED]
    world.gates.close(BOARDS)
    assert world.apply(upsert(2, "a"), upsert(2, "b")) == [HELD, HELD]
    world.gates.open(BOARDS)
    with closing(world.gated_redriver(Mended({"a-1"}))) as redriver:
        assert redriver.redrive("a").outcomes == {"applied": 1}
        assert redriver.discard("b", ["b-1"], who="ada", why="agreed") == 1
    assert [row["key"] for row in office.rows("thing")] == ["a"]
    assert marked(office) == ["a", "b"]
    assert world.apply(upsert(3, "a"), upsert(3, "b")) == [HELD, HELD]
    assert world.drain() == 4
    assert [(row["key"], row["size"]) for row in office.rows("thing")] == [("a", 3), ("b", 3)]
    assert (marked(office), lines(office), world.parked()) == ([], [], [])
    assert world.apply(upsert(4, "a"), upsert(4, "b")) == [APPLIED, APPLIED]


def test_lines_and_lots_of_which_somebody_deleted_the_changes_by_hand_end_also_after_the_gates_have_changed(
    world: GateWorld, office: DynamoOffice
) -> None:
    def vanish() -> None:
        for item in office.items(office.settings.table):
            if item["sk"]["S"].startswith(("q#", "i#", "p#")):
                key = {name: item[name] for name in ("pk", "sk")}
                office.client.delete_item(TableName=office.settings.table, Key=key)

    drainer, redriver = world.drainer(), world.gated_redriver(Mended({"e-1"}))
    with closing(redriver):
        assert world.apply(event(1, "e", note="wrong")) == [PARKED]
        world.gates.close(Covers())
        assert world.apply(event(1)) == [HELD]
        world.gates.open(Covers())
        assert drainer.sweep() == 1
        assert redriver.redrive("e").outcomes == {"applied": 1}
        assert world.apply(event(2, "e", note="wrong")) == [PARKED]
        world.gates.close(BILLING)
        assert world.apply(event(2)) == [HELD]
        vanish()
        world.gates.open(BILLING)
        assert drainer.sweep() == 0
        redriver.redrive("e")
    assert lines(office) == []
    assert world.apply(event(3), event(3, "e")) == [APPLIED, APPLIED]


# who comes between


def test_a_state_that_is_held_just_before_the_one_write_of_the_next_is_not_overtaken(
    world: GateWorld, office: DynamoOffice
) -> None:
    world.apply(upsert(1, "there"))
    for key in ("k", "there"):
        with closing(by_another(world, closed(BOARDS))) as other:

            def holds(other: DynamoDecider = other, key: str = key) -> None:
                assert other.apply([delivered(upsert(2, key))]) == [HELD]

            happened = between(world.decider, "update_item", holds)
            assert world.apply(upsert(3, key)) == [HELD]
            assert happened.happened
    assert world.drain() == 4
    assert [(row["key"], row["size"]) for row in office.rows("thing")] == [("k", 3), ("there", 3)]


@pytest.mark.parametrize("make", [event, upsert])
def test_what_is_held_just_before_the_transaction_of_the_next_is_not_overtaken(
    office: DynamoOffice, make: Callable[..., Change]
) -> None:
    with closing(GateWorld(office)) as world, closing(by_another(world, closed(BOARDS, BILLING))) as other:
        happened = between(world.decider, "transact_write_items", lambda: other.apply([delivered(make(1))]))
        assert world.apply(make(2)) == [HELD]
        assert happened.happened
        assert world.effects() == {}
        assert world.held() == ["k-1", "k-2"]


def test_two_that_hold_of_one_key_come_one_after_the_other(world: GateWorld) -> None:
    world.gates.close(Covers())
    with closing(by_another(world, closed(Covers()))) as other:
        for number, make in ((1, event), (3, upsert)):
            happened = between(
                world.decider,
                "transact_write_items",
                lambda number=number, make=make: other.apply([delivered(make(number))]),  # type: ignore[misc]
            )
            assert world.apply(make(number + 1)) == [HELD]
            assert happened.happened
    assert world.held() == ["k-1", "k-2", "k-3", "k-4"]


def test_what_is_held_while_the_last_one_drains_goes_behind_it(world: GateWorld, office: DynamoOffice) -> None:
    world.gates.close(BOARDS)
    world.apply(upsert(1))
    world.gates.open(BOARDS)
    portions = world.portions(world.store)
    assert isinstance(portions, DynamoPortions)
    with closing(portions), closing(by_another(world, closed(BOARDS))) as other:
        happened = Between(
            portions._requests._client, "transact_write_items", lambda: other.apply([delivered(upsert(2))])
        )
        portions._requests._client = happened
        assert portions.drain(["k"], 1) == (1, ["k"])
        assert happened.happened
        assert world.held() == ["k-2"]
        assert marked(office) == ["k"]
        assert portions.drain(["k"], 1) == (1, ["k"])
        assert portions.drain(["k"], 1) == (0, [])
    assert [row["size"] for row in office.rows("thing")] == [2]


def test_a_change_that_drained_while_it_came_again_is_held_no_second_time(world: GateWorld) -> None:
    world.gates.close(BILLING)
    world.apply(event(1), event(2))
    with closing(by_another(world, closed(BILLING))) as other:
        world.gates.open(BILLING)
        happened = between(other, "get_item", lambda: world.drainer(portion=1).sweep())
        assert other.apply([delivered(event(1))]) == [DUPLICATE]
        assert happened.happened
    assert world.held() == []
    assert world.effects() == {"k-1": 1, "k-2": 1}


def test_who_finds_the_first_one_drained_already_leaves_the_line_alone(world: GateWorld, office: DynamoOffice) -> None:
    world.gates.close(BILLING)
    world.apply(event(1), event(2), event(3))
    world.gates.open(BILLING)
    one, other = world.portions(world.store), world.portions(world.store)
    assert isinstance(one, DynamoPortions)
    with closing(one), closing(other):
        happened = Between(one._requests._client, "transact_get_items", lambda: other.drain(["k"], 1))
        one._requests._client = happened
        assert one.drain(["k"], 1) == (0, [])
        assert happened.happened
        assert world.held() == ["k-2", "k-3"]
        assert one.drain(["k"], 5) == (2, [])
    assert world.effects() == {"k-1": 1, "k-2": 1, "k-3": 1}
    assert (office.own("held"), lines(office)) == ([], [])


def test_many_drainers_and_a_live_batch_at_once_let_each_change_take_effect_once_and_in_order(
    office: DynamoOffice,
) -> None:
    with closing(GateWorld(office)) as world:
        world.gates.close(Covers())
        keys = ["a", "b", "c"]
        world.apply(*[event(number, key) for number in range(1, 6) for key in keys])
        world.gates.open(Covers())
        drainers = [world.drainer(portion=2) for _ in range(3)]
        threads = [threading.Thread(target=_until_drained, args=(drainer,)) for drainer in drainers]
        for thread in threads:
            thread.start()
        outcomes = world.decider.apply([delivered(event(number, key)) for number in range(6, 9) for key in keys])
        for thread in threads:
            thread.join()
        world.drain()
        assert set(outcomes) <= {HELD, APPLIED}
        assert world.effects() == {f"{key}-{number}": 1 for number in range(1, 9) for key in keys}
        assert (office.own("held"), lines(office)) == ([], [])
        for key in keys:
            mine = [change.id for change in _in_order(world) if change.id.startswith(key)]
            assert mine == [f"{key}-{number}" for number in range(1, 9)]


def _until_drained(drainer: Any) -> None:
    while True:
        try:
            drainer.sweep()
        except Transient:
            # Another one was in its way too often.
            continue
        return


def _in_order(world: GateWorld) -> list[Change]:
    by_name = {change.id: change for change in (event(n, key) for n in range(1, 9) for key in "abc")}
    seen: list[Change] = []
    for txn, _ in world.told.previous:
        # A handler may have run more than once for a change: what counts is the last time.
        change = by_name[txn]
        if change in seen:
            seen.remove(change)
        seen.append(change)
    return seen
