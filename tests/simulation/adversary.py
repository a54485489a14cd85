"""The adversary: stands in every call of every port, lets others run there, and strikes where the plan says so."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from isthmus.errors import IsthmusError, TargetDown, Transient
from tests.fakes.stream import PutFault
from tests.simulation.plan import Fault, Kind, Plan, Step
from tests.simulation.processes import FOR_EVER, Process

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")

FAULTS_END: Final = 20.0
"""Seconds after which no fault strikes any more: from then on everything must catch up."""
LONG: Final = 5.2
"""Seconds: a little longer than a take-over takes (`ownership.TAKE_OVER_AFTER`)."""
_PUT_ERRORS: Final = ("ProvisionedThroughputExceededException", "InternalFailure")


class Adversary:
    """Carries out a plan. `fired` counts, by kind and step, the faults that struck."""

    def __init__(self, world: "World", plan: Plan) -> None:
        self._world = world
        self._due = {fault[1:4]: fault for fault in plan.faults}
        self._calls: Counter[Step] = Counter()
        self.fired: Counter[tuple[Kind, Step]] = Counter()

    def call(self, process: Process, name: str, action: Callable[[], T], note: str = "") -> T:
        """Make a call for a process: with pauses around it in which anybody may run, and with what is planned for it.

        Raises what the action raises; `Transient` where a fault says so; `Killed` when the process is dead.
        """
        process.refuse_the_dead()
        fault = self._planned(process, name)
        kind = fault.kind if fault else None
        self._pause(process)
        step = (process.role, name)
        if fault is not None and kind is not Kind.KILLED_AFTER and kind is not Kind.ANSWER_LOST:
            # Not before: who died in the pause was not struck. Nor is a stop that was asked for already.
            if kind is not Kind.TERMINATED or not process.requested():
                self.count(fault.kind, step)
            action = self._before(process, fault, action)
        try:
            result = action()
        except IsthmusError as error:
            self._world.note(process.name, f"{name} {note} raises {type(error).__name__}: {error.message}")
            raise
        self._world.note(process.name, f"{name} {note}{self._world.answer(result)}")
        if kind is Kind.KILLED_AFTER:
            self.count(kind, step)
            self._kill(process)
        self._pause(process)
        if kind is Kind.ANSWER_LOST:
            self.count(kind, step)
            raise TargetDown("The answer was lost.", cause="connection-lost")
        return result

    def count(self, kind: Kind, step: Step) -> None:
        """Note that a fault struck."""
        self.fired[kind, step] += 1

    def _planned(self, process: Process, name: str) -> Fault | None:
        step = (process.role, name)
        self._calls[step] += 1
        fault = self._due.get((*step, self._calls[step]))
        if fault is None or self._world.clock.monotonic() > FAULTS_END:
            return None
        self._world.note(process.name, f"*** {fault}")
        return fault

    def _pause(self, process: Process) -> None:
        chance = process.chance.random()
        if chance > 0.4:
            process.sleep((chance - 0.4) * (0.05 if chance < 0.95 else 0.6))

    def _before(self, process: Process, fault: Fault, action: Callable[[], T]) -> Callable[[], T]:
        """Strike; give what is to be done instead of the action."""
        clock, amount = self._world.clock, fault.amount
        match fault.kind:
            case Kind.KILLED_BEFORE:
                self._kill(process)
            case Kind.STOPPED | Kind.SUSPENDED:
                process.freeze(LONG + 4 * amount, clock_stands=fault.kind is Kind.SUSPENDED)
                if amount < 0.8:
                    # Somebody notices that nothing is done, and starts another one elsewhere.
                    clock.at(clock.monotonic() + amount, partial(self._world.start, process.role))
                process.sleep(0.0)
            case Kind.TERMINATED:
                process.request()
            case Kind.SLOW:
                process.sleep(1 + 6 * amount)
            case Kind.LATE if fault.call != "sink.put":
                clock.at(clock.monotonic() + 4 * amount, partial(self._happen_late, process, fault.call, action))
                raise TargetDown("The connection was lost.", cause="connection-lost")
            case Kind.FAILED:
                if amount < 0.5:
                    raise Transient("Slow down.", cause="throttled")
                raise TargetDown("Nobody answers.", cause="unreachable")
            case Kind.LATE | Kind.PARTLY_REFUSED | Kind.THROTTLED:
                return self._on_put(fault, action)
            case _:
                self._world.upset(fault, process)
        return action

    def _on_put(self, fault: Fault, action: Callable[[], T]) -> Callable[[], T]:
        bits = int(fault.amount * 1_000_000)
        # The first one always: what is counted has struck.
        refused = (
            range(500) if fault.kind is Kind.THROTTLED else [place for place in range(20) if (bits | 1) >> place & 1]
        )
        if fault.kind is Kind.LATE:
            planned = PutFault(late_seconds=0.3 + 5 * fault.amount)
        else:
            planned = PutFault(refuse=refused, error=_PUT_ERRORS[bits % 2])

        def put() -> T:
            self._world.stream.fail_put(planned)
            return action()

        return put

    def _happen_late(self, process: Process, name: str, action: Callable[[], object]) -> None:
        try:
            action()
        except IsthmusError as error:
            self._world.note(process.name, f"{name}, late, raises {type(error).__name__}: {error.message}")
        else:
            self._world.note(process.name, f"{name}, late, takes effect")

    def _kill(self, process: Process) -> NoReturn:
        clock = self._world.clock
        clock.at(clock.monotonic(), partial(self._world.kill, process))
        while True:
            process.sleep(FOR_EVER)
