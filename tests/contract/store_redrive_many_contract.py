"""What every front-office store does when several keys are redriven at once: to each what it would do to it alone.

An adapter's test module derives a class from `StoreRedriveManyContract`, and provides the fixture `office`.
"""

from collections.abc import Sequence
from contextlib import closing

from isthmus.change import RAW_KEY_PREFIX
from isthmus.consumer.redrive import Redriven, Redriver
from tests.contract.store_redrive_contract import Mended
from tests.fakes.store_world import World, event, untranslated, upsert


def all_of(redriver: Redriver, keys: Sequence[str], *, each: int = 500, rehearse: bool = False) -> dict[str, Redriven]:
    """Redrive each key once, however many of them a transaction takes."""
    found: dict[str, Redriven] = {}
    while rest := [key for key in keys if key not in found]:
        answers = redriver.redrive_all(rest, each=each, rehearse=rehearse)
        assert rest[0] in answers
        found.update(answers)
    return found


class StoreRedriveManyContract:
    """Several keys at once."""

    def test_each_key_goes_as_far_as_it_would_alone(self, world: World) -> None:
        for key in ("a", "b", "c", "d"):
            world.apply(event(1, key, note="wrong"), event(2, key), event(3, key, note="wrong"), event(4, key))
        world.apply(untranslated(1, "e"), upsert(2, "e", size=-1))
        good = {"a-1", "a-3", "b-1", "c-3", "e-1", "e-2"}
        with closing(world.redriver(Mended(good))) as redriver:
            found = all_of(redriver, ["a", "b", "c", "e", "nothing"])
        assert {key: each.outcomes for key, each in found.items()} == {
            "a": {"applied": 4},
            "b": {"applied": 2, "parked": 1},
            "c": {"parked": 1},
            "e": {"applied": 2},
            "nothing": {},
        }
        assert {key: each.stopped.txn for key, each in found.items() if each.stopped} == {"b": "b-3", "c": "c-1"}
        assert not any(each.left for each in found.values())
        parked = ["b-3", "b-4", *(f"{key}-{n}" for key in "cd" for n in range(1, 5))]
        assert [txn for txn, _ in world.parked()] == parked
        assert world.effects() == dict.fromkeys(("a-1", "a-2", "a-3", "a-4", "b-1", "b-2", "e-1", "e-2"), 1)

    def test_of_each_only_so_many_are_tried_and_their_order_stays(self, world: World) -> None:
        for key in ("a", "b"):
            world.apply(event(1, key, note="wrong"), *(event(n, key) for n in range(2, 6)))
        world.apply(event(1, "c", note="wrong"))
        with closing(world.redriver(Mended({"a-1", "b-1", "c-1"}))) as redriver:
            first = all_of(redriver, ["a", "b", "c"], each=2)
            assert {key: (each.outcomes, each.left) for key, each in first.items() if key != "c"} == {
                "a": ({"applied": 2}, True),
                "b": ({"applied": 2}, True),
            }
            assert first["c"].outcomes == {"applied": 1}
            while any(each.left for each in all_of(redriver, ["a", "b"], each=2).values()):
                pass
        applied = [txn for txn, outcome in world.office.told() if outcome == "applied"]
        for key in ("a", "b"):
            assert [txn for txn in applied if txn.startswith(key)] == [f"{key}-{n}" for n in range(1, 6)]
        assert world.parked() == []

    def test_nothing_overtakes_what_waits_under_the_key_that_a_row_turns_out_to_have(self, world: World) -> None:
        raw = f"{RAW_KEY_PREFIX}raw/flights/9"
        world.apply(event(1, "k", note="wrong"), event(2, "k", note="wrong"), untranslated(1, raw, "posting"))
        remake = Mended({"k-1"})
        remake.others[f"{raw}-1"] = [event(9, "k")]
        for keys in (["k", raw], [raw, "k"]):
            with closing(world.redriver(remake)) as redriver:
                all_of(redriver, keys)
        assert world.effects() == {"k-1": 1}
        assert [txn for txn, _ in world.parked()] == ["k-2", "k-9"]

    def test_a_row_of_one_key_may_become_a_change_of_another_that_is_redriven_too(self, world: World) -> None:
        world.apply(untranslated(1, "a", "posting"), event(1, "b", note="wrong"), event(2, "b", note="wrong"))
        remake = Mended({"b-1"})
        remake.others["a-1"] = [event(1, "a"), event(3, "b")]
        with closing(world.redriver(remake)) as redriver:
            all_of(redriver, ["a", "b"])
            all_of(redriver, ["b", "a"])
        assert world.effects() == {"a-1": 1, "b-1": 1}
        assert [txn for txn, _ in world.parked()] == ["b-2", "b-3"]

    def test_a_live_change_of_one_of_them_neither_overtakes_nor_is_overtaken(self, world: World) -> None:
        world.apply(event(1, "a", note="wrong"), event(1, "b", note="wrong"))
        remake = Mended({"a-1", "b-1"})
        remake.meanwhile = [lambda: None, lambda: world.apply(event(2, "a"), event(2, "b"), event(1, "c"))]
        with closing(world.redriver(remake)) as redriver:
            while any(each.left for each in all_of(redriver, ["a", "b"]).values()):
                pass
            all_of(redriver, ["a", "b"])
        applied = [txn for txn, outcome in world.office.told() if outcome == "applied"]
        assert [txn for txn in applied if txn.startswith("a")] == ["a-1", "a-2"]
        assert [txn for txn in applied if txn.startswith("b")] == ["b-1", "b-2"]
        assert world.parked() == []

    def test_a_rehearsal_of_many_says_what_would_happen_and_leaves_nothing_behind(self, world: World) -> None:
        for key in ("a", "b", "c"):
            world.apply(event(1, key, note="wrong"), event(2, key))
        before = world.state()
        with closing(world.redriver(Mended({"a-1", "c-1"}))) as redriver:
            rehearsed = all_of(redriver, ["a", "b", "c"], rehearse=True)
            assert world.state() == before
            assert all_of(redriver, ["a", "b", "c"]) == rehearsed
        assert {key: each.outcomes for key, each in rehearsed.items()} == {
            "a": {"applied": 2},
            "b": {"parked": 1},
            "c": {"applied": 2},
        }

    def test_a_remake_that_fails_stops_its_key_alone(self, world: World) -> None:
        world.apply(untranslated(1, "a"), untranslated(1, "b"), untranslated(1, "c"))
        with closing(world.redriver(Mended({"a-1", "c-1"}))) as redriver:
            found = all_of(redriver, ["a", "b", "c"])
        assert [key for key, each in found.items() if each.stopped] == ["b"]
        assert world.effects() == {"a-1": 1, "c-1": 1}

    def test_whoever_asks_is_told_how_many_bytes_were_looked_at(self, world: World) -> None:
        world.apply(untranslated(1, "a"), untranslated(1, "b"))
        sizes = {key: len(world.office.lot().parked_of(key)[0].event) for key in ("a", "b")}
        with closing(world.redriver(Mended({"a-1"}))) as redriver:
            assert {key: each.size for key, each in all_of(redriver, ["a", "b"]).items()} == sizes

    def test_no_keys_are_no_answers(self, world: World) -> None:
        with closing(world.redriver(Mended())) as redriver:
            assert redriver.redrive_all([], each=10) == {}
            assert redriver.redrive_all(["unknown"], each=10) == {"unknown": Redriven()}
