"""When the leader's lock may be taken away: only on proof that its owner is gone. Pure.

One worker of an application is the leader: it finds new shards and gives leases to workers. Its lock stands for two
minutes after its death, whatever the failover time is, and until then the shards of a worker that died go nowhere. So
whoever can prove the death removes the lock, on the condition that it is still the very lock that was looked at:

- the owner was a daemon of ours, or another life of a supervisor on this host, whose process is gone in this boot; or
- the owner holds leases, and none of their counters has moved for `STILL` failover times of our own clock. An owner
  that lives raises each of them every third of a failover time.

An owner without a lease, or on another host and merely silent, proves nothing: then the stock time is waited. An owner
that was only stopped finds its lock gone at its next heartbeat, and is a leader no more; see
`docs/adr/0013-a-dead-leaders-lock.md`.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from isthmus.checkpoint.kcl import KclLease, LeaderLock
from isthmus.checkpoint.ports import Holder

STILL: Final = 2
"""Failover times. The library itself takes a lease away after one."""
_PARTS: Final = 4


class Worker(NamedTuple):
    """Who a worker is, as its ID tells: readable, unique, and enough to say on its host whether it lives."""

    name: str
    host: str
    boot_id: str
    pid: int
    started: str
    life: int
    """Which daemon of its supervisor."""

    def __str__(self) -> str:
        return f"{self.name}/{self.pid}.{self.life}/{self.started}/{self.boot_id}@{self.host}"

    @property
    def holder(self) -> Holder:
        """The supervisor's process."""
        return Holder(str(self), self.host, self.boot_id, self.pid, self.started, since="")


def worker_of(text: str) -> Worker | None:
    """Give the worker that an ID names, None for an ID that is not of our making."""
    names, at, host = text.partition("@")
    parts = names.split("/")
    if not at or len(parts) != _PARTS:
        return None
    name, process, started, boot_id = parts
    pid, _, life = process.partition(".")
    if not (pid.isdecimal() and life.isdecimal()):
        return None
    return Worker(name, host, boot_id, int(pid), started, int(life))


class LeaderWatch:
    """Looks at the lock and the leases time after time, and says when the lock may go.

    `is_dead` says of a holder whether its process is no more, None where that cannot be told from here.
    """

    def __init__(self, failover: float, is_dead: Callable[[Holder], bool | None]) -> None:
        self._still = STILL * failover
        self._is_dead = is_dead
        self._seen: tuple[str, frozenset[tuple[str, int]]] | None = None
        self._since = 0.0

    def proof(
        self, lock: LeaderLock | None, leases: Mapping[str, KclLease], me: Worker, asked: float, answered: float
    ) -> str | None:
        """Say why the lock's owner is gone, or None. `me` is our daemon that lives.

        `asked` and `answered` are when lock and leases were asked for and were there, in monotonic seconds. What was
        read is true at some moment between them: so stillness is counted from an answer to a question.
        """
        if lock is None or lock.owner == str(me):
            self._seen = None
            return None
        owner = worker_of(lock.owner)
        if owner is not None and _same_supervisor(owner, me):
            return "it was an earlier daemon of this worker"
        if owner is not None and owner.boot_id == me.boot_id and self._is_dead(owner.holder):
            return "its process on this host is gone"
        held = frozenset((lease.shard, lease.counter) for lease in leases.values() if lease.owner == lock.owner)
        if not held:
            self._seen = None
            return None
        if self._seen != (lock.owner, held):
            self._seen, self._since = (lock.owner, held), answered
            return None
        seconds = asked - self._since
        return f"none of its {len(held)} leases has moved for {seconds:.0f} s" if seconds >= self._still else None


def _same_supervisor(owner: Worker, me: Worker) -> bool:
    return owner._replace(life=0) == me._replace(life=0) and owner.life < me.life
