"""What a history will meet: drawn from its seed before it begins, so that it can be replayed, and made smaller."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from tests.simulation.office import MOVES, NAMELESS_ID, THINGS, TWIN_ID, Fate


class Kind(StrEnum):
    """Every fault there is. Each is counted when it strikes."""

    KILLED_BEFORE = "killed-before"
    """SIGKILL when the call is made and has had no effect."""
    KILLED_AFTER = "killed-after"
    """SIGKILL when it has had its effect and the answer is on its way."""
    STOPPED = "stopped"
    """SIGSTOP for longer than a take-over takes, then SIGCONT."""
    SUSPENDED = "suspended"
    """The machine stands still, and its monotonic clock too: the process does not notice."""
    TERMINATED = "terminated"
    """SIGTERM."""
    SLOW = "slow"
    """The call hangs for seconds."""
    FAILED = "failed"
    """Throttled, refused or reset before it had an effect."""
    ANSWER_LOST = "answer-lost"
    """It had its effect, and raises."""
    LATE = "late"
    """It raises, and has its effect later: what was sent after it overtakes it."""
    PARTLY_REFUSED = "partly-refused"
    THROTTLED = "throttled"
    """Every entry of the request is refused."""
    EXPIRED = "expired"
    EMPTY = "empty"
    SPLIT = "split"
    MERGED = "merged"
    REPLAYED = "replayed"
    """All consumers are killed, and every checkpoint is forgotten."""
    DOUBLED = "doubled"
    """A second process of the same role is started."""
    RESYNCED = "resynced"
    """An operator has the table of kind `state` read again, under a new generation."""
    CLOCK_JUMPED = "clock-jumped"
    FOREIGN = "foreign"
    """Another system's producer sends an entity's states out of order, poison among them."""
    POISONED = "poisoned"
    """The back office commits a row that cannot be applied."""
    MENDED = "mended"
    """The back office commits a good state after a poisonous one."""


LEASE_CALLS: Final = ("leases.read", "leases.take", "leases.beat", "leases.give_back")
CALLS: Final[Mapping[str, tuple[str, ...]]] = {
    "producer": (*LEASE_CALLS, "leases.advance", "source.start", "source.read", "sink.put"),
    "consumer": (
        *LEASE_CALLS,
        *("shards.read_all", "shards.save", "feed.shards", "feed.iterator", "feed.fetch"),
        *("store.open", "store.begin", "store.load", "store.previous", "store.same", "store.write", "store.save"),
        # `take` is the whole quick way; `confirm` lies inside, when everything is written and nothing is durable.
        *("store.commit", "store.take", "store.confirm"),
    ),
    "operator": ("leases.read", "leases.take"),
}
"""Every call of a port, by who makes it."""

Step = tuple[str, str]
"""Role and call."""

_ALL: Final[tuple[Step, ...]] = tuple((role, call) for role, calls in CALLS.items() for call in calls)
_WRITES: Final[tuple[Step, ...]] = tuple(
    step
    for step in _ALL
    if step[1].rpartition(".")[2] in {"take", "beat", "advance", "give_back", "put", "commit"}
    or step[1] == "shards.save"
)
_PUT: Final[tuple[Step, ...]] = (("producer", "sink.put"),)
_FETCH: Final[tuple[Step, ...]] = (("consumer", "feed.fetch"),)
_ANYWHERE: Final[tuple[Step, ...]] = (*_PUT, *_FETCH, ("consumer", "shards.save"), ("consumer", "store.load"))
_RESYNC: Final[tuple[Step, ...]] = tuple(("producer", call) for call in CALLS["producer"] if call != "source.start")
_COMMIT: Final[tuple[Step, ...]] = (("office", "commit"),)
_COMMITS: Final[tuple[Step, ...]] = (("consumer", "store.commit"), ("consumer", "store.take"))
QUICK: Final = frozenset({"store.take", "store.confirm"})
"""Calls that are made only where an entity type has no handlers."""

STEPS: Final[Mapping[Kind, tuple[Step, ...]]] = {
    Kind.KILLED_BEFORE: _ALL,
    Kind.KILLED_AFTER: _ALL,
    Kind.STOPPED: _ALL,
    Kind.SUSPENDED: _ALL,
    # Who gives back has been asked to end already.
    Kind.TERMINATED: tuple(step for step in _ALL if step[1] != "leases.give_back"),
    Kind.SLOW: _ALL,
    Kind.FAILED: _ALL,
    Kind.ANSWER_LOST: _WRITES,
    Kind.LATE: tuple(step for step in _WRITES if not step[1].startswith("store.")),
    Kind.PARTLY_REFUSED: _PUT,
    Kind.THROTTLED: _PUT,
    Kind.EXPIRED: _FETCH,
    Kind.EMPTY: _FETCH,
    Kind.SPLIT: _ANYWHERE,
    Kind.MERGED: _ANYWHERE,
    Kind.REPLAYED: _ANYWHERE,
    Kind.DOUBLED: (*_PUT, *_FETCH, *_COMMITS, ("producer", "leases.advance")),
    Kind.RESYNCED: (*_RESYNC, *_FETCH, *_COMMITS),
    Kind.CLOCK_JUMPED: (("producer", "leases.take"), ("producer", "leases.read"), *_ANYWHERE),
    Kind.FOREIGN: _ANYWHERE,
    Kind.POISONED: _COMMIT,
    Kind.MENDED: _COMMIT,
}
"""Where each fault may strike: a campaign must have seen every pair."""

PLANNED: Final = tuple(kind for kind in Kind if STEPS[kind] != _COMMIT)
"""The others are what rows are like."""

_REACH: Final = {"sink.put": 12, "feed.fetch": 25, "leases.beat": 12, "source.read": 15, "leases.give_back": 2}
"""How far into a history a fault may lie, in calls of its step; elsewhere 6."""


class Fault(NamedTuple):
    """One planned fault: it strikes at the `nth` call of a step, counted over all lives, or never."""

    kind: Kind
    role: str
    call: str
    nth: int
    amount: float
    """From 0 to 1: how long, how many, which."""

    def __str__(self) -> str:
        return f"{self.kind} at {self.role} {self.call} #{self.nth} ({self.amount:.2f})"


class Modification(NamedTuple):
    """One commit of the back office, at so many seconds."""

    at: float
    table: str
    id: int
    fate: Fate

    def __str__(self) -> str:
        return f"{self.at:5.2f} s: {self.table} {self.id} {self.fate}"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How small everything is, so that edges are everywhere."""

    lanes: int
    shards: int
    page_size: int
    bundle_events: int
    requests: int
    max_records: int
    batch_changes: int
    end_with_last_page: bool
    handled: bool
    """Whether the entities of kind `state` have a handler. Those without one may take effect at once."""
    history: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole history, but for the order of what runs at once, which the seed gives."""

    seed: int
    sizes: Sizes
    modifications: tuple[Modification, ...]
    faults: tuple[Fault, ...]


def make_plan(seed: int) -> Plan:
    """Give the plan of a seed."""
    chance = random.Random(f"{seed}/plan")
    sizes = Sizes(
        lanes=chance.choice([4, 4, 8]),
        shards=chance.randint(1, 3),
        page_size=chance.choice([2, 3, 10]),
        bundle_events=chance.choice([1, 2, 5]),
        requests=chance.choice([1, 2, 3]),
        max_records=chance.choice([2, 4, 20]),
        batch_changes=chance.choice([1, 4, 16]),
        end_with_last_page=chance.random() < 0.5,
        handled=chance.random() < 0.5,
        history=chance.random() < 0.5,
    )
    return Plan(seed, sizes, _modifications(chance, handled=sizes.handled), _faults(chance, handled=sizes.handled))


def _modifications(chance: random.Random, *, handled: bool) -> tuple[Modification, ...]:
    poison = [fate for fate in Fate if fate.is_poison]
    # An event in a batch, or one key twice, sends all of it the slow way.
    tables = [THINGS, MOVES] if handled else chance.choice([[THINGS], [THINGS, THINGS, THINGS, MOVES]])
    things = [TWIN_ID, 2, 3] if handled else [TWIN_ID, 2, 3, 6, 7]
    share = chance.choice([0.0, 0.15, 0.4])
    # A new owner does not publish a row that is filtered by now: what the old one sent of it may come at any time.
    calm = [Fate.FINE] * 6 + [Fate.GONE, Fate.GONE] + [Fate.SKIPPED] * chance.choice([1, 1, 5])
    nameless = chance.random() < 0.2
    found: list[Modification] = []
    at = 0.0
    for _ in range(chance.randint(8, 24)):
        # Often several at once: the source shows the last one only.
        at += chance.choice([0.0, 0.0, 0.1, 0.3, 1.0])
        table = chance.choice(tables)
        ids = things if table == THINGS else [4, 5]
        fates = poison if chance.random() < share else calm
        found.append(
            Modification(
                at,
                table,
                NAMELESS_ID if nameless and chance.random() < 0.1 else chance.choice(ids),
                chance.choice(fates),
            )
        )
    return tuple(found)


def _faults(chance: random.Random, *, handled: bool) -> tuple[Fault, ...]:
    found: dict[tuple[str, str, int], Fault] = {}

    def add(kind: Kind, role: str, call: str, nth: int) -> None:
        found.setdefault((role, call, nth), Fault(kind, role, call, nth, round(chance.random(), 6)))

    # A few kinds of fault, often, find more than all kinds, seldom ("Swarm Testing", Groce et al., 2012).
    kinds = chance.sample(PLANNED, chance.choice([1, 2, 3, len(PLANNED)]))
    for _ in range(chance.choice([0, 1, 2, 4, 8, 12])):
        kind = chance.choice(kinds)
        role, call = chance.choice(STEPS[kind])
        add(kind, role, call, chance.randint(1, 2 if role == "operator" else _REACH.get(call, 6)))
        if call == "leases.give_back":
            # It is called at a soft end only.
            add(Kind.TERMINATED, role, "leases.beat", chance.randint(1, 6))
        if role == "operator" or call == "store.same":
            # There is one only where somebody asks for a resync, and it makes few calls. And only what was read again
            # is compared with what stands there.
            asked = chance.choice(STEPS[Kind.RESYNCED])
            add(Kind.RESYNCED, *asked, chance.randint(1, _REACH.get(asked[1], 6)))
    if chance.random() < 0.3:
        for place in _duel(chance):
            add(*place)
    if not handled and chance.random() < 0.2:
        for place in _late_behind_the_markers(chance):
            add(*place)
    return tuple(found.values())


def _duel(chance: random.Random) -> Sequence[tuple[Kind, str, str, int]]:
    """Give faults that are worst together.

    An owner that does not know yet that it was followed by another, disorder from elsewhere, a soft end in the middle
    of a page. The first two takes of producers are those of the first owners of the two sources.
    """
    n = chance.randint(1, 6)
    slow_takes = ((Kind.SLOW, "producer", "leases.take", 3), (Kind.SLOW, "producer", "leases.take", 4))
    put, advance = ("producer", "sink.put"), ("producer", "leases.advance")
    return chance.choice(
        (
            ((Kind.LATE, *advance, n), (Kind.KILLED_BEFORE, *advance, n + 1), *slow_takes),
            ((Kind.SUSPENDED, *advance, n), *slow_takes),
            ((Kind.LATE, *put, n), (Kind.KILLED_BEFORE, *put, n + 1)),
            ((Kind.SUSPENDED, *put, n), (Kind.LATE, *put, n + 1)),
            ((Kind.RESYNCED, *advance, n), (Kind.LATE, *advance, n + 1), (Kind.SUSPENDED, *put, n + 1)),
            ((Kind.RESYNCED, *put, n), (Kind.SUSPENDED, *put, n), *slow_takes),
            ((Kind.FOREIGN, *put, n), (Kind.FOREIGN, "consumer", "feed.fetch", n)),
            ((Kind.FAILED, "consumer", "store.load", n), (Kind.TERMINATED, "consumer", "store.begin", n)),
        )
    )


def _late_behind_the_markers(chance: random.Random) -> Sequence[tuple[Kind, str, str, int]]:
    """Give an owner that dies with a request on its way, and a new one that is slow once its markers are out.

    What comes late then stands between the two: the fence alone keeps it from taking effect, the guard does not.
    """
    n = chance.randint(1, 6)
    put = ("producer", "sink.put")
    return ((Kind.LATE, *put, n), (Kind.KILLED_BEFORE, *put, n + 1), *((Kind.SLOW, *put, n + m) for m in range(4, 9)))
