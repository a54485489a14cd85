"""The parking lot of the DynamoDB store: what is settled, flags that outlive a lot, lists, sizes, the audit."""

import json
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.change import RAW_KEY_PREFIX, Change
from isthmus.consumer.parking import event_bytes, parking_of
from isthmus.consumer.redrive import Redriven
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from isthmus.consumer.stores.dynamodb.heads import Head, head_of, with_parked
from isthmus.consumer.stores.lot import ParkedKey, Selection
from isthmus.consumer.stores.port import Refusal
from isthmus.errors import Poison
from tests.contract.store_redrive_contract import Mended, emptied
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.dynamodb_desk import Between, Metering, PlainOffice
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    PARKED,
    World,
    delete,
    delivered,
    event,
    untranslated,
    upsert,
)

WHO, WHY = "ada", "agreed with the registry"
RAW = f"{RAW_KEY_PREFIX}raw/flights/1"


@pytest.fixture(params=["item", "table"])
def office(emulator: Emulator, request: pytest.FixtureRequest) -> PlainOffice:
    return PlainOffice(emulator.client("dynamodb"), tombstones=request.param)


@pytest.fixture
def world(office: PlainOffice) -> Iterator[World]:
    made = World(office)
    yield made
    made.close()


def discard(world: World, key: str, *txns: str) -> int:
    with closing(world.redriver(Mended())) as redriver:
        return redriver.discard(key, list(txns), who=WHO, why=WHY)


def redrive(world: World, key: str, *good: str) -> Redriven:
    with closing(world.redriver(Mended(good))) as redriver:
        return redriver.redrive(key)


def prune(world: World, before_ms: int) -> None:
    world.store.prune(memory_before_ms=before_ms, history_before_ms=0, stop=FakeStop(FakeClock()))


def decider_of(world: World) -> DynamoDecider:
    assert isinstance(world.decider, DynamoDecider)
    return world.decider


def flagged(office: DynamoOffice) -> list[Any]:
    tables = (office.table("thing"), office.settings.table)
    return [item for table in tables for item in office.items(table) if "isthmus_parked" in item]


# settled: at no cost, and without a window


def test_a_batch_under_way_does_not_apply_a_state_that_is_discarded_meanwhile(
    world: World, office: PlainOffice
) -> None:
    world.apply(upsert(1), upsert(2, size=-1))
    decider = decider_of(world)
    # It asked what is settled before the discard, and the change is good by now.
    decider._requests._client = Between(office.client, "update_item", lambda: discard(world, "k", "k-2"))
    assert decider.apply([delivered(upsert(2))]) == [DUPLICATE]
    assert [row["size"] for row in office.rows("thing")] == [1]
    assert flagged(office) != []
    assert world.apply(upsert(3)) == [APPLIED]
    assert flagged(office) == []


@pytest.mark.parametrize("first", [upsert(1), delete(1)], ids=["of something", "of nothing"])
def test_a_flag_that_a_discarded_change_left_stays_until_a_newer_one_decides(
    world: World, office: PlainOffice, first: Change
) -> None:
    if first.data is not None:
        world.apply(first)
    world.apply(upsert(5, size=-1), upsert(8, size=-1))
    assert discard(world, "k", "k-5", "k-8") == 2
    assert world.parked() == []
    assert world.apply(upsert(6), upsert(5), upsert(7)) == [APPLIED, DUPLICATE, APPLIED]
    assert len(flagged(office)) == 1
    assert world.apply(upsert(8), upsert(9), upsert(8)) == [DUPLICATE, APPLIED, DUPLICATE]
    assert flagged(office) == []


def test_what_is_parked_anew_where_a_flag_was_left_keeps_it_until_both_are_over(
    world: World, office: PlainOffice
) -> None:
    world.apply(upsert(9, size=-1))
    assert discard(world, "k", "k-9") == 1
    world.apply(upsert(3, size=-1))
    assert redrive(world, "k", "k-3").outcomes == {"applied": 1}
    assert len(flagged(office)) == 1
    assert world.apply(upsert(9), upsert(10)) == [DUPLICATE, APPLIED]
    assert flagged(office) == []


