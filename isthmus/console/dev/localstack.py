"""LocalStack in host mode: all of AWS that Isthmus asks, on loopback alone, as one process with children.

Left alone it would fetch programs unchecked and listen everywhere: it finds those of the other stand-ins in its own
folders, where it would have put what it fetches.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path

from isthmus.console import programs
from isthmus.console.dev import dynamodb_local, kinesis_mock
from isthmus.console.dev.install import Part, Say, installed, run, silently
from isthmus.console.dev.standin import HOST, REGION, Plan, free_ports, url_at
from isthmus.console.embedded import inherited
from isthmus.errors import Fatal
from isthmus.settings.load import cache_folder

NAME = "localstack"
_VERSION = "4.14.0"
_LOCK = files("isthmus.console.dev") / "localstack.txt"
"""Its requirements, with hashes."""
_PYTHON = (3, 13)
"""With 3.12 it answers with errors, and for 3.14 its requirements contradict each other."""
_ASK_VERSION = "import sys, venv; print(*sys.version_info[:2])"
_ASK_SECONDS = 30
_SERVICES = "cloudformation,cloudwatch,dynamodb,iam,kinesis,s3,sqs,sts"

_LIBRARY = "DynamoDBLocal_lib"
_AGENT = "NoAgent"
_AGENT_SOURCE = f"""
public class {_AGENT} {{
    public static void premain(String arguments) {{
    }}
}}
"""
"""It runs DynamoDB Local with an agent, which allows for more indexes than AWS does: nobody here needs it."""


def unavailable(home: Path | None = None, say: Say = silently) -> str:
    """Say in one sentence why LocalStack cannot run here, or nothing. Installs it into `home` the first time."""
    place = home or cache_folder()
    for part in (kinesis_mock, dynamodb_local):
        if why := part.unavailable(place, say):
            return f"LocalStack runs on {part.NAME}: {why}"
    try:
        installed(_part(find_python()), place, say)
    except Fatal as error:
        return str(error)
    return ""


def plan(home: Path, folder: Path) -> Plan:
    """Make the plan of one that runs in `folder`, installed in `home`. Raises `Fatal` where it cannot be."""
    environment = installed(_part(find_python()), home)
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    programs_of_its_own = root / "var" / "lib" / "localstack" / "lib"
    _kinesis(installed(kinesis_mock.PART, home), programs_of_its_own)
    _dynamodb(installed(dynamodb_local.PART, home), programs_of_its_own)
    (port,) = free_ports(1)
    path = os.pathsep.join([str(Path(programs.node() or "").parent), inherited().get("PATH", os.defpath)])
    given = inherited() | {
        "PATH": path,
        "HOME": str(folder),
        "FILESYSTEM_ROOT": str(root),
        # In a container it would take the image for its own, and write outside its folder.
        "OVERRIDE_IN_DOCKER": "0",
        "GATEWAY_LISTEN": f"{HOST}:{port}",
        # The default server ignores the host.
        "GATEWAY_SERVER": "hypercorn",
        "DNS_ADDRESS": "0",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
        "SERVICES": _SERVICES,
        "EAGER_SERVICE_LOADING": "1",
        "KINESIS_MOCK_VERSION": kinesis_mock.VERSION,
        "DYNAMODB_IN_MEMORY": "1",
        "DYNAMODB_SHARE_DB": "1",
        "AWS_DEFAULT_REGION": REGION,
        "LS_LOG": "warning",
    }
    command = [str(environment / "bin" / "python"), "-m", "localstack.runtime.main"]
    return Plan(NAME, command, given, lambda: url_at(port, "/_localstack/health", HTTPStatus.OK), port)


def _kinesis(package: Path, place: Path) -> None:
    own = place / "kinesis-local" / kinesis_mock.VERSION / "node_modules" / "kinesis-local"
    own.mkdir(parents=True)
    kinesis_mock.copy_for_loopback(package, own)


def _dynamodb(library: Path, place: Path) -> None:
    tools = dynamodb_local.find_java()
    java = place / "java" / "21" / "bin"
    java.mkdir(parents=True)
    (java / "java").symlink_to(Path(tools.java).resolve())
    own = place / "dynamodb-local" / "2"
    own.mkdir(parents=True)
    (own / _LIBRARY).symlink_to(library)
    dynamodb_local.compile_launcher(tools, library, own)
    source = own / f"{_AGENT}.java"
    source.write_text(_AGENT_SOURCE, encoding="ascii")
    run("javac", [tools.compiler, "-proc:none", "-d", str(own), str(source)], own)
    classes = "".join(f" {_LIBRARY}/{jar.name} \n" for jar in sorted(library.glob("*.jar")))
    manifest = f"Main-Class: {dynamodb_local.LAUNCHER}\nClass-Path: \n{classes}"
    _jar(own, "DynamoDBLocal.jar", dynamodb_local.LAUNCHER, manifest)
    _jar(own, "ddb-local-loader-0.1.jar", _AGENT, f"Premain-Class: {_AGENT}\n")


def _jar(folder: Path, name: str, type_name: str, manifest: str) -> None:
    with zipfile.ZipFile(folder / name, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\n{manifest}")
        jar.write(folder / f"{type_name}.class", f"{type_name}.class")


def _part(python: str) -> Part:
    lock = _LOCK.read_text(encoding="utf-8")

    def fetch(folder: Path) -> Path:
        environment = folder / "environment"
        (folder / "lock.txt").write_text(lock, encoding="utf-8")
        run("Making an environment for LocalStack", [python, "-m", "venv", str(environment)], folder)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        exact = ["--no-deps", "--require-hashes"]
        run("Installing LocalStack", [*pip, "install", *exact, "--requirement", "lock.txt"], folder)
        return environment

    # A lock that changes is another environment.
    return Part(f"localstack-{_VERSION}-{hashlib.sha256(lock.encode()).hexdigest()[:8]}", None, fetch)


def find_python() -> str:
    """Give the path of a Python that LocalStack runs on. Raises `Fatal` where there is none."""
    for program in _pythons():
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            asked = subprocess.run(  # noqa: S603 - found on the path and in pyenv's folder
                [program, "-c", _ASK_VERSION], capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
            )
            if asked.stdout.split() == [str(each) for each in _PYTHON]:
                return program
    raise Fatal("LocalStack needs Python 3.13, which this machine does not have:", hint="`pyenv install 3.13`.")


def _pythons() -> Iterator[str]:
    yield sys.executable
    if found := shutil.which("python3.13"):
        yield found
    with contextlib.suppress(RuntimeError):
        yield from sorted(map(str, Path.home().glob(".pyenv/versions/3.13*/bin/python3.13")))
