"""Records that retention took while nobody read: noticed at the next start, with shard and range, and counted.

No emulator takes records away, so what is noted of the shards is set back instead.
"""

import re
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.items import ItemKind
from isthmus.checkpoint.notes import Note, Telling
from isthmus.console.wiring import Wiring
from isthmus.settings import load
from tests.fakes.shop import Running, Shop, until

DAY_MS = 24 * 3600 * 1000


def checkpoints_of(shop: Shop) -> DynamoCheckpoints:
    return Wiring(load(shop.config)).checkpoints()


def set_back(shop: Shop, note: Note, *, sequence: str | None) -> Note:
    """Let a shard be noted as nobody's for three days."""
    checkpoints = checkpoints_of(shop)
    table = checkpoints.notes._table
    table.delete({"kind": {"S": ItemKind.NOTE}, "id": {"S": note.shard}})
    old = replace(note, decided_until_ms=(note.decided_until_ms or 0) - 3 * DAY_MS, sequence=sequence)
    checkpoints.notes.tell(Telling(old.shard, old.stream, "test", 1, old.decided_until_ms, old.sequence))
    return old


def read_and_stop(shop: Shop) -> dict[str, Note]:
    """Run producer and consumer until all is in step and noted; then stop the consumer."""
    shop.start("produce")
    consumer = shop.start("consume")
    shop.catches_up()
    notes = checkpoints_of(shop).notes
    until(lambda: len(notes.read_all()) == 2, "both shards are noted", 90)
    consumer.child.signal(signal.SIGTERM)
    assert consumer.exits() == 143
    return notes.read_all()


def lines(worker: Running, event: str) -> list[str]:
    return [line for line in worker.text.splitlines() if f'"{event}"' in line]


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    made = make_shop()
    # More customers than one, so that every shard has records.
    for number in range(100, 140):
        made.customer(number)
    assert made.command("setup").code == 0
    return made


def test_a_range_that_may_be_lost_is_told_once_with_its_ends_and_what_is_there_still_is_no_loss(shop: Shop) -> None:
    notes = read_and_stop(shop)
    saved = checkpoints_of(shop).shards.read_all()
    first, second = sorted(notes)
    # The record that the first one had come to is there still; that of the second one is not.
    set_back(shop, notes[first], sequence=saved[first].sequence)
    old = set_back(shop, notes[second], sequence="1")

    consumer = shop.start("consume")
    until(lambda: len(lines(consumer, "records_may_be_lost")) == 2, "it is told when it is noticed, and at its end")
    assert all(second in line for line in lines(consumer, "records_may_be_lost"))
    noticed, ended = lines(consumer, "records_may_be_lost")
    assert '"level": "error"' in noticed
    assert '"after": "1"' in noticed
    assert re.findall(r'"final": (\w+)', noticed + ended) == ["false", "true"]
    found = checkpoints_of(shop).notes
    until(
        lambda: all((note.decided_until_ms or 0) > (old.decided_until_ms or 0) for note in found.read_all().values()),
        "both are noted anew",
    )
    consumer.child.signal(signal.SIGTERM)
    consumer.exits()

    before = found.read_all()
    again = shop.start("consume")
    until(
        lambda: all(note.updated > before[shard].updated for shard, note in found.read_all().items()),
        "the next one has looked at both",
        90,
    )
    assert lines(again, "records_may_be_lost") == []
