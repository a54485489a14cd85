"""Who holds what, and whether it still lives, as somebody sees it who holds nothing."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from isthmus.checkpoint import process
from isthmus.checkpoint.heart import BEAT_EVERY
from isthmus.checkpoint.ports import Holder, Lease
from isthmus.lifecycle import Stop

_LOOKS = 10
_LOOK_SECONDS = 2.5 * BEAT_EVERY / _LOOKS
"""All looks together see two beats of a living holder."""


class Life(StrEnum):
    """What was seen of a holder."""

    ALIVE = "alive"
    SILENT = "silent"
    """No beat while we looked: stopped, cut off, or gone."""
    DEAD = "dead"
    """A process of this host that is no more."""


class Owner(NamedTuple):
    """The holder of a lease."""

    holder: Holder
    life: Life


def owners(
    read: Callable[[], Sequence[Lease]],
    pause: Stop,
    *,
    is_dead: Callable[[Holder], bool | None] = process.is_dead,
) -> dict[str, Owner]:
    """Give the owner of each lease that has one, by the lease's name. Looks for 2.5 s at most.

    Raises as `Leases.all` does.
    """
    first = {lease.name: lease for lease in read()}
    found: dict[str, Owner] = {}
    waiting: dict[str, Holder] = {}
    for name, lease in first.items():
        if lease.holder is not None:
            if is_dead(lease.holder):
                found[name] = Owner(lease.holder, Life.DEAD)
            else:
                waiting[name] = lease.holder
    for _ in range(_LOOKS):
        if not waiting or pause.wait(_LOOK_SECONDS):
            break
        for lease in read():
            moved = lease.name in waiting and (lease.epoch, lease.beat) != _counter(first[lease.name])
            if moved:
                holder = waiting.pop(lease.name)
                found[lease.name] = Owner(lease.holder or holder, Life.ALIVE)
    return found | {name: Owner(holder, Life.SILENT) for name, holder in waiting.items()}


def _counter(lease: Lease) -> tuple[int, int]:
    return lease.epoch, lease.beat