def test_what_was_never_an_entity_is_forgotten_with_what_was_settled(world: World, office: PlainOffice) -> None:
    world.apply(upsert(5, size=-1), untranslated(1, RAW), upsert(1, "alive"), untranslated(2, "alive"))
    assert discard(world, "k", "k-5") + discard(world, RAW, f"{RAW}-1") == 2
    (left, *_) = [item for item in flagged(office) if "isthmus_version" not in item]
    # Under a key that was made here nothing takes effect: of that nothing has to stay.
    assert RAW not in str(flagged(office))
    assert "isthmus_expires" in left
    now = world.clock.now_ms()
    prune(world, now)
    assert left in flagged(office)
    prune(world, now + 1)
    assert [item["key"]["S"] for item in office.items(office.table("thing"))] == ["alive"]
    assert world.apply(upsert(5)) == [APPLIED]


def test_a_flag_of_which_nobody_said_since_when_goes_with_the_second_pass(world: World, office: PlainOffice) -> None:
    world.apply(untranslated(1), event(2, note="wrong"))
    # The state's own change goes first, and the lot ends with one of another type.
    assert redrive(world, "k", "k-1", "k-2").outcomes == {"applied": 2}
    world.apply(untranslated(1, "gone"), event(2, "gone", note="wrong"))
    remake = Mended({"gone-2"})
    remake.others["gone-1"] = []
    with closing(world.redriver(remake)) as redriver:
        assert redriver.redrive("gone").outcomes == {"filtered": 1, "applied": 1}
    assert len(flagged(office)) == 2
    prune(world, 1_000)
    prune(world, 2_000)
    assert [item for item in flagged(office) if "isthmus_version" not in item] == []
    assert world.apply(upsert(3), upsert(3, "gone")) == [APPLIED, APPLIED]
    assert flagged(office) == []


def test_what_is_parked_is_not_forgotten_by_any_number_of_passes(world: World, office: PlainOffice) -> None:
    world.apply(untranslated(1), delete(1, "b"), untranslated(2, "b"))
    for moment in range(world.clock.now_ms() + 10, world.clock.now_ms() + 13):
        prune(world, moment)
    assert len(flagged(office)) == 2
    assert len(world.parked()) == 2


def test_a_row_is_settled_for_deciders_that_began_before_and_for_one_write_alike(world: World) -> None:
    world.apply(untranslated(1, RAW)._replace(sourcekey="[1]"))
    other = world.elsewhere()
    assert discard(world, RAW, f"{RAW}-1") == 1
    real = [upsert(n, "real")._replace(sourcekey="[1]") for n in (1, 2)]
    assert world.apply(*real) == [DUPLICATE, APPLIED]
    assert other.apply([delivered(each) for each in real]) == [DUPLICATE, DUPLICATE]
    other.close()
    assert world.history_of() == {"real-2": "applied"}


def test_a_batch_under_way_takes_a_row_that_is_discarded_meanwhile_as_if_it_came_before(
    world: World, office: PlainOffice
) -> None:
    world.apply(untranslated(1, RAW)._replace(sourcekey="[1]"), upsert(0, "real"))
    decider, real = decider_of(world), upsert(1, "real")._replace(sourcekey="[1]")
    decider._requests._client = Between(office.client, "update_item", lambda: discard(world, RAW, f"{RAW}-1"))
    assert decider.apply([delivered(real)]) == [APPLIED]
    assert world.apply(real) == [DUPLICATE]


def test_what_is_settled_costs_other_changes_nothing(emulator: Emulator) -> None:
    office = PlainOffice(emulator.client("dynamodb"))
    world = World(office, history=False)
    with closing(world):
        world.apply(*[untranslated(n, RAW)._replace(sourcekey=f"[{n}]") for n in range(1, 40)])
        assert discard(world, RAW, *[f"{RAW}-{n}" for n in range(1, 40)]) == 39
        meter = Metering(office.client)
        decider_of(world)._requests._client = meter
        for n in range(1, 4):
            changes = [upsert(100 + n, f"k{number}")._replace(sourcekey="[1]") for number in range(20)]
            assert set(world.apply(*changes)) == {APPLIED}
            # Two requests of a few hundred bytes when something was added to the list, and one from then on.
            assert meter.units.pop("query") <= (2 if n == 1 else 1)
        assert meter.units == {"update_item": 60}
        assert meter.requests == {"query": 4, "update_item": 60}
        assert world.apply(upsert(7, "real")._replace(sourcekey="[7]")) == [DUPLICATE]


