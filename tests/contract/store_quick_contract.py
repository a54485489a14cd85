"""What a store's quick way does: it ends as the other way does, and steps aside wherever it might not.

An adapter's test module derives a class from `StoreQuickContract` and provides the fixtures `office`, a `FrontOffice`,
fresh and prepared, and `pair`, two of them, side by side.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.change import Change, Kind
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Delivered, Entity, QuickSession, TableMapping, Taken, TransactionalStore, Unit
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.store_world import (
    APPLIED,
    PARKED,
    FrontOffice,
    World,
    contract,
    delete,
    delivered,
    event,
    marker,
    untranslated,
    upsert,
)

MAPPING = TableMapping("thing", "key", "version", {"size": "size", "note": "note"})
THING = Entity("thing", Kind.STATE, MAPPING, contract)
TWIN = Entity("twin", Kind.STATE, MAPPING, contract)
"""Another type, whose keys are those of `thing`."""
POSTING = Entity("posting", Kind.EVENT, None, contract)
ENTITIES = {"thing": THING, "twin": TWIN, "posting": POSTING}


def _of(change: Change, epoch: int, source: str) -> Change:
    return change._replace(epoch=epoch, source=source)


KEYS = st.sampled_from("abcdef")
VERSIONS = st.integers(1, 4)
CHANGES = st.builds(
    _of,
    st.one_of(
        st.builds(upsert, VERSIONS, KEYS, size=st.sampled_from([1, 2, 3, -1]), rowhash=st.sampled_from(["one", "two"])),
        st.builds(upsert, VERSIONS, KEYS, size=st.just(1), generation=st.just(1), id=st.uuids().map(str)),
        st.builds(upsert, VERSIONS, KEYS, entity=st.just("twin"), id=st.uuids().map(str)),
        st.builds(upsert, VERSIONS, KEYS, note=st.sampled_from(["fine", "wrong", "a\0b"])),
        st.builds(delete, VERSIONS, KEYS),
        st.builds(untranslated, VERSIONS, KEYS),
        st.builds(event, VERSIONS, KEYS),
        st.builds(marker, st.integers(1, 3)),
    ),
    st.sampled_from([2, 2, 2, 1, 3]),
    st.sampled_from(["flights", "flights", "gates"]),
)


def _wide(versions: list[int], odd: list[tuple[int, Change]]) -> list[Change]:
    """Many plain changes with a few others among them, whose keys may be those of each other."""
    changes = [upsert(version, f"p{number}") for number, version in enumerate(versions)]
    for place, change in odd:
        changes[place] = change
    return changes


WIDE = st.builds(
    _wide,
    st.lists(VERSIONS, min_size=24, max_size=24),
    st.lists(st.tuples(st.integers(0, 23), CHANGES), max_size=3, unique_by=lambda odd: odd[0]),
)
PLAIN = st.builds(upsert, VERSIONS, KEYS, size=st.integers(0, 9), epoch=st.just(2))
BATCHES = WIDE | st.lists(CHANGES, max_size=8) | st.lists(PLAIN, max_size=6, unique_by=lambda change: change.key)


def _twin(world: World) -> None:
    store = world.office.store([TWIN])
    with closing(world.office.decider(store, {"twin": TWIN}, FakeClock(), Metrics(), history=True)) as decider:
        assert decider.apply([delivered(upsert(1, "b", entity="twin"))]) == [APPLIED]


BEFORE: dict[str, Callable[[World], object]] = {
    "a fence of its source": lambda world: world.apply(marker(2)),
    "its key parked": lambda world: world.apply(untranslated(1, "b")),
    "its key parked with something newer": lambda world: world.apply(untranslated(9, "b")),
    "its ID settled": lambda world: world.office.settle("b-2"),
    "its ID in the ledger": lambda world: world.apply(event(2, "other")._replace(id="b-2")),
    "the same ID": lambda world: world.apply(upsert(2, "b")),
    "the same ID with another row hash": lambda world: world.apply(upsert(2, "b", rowhash="other")),
    "the same ID with an older version": lambda world: world.apply(upsert(1, "b", id="b-2")),
    "the same version": lambda world: world.apply(upsert(2, "b", id="another")),
    "its key that of another type": _twin,
    "something newer": lambda world: world.apply(upsert(3, "b")),
    "something newer, deleted": lambda world: world.apply(delete(3, "b")),
}


def session_of(office: FrontOffice) -> QuickSession:
    """Give a session of the office's store."""
    store = office.store([THING, TWIN])
    assert isinstance(store, TransactionalStore)
    session = store.session()
    assert isinstance(session, QuickSession)
    return session


