"""DynamoDB Local, AWS's own: fetched by Maven into build/, checked against a hash, and run on loopback as a child.

It is there where Java (with its compiler) and Maven are; `unavailable` says what is missing.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

_VERSION: Final = "2.6.1"
_SHA256: Final = "1bed966b5eb504444fb6bc9a3d35bf415cde726bc89a0a6505570d985ebed5c9"
"""Of the names and SHA-256 of all 85 files that Maven fetches for this version, as `_digest` lists them."""
_HOME: Final = Path(__file__).parents[2] / "build" / f"dynamodb-local-{_VERSION}"
_FETCH_SECONDS: Final = 600
_POLLS, _POLL_SECONDS, _FAREWELL_SECONDS = 600, 0.05, 10

_POM: Final = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>local</artifactId><version>1</version>
<dependencies><dependency><groupId>com.amazonaws</groupId><artifactId>DynamoDBLocal</artifactId>
<version>{_VERSION}</version></dependency></dependencies></project>
"""
_LAUNCHER: Final = """
import com.amazonaws.services.dynamodbv2.local.main.ServerRunner;
import com.amazonaws.services.dynamodbv2.local.server.DynamoDBProxyServer;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

public class Launcher {
    public static void main(String[] arguments) throws Exception {
        DynamoDBProxyServer local = ServerRunner.createServerFromCommandLineArgs(arguments);
        java.lang.reflect.Field field = DynamoDBProxyServer.class.getDeclaredField("server");
        field.setAccessible(true);
        for (Connector connector : ((Server) field.get(local)).getConnectors()) {
            ((ServerConnector) connector).setHost("127.0.0.1");
        }
        local.start();
        local.join();
    }
}
"""
"""It listens on every interface, with no option: the host of its connectors is set before it starts."""

_TIED_TO_ITS_PARENT: Final = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
except (OSError, AttributeError):
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""As `tests.fakes.emulator` does it; what is set outlives the exec."""


@cache
def unavailable() -> str:
    """Say why DynamoDB Local cannot run here, or nothing. Fetches it the first time."""
    for program in ("java", "javac", "mvn"):
        if shutil.which(program) is None:
            return f"DynamoDB Local needs {program}, which is not here"
    if not _HOME.is_dir():
        return _fetch()
    return "" if _digest(_HOME) == _SHA256 else f"{_HOME} does not hash to what is pinned: remove it"


class DynamoLocal:
    """One running DynamoDB Local, in memory. Tests share it."""

    region = "us-east-1"

    def __init__(self, folder: Path) -> None:
        launcher = folder / "Launcher.java"
        launcher.write_text(_LAUNCHER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        java = ["java", "-Xmx384m", f"-Djava.library.path={_HOME}", "-cp", f"{_HOME}/*", str(launcher)]
        options = ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
        with (folder / "dynamodb-local.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _TIED_TO_ITS_PARENT, str(os.getpid()), *java, *options],
                cwd=folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "DDB_LOCAL_TELEMETRY": "0"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if not self._answers():
            self._end()
            raise RuntimeError(f"DynamoDB Local did not start:\n{(folder / 'dynamodb-local.log').read_text()[-2000:]}")
        self.client: Any = boto3.client(
            "dynamodb",
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - it takes any
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=20, proxies={}),
        )

    def close(self) -> None:
        """Close the client and end the process."""
        self.client.close()
        self._end()

    def _answers(self) -> bool:
        for _ in range(_POLLS):
            try:
                urllib.request.urlopen(self.url, timeout=1).close()  # noqa: S310 - our own URL
            except urllib.error.HTTPError as refused:
                # A request without a signature is refused by who is there.
                refused.close()
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


def _fetch() -> str:
    _HOME.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_HOME.parent) as name:
        folder = Path(name)
        (folder / "pom.xml").write_text(_POM)
        library = folder / "library"
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={library}"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_FETCH_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return "Maven did not fetch DynamoDB Local within ten minutes"
        if done.returncode:
            return f"Maven could not fetch DynamoDB Local: {done.stdout[-300:].decode(errors='replace')}"
        if _digest(library) != _SHA256:
            return "what Maven fetched for DynamoDB Local does not hash to what is pinned"
        library.rename(_HOME)
    return ""


def _digest(folder: Path) -> str:
    """Give the hash of the files' names and hashes, in the order of their names."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(folder.iterdir())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