def test_only_what_was_added_to_the_list_is_read(world: World, office: PlainOffice) -> None:
    asked: list[Any] = []
    real = office.client

    class Listening:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def query(self, **wanted: Any) -> Any:
            asked.append(wanted["ExpressionAttributeValues"])
            return real.query(**wanted)

    decider_of(world)._requests._client = Listening()
    for n in range(1, 4):
        office.settle(f"k-{n}")
        assert world.apply(upsert(n)) == [DUPLICATE]
        assert world.apply(upsert(n)) == [DUPLICATE]
    after = [values[":after"]["S"] for values in asked if ":after" in values]
    assert [int(each) for each in after] == [0, 1, 2]


@pytest.mark.parametrize("untyped", [True, False], ids=["without entity types", "with"])
def test_whoever_discards_needs_no_entity_types(world: World, office: PlainOffice, *, untyped: bool) -> None:
    world.apply(upsert(1), upsert(2, size=-1), untranslated(1, "gone"), event(1, "e", note="wrong"), event(2, "e"))
    entities = {} if untyped else {entity.name: entity for entity in world.entities}
    with closing(office.redriver(world.store, entities, Mended(), world.clock, history=True)) as redriver:
        for key, txns in (("k", ["k-2"]), ("gone", ["gone-1"]), ("e", ["e-1", "e-2"])):
            assert redriver.discard(key, txns, who=WHO, why=WHY) == len(txns)
    assert office.lot().parked_keys(Selection()) == []
    assert world.apply(upsert(2), event(2, "e"), event(3, "e")) == [DUPLICATE, DUPLICATE, APPLIED]
    prune(world, 1_000)
    prune(world, world.clock.now_ms() + 1)
    prune(world, world.clock.now_ms() + 1)
    # Of what never was an entity nothing is left, and an entity's flag goes with its next change.
    assert [item["key"]["S"] for item in office.items(office.table("thing"))] == ["k"]
    assert world.apply(upsert(3), upsert(1, "gone")) == [APPLIED, APPLIED]
    assert flagged(office) == []


# discards and edits of any size


def test_many_are_discarded_in_several_transactions_and_each_is_in_the_audit(world: World) -> None:
    world.apply(*[event(n, note="wrong") for n in range(1, 58)])
    others = [f"k-{n}" for n in range(1, 58) if n % 8]
    assert discard(world, "k", *others, "unknown") == 50
    assert [txn for txn, _ in sorted(world.parked())] == sorted(f"k-{n}" for n in range(8, 58, 8))
    assert sorted(row["txn"] for row in world.office.own("audit")) == sorted(others)
    assert sorted(row["txn"] for row in world.office.own("settled")) == sorted(others)
    assert world.office.lot().parked_keys(Selection())[0].changes == 7
    assert discard(world, "k", *others) == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_discard_that_is_cut_off_anywhere_can_be_done_again(world: World, *, after: bool) -> None:
    at, happened = 0, True
    while happened:
        key = f"k{at}"
        world.apply(*[event(n, key, note="wrong") for n in range(1, 24)])
        txns = [f"{key}-{n}" for n in range(1, 24)]
        redriver = world.redriver(Mended())
        broken = world.office.break_at(redriver, at, world.office.outage(), after=after)
        with closing(redriver):
            done = 0
            try:
                done = redriver.discard(key, txns, who=WHO, why=WHY)
            except Exception:  # noqa: BLE001 - the outage, as whatever it comes
                done = 0
        happened = broken()
        assert discard(world, key, *txns) in ({0} if done else range(24))
        assert sum(row["key"] == key for row in world.office.own("audit")) == 23
        assert [txn for txn, _ in world.parked() if txn.startswith(f"{key}-")] == []
        assert world.apply(event(99, key), event(1, key)) == [APPLIED, DUPLICATE]
        at += 3
    assert at > 6


