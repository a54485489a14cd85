"""What every front-office store does, driven by the real applier.

An adapter's test module derives a class from `StoreContract` and from `StoreLifeContract`
(tests/contract/store_life_contract.py), and provides the fixture `office`: a `FrontOffice`, fresh and prepared.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.change import Change, Verb, version_of
from isthmus.consumer.stores.port import Delivered
from isthmus.errors import Poison, TargetDown, Transient
from tests.fakes import store_orders as orders
from tests.fakes.store_model import ByModel, agrees
from tests.fakes.store_world import (
    APPLIED,
    DUPLICATE,
    FENCED,
    PARKED,
    STALE,
    UNCHANGED,
    FrontOffice,
    World,
    delete,
    event,
    marker,
    untranslated,
    upsert,
)

STATES = (upsert(1), delete(2), upsert(3), upsert(4, size=-1), untranslated(5))
EVENTS = (event(1), event(2), event(3, size=-1, note="wrong"), untranslated(4, entity="posting"), event(5))
"""Five changes of one entity: good ones, a delete, poison of the store, of the contract and of the translator."""


_FOR_EVERY_STORE = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
"""One suite is run by the classes of several stores, each of which resets its own office for each example."""


@pytest.fixture
def world(office: FrontOffice) -> Iterator[World]:
    made = World(office)
    yield made
    made.close()


class StoreContract:
    """Deciding."""

    @pytest.mark.parametrize("changes", [STATES, EVENTS], ids=["state", "event"])
    def test_every_order_of_five_changes_ends_as_the_model_says(
        self, office: FrontOffice, changes: Sequence[Change]
    ) -> None:
        # One key for each order, all in one store: many entities side by side are one batch.
        world, model = World(office), ByModel()
        with closing(world):
            for count in range(1, 6):
                orders = list(itertools.permutations(changes, count))
                batch = [
                    change._replace(key=f"{count}-{number}", id=f"{count}-{number}-{change.id}")
                    for number, order in enumerate(orders)
                    for change in order
                ]
                expected = [model.take(change) for change in batch]
                assert world.apply(*batch) == expected
            agrees(world, model)

    @pytest.mark.parametrize("alphabet", [orders.STATE, orders.EVENT], ids=["state", "event"])
    def test_every_sequence_of_up_to_five_deliveries_ends_as_the_model_says(
        self, office: FrontOffice, alphabet: Mapping[str, orders.Letter]
    ) -> None:
        world, model = World(office), ByModel()
        sequences = orders.Sequences(alphabet, few=office.few)
        with closing(world):
            for deliveries in sequences.rounds():
                found = world.apply(*deliveries)
                expected = [model.take(change) for change in deliveries]
                told = zip(deliveries, found, expected, strict=True)
                assert [(sequences.word(change), *pair) for change, *pair in told if pair[0] is not pair[1]] == []
                agrees(world, model)
                assert world.metrics.hash_alarms._value.get() == model.alarms
        assert set(model.effects.values()) == {1}

    def test_a_batch_in_any_cut_ends_as_one_by_one(self, office: FrontOffice) -> None:
        changes = [*STATES, upsert(3), marker(2), upsert(6, epoch=1), upsert(6, epoch=2), event(7, "e"), *EVENTS[2:]]
        ends = []
        for cut in range(len(changes) + 1):
            world = World(office.fresh())
            with closing(world):
                outcomes = [*world.apply(*changes[:cut]), *world.apply(*changes[cut:])]
                ends.append((outcomes, world.state()))
        world = World(office.fresh())
        with closing(world):
            ends.append(([outcome for change in changes for outcome in world.apply(change)], world.state()))
        assert all(end == ends[-1] for end in ends)

    @settings(max_examples=25, deadline=None, suppress_health_check=_FOR_EVERY_STORE)
    @given(
        st.lists(
            st.lists(
                st.one_of(
                    st.builds(upsert, st.integers(1, 4), st.sampled_from("ab"), size=st.sampled_from([-1, 1, 2])),
                    st.builds(delete, st.integers(1, 4), st.sampled_from("ab")),
                    st.builds(untranslated, st.integers(1, 4), st.sampled_from("ab")),
                    st.builds(event, st.integers(1, 6), st.sampled_from("cd"), note=st.sampled_from(["fine", "wrong"])),
                    st.builds(marker, st.integers(1, 2)),
                ),
                max_size=6,
            ),
            max_size=4,
        )
    )
    def test_whatever_comes_the_store_agrees_with_the_model(
        self, office: FrontOffice, batches: list[list[Change]]
    ) -> None:
        world, model = World(office.fresh()), ByModel()
        with closing(world):
            for batch in batches:
                assert world.apply(*batch) == [model.take(change) for change in batch]
            agrees(world, model)

    def test_a_whole_replay_changes_nothing(self, world: World) -> None:
        changes = [*STATES, *[event(n, "e") for n in (1, 2)], marker(2), upsert(9, epoch=1), upsert(9, epoch=2)]
        world.apply(*changes)
        before = world.state()
        for _ in range(3):
            world.apply(*changes)
        assert world.state() == before
        assert set(world.effects().values()) == {1}

    def test_one_key_many_times_in_a_batch_hands_each_handler_the_state_before_it(self, world: World) -> None:
        assert world.apply(upsert(1), upsert(2), delete(3), upsert(4)) == [APPLIED] * 4
        seen = [(txn, previous and previous["size"]) for txn, previous in world.told.previous]
        assert seen == [("k-1", None), ("k-2", 1), ("k-3", 2), ("k-4", None)]

    def test_the_same_id_with_another_rowhash_is_an_alarm_and_the_first_stays(self, world: World) -> None:
        world.apply(upsert(1), event(1, "e"), untranslated(1, "p"))
        again = [upsert(1, size=9), event(1, "e"), untranslated(1, "p")]
        assert world.apply(*[change._replace(rowhash="other") for change in again]) == [DUPLICATE, DUPLICATE, PARKED]
        assert world.metrics.hash_alarms._value.get() == 3
        assert world.office.rows("thing")[0]["size"] == 1

    def test_one_id_on_two_keys_of_kind_event_takes_effect_once(self, world: World) -> None:
        twins = [event(1, "a")._replace(id="twin"), event(1, "b")._replace(id="twin")]
        assert world.apply(*twins) == [APPLIED, DUPLICATE]
        assert world.effects() == {"twin": 1}

    def test_a_type_gone_from_the_settings_does_not_park_what_took_effect(self, world: World) -> None:
        world.apply(event(1), upsert(1, "s"), upsert(2, "s"))
        gone = [change._replace(entity="gone") for change in (event(1), upsert(2, "s"), upsert(1, "s"), upsert(3, "s"))]
        # An older one too: no guard of its own says that something newer of this type took effect.
        assert world.apply(*gone) == [DUPLICATE, DUPLICATE, PARKED, PARKED]
        assert world.parked() == [("s-1", "unknown-entity"), ("s-3", "unknown-entity")]

    # poison

    @pytest.mark.parametrize("place", [0, 1, 3, 6])
    @pytest.mark.parametrize(
        "how", ["store", "contract", "odd-contract", "handler", "odd-handler", "untranslated", "verb"]
    )
    def test_poison_anywhere_in_a_batch_parks_itself_alone(self, world: World, how: str, place: int) -> None:
        batch = [upsert(1, f"k{number}") for number in range(7)]
        bad = {
            "store": upsert(1, "bad", size=-1),
            "contract": upsert(1, "bad", note="wrong"),
            "odd-contract": upsert(1, "bad", note="odd"),
            "untranslated": untranslated(1, "bad"),
            "verb": upsert(1, "bad")._replace(verb=Verb.EVENT),
        }.get(how, upsert(1, "bad"))
        error: Callable[[], BaseException] = (lambda: Poison("no-gate")) if how == "handler" else SystemExit
        world.told.raises["bad-1"] = [error() for _ in range(9)]
        batch[place] = bad
        outcomes = world.apply(*batch)
        assert outcomes == [PARKED if number == place else APPLIED for number in range(7)]
        reasons = {
            "store": "constraint",
            "contract": "contract",
            "odd-contract": "contract-error",
            "handler": "no-gate",
        }
        reasons |= {"odd-handler": "handler-error", "untranslated": "no-airport", "verb": "wrong-verb"}
        assert world.parked() == [("bad-1", reasons[how])]
        assert [row["txn"] for row in world.office.own("outbox")] == ["bad-1"]
        assert set(world.effects()) == {change.id for change in batch if change is not bad}
        assert len(world.office.rows("thing")) == 6

    def test_a_batch_of_nothing_but_poison_is_parked_whole(self, world: World) -> None:
        batch = [upsert(1, f"k{number}", size=-1) for number in range(50)]
        assert world.apply(*batch) == [PARKED] * 50
        assert len(world.office.own("outbox")) == 50

    def test_an_error_that_does_not_come_again_parks_nothing(self, world: World) -> None:
        for batch in ([upsert(1, "a")], [upsert(1, "b"), upsert(1, "c")]):
            world.told.raises[batch[0].id] = [RuntimeError()]
            assert set(world.apply(*batch)) == {APPLIED}
        assert set(world.effects().values()) == {1}

    def test_an_outage_inside_a_handler_is_no_poison(self, world: World) -> None:
        for error in (TargetDown("away"), Transient("busy")):
            world.told.raises["k-1"] = [error]
            with pytest.raises(type(error)):
                world.apply(upsert(1))
        assert not any(world.state().values())
        assert world.apply(upsert(1)) == [APPLIED]

    def test_a_reason_and_a_message_from_user_code_are_kept_within_bounds(self, world: World) -> None:
        world.told.raises["k-1"] = [Poison("Gate 12 \ud800 is\0 closed", "x" * 10_000) for _ in range(3)]
        assert world.apply(upsert(1)) == [PARKED]
        (row,) = world.office.own("parked")
        assert row["reason"] == "handler-refused"
        assert row["message"].startswith("Gate 12 ? is closed: x")
        assert len(row["message"]) <= 500

    # parking

    def test_a_state_frees_what_is_older_and_never_anything_newer(self, world: World) -> None:
        world.apply(untranslated(2), untranslated(5), untranslated(7))
        assert world.apply(upsert(6)) == [APPLIED]
        assert world.parked() == [("k-7", "no-airport")]
        assert world.history_of() == {"k-2": "superseded", "k-5": "superseded", "k-6": "applied"}
        assert world.apply(delete(8)) == [APPLIED]
        assert world.parked() == []

    def test_what_is_parked_with_the_same_version_is_not_freed(self, world: World) -> None:
        world.apply(untranslated(5))
        assert world.apply(upsert(5, id="other")) == [APPLIED]
        assert "k-5" not in world.history_of()
        assert world.apply(upsert(5, id="other"), untranslated(5)) == [DUPLICATE, STALE]
        assert world.parked() == [("k-5", "no-airport")]
        assert world.apply(untranslated(7, "b"), upsert(7, "b", id="another")) == [PARKED, APPLIED]
        assert world.parked() == [("b-7", "no-airport"), ("k-5", "no-airport")]

    def test_freeing_is_the_same_inside_one_batch(self, world: World) -> None:
        batch = (untranslated(2), untranslated(5), untranslated(7), upsert(6), untranslated(5), untranslated(7))
        assert world.apply(*batch) == [PARKED, PARKED, PARKED, APPLIED, STALE, PARKED]
        assert world.parked() == [("k-7", "no-airport")]
        assert world.history_of() == {"k-2": "superseded", "k-5": "superseded", "k-6": "applied"}
        assert len(world.office.own("outbox")) == 3

    def test_what_is_freed_leaves_no_history_where_none_is_kept(self, office: FrontOffice) -> None:
        world = World(office, history=False)
        with closing(world):
            world.apply(untranslated(2))
            world.apply(untranslated(3), upsert(4))
            assert world.parked() == []
            assert world.office.own("history") == []

    def test_of_kind_event_everything_later_waits_behind_without_a_dead_letter(self, world: World) -> None:
        assert world.apply(event(1), event(2, note="wrong"), event(3), event(1), event(4, "free")) == [
            APPLIED,
            PARKED,
            PARKED,
            DUPLICATE,
            APPLIED,
        ]
        assert world.apply(event(4), event(2, note="wrong")) == [PARKED, PARKED]
        assert world.parked() == [("k-2", "contract"), ("k-3", "behind"), ("k-4", "behind")]
        assert [row["txn"] for row in world.office.own("outbox")] == ["k-2"]

    def test_nothing_is_parked_twice(self, world: World) -> None:
        for _ in range(2):
            world.apply(untranslated(1), untranslated(1), event(1, "e", note="wrong"), event(1, "e", note="wrong"))
        assert len(world.office.own("parked")) == len(world.office.own("outbox")) == 2
        assert world.metrics.parked.labels("no-airport")._value.get() == 1

    def test_what_is_parked_twice_with_a_newer_state_between_is_stale(self, world: World) -> None:
        assert world.apply(untranslated(1), upsert(2), untranslated(1)) == [PARKED, APPLIED, STALE]

    def test_what_cannot_be_decoded_neither_frees_nor_stales_its_like(self, world: World) -> None:
        raw = [b"\xff\0one", b"\xff\0two"]
        gone = [
            Delivered(
                Change(
                    f"id-{number}",
                    "",
                    "",
                    Verb.UNTRANSLATED,
                    "~record/s/1/0",
                    "0" * 38,
                    -1,
                    0,
                    "",
                    {"reason": "not-json"},
                ),
                "s",
                "1",
                1,
                data,
            )
            for number, data in enumerate(raw)
        ]
        assert world.decider.apply(gone) == [PARKED, PARKED]
        assert world.decider.apply(gone) == [PARKED, PARKED]
        assert sorted(bytes(row["event"]) for row in world.office.own("parked")) == raw

    def test_a_parked_change_is_kept_whole(self, world: World) -> None:
        world.apply(untranslated(1))
        (row,) = world.office.own("parked")
        (copy,) = world.office.own("outbox")
        assert b'"row":{"a":1}' in bytes(row["event"])
        assert bytes(copy["event"]) == bytes(row["event"])

    # read again

    def test_a_state_that_is_read_again_as_it_was_is_noted_and_has_no_effect(self, world: World) -> None:
        world.apply(upsert(1), upsert(1, "b"), upsert(3, "c"), delete(4, "c"))
        again = [upsert(1, generation=1, id="again"), upsert(1, "b", generation=1, id="b-again", note="other")]
        gone = upsert(3, "c", generation=1, id="c-again")
        before = world.effects()
        assert world.apply(*again, gone) == [UNCHANGED, APPLIED, APPLIED]
        assert world.effects() == {**before, "b-again": 1, "c-again": 1}
        assert {row["key"]: row["txn"] for row in world.office.own("guard")} == {
            "k": "again",
            "b": "b-again",
            "c": "c-again",
        }
        assert [row["version"] for row in world.office.rows("thing")] == [version_of(1, n) for n in (1, 3, 1)]
        assert world.apply(*again, gone, upsert(2), upsert(2, generation=1)) == [*[DUPLICATE] * 3, STALE, APPLIED]
        assert world.history_of()["again"] == "unchanged"

    def test_a_row_that_somebody_else_changed_is_no_longer_the_same(self, world: World) -> None:
        world.apply(upsert(1), upsert(1, "b"))
        world.office.damage("k")
        again = [upsert(1, generation=1, id="again"), upsert(1, "b", generation=1, id="b-again")]
        assert world.apply(*again) == [APPLIED, UNCHANGED]
        assert [(row["key"], row["size"]) for row in world.office.rows("thing")] == [("b", 1), ("k", 1)]

    def test_what_is_read_again_as_it_was_frees_what_is_parked(self, world: World) -> None:
        world.apply(upsert(1), untranslated(2))
        assert world.apply(upsert(1, generation=1, id="again")) == [UNCHANGED]
        assert world.parked() == []
        assert world.history_of() == {"k-1": "applied", "k-2": "superseded", "again": "unchanged"}

    def test_what_is_read_again_and_is_poison_now_is_parked(self, world: World) -> None:
        world.apply(upsert(1))
        bad = [upsert(1, generation=1, id="bad", size=-1), upsert(1, "b", generation=1, id="good")]
        assert world.apply(*bad) == [PARKED, APPLIED]

    # fences

    def test_what_follows_the_marker_of_a_newer_owner_is_fenced_in_its_lane_and_source_alone(
        self, world: World
    ) -> None:
        other_lane, other_source = upsert(1, "b")._replace(lane=2), upsert(1, "c")._replace(source="other")
        batch = (upsert(1), marker(3), upsert(2, epoch=2), upsert(2, epoch=3), other_lane, other_source)
        assert world.apply(*batch) == [APPLIED, None, FENCED, APPLIED, APPLIED, APPLIED]

    def test_a_fence_survives_a_restart_and_an_older_marker_does_not_lower_it(self, world: World) -> None:
        world.apply(marker(5))
        world.decider.close()
        world.decider = world.another()
        assert world.apply(marker(2), upsert(1, epoch=4)) == [None, FENCED]
        assert world.apply(upsert(1, epoch=4)) == [FENCED]
        assert [row["epoch"] for row in world.office.own("fence")] == [5]

    def test_what_was_fenced_and_comes_from_the_new_owner_is_told_as_applied(self, world: World) -> None:
        world.apply(marker(2), upsert(1))
        assert world.history_of() == {"k-1": "fenced"}
        world.apply(upsert(1, epoch=2))
        assert world.history_of() == {"k-1": "applied"}

    # settled

    def test_what_an_operator_settled_is_a_duplicate(self, world: World) -> None:
        world.office.settle("k-1")
        assert world.apply(upsert(1), upsert(2), event(1)) == [DUPLICATE, APPLIED, DUPLICATE]

    # names

    @pytest.mark.parametrize(
        "name", ["é", "😀", "'\"\\%_", "\x01\n\t", "￿", "a" * 1024, "~raw/s/1", "null", "1", "01", "K", "k ", "[0]"]
    )
    def test_every_name_finds_itself_and_nothing_else(self, world: World, name: str) -> None:
        world.apply(upsert(1, "k"), upsert(1, "0"))
        first = upsert(1, name)._replace(id=name)
        assert world.apply(first, untranslated(2, name), event(1, name)._replace(id=name + "e")) == [
            APPLIED,
            PARKED,
            PARKED,
        ]
        assert world.apply(first, untranslated(2, name)) == [DUPLICATE, PARKED]
        assert world.apply(upsert(3, name)) == [APPLIED]
        assert dict(world.told.previous)[f"{name}-3"] == {
            "key": name,
            "size": 1,
            "note": "fine",
            "version": version_of(0, 1),
        }
