"""How any stand-in is started, and one that is tied to this process: it ends when we do, whatever ends us."""

import contextlib
import http.client
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from isthmus.console import become
from isthmus.console.children import Child
from isthmus.console.dev.listening import listening
from isthmus.errors import Fatal
from isthmus.lifecycle import Stop, Stopped, ThreadStop

HOST = "127.0.0.1"
REGION = "us-east-1"
STARTS = 3
"""A free port may be taken by somebody else before the stand-in binds it."""
_READY_POLLS = 1200
_POLL_SECONDS = 0.05
"""Ready within a minute: LocalStack takes 8 s, the others 1 to 2 s on an idle machine."""
_ANSWER_SECONDS = 2.0
_KILLED_SECONDS = 10.0


class Plan(NamedTuple):
    """One way to start a stand-in, on ports that were free a moment ago."""

    name: str
    command: Sequence[str]
    """The program's path and its arguments."""
    environment: Mapping[str, str]
    answers: Callable[[], str]
    """Gives the address at which it answers now, or the empty string. Never raises for what a server may say."""
    port: int | None = None
    """Where it listens, if it listens on a port."""
    grace: float = 0.0
    """Seconds that it gets to end by itself; 0: it keeps nothing, would only wait for its clients, and is killed."""


class Tied:
    """One running stand-in, from construction to `close`, which `with` calls too. Its log is `folder/NAME.log`.

    Start it from a thread that lives as long as it shall: on Linux a child ends with the thread that made it. Raises
    `Fatal`, with the end of the log, when it does not come up, and `Stopped` when a stop is requested meanwhile.
    """

    region = REGION

    def __init__(self, folder: Path, make: Callable[[], Plan], *, stop: Stop | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(STARTS):
            plan = make()
            self._grace = plan.grace
            self._child = Child(
                plan.name,
                become.MODULE,
                ["child-of", str(os.getpid()), *plan.command],
                folder / f"{plan.name}.log",
                environment=plan.environment,
            )
            try:
                self.url = comes_up(plan, self.pid, self.alive, stop or ThreadStop())
            except BaseException:
                self.close()
                raise
            if self.url:
                return
            silent = self.alive()
            self.close()
            if silent:
                break
        raise Fatal(f"{self._child.name} did not come up. The end of {self._child.log}:\n{self._child.log_tail()}")

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._child.pid

    def alive(self) -> bool:
        """Say whether it still runs."""
        return self._child.poll() is None

    def close(self) -> None:
        """End it, as its plan says. Safe to repeat."""
        if not self._grace:
            self._child.signal(signal.SIGKILL)
        self._child.end(self._grace or _KILLED_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def comes_up(plan: Plan, pid: int, alive: Callable[[], bool], stop: Stop) -> str:
    """Wait until the process answers, and give its address.

    Empty: it ended before, or said nothing for a minute. Raises `Fatal` when others than this machine could reach it,
    and `Stopped`.
    """
    for _ in range(_READY_POLLS):
        if (url := plan.answers()) and _is_its_own(plan, pid):
            return url
        if not alive():
            return ""
        if stop.wait(_POLL_SECONDS):
            raise Stopped
    return ""


def _is_its_own(plan: Plan, pid: int) -> bool:
    """Say whether the process listens on its port itself: else a stranger answered there."""
    found = listening(pid)
    if plan.port is None or found is None:
        return True
    if far := [each for each in found if not each.on_loopback()]:
        raise Fatal(f"{plan.name} listens on {far[0].host}, for others than this machine. It was ended.")
    return any(each.port == plan.port for each in found)


def free_ports(count: int) -> list[int]:
    """Give so many ports of the loopback address that nobody listens on, each another one."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def url_at(port: int, path: str, status: HTTPStatus) -> str:
    """Give the address of a port of this machine if it answers with that status there, else the empty string."""
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)) as connection:
        try:
            connection.request("GET", path)
            return f"http://{HOST}:{port}" if connection.getresponse().status == status else ""
        except (OSError, http.client.HTTPException):
            return ""
