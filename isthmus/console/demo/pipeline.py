"""The pipeline's two processes, as a user would start them."""

import signal
import socket
from collections.abc import Callable, Mapping
from typing import Final

from isthmus.console.children import Child
from isthmus.console.demo.kills import Victim
from isthmus.console.demo.memory import high_water_mb
from isthmus.console.demo.plan import Place
from isthmus.errors import Fatal

_COMMANDS: Final[Mapping[Victim, str]] = {Victim.PRODUCER: "produce", Victim.CONSUMER: "consume"}
_END_SECONDS = 12.0
"""A soft stop takes 10 s at most."""
_KILL_SECONDS = 10.0
_MOST_DEATHS = 200
"""Deaths by a signal that nobody here sent: more are no accident, and starting again would hide why."""


def free_port() -> int:
    """Give a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Pipeline:
    """`isthmus produce` and `isthmus consume`, each in a process of its own.

    One that dies of a signal is started again, as an init system would, and `say` tells it.
    """

    def __init__(self, place: Place, say: Callable[[str], None]) -> None:
        self._place = place
        self._say = say
        self._deaths = 0
        self._peaks = dict.fromkeys(Victim, 0.0)
        self._ending = False
        self.restarts = dict.fromkeys(Victim, 0)
        self._children = {victim: self._start(victim) for victim in Victim}

    def check(self) -> None:
        """Start again what was killed from outside; take note of their memory.

        Raises `Fatal` when one of them has ended by itself, or is killed again and again.
        """
        for victim, child in () if self._ending else list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            if code >= 0 or self._deaths >= _MOST_DEATHS:
                raise Fatal(f"`isthmus {child.name}` ended with code {code}. The end of its log:\n{child.log_tail()}")
            self._deaths += 1
            self._say(f"`isthmus {child.name}` was ended by signal {-code}: it is started again")
            self._start_again(victim)
        self._measure()

    def kill(self, victim: Victim) -> None:
        """Kill one with SIGKILL and start it again. Raises `Fatal` when it had ended by itself."""
        self.check()
        child = self._children[victim]
        child.signal(signal.SIGKILL)
        if child.wait(_KILL_SECONDS) != -signal.SIGKILL:
            raise Fatal(f"`isthmus {child.name}` ended by itself just before it was killed:\n{child.log_tail()}")
        self._start_again(victim)

    def end(self) -> None:
        """End both, softly and at the same time. Safe to repeat."""
        self._measure()
        if not self._ending:
            for child in self._children.values():
                child.signal(signal.SIGTERM)
        self._ending = True
        for child in self._children.values():
            # A second signal would end it at once.
            if child.wait(_END_SECONDS) is None:
                child.signal(signal.SIGKILL)
            child.end()

    def peak_rss_mb(self) -> dict[str, float]:
        """Give what each used at most, over its restarts."""
        self._measure()
        return {
            # Where the system tells nothing of the living, the end has told it.
            victim.value: self._peaks[victim] or child.peak_rss_mb
            for victim, child in self._children.items()
        }

    def _measure(self) -> None:
        for victim, child in self._children.items():
            if child.poll() is None:
                self._peaks[victim] = max(self._peaks[victim], high_water_mb(child.pid))

    def _start_again(self, victim: Victim) -> None:
        self._children[victim].end()
        self._children[victim] = self._start(victim)
        self.restarts[victim] += 1

    def _start(self, victim: Victim) -> Child:
        command = _COMMANDS[victim]
        log = self._place.logs / f"{command}.log"
        return Child(command, "isthmus.console.main", [command, "--config", str(self._place.settings)], log)
