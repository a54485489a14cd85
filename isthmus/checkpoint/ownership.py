"""Who owns a lease, and who may take it over: the pure rule, and the small coordinator that follows it.

A producer owns `source/<name>`, the local runtime `worker/<application>`. That two never own one epoch is kept by the
conditional write of `Leases.take`; everything here only decides when to try. A take-over too early is impolite, not
unsafe: the old owner's writes fail from then on, and what it still sends is fenced.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from isthmus.chance import Chance
from isthmus.checkpoint import answers, process
from isthmus.checkpoint.ports import Holder, Lease, Leases
from isthmus.clock import Clock, rfc3339
from isthmus.errors import HeldByAnother, OwnershipLost, Transient
from isthmus.lifecycle import Stop, Stopped
from isthmus.retry import Backoff, keep_trying
from isthmus.stream import StreamIdentity

TAKE_OVER_AFTER: Final = 5.0
"""Seconds: five missed beats. Long enough for a slow request, short enough for a night's sleep."""
LOOK_EVERY: Final = 0.5
"""Seconds between two looks at a lease that another holds."""


def source_lease(source: str) -> str:
    """Give the name of the lease of a source's producer."""
    return f"source/{source}"


def worker_lease(application: str) -> str:
    """Give the name of the lease of an application's local worker."""
    return f"worker/{application}"


def next_epoch(last: int | None, now_ms: int) -> int:
    """Give the epoch of a take-over: one more than the last, or the seconds since 1970, whichever is more.

    The seconds are for a table that was lost: a new owner that began at 1 would be fenced by its own past.
    """
    seconds = now_ms // 1000
    return seconds if last is None else max(last + 1, seconds)


class Sign(StrEnum):
    """What a look at a lease tells about its holder."""

    GIVEN_BACK = "given-back"
    DEAD = "dead"
    SILENT = "silent"
    """Not raised for long enough."""
    ALIVE = "alive"
    """Raised, or taken by another, between two looks."""
    UNCERTAIN = "uncertain"

    @property
    def free(self) -> bool:
        """Say whether the lease may be taken."""
        return self in {Sign.GIVEN_BACK, Sign.DEAD, Sign.SILENT}


class Watch:
    """Tells a living holder from a dead one by looking again and again. Pure: fed with leases and times.

    Times are of the observer's own monotonic clock; nobody else's clock is ever compared.
    """

    def __init__(self, take_over_after: float = TAKE_OVER_AFTER) -> None:
        self._take_over_after = take_over_after
        self._counter: tuple[int, int] | None = None
        self._since = 0.0

    def look(self, lease: Lease, *, asked: float, answered: float, dead: bool | None) -> Sign:
        """Say what this look tells.

        `asked` and `answered` are when the read was sent and when its answer came. What was read is true at some
        moment between them: so silence is counted from an answer to a question, and a slow read adds none.
        `dead` is what `process.is_dead` says of the holder.
        """
        if lease.holder is None:
            return Sign.GIVEN_BACK
        counter = (lease.epoch, lease.beat)
        moved = self._counter is not None and self._counter != counter
        if self._counter != counter:
            self._counter, self._since = counter, answered
        if dead:
            return Sign.DEAD
        if moved:
            return Sign.ALIVE
        return Sign.SILENT if asked - self._since >= self._take_over_after else Sign.UNCERTAIN


def acquire(
    leases: Leases,
    name: str,
    stream: StreamIdentity,
    *,
    me: Holder,
    clock: Clock,
    stop: Stop,
    wait: bool,
    on_wait: Callable[[Holder], None],
    chance: Chance,
    on_failure: Callable[[Transient, int], None],
    on_recovery: Callable[[int], None],
    is_dead: Callable[[Holder], bool | None] = process.is_dead,
    take_over_after: float = TAKE_OVER_AFTER,
    backoff: Backoff | None = None,
) -> Lease:
    """Become the owner of a lease, and give it as it stands under the new epoch.

    Its watermark was read after the epoch was raised, so the old owner cannot move it any more. Whoever gets it starts
    to beat at once. `me` is this process (`process.this_process`). With `wait` it stands by while another lives,
    otherwise it watches only until it knows. `on_wait(holder)` is told once of each holder that it watches;
    `on_failure` and `on_recovery` are as in `retry.keep_trying`.

    Raises `HeldByAnother` without `wait` when another lives, `Refused` when the lease belongs to another stream,
    `Stopped` when a stop is requested while waiting. A store that is away is waited for.
    """
    claim = _Claim(leases, name, stream, me, clock, wait, on_wait, is_dead, Watch(take_over_after))
    while True:
        lease = keep_trying(
            claim.attempt,
            stop=stop,
            chance=chance,
            backoff=backoff or Backoff(),
            on_failure=on_failure,
            on_recovery=on_recovery,
        )
        if lease is not None:
            return lease
        if stop.wait(LOOK_EVERY):
            raise Stopped


@dataclass(frozen=True, slots=True)
class _Look:
    lease: Lease | None
    asked: float
    answered: float


@dataclass(slots=True)
class _Claim:
    """What an acquirer remembers from one look to the next."""

    leases: Leases
    name: str
    stream: StreamIdentity
    me: Holder
    clock: Clock
    wait: bool
    on_wait: Callable[[Holder], None]
    is_dead: Callable[[Holder], bool | None]
    watch: Watch
    tried: set[tuple[int, Holder | None]] = field(default_factory=set)
    told: int | None = None

    def attempt(self) -> Lease | None:
        """Look, and take if that is allowed. None: not now. Raises `Transient` when it must look again."""
        look = self._look()
        if self._is_mine(look.lease):
            return look.lease  # an earlier take whose answer was lost
        if not self._may_take(look):
            return None
        mine = self._mine(look.lease)
        # Noted before it is sent: it may take effect although its answer is lost, even late.
        self.tried.add((mine.epoch, mine.holder))
        try:
            self.leases.take(mine, look.lease)
        except OwnershipLost:
            return None
        standing = self.leases.read(self.name)
        return standing if self._is_mine(standing) else None

    def _look(self) -> _Look:
        asked = self.clock.monotonic()
        lease = self.leases.read(self.name)
        return _Look(lease, asked, self.clock.monotonic())

    def _is_mine(self, lease: Lease | None) -> bool:
        # The holder too: two that saw the same lease tried the same epoch, and one of them may not have been told.
        return lease is not None and (lease.epoch, lease.holder) in self.tried

    def _may_take(self, look: _Look) -> bool:
        lease = look.lease
        if lease is None:
            return True
        answers.check_stream(lease, self.stream)
        dead = None if lease.holder is None else self.is_dead(lease.holder)
        sign = self.watch.look(lease, asked=look.asked, answered=look.answered, dead=dead)
        if lease.holder is None or sign.free:
            return True
        if sign is Sign.ALIVE and not self.wait:
            raise HeldByAnother(lease.name, str(lease.holder), hint="Stop that process first.")
        if self.told != lease.epoch:
            self.told = lease.epoch
            self.on_wait(lease.holder)
        return False

    def _mine(self, seen: Lease | None) -> Lease:
        now_ms = self.clock.now_ms()
        return Lease(
            name=self.name,
            epoch=next_epoch(None if seen is None else seen.epoch, now_ms),
            holder=replace(self.me, since=rfc3339(now_ms)),
            beat=0,
            stream=self.stream,
        )
