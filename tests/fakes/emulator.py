"""A real AWS emulator for adapter tests: ministack as a child process, on loopback, for one test session."""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final, Literal

import boto3
from botocore.config import Config

_ATTEMPTS: Final = 3
_POLLS: Final = 600
_POLL_SECONDS: Final = 0.05
_FAREWELL_SECONDS: Final = 10

_TIED_TO_ITS_PARENT: Final = """
import os, signal, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
except (OSError, AttributeError):
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
sys.argv = ["ministack"]
from ministack.app import main
main()
"""
"""1 is PR_SET_PDEATHSIG (prctl(2)): a test run that is killed leaves no emulator behind. Linux only; elsewhere the
fixture's end is the only end."""

Service = Literal["dynamodb", "kinesis", "s3", "sqs"]


class Endpoint:
    """An AWS that runs already, and clients for it. Whoever starts one ends it: `close` closes the clients alone."""

    region = "us-east-1"

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients: dict[str, Any] = {}

    def client(self, service: Service) -> Any:
        """Give the session's boto3 client of a service. It belongs to the emulator: do not close it."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=self.region,
                aws_access_key_id="test",
                aws_secret_access_key="test",  # noqa: S106 - the emulator takes any
                config=Config(
                    retries={"total_max_attempts": 1},
                    connect_timeout=2,
                    read_timeout=20,
                    proxies={},
                    s3={"addressing_style": "path"},
                ),
            )
        return self._clients[service]

    @property
    def port(self) -> int:
        """Its port of this machine."""
        return int(self.url.rpartition(":")[2])

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()


class Emulator(Endpoint):
    """One running ministack. Tests share it: name what you make with `isthmus.chance.unique_name`."""

    def __init__(self, folder: Path) -> None:
        super().__init__("")
        self.log = folder / "ministack.log"
        for _ in range(_ATTEMPTS):
            # Somebody else may get the port between our asking for a free one and its use: then the child ends.
            self.url = f"http://127.0.0.1:{_free_port()}"
            self._process = self._start(folder)
            if self._answers():
                return
            self._end()
        raise RuntimeError(f"ministack did not start:\n{self.log.read_text()[-2000:]}")

    def close(self) -> None:
        """Close the clients and end the process."""
        super().close()
        self._end()

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        settings = {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "TMPDIR": str(folder),
            "HOME": str(folder),
            "PATH": os.environ.get("PATH", os.defpath),
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", _TIED_TO_ITS_PARENT, str(os.getpid())],
                cwd=folder,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _answers(self) -> bool:
        for _ in range(_POLLS):
            try:
                with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1):  # noqa: S310 - our own URL
                    return self._process.poll() is None
            except (urllib.error.URLError, OSError):
                pass
            try:
                self._process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return False
        return False

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
