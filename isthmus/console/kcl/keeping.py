"""Looks at the lease table while a daemon runs: takes a dead leader's lock away, on proof."""

import threading

from isthmus.attempts import Attempts
from isthmus.checkpoint.kcl import KclLeases
from isthmus.checkpoint.process import is_dead
from isthmus.clock import Clock
from isthmus.console.kcl.leader import LeaderWatch, Worker
from isthmus.errors import Transient
from isthmus.lifecycle import Stop
from isthmus.log import get_logger

log = get_logger(__name__)


class Keeper:
    """One for a worker's whole life, over all daemons that it starts."""

    def __init__(self, leases: KclLeases, failover: float, *, clock: Clock, watch: Attempts) -> None:
        self._leases = leases
        self._every = failover
        self._clock = clock
        self._watch = watch
        self._leader = LeaderWatch(failover, is_dead)
        self._looking = threading.Lock()
        self.me: Worker | None = None
        """The daemon that lives now; None before the first."""

    def run(self, stop: Stop) -> None:
        """Look once in a failover time until a stop is requested. What is away is asked again next time."""
        while not stop.wait(self._every):
            self.look_now()

    def look_now(self) -> None:
        """Look once, beside the thread that runs. Raises what is not `Transient`."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        me = self.me
        if me is None:
            return
        try:
            lock = self._leases.leader()
            proof = self._leader.proof(lock, self._leases.read(), me, self._clock.monotonic())
            if lock is not None and proof is not None and self._leases.remove(lock):
                log.warning("kcl_leader_removed", leader=lock.owner, why=proof)
        except Transient as error:
            self._watch.failed(error)
        else:
            self._watch.recovered()
