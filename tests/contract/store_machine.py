"""A store's whole life in steps that hypothesis chooses, compared with the model after each of them."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from isthmus.change import Change, Outcome
from isthmus.consumer.stores.port import Decider
from isthmus.errors import Transient
from tests.fakes.clock import FakeStop
from tests.fakes.store_model import ByModel, agrees
from tests.fakes.store_world import FrontOffice, World, delete, delivered, event, marker, untranslated, upsert

_MANY: Final = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
_FEW: Final = settings(
    _MANY, max_examples=6, stateful_step_count=12, phases=[phase for phase in Phase if phase is not Phase.shrink]
)
"""What fails on a slow store is told as it was found: to make it shorter would take many minutes."""
_STATEMENTS: Final = 40
"""More than a small batch takes: a break that never comes is a batch that goes through."""


class Crash(BaseException):
    """The process is gone."""


_NUMBERS = st.integers(1, 6)
_EPOCHS = st.sampled_from([2, 2, 1, 3])
_NOTES = st.sampled_from(["fine", "fine", "fine", "wrong"])
_HASHES = st.sampled_from(["one", "one", "one", "other"])
_STATES = st.sampled_from("ab")
_EVENTS = st.sampled_from("ef")
_TWINS = st.sampled_from(["", "", "-twin"])
"""Another change with the same version, as no source of ours makes it."""
_GENERATIONS = st.sampled_from([0, 0, 0, 1, 2])
_SIZES = st.sampled_from([1, 2, 3, -1])


def _state(number: int, key: str, twin: str, generation: int = 0, **other: Any) -> Change:
    again = f"-{generation}" if generation else ""
    return upsert(number, key, id=f"{key}-{number}{twin}{again}", generation=generation, **other)


def _of(change: Change, epoch: int) -> Change:
    return change._replace(epoch=epoch)


_CHANGES = st.one_of(
    st.builds(
        _state, _NUMBERS, _STATES, _TWINS, _GENERATIONS, epoch=_EPOCHS, size=_SIZES, note=_NOTES, rowhash=_HASHES
    ),
    st.builds(_of, st.builds(delete, _NUMBERS, _STATES), _EPOCHS),
    st.builds(_of, st.builds(untranslated, _NUMBERS, _STATES), _EPOCHS),
    st.builds(event, _NUMBERS, _EVENTS, epoch=_EPOCHS, note=_NOTES, rowhash=_HASHES),
    st.builds(marker, _EPOCHS),
)
_BATCHES = st.lists(_CHANGES, min_size=1, max_size=6)
_IDS = st.builds("{}-{}".format, st.sampled_from("abef"), _NUMBERS)


def machine(office_factory: Callable[[], FrontOffice]) -> type[RuleBasedStateMachine]:
    """Give the test of a store; `office_factory` gives a front office, fresh and prepared."""

    class StoreMachine(_StoreMachine):
        def __init__(self) -> None:
            super().__init__(office_factory())

    return StoreMachine


def run(office_factory: Callable[[], FrontOffice], *, few: bool) -> None:
    """Run the test for some seconds. `few` is for a store that decides some hundred changes a second."""
    run_state_machine_as_test(machine(office_factory), settings=_FEW if few else _MANY)


class _StoreMachine(RuleBasedStateMachine):
    """Workers of one shard: one that decides, and old ones that may wake up."""

    def __init__(self, office: FrontOffice) -> None:
        super().__init__()
        self.world = World(office)
        self.model = ByModel()
        self.batches: list[Sequence[Change]] = []
        self.zombies: list[tuple[Decider, int]] = []
        """Old workers, each with how many batches there were when another took over."""
        self.too_old = 0
        """How many batches there were at the last pruning: nobody holds one of them any more."""

    def teardown(self) -> None:
        self._end_zombies()
        self.world.close()

    @rule(batch=_BATCHES)
    def deliver(self, batch: Sequence[Change]) -> None:
        self.batches.append(batch)
        self._deliver(batch)

    @precondition(lambda self: self.batches)
    @rule(which=st.integers(0, 99))
    def redeliver(self, which: int) -> None:
        self._deliver(self.batches[which % len(self.batches)])

    @rule()
    def restart(self) -> None:
        self.world.decider.close()
        self.world.decider = self.world.elsewhere()

    @rule()
    def take_over(self) -> None:
        self.zombies.append((self.world.decider, len(self.batches)))
        self.world.decider = self.world.elsewhere()

    @precondition(lambda self: self.zombies)
    @rule(who=st.integers(0, 9), which=st.integers(0, 99))
    def wake_up(self, who: int, which: int) -> None:
        """Let an old worker deliver what it had in hand: something that was decided before another took over."""
        decider, had = self.zombies[who % len(self.zombies)]
        if in_hand := self.batches[self.too_old : had]:
            self.world.clock.move(1)
            decider.apply([delivered(change) for change in in_hand[which % len(in_hand)]])

    @rule(txn=_IDS)
    def settle(self, txn: str) -> None:
        if txn not in self.model.settled:
            self.world.office.settle(txn)
            self.model.settled.add(txn)

    @rule(seconds=st.integers(0, 3), just_after=st.booleans())
    def prune(self, seconds: int, *, just_after: bool) -> None:
        # Whoever prunes answers for it that nothing so old can come again from an old worker.
        self._end_zombies()
        self.too_old = len(self.batches)
        clock = self.world.clock
        before = clock.now_ms() - 1000 * seconds + just_after
        self.world.store.prune(memory_before_ms=before, history_before_ms=before, stop=FakeStop(clock), portion=2)
        self.model.prune(before, {row["key"] for row in self.world.office.own("guard")})

    @rule(batch=_BATCHES, at=st.integers(0, _STATEMENTS), after=st.booleans(), dies=st.booleans())
    def break_and_go_on(self, batch: Sequence[Change], at: int, *, after: bool, dies: bool) -> None:
        """Let one statement raise, or the process end there; then the same batch comes again."""
        self.batches.append(batch)
        self.world.clock.move(1)
        error = Crash() if dies else self.world.office.outage()
        happened = self.world.office.break_at(self.world.decider, at, error, after=after)
        with suppress(Crash, Transient):
            self._apply(batch)
        struck = happened()
        if dies or not struck:
            # A break that did not come must not come later.
            with suppress(Exception, Crash):
                self.world.decider.close()
            self.world.decider = self.world.elsewhere()
        outcomes = self._apply(batch)
        self._take(batch)
        if not struck:
            assert outcomes == self._take(batch)

    @invariant()
    def the_store_is_as_the_model_says(self) -> None:
        agrees(self.world, self.model)

    def _deliver(self, batch: Sequence[Change]) -> None:
        self.world.clock.move(1)
        alarms, expected = self._alarms(), self.model.alarms
        assert self._apply(batch) == self._take(batch)
        assert self._alarms() - alarms == self.model.alarms - expected

    def _take(self, batch: Sequence[Change]) -> list[Outcome | None]:
        at_ms = self.world.clock.now_ms()
        return [self.model.take(change, at_ms) for change in batch]

    def _apply(self, batch: Sequence[Change]) -> list[Outcome | None]:
        return self.world.decider.apply([delivered(change) for change in batch])

    def _alarms(self) -> Any:
        return self.world.metrics.hash_alarms._value.get()

    def _end_zombies(self) -> None:
        for decider, _ in self.zombies:
            decider.close()
        self.zombies = []