def noise(size: int) -> str:
    return random.Random(size).randbytes(size // 2).hex()


@pytest.mark.parametrize("bucket", [True, False], ids=["bucket", "parts"])
def test_events_of_any_size_are_edited_discarded_and_kept(emulator: Emulator, bucket: bool) -> None:  # noqa: FBT001 - a case
    payloads = MemoryPayloads() if bucket else None
    world = World(PlainOffice(emulator.client("dynamodb"), payloads))
    sizes = [300_000, 340_000, 900_000]
    with closing(world):
        world.apply(*[upsert(1, f"k{size}", size=-1, note=noise(size)) for size in sizes])
        world.apply(*_wrong_and_large(8))
        with closing(world.redriver(Mended())) as redriver:
            for size in sizes:
                (old,) = world.office.lot().parked_of(f"k{size}")
                assert json.loads(old.event)["data"]["note"] == noise(size)
                made = event_bytes(upsert(1, f"k{size}", size=1, note=noise(size - 2)))
                assert redriver.edit(f"k{size}", old, made, who=WHO, why=WHY)
                (now,) = world.office.lot().parked_of(f"k{size}")
                assert (now.event, now.edited) == (made, True)
                (audited,) = [row for row in world.office.own("audit") if row["key"] == f"k{size}"]
                assert (bytes(audited["event"]), bytes(audited["made"])) == (old.event, made)
            # What only the audit names is not forgotten.
            prune(world, world.clock.now_ms() + 1)
            assert len(world.office.own("audit")) == 3
            assert redriver.redrive("k300000").outcomes == {"applied": 1}
            found = redriver.redrive("k900000").stopped
            assert found is not None
            assert found.reason == "too-large"
            assert redriver.discard("large", [f"large-{n}" for n in range(8)], who=WHO, why=WHY * 9999) == 8
        assert world.parked() == [("k340000-1", "constraint"), ("k900000-1", "too-large")]


def _wrong_and_large(number: int) -> list[Change]:
    return [event(n, "large", note="wrong", id=f"large-{n}", size=noise(300_000)) for n in range(number)]


def test_an_event_of_which_a_part_is_lost_stops_its_key_and_can_be_discarded(world: World, office: PlainOffice) -> None:
    world.apply(untranslated(1), event(1, "e", note="wrong", size=noise(900_000)))
    for item in office.items(office.settings.table):
        if item["pk"]["S"].startswith("body#"):
            key = {name: item[name] for name in ("pk", "sk")}
            office.client.delete_item(TableName=office.settings.table, Key=key)
    (waiting,) = office.lot().parked_of("e")
    assert waiting.event == b""
    for rehearse in (True, False):
        with closing(world.redriver(Mended())) as redriver:
            found = redriver.redrive("e", rehearse=rehearse).stopped
            assert found is not None
            assert (found.reason, found.stage) == ("payload-missing", "decode")
    assert discard(world, "e", "e-1") == 1


def test_a_lot_of_which_the_changes_were_deleted_by_hand_ends_with_the_next_redrive(
    world: World, office: PlainOffice
) -> None:
    world.apply(event(1, note="wrong"))
    for item in office.items(office.settings.table):
        if item["sk"]["S"].startswith("p#"):
            key = {name: item[name] for name in ("pk", "sk")}
            office.client.delete_item(TableName=office.settings.table, Key=key)
    assert world.apply(event(2)) == [PARKED]
    assert redrive(world, "k").outcomes == {"applied": 1}
    assert redrive(world, "k") == Redriven()
    assert world.apply(event(3)) == [APPLIED]


# lists

ODD = [
    "a",
    "p#1",
    "settled",
    "ledger",
    "guard#thing",
    "h#1",
    "lot",
    "fence#1#flights",
    "schema",
    "é",
    "\U0001f600",
    "a#1",
]


def test_keys_of_any_text_are_listed_in_its_order_and_taken_for_nothing_else(world: World, office: PlainOffice) -> None:
    long = ["x" * 1024, "x" * 1023 + "y", "ü" * 512]
    for key in (*ODD, *long):
        world.apply(event(1, key, note="wrong"))
    keys = sorted((*ODD, *long))
    lot = office.lot()
    assert [each.key for each in lot.parked_keys(Selection())] == keys
    paged, after = list[str](), ""
    while found := lot.parked_keys(Selection(), after=after, most=4):
        paged += [each.key for each in found]
        after = paged[-1]
    assert paged == keys
    for prefix in ("a", "x", "x" * 1023, "\U0001f600", "nobody"):
        assert [each.key for each in lot.parked_keys(Selection(prefix=prefix))] == [
            key for key in keys if key.startswith(prefix)
        ]
        assert [each.key for each in lot.parked_keys(Selection(prefix=prefix), after="a#1")] == [
            key for key in keys if key.startswith(prefix) and key > "a#1"
        ]
    counts = office.reader().counts()
    assert (counts["parked_keys"], counts["parked_changes"], counts["settled"]) == (len(keys), len(keys), 0)
    assert counts["guards"] == 0
    prune(world, world.clock.now_ms() + 1)
    assert [each.key for each in lot.parked_keys(Selection())] == keys
    office.settings = replace(office.settings, tombstones="item")
    office.store([]).prepare()


def test_several_things_that_are_said_are_true_of_one_change(world: World, office: PlainOffice) -> None:
    world.apply(event(1, note="wrong"), untranslated(1, "b"))
    first = world.clock.now_ms()
    world.clock.move(10)
    world.apply(untranslated(2)._replace(source="others"), untranslated(3))
    lot = office.lot()

    def found(**said: Any) -> list[str]:
        return [each.key for each in lot.parked_keys(Selection(**said))]

    assert found(reason="no-airport", source="others") == ["k"]
    assert found(reason="contract", source="others") == []
    assert found(reason="contract", source="flights") == ["k"]
    assert found(reason="contract", until_ms=first + 1) == ["k"]
    assert found(reason="contract", since_ms=first + 1) == []
    assert found(reason="no-airport", since_ms=first + 1) == ["k"]
    assert found(reason="no-airport", until_ms=first + 1) == ["b"]
    assert found(since_ms=first, until_ms=first + 1) == ["b", "k"]
    assert found(since_ms=first + 1) == ["k"]
    assert found(since_ms=first + 1_000_000) == []
    assert found(until_ms=first) == []
    assert found(key="k", reason="contract") == ["k"]
    assert found(key="k", reason="nothing") == []
    assert found(key="nobody") == []
    assert lot.parked_keys(Selection(key="k"), after="k") == []


def test_a_key_is_read_on_where_the_last_page_ended(world: World, office: PlainOffice) -> None:
    world.apply(*[event(n, note="wrong") for n in range(1, 24)])
    lot = office.lot()
    pages = [lot.parked_of("k", skip=skip, most=5) for skip in (0, 5, 10, 15, 20)]
    assert [each.txn for page in pages for each in page] == [f"k-{n}" for n in range(1, 24)]
    assert [each.txn for each in lot.parked_of("k", skip=3, most=2)] == ["k-4", "k-5"]
    assert lot.parked_of("k", skip=23) == []
    assert lot.parked_of("nobody") == []


# the head of a lot


def parked_head(reasons: list[tuple[str, str]]) -> Head:
    head = None
    for n, (reason, source) in enumerate(reasons):
        change = delivered(event(n)._replace(source=source))
        head = with_parked(head, parking_of(change, Refusal(Poison(reason), "contract")), 1_000 + n)
    assert head is not None
    return head


def test_of_very_many_names_some_are_counted_and_the_others_are_looked_for() -> None:
    head = parked_head([(f"reason-{n}", f"source-{n}") for n in range(200)])
    assert (head.rows, len(head.reasons), len(head.sources), head.whole) == (200, 50, 50, False)
    assert head.fits(Selection(reason="reason-0")) is None
    assert head.fits(Selection(reason="reason-199")) is None
    assert head.fits(Selection()) is True
    gone = [{"reason": {"S": f"reason-{n}"}, "source": {"S": f"source-{n}"}} for n in range(20, 199)]
    left = head.without(gone)
    assert left is not None
    assert (left.rows, len(left.reasons), left.whole) == (21, 20, False)
    assert left.without([*gone[:21]]) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["behind", "contract", "no-gate"]), st.sampled_from(["", "=", "flights"])), min_size=1
    )
)
def test_a_head_is_as_it_was_after_it_was_an_item(names: list[tuple[str, str]]) -> None:
    head = parked_head(names)
    for item in head.items():
        assert head_of(item) == head
    assert head.rows == sum(head.reasons.values()) == sum(head.sources.values())
    assert head.parked_key() == ParkedKey(
        "k",
        len(names),
        min([reason for reason, _ in names if reason != "behind"], default="behind"),
        min(source for _, source in names),
        "posting",
        1_000,
    )