class Tries:
    """The quick way of a session, and whether it led anywhere each time."""

    def __init__(self, session: QuickSession) -> None:
        self._session = session
        self.done: list[bool] = []

    def unit(self) -> AbstractContextManager[Unit]:
        return self._session.unit()

    def close(self) -> None:
        self._session.close()

    def take(
        self,
        batch: Sequence[Delivered],
        entities: Sequence[Entity],
        now_ms: int,
        *,
        history: bool,
        confirm: Callable[[], None] = lambda: None,
    ) -> Taken:
        taken = self._session.take(batch, entities, now_ms, history=history, confirm=confirm)
        self.done.append(taken.done)
        return taken


def taken(office: FrontOffice, *changes: Change, history: bool = True) -> Taken:
    """Try the quick way for these."""
    with closing(session_of(office)) as session:
        return session.take([delivered(change) for change in changes], [THING] * len(changes), 1, history=history)


def everything(office: FrontOffice) -> dict[str, Any]:
    """Give what stands in the office; among different keys no order is promised."""
    own = {name: office.own(name) for name in ("guard", "ledger", "settled", "parked", "outbox", "fence", "history")}
    for name in ("parked", "outbox"):
        own[name] = sorted(own[name], key=lambda row: (row["key"], row["txn"]))
    return {"thing": office.rows("thing"), **own}


def steps_aside(office: FrontOffice, before: Callable[[World], object]) -> None:
    """See that nothing of three changes takes effect at once after this, and nothing is changed."""
    with closing(World(office)) as world:
        before(world)
    stood = everything(office)
    assert not taken(office, upsert(2, "a"), upsert(2, "b"), upsert(2, "c")).done
    assert everything(office) == stood


