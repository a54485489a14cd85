"""Whatever is done to the parking lot of the DynamoDB store, its heads, its list and its flags are true."""

from contextlib import closing
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.consumer.parking import event_bytes
from isthmus.consumer.stores.dynamodb.heads import head_of
from tests.contract.dynamodb_lot import WHO, WHY, discard, flagged, office, prune
from tests.contract.store_redrive_contract import Mended, emptied
from tests.fakes.dynamodb_desk import PlainOffice
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.store_world import APPLIED, World, delete, event, untranslated, upsert

__all__ = ["office"]

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
