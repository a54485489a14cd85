"""The embedded AWS: ministack as a child on this machine's loopback, for the demo and for trying things out.

It keeps nothing: what it held is gone when it ends.
"""

import contextlib
import http.client
import importlib.util
import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from isthmus.aws import AwsAccess
from isthmus.chance import unique_name
from isthmus.console.children import Child
from isthmus.errors import Fatal
from isthmus.lifecycle import Stop, Stopped, ThreadStop

HOST = "127.0.0.1"
REGION = "us-east-1"
STARTS = 3
"""A free port may be taken by somebody else before the child binds it."""
READY_POLLS = 600
_POLL_SECONDS = 0.05
"""Ready within 30 s: it takes 0.2 to 1 s on an idle machine."""
_ANSWER_SECONDS = 2.0
_END_SECONDS = 5.0
_INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "SYSTEMROOT")


class Emulator:
    """One running emulator, from construction to `stop`. Its log is `folder/emulator.log`.

    Start it from a thread that lives as long as it shall: on Linux a child ends with the thread that made it. Raises
    `Fatal`, with the end of the log, when it does not come up, and `Stopped` when a stop is requested meanwhile.
    """

    def __init__(self, folder: Path, *, stop: Stop | None = None) -> None:
        if importlib.util.find_spec("ministack") is None:
            raise Fatal("The demo needs the AWS emulator ministack:", hint="pip install 'isthmus[demo]'")
        self._log = folder / "emulator.log"
        for _ in range(STARTS):
            self.port = _free_port()
            name = unique_name()
            given = environment(self.port, folder, name)
            self._child = Child("emulator", "ministack", [], self._log, environment=given)
            try:
                if _comes_up(self._child, self.port, name, stop or ThreadStop()):
                    return
            except BaseException:
                self.stop()
                raise
            self.stop()
        raise Fatal(f"The AWS emulator did not come up. The end of {self._log}:\n{self._child.log_tail()}")

    @property
    def url(self) -> str:
        """The endpoint of every service."""
        return f"http://{HOST}:{self.port}"

    @property
    def access(self) -> AwsAccess:
        """What `isthmus.aws.client` takes. The emulator asks for credentials and accepts any."""
        return AwsAccess(endpoint_url=self.url, region=REGION, access_key_id="test", secret="test")  # noqa: S106 - see above

    @property
    def pid(self) -> int:
        """The child's process ID."""
        return self._child.pid

    def alive(self) -> bool:
        """Say whether it still runs."""
        return self._child.poll() is None

    def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL after 5 s. Safe to repeat."""
        self._child.end(_END_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def inherited() -> dict[str, str]:
    """Give what a stand-in for AWS gets of our environment: a list of what passes, not of what does not.

    AWS_*, PERSIST_STATE, USE_SSL, NODE_OPTIONS, JAVA_TOOL_OPTIONS and their like would change it.
    """
    return {key: os.environ[key] for key in _INHERITED if key in os.environ}


def environment(port: int, folder: Path, name: str) -> dict[str, str]:
    """Give the emulator's environment. It listens on the port, writes into the folder, and answers to the name."""
    return inherited() | {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        # Each of these listens on a port of its own, on every interface.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # It removes containers that it takes for left behind by itself: keep it away from this machine's Docker.
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        # Shown at the health path: tells our child from a stranger on the same port.
        "MINISTACK_EDITION": name,
        "LOG_LEVEL": "WARNING",
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _comes_up(child: Child, port: int, name: str, stop: Stop) -> bool:
    for _ in range(READY_POLLS):
        if answers(port, name):
            return True
        if child.poll() is not None:
            return False
        if stop.wait(_POLL_SECONDS):
            raise Stopped
    return False


def answers(port: int, name: str) -> bool:
    """Say whether the emulator of that name answers at a port of this machine."""
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)) as connection:
        try:
            connection.request("GET", "/_ministack/health")
            health = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return False
    return isinstance(health, dict) and health.get("edition") == name