class StoreQuickContract:
    """The quick way."""

    @pytest.mark.parametrize("why", BEFORE)
    def test_it_steps_aside_for(self, office: FrontOffice, why: str) -> None:
        steps_aside(office, BEFORE[why])

    def test_it_steps_aside_for_what_may_be_the_same_row_in_an_earlier_generation(self, office: FrontOffice) -> None:
        with closing(World(office)) as world:
            world.apply(upsert(2, "b"))
            assert not taken(office, upsert(2, "b", id="again", generation=1)).done
            world.apply(upsert(2, "b", id="again", generation=1))
        assert taken(office, upsert(3, "b", generation=1)).done

    @pytest.mark.parametrize(
        "before",
        [[], [upsert(1, "b")], [delete(1, "b")], [marker(1)], [marker(9, source="other")], [untranslated(1, "z")]],
    )
    def test_it_takes_what_is_plainly_new(self, office: FrontOffice, before: list[Change]) -> None:
        with closing(World(office)) as world:
            world.apply(*before)
        assert taken(office, upsert(2, "a"), delete(2, "b"), upsert(2, "c")).done
        assert [row["key"] for row in office.rows("thing")] == ["a", "c"]
        assert [row["deleted"] for row in office.own("guard") if row["key"] == "b"] == [True]

    def test_a_refused_row_changes_nothing(self, office: FrontOffice) -> None:
        assert not taken(office, upsert(1, "a"), upsert(1, "b", size=-1)).done
        assert not any(everything(office).values())

    def test_a_trace_goes_on_through_both_ways(self, office: FrontOffice) -> None:
        with closing(World(office)) as world:
            world.apply(upsert(1))
        assert taken(office, upsert(2), upsert(1, "b")).done
        assert taken(office, upsert(3), history=False).done
        with closing(World(office)) as world:
            world.apply(upsert(4), upsert(2, "b"))
        assert told(office, "k") == [("k-1", "applied"), ("k-2", "applied"), ("k-4", "applied")]

    def test_it_is_used_and_gives_way_for_ever_fewer_batches_where_it_leads_nowhere(self, office: FrontOffice) -> None:
        with closing(session_of(office)) as session:
            at_once = Tries(session)
            applier = Applier(session, ENTITIES, FakeClock(), Metrics(), history=False, quick=at_once)
            for n in range(1, 4):
                assert applier.apply([delivered(upsert(n))]) == [APPLIED]
            assert at_once.done == [True] * 3
            for _ in range(20):
                applier.apply([delivered(upsert(1))])
            assert at_once.done[3:] == [False] * 4

    def test_one_poison_change_does_not_send_the_next_batch_the_other_way(self, office: FrontOffice) -> None:
        with closing(session_of(office)) as session:
            at_once = Tries(session)
            applier = Applier(session, ENTITIES, FakeClock(), Metrics(), history=False, quick=at_once)
            for n in (1, 3):
                batch = [upsert(n, "a"), upsert(n, f"bad-{n}", size=-1), upsert(n, "c")]
                assert applier.apply([delivered(change) for change in batch]) == [APPLIED, PARKED, APPLIED]
                assert at_once.done[-1]

    @pytest.mark.parametrize("wrongs", [1, 3, 5])
    def test_what_is_poison_is_set_aside_and_everything_else_takes_effect_at_once(
        self, office: FrontOffice, wrongs: int
    ) -> None:
        odd = [untranslated(1, "odd-0"), upsert(1, "odd-1", size=-1), upsert(1, "odd-2", note="wrong")]
        odd += [upsert(1, f"odd-{number}", size=-1) for number in range(3, 8)]
        batch = [upsert(1, f"p{number}") for number in range(64)]
        batch[::8] = [*odd[:wrongs], *(upsert(1, f"q{number}") for number in range(8 - wrongs))]
        with closing(session_of(office)) as session:
            at_once = Tries(session)
            applier = Applier(session, ENTITIES, FakeClock(), Metrics(), history=True, quick=at_once)
            outcomes = applier.apply([delivered(change) for change in batch])
        assert outcomes == [PARKED if change.key.startswith("odd") else APPLIED for change in batch]
        assert at_once.done[-1]
        assert sorted(row["key"] for row in office.own("parked")) == [f"odd-{number}" for number in range(wrongs)]
        assert len(office.rows("thing")) == 64 - wrongs

    def test_what_waits_behind_a_parked_change_is_set_aside_and_everything_else_takes_effect_at_once(
        self, office: FrontOffice
    ) -> None:
        with closing(World(office)) as world:
            world.apply(untranslated(1, "b"), untranslated(1, "c"))
        with closing(session_of(office)) as session:
            at_once = Tries(session)
            applier = Applier(session, ENTITIES, FakeClock(), Metrics(), history=True, quick=at_once)
            batch = [upsert(2, "b"), untranslated(2, "c"), *(upsert(1, f"p{number}") for number in range(30))]
            outcomes = applier.apply([delivered(change) for change in batch])
        assert outcomes == [APPLIED, PARKED, *[APPLIED] * 30]
        assert at_once.done == [False, True]
        assert [row["txn"] for row in office.own("parked")] == ["c-1", "c-2"]

    def test_nothing_of_a_key_or_an_id_comes_before_what_is_set_aside(self, office: FrontOffice) -> None:
        plain = [upsert(1, f"p{number}") for number in range(30)]
        later = upsert(2, "odd")
        for first in (untranslated(1, "odd"), event(1, "other", id=later.id)):
            each = office.fresh()
            with closing(session_of(each)) as session:
                at_once = Tries(session)
                applier = Applier(session, ENTITIES, FakeClock(), Metrics(), history=True, quick=at_once)
                applier.apply([delivered(change) for change in [first, *plain, later]])
            assert at_once.done == []

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(
        batches=st.lists(BATCHES, min_size=1, max_size=5),
        settled=st.lists(st.builds("{}-{}".format, KEYS, VERSIONS)),
        history=st.booleans(),
    )
    def test_both_ways_end_alike_whatever_comes(
        self, pair: Sequence[FrontOffice], *, batches: list[list[Change]], settled: list[str], history: bool
    ) -> None:
        ends = []
        for each, is_quick in zip(pair, (True, False), strict=True):
            office = each.fresh()
            for txn in set(settled):
                office.settle(txn)
            metrics = Metrics()
            outcomes = []
            with closing(session_of(office)) as session:
                quick, clock = session if is_quick else None, FakeClock()
                for batch in batches:
                    # Each batch by a new one, which tries the quick way whatever became of it before.
                    applier = Applier(session, ENTITIES, clock, metrics, history=history, quick=quick)
                    outcomes.append(applier.apply([delivered(change) for change in batch]))
            traces = [told(office, key) for key in "abcdef"]
            ends.append((outcomes, everything(office), traces, metrics.hash_alarms._value.get()))
        assert ends[0] == ends[1]


def told(office: FrontOffice, key: str) -> list[tuple[str, str]]:
    """Give what a trace says of a key."""
    trace = office.reader().trace(key)
    return [(row.txn, row.outcome) for row in trace.history] if trace is not None else []
