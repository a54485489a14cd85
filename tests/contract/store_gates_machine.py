"""A store's life behind gates, in steps that hypothesis chooses, compared with a small model after each of them."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from isthmus.change import Change, Outcome
from isthmus.checkpoint.gates import Covers
from isthmus.errors import Transient
from tests.fakes.gate_world import BILLING, BOARDS, GateWorld, is_covered
from tests.fakes.store_model import ByModel, agrees
from tests.fakes.store_world import FrontOffice, delete, delivered, event, untranslated, upsert

HELD = Outcome.HELD

_COVERS = st.sampled_from([BOARDS, BILLING, Covers(prefix="a"), Covers()])
_CHANGES = st.one_of(
    st.builds(upsert, st.integers(1, 6), st.sampled_from("ab"), note=st.sampled_from(["fine", "fine", "wrong"])),
    st.builds(delete, st.integers(1, 6), st.sampled_from("ab")),
    st.builds(untranslated, st.integers(1, 6), st.sampled_from("ab")),
    st.builds(event, st.integers(1, 6), st.sampled_from("ef"), note=st.sampled_from(["fine", "fine", "wrong"])),
)
_BATCHES = st.lists(_CHANGES, min_size=1, max_size=5)
_MANY: Final = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
_FEW: Final = settings(
    _MANY, max_examples=8, stateful_step_count=12, phases=[phase for phase in Phase if phase is not Phase.shrink]
)


class GatedModel(ByModel):
    """The rules with gates: what is covered is held, and so is all that comes behind it."""

    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        self.held: dict[str, list[Change]] = {}
        self._plain = plain

    def _tried(self, change: Change, at_ms: int) -> Outcome:
        outcome = super()._tried(change, at_ms)
        if self._plain and change.entity == "thing":
            # Their handler alone would tell.
            self.effects.pop(change.id, None)
        return outcome

    def arrive(self, change: Change, *, covered: bool, at_ms: int) -> Outcome:
        known = self._known(change)
        if known is not None:
            return known
        line = self.held.get(change.key, [])
        if not (covered or line):
            return self._tried(change, at_ms)
        if any(other.id == change.id for other in line):
            return HELD
        self.held.setdefault(change.key, []).append(change)
        return HELD

    def drain(self, key: str, covered: Callable[[Change], bool], at_ms: int) -> None:
        line = self.held.pop(key, [])
        while line and not covered(line[0]):
            change = line.pop(0)
            if self._known(change) is None:
                self._tried(change, at_ms)
        if line:
            self.held[key] = line


def run_machine(office_factory: Callable[[], FrontOffice], *, few: bool, plain: bool = False) -> None:
    """Compare a store's life behind gates with the model after each step; `plain`: of things without handlers."""

    class Machine(_GateMachine):
        def __init__(self) -> None:
            super().__init__(office_factory(), plain=plain)

    run_state_machine_as_test(Machine, settings=_FEW if few else _MANY)


class _GateMachine(RuleBasedStateMachine):
    def __init__(self, office: FrontOffice, *, plain: bool) -> None:
        super().__init__()
        self.world = GateWorld(office).without_handlers() if plain else GateWorld(office)
        self.model = GatedModel(plain=plain)
        self.batches: list[Sequence[Change]] = []

    def teardown(self) -> None:
        self.world.close()

    @rule(covers=_COVERS)
    def close(self, covers: Covers) -> None:
        self.world.gates.close(covers)

    @precondition(lambda self: self.world.gates.closed)
    @rule(which=st.integers(0, 9))
    def open(self, which: int) -> None:
        closed = self.world.gates.closed
        self.world.gates.open(closed[which % len(closed)])

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

    @rule(portion=st.integers(1, 4))
    def drain(self, portion: int) -> None:
        self.world.clock.move(1)
        self.world.drainer(portion=portion).sweep()
        for key in list(self.model.held):
            self.model.drain(key, self._is_covered, self.world.clock.now_ms())

    @rule(at=st.integers(0, 30), portion=st.integers(1, 3))
    def drain_and_break(self, at: int, portion: int) -> None:
        """Break a drain off anywhere; then drain again: the end is that of one drain."""
        drainer = self.world.drainer(portion=portion)
        self.world.office.break_at(drainer, at, self.world.office.outage())  # type: ignore[arg-type]
        with suppress(Transient):
            drainer.sweep()
        self.drain(portion)

    @invariant()
    def the_store_is_as_the_model_says(self) -> None:
        agrees(self.world, self.model)
        found = {key: self.world.held(key) for key in "abef"}
        assert {key: line for key, line in found.items() if line} == {
            key: [change.id for change in line] for key, line in self.model.held.items()
        }

    def _is_covered(self, change: Change) -> bool:
        return is_covered(change, self.world.gates, self.world.by_name)

    def _deliver(self, batch: Sequence[Change]) -> None:
        self.world.clock.move(1)
        at_ms = self.world.clock.now_ms()
        outcomes = self.world.decider.apply([delivered(change) for change in batch])
        assert outcomes == [
            self.model.arrive(change, covered=self._is_covered(change), at_ms=at_ms) for change in batch
        ]
