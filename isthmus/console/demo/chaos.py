"""`--chaos`: the fault proxy, the kills, and what of the plan has happened."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from isthmus.clock import Clock
from isthmus.console.children import Child
from isthmus.console.demo.kills import BY_KCL, LOCAL, Kills, Victim, kills
from isthmus.console.proxy.faults import STRIKES, Fault, Traffic
from isthmus.errors import Fatal

_MODULE: Final = "isthmus.console.proxy"
_LISTENS_SECONDS: Final = 20.0
_FEWEST_TIMES, _MOST_TIMES = 3, 20
_KILLED: Final[Mapping[Victim, str]] = {
    Victim.PRODUCER: Fault.PRODUCER_KILLED.value,
    Victim.CONSUMER: Fault.CONSUMER_KILLED.value,
    Victim.WORKER: "worker_killed",
    Victim.DAEMON: "daemon_killed",
    Victim.CHILD: "child_killed",
}
"""By what name a kill is counted."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What chaos reaches."""

    victims: tuple[Victim, ...]
    traffic: frozenset[Traffic]
    """The kinds of requests that go through the proxy."""
    silence: float
    """Seconds. A plan in which nothing happens for so long has come to a halt."""


EVERYTHING: Final = Scope(LOCAL, frozenset(Traffic), 60.0)
"""The longest gaps between two faults take seconds."""
WITH_KCL: Final = Scope(BY_KCL, frozenset(Traffic) - {Traffic.READ}, 300.0)
"""The library's daemon reads the stream by HTTP/2 alone, past the proxy.

A killed worker is back after two starts of Java at most, 10 to 20 s each, and several times that on a busy machine.
"""


def times(days: int) -> int:
    """Give how often each fault of a request happens: as often as the processes are killed, within bounds."""
    return min(_MOST_TIMES, max(_FEWEST_TIMES, ceil(8 * days / 31)))


class Upstream(NamedTuple):
    """The ports of this machine where AWS really is."""

    port: int
    kinesis: int | None = None
    """Of Kinesis, if not with all others."""


class Chaos:
    """One seeded plan, from the start of its proxy on."""

    def __init__(
        self, seed: int, days: int, upstream: Upstream, log: Path, *, clock: Clock, scope: Scope = EVERYTHING
    ) -> None:
        """Start the proxy in front of these ports. Raises `Fatal` when it does not come up."""
        self.seed = seed
        self._silence = scope.silence
        self.kills: Kills = kills(seed, days, scope.victims)
        self._clock = clock
        self._lock = threading.Lock()
        self.port = 0
        """Where it listens."""
        self._listens = threading.Event()
        self._happened: Counter[str] = Counter()
        self._last = clock.monotonic()
        self._planned = self._plan(times(days), scope)
        self.planned = sum(self._planned.values())
        """How many faults are planned, the kills too."""
        arguments = ["--upstream", str(upstream.port), "--seed", str(seed), "--times", str(times(days))]
        if upstream.kinesis is not None:
            arguments += ["--kinesis", str(upstream.kinesis)]
        for traffic in sorted(set(Traffic) - scope.traffic):
            arguments += ["--spare", traffic.value]
        self.child = Child("fault-proxy", _MODULE, arguments, log, talks=True)
        self._listener = threading.Thread(target=self._listen, name="fault-proxy", daemon=True)
        self._listener.start()
        if not self._listens.wait(_LISTENS_SECONDS) or not self.port:
            self.child.end()
            raise Fatal(f"The fault proxy did not come up.\n{self.child.log_tail()}")

    def check(self) -> None:
        """Raise `Fatal` when the proxy has ended by itself."""
        code = self.child.poll()
        if code is not None:
            raise Fatal(f"The fault proxy ended with code {code}.\n{self.child.log_tail()}")

    def killed(self, victim: Victim) -> None:
        """Count a kill."""
        self._count(_KILLED[victim])

    def counts(self) -> dict[str, int]:
        """Give how often each planned fault has happened."""
        with self._lock:
            return {fault: self._happened[fault] for fault in self._planned}

    def left(self) -> dict[str, int]:
        """Give the faults that are still to come, with how often."""
        with self._lock:
            return {
                fault: number - self._happened[fault]
                for fault, number in self._planned.items()
                if self._happened[fault] < number
            }

    def halted(self) -> bool:
        """Say whether faults are still to come and none has happened for too long: waiting on is of no use."""
        with self._lock:
            silent = self._clock.monotonic() - self._last
        return silent >= self._silence and bool(self.left())

    def _plan(self, each: int, scope: Scope) -> dict[str, int]:
        planned = {fault.value: each for traffic in Traffic if traffic in scope.traffic for fault in STRIKES[traffic]}
        all_kills = [*self.kills.first_load, *self.kills.live]
        killed = {_KILLED[victim]: sum(kill.victim is victim for kill in all_kills) for victim in scope.victims}
        return planned | killed

    def _count(self, fault: str) -> None:
        with self._lock:
            self._happened[fault] += 1
            self._last = self._clock.monotonic()

    def _listen(self) -> None:
        for line in self.child.stdout:
            told = orjson.loads(line)
            match told["event"]:
                case "listening":
                    self.port = int(told["port"])
                    self._listens.set()
                case "fired":
                    self._count(Fault(told["fault"]).value)
        # It ended: nobody shall wait for it to listen.
        self._listens.set()
