"""Discards and edits in DynamoDB: of any number and size, in the audit, cut off anywhere, where something is lost."""

import json
import random
from contextlib import closing

import pytest

from isthmus.change import Change
from isthmus.consumer.parking import event_bytes
from isthmus.consumer.redrive import Redriven
from isthmus.consumer.stores.lot import Selection
from tests.contract.dynamodb_lot import WHO, WHY, discard, office, prune, redrive
from tests.contract.store_contract import world
from tests.contract.store_redrive_contract import Mended
from tests.fakes.dynamodb_desk import PlainOffice
from tests.fakes.emulator import Emulator
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.store_world import APPLIED, DUPLICATE, PARKED, World, event, untranslated, upsert

__all__ = ["office", "world"]


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
