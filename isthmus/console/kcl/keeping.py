"""Looks at the lease table while a daemon runs: takes a dead leader's lock away, on proof, and passes its shards on.

Tells who has what.
"""

from collections.abc import Callable, Mapping
from typing import Final

from isthmus.attempts import Attempts
from isthmus.checkpoint.kcl import KclLease, KclLeases
from isthmus.checkpoint.process import is_dead
from isthmus.clock import Clock
from isthmus.console.bookkeeping import Held
from isthmus.console.kcl.heirs import heirs
from isthmus.console.kcl.leader import LeaderWatch, Worker
from isthmus.errors import Transient
from isthmus.lifecycle import Stop
from isthmus.log import get_logger

log = get_logger(__name__)

_TICK_SECONDS: Final = 0.2
"""How soon a new daemon's look begins."""


class Keeper:
    """One for a worker's whole life, over all daemons that it starts.

    Only the task that calls `run` asks DynamoDB. A table that takes a question and says nothing keeps that task
    waiting, and nobody else. `seen` is told of all leases whenever they were read.
    """

    def __init__(
        self,
        leases: KclLeases,
        failover: float,
        *,
        clock: Clock,
        watch: Attempts,
        seen: Callable[[Mapping[str, KclLease], Worker], object] = lambda _leases, _me: None,
    ) -> None:
        self._leases = leases
        self._every = failover
        self._clock = clock
        self._watch = watch
        self._seen = seen
        self._leader = LeaderWatch(failover, is_dead)
        self._me: Worker | None = None
        self._hurried = False
        self._led_by = ""
        self._before: Mapping[str, KclLease] = {}

    def begin(self, me: Worker) -> None:
        """Say that a daemon starts: it is looked at once whether an earlier one's lock stands in its way.

        From any task, and without waiting.
        """
        self._me = me
        # After it: who looks because of this must see the new one.
        self._hurried = True

    @property
    def leads(self) -> bool:
        """Say whether our daemon is the leader, or nobody was, when the lock was seen last. From any task."""
        return self._led_by in {"", str(self._me)}

    def run(self, stop: Stop) -> None:
        """Look once in a failover time until a stop is requested. What is away is asked again next time.

        Raises what is not `Transient`.
        """
        due = self._clock.monotonic() + self._every
        while not stop.wait(_TICK_SECONDS):
            if self._hurried or self._clock.monotonic() >= due:
                self._hurried = False
                self.look()
                due = self._clock.monotonic() + self._every

    def look(self) -> None:
        """Look once. Raises what is not `Transient`."""
        me = self._me
        if me is None:
            return
        try:
            asked = self._clock.monotonic()
            lock, leases = self._leases.leader(), self._leases.read()
            proof = self._leader.proof(lock, leases, me, asked, self._clock.monotonic())
            if lock is not None and proof is not None and self._leases.remove(lock):
                log.warning("kcl_leader_removed", leader=lock.owner, why=proof)
                self._pass_on(leases, lock.owner, str(me))
            self._before = leases
        except Transient as error:
            self._watch.failed(error)
        else:
            self._watch.recovered()
            self._led_by = "" if lock is None else lock.owner
            self._seen(leases, me)

    def _pass_on(self, leases: Mapping[str, KclLease], dead: str, me: str) -> None:
        # What fails here is left to the next leader: it finds these leases without a living owner.
        given = [
            lease.shard for lease, heir in heirs(leases, self._before, dead, me) if self._leases.assign(lease, heir)
        ]
        if given:
            log.info("kcl_leases_passed_on", shards=given)


def held_by(leases: Mapping[str, KclLease], owner: str | None) -> dict[str, Held]:
    """Give what leases say of their shards, and which of them this worker has; None: none yet."""
    return {
        lease.shard: Held(lease.sequence, lease.ended, lease.parents, mine=owner is not None and lease.owner == owner)
        for lease in leases.values()
    }
