"""What `docker-compose.yml` runs does what it is there for: each command of ours, outside of a container.

The forwarder leads to the emulator, as on each host there; both offices are databases behind one socket. Only the
runtime is another one, `local`: that the Kinesis Client Library does the same is proved elsewhere.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from isthmus.console.children import Child
from isthmus.console.embedded_postgres import EmbeddedPostgres, _programs
from tests.fakes.emulator import Emulator
from tests.fakes.infra import HOSTS, INFRA, PROCESSES, SERVICES, health_check
from tests.fakes.shop import Running, until

PROGRAMS = _programs() / "bin"


class Offices(NamedTuple):
    """Both databases, made by the very file that the container is given."""

    sockets: str

    def run(self, user: str, database: str, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(f"postgresql://{user}@/{database}?host={self.sockets}", autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def customers(self) -> dict[str, str]:
        return dict(self.run("consumer", "front_office", "SELECT key, country FROM customer"))


@pytest.fixture(scope="module")
def offices() -> Iterator[Offices]:
    # A server of its own: the file makes roles and databases.
    folder = Path(tempfile.mkdtemp(prefix="isthmus-test-compose-"))
    folder.chmod(0o755)
    try:
        with EmbeddedPostgres(folder / "data", folder / "postgresql.log") as server:
            arguments = ["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", f"--dbname={server.url}"]
            script = INFRA / "compose" / "databases.sql"
            subprocess.run([PROGRAMS / "psql", *arguments, f"--file={script}"], check=True)
            yield Offices(server.url.partition("?host=")[2])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def forwarding(target: str) -> Iterator[int]:
    """Run what a host runs, from a free port, and give the port."""
    (entry, *others) = (service["entrypoint"] + service["command"] for service in HOSTS.values())
    assert all(other == entry for other in others)
    assert entry[-2:] == ["4566", "localstack:4566"]
    program = [sys.executable, str(INFRA / "compose" / "forward.py"), "0", target]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            said = re.fullmatch(rf"127\.0\.0\.1:(\d+) is {re.escape(target)}\n", process.stdout.readline())
            assert said is not None
            yield int(said[1])
            process.terminate()
            assert process.wait(5) == -signal.SIGTERM
            assert process.stderr.read() == ""
        finally:
            process.kill()


class Stack:
    """The settings as they are mounted, but for addresses, and the processes that were started by them."""

    def __init__(self, folder: Path, port: int, offices: Offices) -> None:
        self.folder = folder
        shutil.copytree(INFRA / "compose", folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.config = folder / "isthmus.toml"
        text = self.config.read_text(encoding="utf-8")
        for old, new in (
            ("127.0.0.1:4566", f"127.0.0.1:{port}"),
            ("host=/run/postgresql", f"host={offices.sockets}"),
            ('runtime = "kcl"', 'runtime = "local"'),
            ('host = "0.0.0.0"', 'host = "127.0.0.1"\nproducer_port = 0\nconsumer_port = 0\n[log]\nformat = "json"'),
        ):
            assert old in text
            text = text.replace(old, new)
        self.config.write_text(text, encoding="utf-8")
        self.running: list[Running] = []

    def words(self, service: str) -> list[str]:
        return [word.replace("/etc/isthmus", str(self.folder)) for word in PROCESSES[service]["command"]]

    def ends(self, words: Sequence[str]) -> int:
        done = subprocess.run([sys.executable, "-m", "isthmus.console", *words], check=False, capture_output=True)
        return done.returncode

    def start(self, service: str) -> Running:
        self.running.append(
            Running(Child(service, "isthmus.console.main", self.words(service), self.folder / f"{service}.log"))
        )
        return self.running[-1]

    def healthy(self, running: Running) -> bool:
        """Ask as the image does."""
        program, *arguments = health_check()
        assert program == "python"
        port = next(json.loads(line)["port"] for line in running.text.splitlines() if '"metrics_served"' in line)
        environment = {**os.environ, "HEALTH_PORT": str(port)}
        return subprocess.run([sys.executable, *arguments], env=environment, check=False).returncode == 0


@pytest.fixture
def stack(tmp_path: Path, emulator: Emulator, offices: Offices) -> Iterator[Stack]:
    with forwarding(f"127.0.0.1:{emulator.port}") as port:
        made = Stack(tmp_path / "etc", port, offices)
        yield made
        for running in made.running:
            running.child.end()


def test_the_database_is_well_as_its_health_check_asks(offices: Offices) -> None:
    program, *arguments = SERVICES["postgres"]["healthcheck"]["test"][1:]
    asked = [word.replace("127.0.0.1", offices.sockets) for word in arguments]
    assert subprocess.run([PROGRAMS / program, *asked], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_the_producer_can_only_read_and_neither_half_reaches_the_others_office(offices: Offices) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        offices.run("producer", "back_office", 'UPDATE "CUST" SET "CLS" = \'B\'')
    for user, database in (("producer", "front_office"), ("consumer", "back_office")):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            offices.run(user, database, "SELECT 1")


def test_a_change_numbered_later_cannot_be_committed_earlier(offices: Offices) -> None:
    change = 'UPDATE "CUST" SET "STAT" = "STAT" WHERE "CUSTNO" = %s'
    address = f"postgresql://postgres@/back_office?host={offices.sockets}"
    with psycopg.connect(address) as first, psycopg.connect(address, options="-c lock_timeout=100") as second:
        first.execute(change, (1,))
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute(change, (2,))


def test_customers_go_from_the_back_office_to_the_front_office(stack: Stack, offices: Offices) -> None:
    assert stack.ends(["check", "--config", str(stack.config)]) == 3
    assert stack.ends(stack.words("setup")) == 0
    assert stack.ends(["check", "--config", str(stack.config)]) == 0
    producer, worker = stack.start("producer"), stack.start("worker-a")
    until(lambda: offices.customers() == {"customer/1": "France", "customer/2": "Germany"}, worker.text)
    assert stack.ends(["status", "--config", str(stack.config)]) == 0
    assert stack.ends(["trace", "customer/4", "--config", str(stack.config)]) == 0

    offices.run("postgres", "back_office", "INSERT INTO \"COUNTRY\" VALUES ('PL', 'Poland')")
    offices.run("postgres", "back_office", 'UPDATE "CUST" SET "STAT" = \'G\' WHERE "CUSTNO" = 2')
    until(lambda: offices.customers() == {"customer/1": "France"}, worker.text)
    assert sorted(offices.run("consumer", "front_office", "SELECT customer FROM welcome")) == [
        ("customer/1",),
        ("customer/2",),
    ]

    for running in (producer, worker):
        assert stack.healthy(running)
        running.child.signal(signal.SIGTERM)
        assert running.exits(15) == 143


def test_who_is_not_there_is_hung_up_on_and_the_forwarder_stays() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = int(probe.getsockname()[1])
    with forwarding(f"127.0.0.1:{nobody}") as port:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as asked:
                assert asked.recv(1) == b""


def test_one_side_may_end_and_the_other_still_answers() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as far,
        forwarding(f"127.0.0.1:{far.getsockname()[1]}") as port,
        socket.create_connection(("127.0.0.1", port), timeout=5) as near,
    ):
        answering, _ = far.accept()
        with answering:
            answering.settimeout(5)
            near.sendall(b"question")
            near.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: answering.recv(64), b"")) == b"question"
            answering.sendall(b"answer")
        assert b"".join(iter(lambda: near.recv(64), b"")) == b"answer"