# whatever is done, heads, list and flags are true

KEYS, VERSIONS = st.sampled_from("ab"), st.integers(1, 6)
CHANGES = st.one_of(
    st.builds(upsert, VERSIONS, KEYS, size=st.sampled_from([-1, 1])),
    st.builds(delete, VERSIONS, KEYS),
    st.builds(untranslated, VERSIONS, KEYS),
    st.builds(
        lambda n, key, note: event(n, key, note=note, id=f"e-{key}-{n}"),
        VERSIONS,
        KEYS,
        st.sampled_from(["wrong", "fine"]),
    ),
)
NAMES = st.builds("{}{}-{}".format, st.sampled_from(["", "e-"]), KEYS, VERSIONS)
DEEDS = st.one_of(
    st.tuples(st.just("apply"), st.lists(CHANGES, min_size=1, max_size=4)),
    st.tuples(st.just("redrive"), KEYS, st.sets(NAMES), st.integers(1, 3)),
    st.tuples(st.just("discard"), KEYS, st.sets(NAMES, max_size=4)),
    st.tuples(st.just("edit"), KEYS, st.integers(0, 2), st.booleans()),
    st.tuples(st.just("prune"), st.integers(0, 3)),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DEEDS, max_size=12))
def test_whatever_is_done_heads_and_lists_are_true_and_the_lot_can_be_emptied(
    office: PlainOffice, deeds: list[tuple[Any, ...]]
) -> None:
    world, discarded = World(office.fresh()), set[str]()
    with closing(world):
        for name, *rest in deeds:
            discarded |= _done(world, name, rest)
            heads_are_true(world)
        taken = world.effects()
        for key in "ab":
            good = {waiting.txn for waiting in world.office.lot().parked_of(key)}
            with closing(world.redriver(Mended(good))) as redriver:
                emptied(redriver, key)
        assert world.parked() == []
        heads_are_true(world)
        assert all(times == 1 for times in world.effects().values())
        assert not discarded - taken.keys() & world.effects().keys()
        newest = [upsert(9, key) for key in "ab"]
        assert world.apply(*newest) == [APPLIED] * 2
        assert isinstance(world.office, DynamoOffice)
        assert flagged(world.office) == []


