"""Owning something while a block runs: take the lease, let its heart beat in a thread of its own, give it back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from isthmus.attempts import Attempts
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.heart import Heart
from isthmus.checkpoint.ownership import TAKE_OVER_AFTER, acquire
from isthmus.checkpoint.ports import Holder, Lease
from isthmus.checkpoint.process import is_dead, this_process
from isthmus.console.wiring import Wiring
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.errors import IsthmusError, OwnershipLost
from isthmus.lifecycle import ThreadStop
from isthmus.log import get_logger
from isthmus.stream import StreamIdentity

log = get_logger(__name__)


@contextmanager
def owning(
    wiring: Wiring,
    checkpoints: DynamoCheckpoints,
    name: str,
    stream: StreamIdentity,
    attempts: Attempts,
    *,
    wait: bool,
    take_over_after: float = TAKE_OVER_AFTER,
) -> Iterator[tuple[Lease, Heart]]:
    """Own the lease until the block ends.

    `attempts` is passed from one ownership to the next: an outage that ends one shows its end in the next.
    Raises `HeldByAnother` without `wait`, `Refused` for another stream's lease, `Stopped` while waiting.
    """

    def waiting(holder: Holder) -> None:
        log.info("waiting_for_holder", lease=name, holder=str(holder))

    # Nobody else of this process owns it, so a lease of our own was lost in an outage: its heart is at rest.
    me = this_process(name)
    lease = acquire(
        checkpoints.leases,
        name,
        stream,
        me=me,
        clock=wiring.clock,
        stop=wiring.stop,
        wait=wait,
        on_wait=waiting,
        chance=wiring.chance,
        on_failure=attempts.failed,
        on_recovery=attempts.recovered,
        is_dead=lambda holder: replace(holder, since="") == me or is_dead(holder),
        take_over_after=take_over_after,
    )
    # Somebody else may have waited the outage out for us.
    attempts.recovered()
    heart = Heart(
        checkpoints.leases,
        lease,
        clock=wiring.clock,
        on_failure=attempts.failed,
        on_recovery=attempts.recovered,
        take_over_after=take_over_after,
    )
    # Beats on after a stop was requested: the lease is held until everything that it covers has ended.
    resting = ThreadStop()
    beating = ThreadTask(f"heart {name}", lambda: heart.run(resting))
    try:
        yield lease, heart
    except OwnershipLost as error:
        raise OwnershipLost(heart.reason or error.message) from error
    finally:
        resting.request()
        beating.result()
        if not heart.lost:
            try:
                checkpoints.leases.give_back(name, lease.epoch)
            except IsthmusError as error:
                # Whoever comes next waits for the silence instead.
                log.warning("lease_not_given_back", lease=name, cause=type(error).__name__)
