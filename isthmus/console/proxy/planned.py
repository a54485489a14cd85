"""The two plans that a proxy follows: the demo's strikes by kind of traffic, and a user's rules."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from isthmus.console.proxy import behaviour
from isthmus.console.proxy.behaviour import Struck
from isthmus.console.proxy.faults import Fault, Traffic
from isthmus.console.proxy.kinds import Kind, Manner, Service
from isthmus.console.proxy.messages import Request
from isthmus.console.proxy.parts import can_fail
from isthmus.console.proxy.recognise import is_kinesis, operation_of, traffic_of
from isthmus.console.proxy.rules import Due, Rule, Rules
from isthmus.console.proxy.schedule import Schedule, Strike

TARGET: Final = "x-amz-target"


class Plan(Protocol):
    """Says what strikes a request, and hears what became of it: of each that it gave, exactly one of the two."""

    def due(self, request: Request) -> list[Struck]:
        """Count a request; give the latencies that keep it back, then at most one other fault."""
        ...

    def fired(self, struck: Struck) -> None:
        """Hear that a fault has had its effect."""
        ...

    def put_back(self, struck: Struck) -> None:
        """Hear that it had none: it strikes a later request."""
        ...


KINDS: Final[Mapping[Fault, Kind]] = {
    Fault.PUT_PARTIAL: Kind.PARTIAL,
    Fault.PUT_ACCEPTED_THEN_RESET: Kind.ANSWER_LOST,
    Fault.PUT_DELIVERED_LATE: Kind.LATE,
    Fault.PUT_THROTTLED: Kind.THROTTLE,
    Fault.PUT_TIMEOUT: Kind.HALF_OPEN,
    Fault.PUT_500: Kind.ERROR,
    Fault.WATERMARK_FAILED: Kind.ERROR,
    Fault.WATERMARK_TIMED_OUT: Kind.HALF_OPEN,
    Fault.WATERMARK_ANSWER_LOST: Kind.ANSWER_LOST,
    Fault.OWNERSHIP_FAILED: Kind.ERROR,
    Fault.OWNERSHIP_TIMED_OUT: Kind.HALF_OPEN,
    Fault.OWNERSHIP_ANSWER_LOST: Kind.ANSWER_LOST,
    Fault.CHECKPOINT_FAILED: Kind.ERROR,
    Fault.CHECKPOINT_TIMED_OUT: Kind.HALF_OPEN,
    Fault.CHECKPOINT_ANSWER_LOST: Kind.ANSWER_LOST,
    Fault.READ_FAILED: Kind.ERROR,
    Fault.READ_THROTTLED: Kind.THROTTLE,
    Fault.READ_REPEATED: Kind.REPEAT,
    Fault.ITERATOR_EXPIRED: Kind.EXPIRED,
}
"""What each of the demo's faults of a request does."""


class ByTraffic:
    """The demo's plan: every fault of it happens so many times, each to its kind of traffic."""

    def __init__(self, schedule: Schedule, tell: Callable[[Fault], None]) -> None:
        self._schedule = schedule
        self._tell = tell

    def due(self, request: Request) -> list[Struck]:
        """Count a request; give the fault that strikes it, if any."""
        target = request.field(TARGET)
        traffic = traffic_of(target, request.body)
        if traffic is None:
            return []
        operation = target.rpartition(".")[2]
        strike = self._schedule.due(
            traffic, lambda fault: KINDS[fault] is not Kind.PARTIAL or can_fail(operation, request)
        )
        if strike is None:
            return []
        kind = KINDS[strike.fault]
        service = Service.KINESIS if is_kinesis(target) else Service.DYNAMODB
        return [Struck(kind, service, operation, strike.seed, _manner(kind), (traffic, strike))]

    def fired(self, struck: Struck) -> None:
        """Tell whoever counts."""
        self._tell(_origin(struck)[1].fault)

    def put_back(self, struck: Struck) -> None:
        """Have it strike a later request."""
        self._schedule.put_back(*_origin(struck))


def _origin(struck: Struck) -> tuple[Traffic, Strike]:
    match struck.origin:
        case (Traffic() as traffic, Strike() as strike):
            return traffic, strike
        case _:
            raise TypeError(struck.origin)


def _manner(kind: Kind) -> Manner:
    # Read when a request is struck: the tests of the demo's proxy have less patience.
    match kind:
        case Kind.HALF_OPEN:
            return Manner(seconds=behaviour.HANGS_AT_MOST, least=behaviour.HANGS_AT_LEAST)
        case Kind.LATE:
            soonest, latest = behaviour.LATE_SECONDS
            return Manner(seconds=soonest, jitter=latest - soonest)
        case _:
            return Manner()


class Firing(NamedTuple):
    """A fault that has had its effect."""

    fault: str
    """The rule's name."""
    service: Service
    operation: str
    """Of the request; empty for one that the proxy does not know by name."""
    kind: Kind
    request: int
    """Its number among those that the rule fits."""


class ByRules:
    """A user's plan, for one service; the rules may be shared with the others."""

    def __init__(self, service: Service, rules: Rules, tell: Callable[[Firing], None]) -> None:
        self.service = service
        self._rules = rules
        self._tell = tell

    def due(self, request: Request) -> list[Struck]:
        """Count a request; give what strikes it."""
        operation = operation_of(self.service, request)
        return self.due_to(
            operation, (operation,), lambda rule: rule.kind is not Kind.PARTIAL or can_fail(operation, request)
        )

    def due_to(self, operation: str, names: tuple[str, ...], fits: Callable[[Rule], bool]) -> list[Struck]:
        """Count something that is called all of these names; give what strikes it."""
        return [
            Struck(due.rule.kind, self.service, operation, due.seed, due.rule.manner, due)
            for due in self._rules.due(self.service, names, fits)
        ]

    def fired(self, struck: Struck) -> None:
        """Count it and tell."""
        due = _due(struck)
        self._rules.fired(due)
        self._tell(Firing(due.rule.name, struck.service, struck.operation, struck.kind, due.number))

    def put_back(self, struck: Struck) -> None:
        """Have it strike a later request."""
        self._rules.put_back(_due(struck))


def _due(struck: Struck) -> Due:
    assert isinstance(struck.origin, Due)  # noqa: S101 - it is this class that put it there
    return struck.origin