def _done(world: World, name: str, rest: list[Any]) -> set[str]:
    """Do one of the deeds; give the IDs that were discarded by it."""
    if name == "apply":
        world.apply(*rest[0])
    elif name == "prune":
        # Nothing that decides is so old that it may be forgotten.
        prune(world, rest[0])
    elif name == "redrive":
        key, good, most = rest
        with closing(world.redriver(Mended(good))) as redriver:
            redriver.redrive(key, most=most)
    elif name == "discard":
        there = {waiting.txn for waiting in world.office.lot().parked_of(rest[0])} & rest[1]
        assert discard(world, rest[0], *sorted(rest[1])) == len(there)
        return there
    else:
        key, place, good = rest
        for old in world.office.lot().parked_of(key)[place : place + 1]:
            change = event(99, key) if old.entity == "posting" else upsert(99, key)
            made = change._replace(
                id=old.txn, version=old.version, data={"size": 3, "note": "fine" if good else "wrong"}
            )
            with closing(world.redriver(Mended())) as redriver:
                assert redriver.edit(key, old, event_bytes(made), who=WHO, why=WHY)
    return set()


def heads_are_true(world: World) -> None:
    office = world.office
    assert isinstance(office, DynamoOffice)
    items = office.items(office.settings.table)
    heads = {
        item["key"]["S"]: head_of(item) for item in items if item["sk"]["S"] == "lot" and item["pk"]["S"] != "parked"
    }
    listed = {item["key"]["S"]: head_of(item) for item in items if item["pk"]["S"] == "parked"}
    assert heads == listed
    rows: dict[str, list[Any]] = {}
    for item in items:
        if item["sk"]["S"].startswith("p#"):
            rows.setdefault(item["key"]["S"], []).append(item)
    assert heads.keys() == rows.keys()
    flags = {item.get("key", item.get("pk"))["S"].removeprefix("k#") for item in flagged(office)}
    for key, head in heads.items():
        assert head is not None
        reasons = [row["reason"]["S"] for row in rows[key]]
        assert {name: reasons.count(name) for name in set(reasons)} == head.reasons
        assert head.rows == len(reasons)
        assert key in flags or all(row["entity"]["S"] == "posting" for row in rows[key])
