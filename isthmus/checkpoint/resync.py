"""A resync: a take-over by nobody, after which the source is read from its beginning under a new generation.

Generation, epoch and watermark change in one conditional write, and the lease is held by nobody afterwards. Whoever
owned it has lost it, and may take it again like anybody else: with a higher epoch, whose markers fence what it still
sends of the generation before. A late write of its watermark carries the old epoch, and fails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from isthmus.chance import Chance
from isthmus.change import GENERATION_DIGITS
from isthmus.checkpoint import answers
from isthmus.checkpoint.ownership import next_epoch
from isthmus.checkpoint.ports import Lease, Leases
from isthmus.clock import Clock
from isthmus.errors import OwnershipLost, Refused, Transient
from isthmus.lifecycle import Stop, Stopped
from isthmus.retry import Backoff, keep_trying
from isthmus.stream import StreamIdentity

HIGHEST_GENERATION: Final = 10**GENERATION_DIGITS - 1
_AGAIN: Final = 0.05
"""Seconds before it is tried again after a beat of the holder came in between: beats are a second apart."""


def raise_generation(
    leases: Leases,
    name: str,
    stream: StreamIdentity,
    *,
    clock: Clock,
    stop: Stop,
    chance: Chance,
    on_failure: Callable[[Transient, int], None],
    least: int = 0,
    backoff: Backoff | None = None,
) -> Lease:
    """Let the source of a lease be read again from its beginning, and give the lease as it stands then.

    The generation is the one after that which stood there, or `least`, whichever is more. If somebody else has raised
    it meanwhile, that serves both. `on_failure` is as in `retry.keep_trying`: a store that is away is waited for.

    Raises `Refused` when the lease belongs to another stream, or there is no further generation; `Stopped`.
    """
    raising = _Raising(leases, name, stream, clock, least)
    while True:
        lease = keep_trying(
            raising.attempt, stop=stop, chance=chance, backoff=backoff or Backoff(), on_failure=on_failure
        )
        if lease is not None:
            return lease
        if stop.wait(_AGAIN):
            raise Stopped


@dataclass(slots=True)
class _Raising:
    """What is remembered from one attempt to the next."""

    leases: Leases
    name: str
    stream: StreamIdentity
    clock: Clock
    least: int
    wanted: int | None = None
    """The generation to reach. Fixed at the first look: a write whose answer was lost must not raise it twice."""

    def attempt(self) -> Lease | None:
        """Look, and write unless it is done. None: another write came in between."""
        seen = self.leases.read(self.name)
        if seen is not None:
            answers.check_stream(seen, self.stream)
        standing = 0 if seen is None else seen.generation
        if self.wanted is None:
            self.wanted = max(standing + 1, self.least)
        if seen is not None and standing >= self.wanted:
            return seen
        if self.wanted > HIGHEST_GENERATION:
            raise Refused(f"{self.name} has had {HIGHEST_GENERATION:,} generations: there is no further one.")
        raised = Lease(
            name=self.name,
            epoch=next_epoch(None if seen is None else seen.epoch, self.clock.now_ms()),
            holder=None,
            beat=0,
            stream=self.stream,
            generation=self.wanted,
        )
        try:
            # Generation, epoch and watermark at once. A watermark that is cleared by a write of its own could be
            # saved again by the owner before the epoch is raised, and the new generation would begin in the middle.
            self.leases.take(raised, seen, replace=True)
        except OwnershipLost:
            return None
        return raised
