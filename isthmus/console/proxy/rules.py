"""Rules that say which requests are struck, by number and seed. Pure: the same requests, the same faults."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from isthmus.chance import seeded_chance
from isthmus.console.proxy.kinds import Kind, Manner, Service


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault of a plan, and when it happens. Without a word about when, it happens to every request that it fits."""

    name: str
    service: Service
    kind: Kind
    operations: frozenset[str] = frozenset()
    """Empty: all operations of the service."""
    every: int = 1
    """To the n-th request and each n-th after it."""
    probability: float = 1.0
    """To each request with this probability, by the seed, the rule's place and the request's number."""
    times: int | None = None
    """So often at most."""
    first: int = 1
    """To no request before the one with this number, from 1."""
    last: int | None = None
    """To no request after the one with this number."""
    begins: float = 0.0
    """Seconds from the start of the proxy. A phase in time is not replayed exactly; one in requests is."""
    ends: float | None = None
    manner: Manner = field(default_factory=Manner)


@dataclass(frozen=True, slots=True)
class Due:
    """A rule strikes a request."""

    rule: Rule
    place: int
    """The rule's, in the plan."""
    number: int
    """The request's, among those that the rule fits, from 1."""
    seed: str
    """For what the fault itself leaves to chance."""


@dataclass(slots=True)
class Count:
    """How far a rule has come."""

    seen: int = 0
    owed: int = 0
    """Strikes that are due and have met no request: another fault met it, or it had no effect."""
    open: int = 0
    """Strikes whose effect is not known yet."""
    fired: int = 0


class Rules:
    """Counts requests and says what strikes them. Not safe for threads.

    `elapsed()` gives the seconds since the start.
    """

    def __init__(self, rules: Sequence[Rule], seed: int, elapsed: Callable[[], float]) -> None:
        self.rules: Final = tuple(rules)
        self.counts: Final = [Count() for _ in rules]
        """By the rule's place."""
        self._seed = seed
        self._elapsed = elapsed

    def due(self, service: Service, operations: Collection[str], fits: Callable[[Rule], bool]) -> list[Due]:
        """Count a request, which these operations name; give every latency that is due, then the first other fault.

        `fits` says whether a fault can happen to this request: if not, the request is none of its.
        """
        found: list[Due] = []
        struck: Due | None = None
        for place, rule in enumerate(self.rules):
            if rule.service is not service or not _named(rule, operations) or not fits(rule):
                continue
            due = self._seen(place, rule, takes=struck is None or rule.kind is Kind.LATENCY)
            if due is not None and rule.kind is Kind.LATENCY:
                found.append(due)
            elif due is not None:
                struck = due
        return found if struck is None else [*found, struck]

    def fired(self, due: Due) -> None:
        """Say that a fault has had its effect."""
        count = self.counts[due.place]
        count.open -= 1
        count.fired += 1

    def put_back(self, due: Due) -> None:
        """Say that it had none: it strikes a later request."""
        count = self.counts[due.place]
        count.open -= 1
        count.owed += 1

    def _seen(self, place: int, rule: Rule, *, takes: bool) -> Due | None:
        count = self.counts[place]
        count.seen += 1
        if not self._is_on(rule, count.seen):
            return None
        seed = f"{self._seed}/{place}/{count.seen}"
        regular = (count.seen - rule.first + 1) % rule.every == 0
        count.owed += regular and (rule.probability >= 1.0 or seeded_chance(seed).random() < rule.probability)
        left = rule.times is None or count.fired + count.open < rule.times
        if not (takes and left and count.owed):
            return None
        count.owed -= 1
        count.open += 1
        # Another seed than that of the choice: else what is rare would always happen in the same way.
        return Due(rule, place, count.seen, f"{seed}/how")

    def _is_on(self, rule: Rule, number: int) -> bool:
        if number < rule.first or (rule.last is not None and number > rule.last):
            return False
        if rule.begins == 0.0 and rule.ends is None:
            return True
        now = self._elapsed()
        return rule.begins <= now and (rule.ends is None or now < rule.ends)


def _named(rule: Rule, operations: Collection[str]) -> bool:
    return not rule.operations or not rule.operations.isdisjoint(operations)
