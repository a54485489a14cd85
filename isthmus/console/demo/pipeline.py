"""The pipeline's processes, as a user would start them."""

import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isthmus.console.children import Child
from isthmus.console.demo.kills import Victim
from isthmus.console.demo.memory import high_water_mb
from isthmus.errors import Fatal

_END_SECONDS: Final = 12.0
"""A soft stop takes 10 s at most."""
_KILL_SECONDS: Final = 10.0
_MOST_DEATHS: Final = 200
"""Deaths by a signal that nobody here sent: more are no accident, and starting again would hide why."""

Below = Callable[[int], Iterable[tuple[Victim, int]]]
"""Gives the processes that one of ours started in turn: what they are, and their IDs."""


def free_port() -> int:
    """Give a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Program:
    """One of the processes: `isthmus produce` or `isthmus consume`."""

    what: Victim
    command: str
    settings: Path
    log: Path
    environment: Mapping[str, str] | None = None
    """None: ours."""


def nothing_below(_pid: int) -> Iterable[tuple[Victim, int]]:
    """Say that a process starts no others."""
    return ()


class Pipeline:
    """`isthmus produce` and `isthmus consume`, each in a process of its own, by name.

    One that dies of a signal is started again, as an init system would, and `say` tells it.
    """

    def __init__(
        self, programs: Mapping[str, Program], say: Callable[[str], None], below: Below = nothing_below
    ) -> None:
        self._programs = dict(programs)
        self._say = say
        self._below = below
        self._deaths = 0
        self._peaks: dict[Victim, float] = {}
        self._ending = False
        self._deploying: set[str] = set()
        self.restarts = dict.fromkeys(programs, 0)
        self._children = {name: self._start(name) for name in programs}

    def add(self, name: str, program: Program) -> None:
        """Start one more."""
        self._programs[name] = program
        self.restarts[name] = 0
        self._children[name] = self._start(name)

    def check(self) -> None:
        """Start again what was killed from outside; take note of their memory.

        Raises `Fatal` when one of them has ended by itself, or is killed again and again.
        """
        for name, child in () if self._ending else list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            if name in self._deploying:
                self._deploying.remove(name)
                self._renew(name)
                continue
            if code >= 0 or self._deaths >= _MOST_DEATHS:
                raise Fatal(f"{self._words(name)} ended with code {code}. The end of its log:\n{child.log_tail()}")
            self._deaths += 1
            self._say(f"{self._words(name)} was ended by signal {-code}: it is started again")
            self._start_again(name)
        self._measure()

    def pid(self, name: str) -> int:
        """Give the process ID of the one that lives now, or lived last."""
        return self._children[name].pid

    def kill(self, name: str) -> None:
        """Kill one with SIGKILL and start it again. Raises `Fatal` when it had ended by itself."""
        self.check()
        child = self._children[name]
        child.signal(signal.SIGKILL)
        if child.wait(_KILL_SECONDS) != -signal.SIGKILL and name not in self._deploying:
            raise Fatal(f"{self._words(name)} ended by itself just before it was killed:\n{child.log_tail()}")
        self._deploying.discard(name)
        self._start_again(name)

    def deploy(self) -> None:
        """Ask all to end softly. Each is started again by `check` once it has ended, with the settings of then."""
        self._deploying = set(self._children)
        for child in self._children.values():
            child.signal(signal.SIGTERM)

    def deployed(self) -> bool:
        """Say whether all of them were started again."""
        return not self._deploying

    def end(self) -> None:
        """End all, softly and at the same time. Safe to repeat."""
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
        """Give what one of each kind used at most, over restarts."""
        self._measure()
        # Where the system tells nothing of the living, the end has told it.
        told = {self._programs[name].what: child.peak_rss_mb for name, child in self._children.items()}
        return {what.value: megabytes for what, megabytes in (told | self._peaks).items()}

    def _measure(self) -> None:
        for name, child in self._children.items():
            if child.poll() is None:
                for what, pid in ((self._programs[name].what, child.pid), *self._below(child.pid)):
                    megabytes = high_water_mb(pid)
                    if megabytes:
                        self._peaks[what] = max(self._peaks.get(what, 0.0), megabytes)

    def _words(self, name: str) -> str:
        program = self._programs[name]
        return f"`isthmus {program.command}`" + (f" of {name}" if name != program.what else "")

    def _start_again(self, name: str) -> None:
        self._renew(name)
        self.restarts[name] += 1

    def _renew(self, name: str) -> None:
        self._children[name].end()
        self._children[name] = self._start(name)

    def _start(self, name: str) -> Child:
        program = self._programs[name]
        return Child(
            program.command,
            "isthmus.console.main",
            [program.command, "--config", str(program.settings)],
            program.log,
            environment=program.environment,
        )
