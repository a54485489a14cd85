"""A shard's life: which shards may be read now."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.consumer.feed import Shard
from isthmus.consumer.runtimes.shards import MOVES, ShardState, ShardTree
from tests.fakes.clock import FakeClock
from tests.fakes.shard_life import STREAM
from tests.fakes.stream import MemoryStream

WAITING, READY, READING, ENDING, ENDED, TRIMMED = ShardState


def shard(name: str, *parents: str) -> Shard:
    return Shard(name, parents, closed=False)


def ended(*names: str) -> dict[str, ShardCheckpoint]:
    return {name: ShardCheckpoint(name, STREAM, "1", ended=True) for name in names}


def begun(*names: str) -> dict[str, ShardCheckpoint]:
    return {name: ShardCheckpoint(name, STREAM, "1") for name in names}


FAMILY = [shard("a"), shard("b"), shard("ab", "a", "b"), shard("ab1", "ab"), shard("ab2", "ab")]


def test_shards_without_parents_may_start() -> None:
    tree = ShardTree(FAMILY, {}, {})

    assert tree.ready() == ["a", "b"]
    assert tree.states()["ab"] is tree.states()["ab1"] is WAITING


def test_a_merged_shard_waits_for_both_parents() -> None:
    assert ShardTree(FAMILY, ended("a") | begun("b"), {}).ready() == ["b"]
    assert ShardTree(FAMILY, ended("a", "b"), {}).ready() == ["ab"]


def test_both_children_of_a_split_start_together() -> None:
    assert ShardTree(FAMILY, ended("a", "b", "ab"), {}).ready() == ["ab1", "ab2"]


def test_a_checkpoint_that_is_not_an_end_holds_the_children_back() -> None:
    tree = ShardTree(FAMILY, begun("a", "b"), {})

    assert tree.states()["ab"] is WAITING


def test_a_grandchild_waits_for_a_grandparent_whose_end_is_not_known() -> None:
    tree = ShardTree(FAMILY, ended("a", "ab"), {})

    assert tree.ready() == ["b"]
    assert tree.states() == {"a": ENDED, "b": READY, "ab": ENDED, "ab1": WAITING, "ab2": WAITING}


def test_a_parent_that_is_not_listed_is_done() -> None:
    assert ShardTree(FAMILY[2:], {}, {}).ready() == ["ab"]
    assert ShardTree(FAMILY[1:], {}, {}).ready() == ["b"]


def test_a_parent_that_is_not_listed_but_still_in_the_hands_of_a_reader_is_not_done() -> None:
    tree = ShardTree(FAMILY[2:], ended("a"), {"b": READING})

    assert tree.ready() == []
    assert tree.states() == {"a": TRIMMED, "b": READING, "ab": WAITING, "ab1": WAITING, "ab2": WAITING}


def test_a_shard_that_is_read_is_neither_ready_nor_done() -> None:
    tree = ShardTree(FAMILY, ended("a", "b"), {"b": ENDING})

    assert tree.ready() == []
    assert tree.states()["b"] is ENDING


def test_an_ended_shard_is_not_started_again() -> None:
    assert ShardTree([shard("a")], ended("a"), {}).ready() == []


def test_a_child_that_is_listed_before_its_parent_waits() -> None:
    assert ShardTree([shard("b", "a"), shard("a")], ended("a"), {}).ready() == []


def test_a_shard_that_retention_took_before_its_end_is_named() -> None:
    tree = ShardTree(FAMILY[2:], ended("a") | begun("b", "ab"), {})

    assert tree.trimmed_early() == ["b"]
    assert tree.states()["b"] is TRIMMED


def test_a_shard_that_is_still_read_was_not_trimmed_early() -> None:
    assert ShardTree(FAMILY[2:], begun("a", "b"), {"b": READING}).trimmed_early() == ["a"]


def test_the_drawing_shows_every_move_and_no_other() -> None:
    text = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")
    section = text.split("## A shard's life", 1)[1].split("\n## ", 1)[0]
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)", section, flags=re.MULTILINE))

    assert drawn == {(state.value, after.value) for state, afters in MOVES.items() for after in afters}


@given(st.data())
def test_whatever_is_resharded_no_shard_starts_before_all_its_ancestors_are_done(data: st.DataObject) -> None:
    clock = FakeClock()
    stream = MemoryStream(clock, shards=2, retention_seconds=100)
    parents: dict[str, tuple[str, ...]] = {}
    done: set[str] = set()
    saved: dict[str, ShardCheckpoint] = {}
    before: dict[str, ShardState] = {}

    def ancestors(name: str) -> set[str]:
        return set(parents[name]).union(*(ancestors(parent) for parent in parents[name]))

    for _ in range(data.draw(st.integers(1, 12))):
        clock.move(data.draw(st.sampled_from([0, 30, 101])))
        opened = stream.open_shards()
        at = data.draw(st.integers(0, len(opened) - 1))
        if data.draw(st.booleans()) and at + 1 < len(opened):
            stream.merge(opened[at], opened[at + 1])
        else:
            stream.split(opened[at])
        shards = stream.shards()
        parents |= {item.id: item.parents for item in shards}
        listed = {item.id for item in shards}
        tree = ShardTree(shards, saved, {})
        for name in tree.ready():
            assert all(parent in done or parent not in listed for parent in ancestors(name))
        for name, state in tree.states().items():
            assert state is before.get(name, state) or _reachable(before[name], state)
        before = dict(tree.states())
        if ready := tree.ready():
            chosen = data.draw(st.sampled_from(ready))
            done.add(chosen)
            saved |= ended(chosen)
            before[chosen] = ENDED
        assert {name for name in listed - done if not ancestors(name) & listed} <= set(ready)


def _reachable(start: ShardState, end: ShardState) -> bool:
    found, edge = {start}, {start}
    while edge:
        edge = {after for state in edge for after in MOVES[state]} - found
        found |= edge
    return end in found
