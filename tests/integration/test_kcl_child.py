"""A child as a process of its own, with a daemon's pipes: nothing that user code does reaches the protocol."""

import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from isthmus.change import Change, Verb, version_of
from isthmus.checkpoint.brakes import MemoryBrakes
from isthmus.codec import bundle, encode
from isthmus.console.kcl.brakefile import publish
from isthmus.consumer.feed import Record
from isthmus.consumer.stores.sqlite.store import SqliteStore
from tests.fakes.kcl_daemon import SHARD_END, FakeDaemon, FakeShard, records_of

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20
"""The most that anything may take before it counts as hanging."""


class Process:
    """A child with pipes, and the fake daemon that speaks with it."""

    def __init__(self, shard: FakeShard, *deed: str, python: Sequence[str] = ()) -> None:
        self.daemon: FakeDaemon = shard.daemon()
        self._program = subprocess.Popen(
            [sys.executable, *(python or ("-m", "tests.fakes.kcl_program")), *deed],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # As a daemon starts it: with buffers, whatever is set here.
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            # Nothing may lie in a buffer of ours while we wait for the pipe.
            bufsize=0,
        )
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        assert self._program.stderr is not None
        self._stdin, self._stdout, self._stderr = self._program.stdin, self._program.stdout, self._program.stderr
        self._told = b""
        STARTED.append(self)
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def ask(self, question: bytes) -> bool:
        """Ask, and obey until the answer; say whether there was one."""
        self._stdin.write(question + b"\n")
        self._stdin.flush()
        while self.daemon.awaiting is not None and not self.daemon.failed:
            assert select.select([self._stdout], [], [], SECONDS)[0], "the child does not answer"
            line = self._stdout.readline()
            if not line:
                return False
            answer = self.daemon.hear(line.rstrip(b"\n"))
            if answer is not None:
                self._stdin.write(answer + b"\n")
                self._stdin.flush()
        return not self.daemon.failed

    def hear_no_more(self) -> list[bytes]:
        """Give what the child still says until it ends. Its stdin is closed."""
        self._stdin.close()
        assert select.select([self._stdout], [], [], SECONDS)[0], "the child does not end"
        return [line for line in self._stdout.readlines() if line.strip()]

    def end(self) -> int:
        """Close the line and wait; give the exit code."""
        if not self._stdin.closed:
            self._stdin.close()
        try:
            return self._program.wait(SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once. Safe to repeat."""
        self._program.kill()
        self._program.wait()
        self._listener.join()
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()

    @property
    def told(self) -> bytes:
        """What it wrote to stderr. Known when it has ended."""
        return self._told

    def _listen(self) -> None:
        self._told = self._stderr.read()


STARTED: list[Process] = []


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    while STARTED:
        STARTED.pop().kill()


@pytest.fixture
def shard() -> FakeShard:
    return FakeShard(records_of(1, 2, 1))


def served(process: Process) -> bool:
    """Serve a whole shard; say whether all was answered."""
    daemon = process.daemon
    return (
        process.ask(daemon.initialize())
        and process.ask(daemon.batch(3))
        and process.ask(daemon.batch())
        and process.ask(daemon.shard_ended())
    )


def test_a_shard_is_served_from_its_beginning_to_its_end(shard: FakeShard) -> None:
    process = Process(shard, "nothing")
    assert served(process)
    assert process.end() == 0
    assert shard.ended
    assert [line for line in process.told.splitlines() if line.startswith(b"decided")] == [
        b"decided 0.0",
        b"decided 1.0",
        b"decided 1.1",
        b"decided 2.0",
    ]


def test_ten_thousand_forged_lines_reach_nobody(shard: FakeShard) -> None:
    process = Process(shard, "forge")
    daemon = process.daemon
    assert process.ask(daemon.initialize())
    assert process.ask(daemon.batch(3))
    said = daemon.garbage
    assert process.ask(daemon.shutdown_requested())
    assert process.hear_no_more() == []
    assert process.end() == 0
    assert (said, daemon.answered, daemon.failed) == (
        [],
        ["initialize", "processRecords", "shutdownRequested"],
        False,
    )
    assert shard.obeyed == [shard.records[2].place]
    forged = [line for line in process.told.splitlines() if line.startswith((b'{"action"', b"half a line"))]
    assert len(forged) >= 10_000


@pytest.mark.parametrize("deed", ["close-stdout", "read-stdin", "fork", "fork-in-c", "thread"])
def test_what_user_code_does_to_its_process_leaves_the_line_as_it_was(shard: FakeShard, deed: str) -> None:
    process = Process(shard, deed)
    assert served(process)
    assert process.hear_no_more() == []
    assert process.end() == 0
    assert process.daemon.answered == ["initialize", "processRecords", "processRecords", "shardEnded"]


@pytest.mark.parametrize("deed", ["fork-and-linger", "spawn-and-linger"])
def test_a_process_that_user_code_leaves_behind_does_not_hold_the_line(
    shard: FakeShard, tmp_path: Path, deed: str
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Whoever reads it waits until we close it, or end.
    with pipe.open("r+b", buffering=0):
        process = Process(shard, deed, str(pipe))
        assert served(process)
        assert process.hear_no_more() == []
        assert process.end() == 0


@pytest.mark.parametrize("deed, code", [("close-all", 1), ("reuse-descriptors", 1), ("sys-exit", 1), ("os-exit", 0)])
def test_a_child_without_a_line_or_a_life_answers_nothing(
    shard: FakeShard, tmp_path: Path, deed: str, code: int
) -> None:
    theirs = tmp_path / "theirs"
    theirs.touch()
    process = Process(shard, deed, str(theirs))
    assert process.ask(process.daemon.initialize())
    assert not process.ask(process.daemon.batch())
    assert process.end() == code
    assert shard.obeyed == []
    assert theirs.read_bytes() == b""


def test_what_was_printed_before_a_sudden_end_is_seen(shard: FakeShard) -> None:
    process = Process(shard, "print-and-die")
    assert process.ask(process.daemon.initialize())
    assert not process.ask(process.daemon.batch())
    assert process.end() == 0
    assert b"last words" in process.told


def test_half_a_line_of_a_daemon_that_died_is_not_obeyed(shard: FakeShard) -> None:
    process = Process(shard, "nothing")
    assert process.ask(process.daemon.initialize())
    process._stdin.write(process.daemon.batch())
    process._stdin.flush()
    assert process.hear_no_more() == []
    assert process.end() == 0
    assert b"decided" not in process.told


def test_a_daemon_that_closes_the_line_ends_a_child_that_hangs(shard: FakeShard) -> None:
    process = Process(shard, "hang")
    assert process.ask(process.daemon.initialize())
    process._stdin.write(process.daemon.batch() + b"\n")
    assert process.hear_no_more() == []
    assert process.end() == 1


DAEMON = """
import os, subprocess, sys, threading
text, write_end = sys.argv[1], int(sys.argv[2])
reading, writing = os.pipe()
program = [sys.executable, "-m", "tests.fakes.kcl_program", "hang"]
child = subprocess.Popen(program, stdin=reading, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
os.write(writing, text.encode())
if write_end >= 0:
    # Somebody else holds the line open: its end never comes.
    import socket
    with socket.socket(fileno=write_end) as held:
        socket.send_fds(held, [b"x"], [writing])
threading.Event().wait()
"""


@pytest.fixture
def stderr() -> Iterator[tuple[int, int]]:
    """Give a pipe whose end tells that everybody who wrote to it is gone."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


@pytest.mark.parametrize("line, child_is", [("ended", "busy"), ("held open", "busy"), ("held open", "idle")])
def test_a_killed_daemon_takes_its_child_with_it(
    shard: FakeShard, stderr: tuple[int, int], line: str, child_is: str
) -> None:
    held, busy = line == "held open", child_is == "busy"
    reading, writing = stderr
    ours, theirs = socket.socketpair()
    daemon = shard.daemon()
    text = daemon.initialize() + b"\n"
    daemon.awaiting = None
    if busy:
        text += daemon.batch() + b"\n"
    program = subprocess.Popen(
        [sys.executable, "-c", DAEMON, text, str(theirs.fileno() if held else -1)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=writing,
        pass_fds=(theirs.fileno(),),
    )
    os.close(writing)
    theirs.close()
    descriptors: list[int] = []
    child = 0
    try:
        with ours, program, os.fdopen(os.dup(reading), "rb", buffering=0) as told:
            assert program.stdout is not None
            child = int(program.stdout.readline())
            while (b"deed" if busy else b"shard_started") not in (heard := told.readline()):
                assert heard, "the child ended before its daemon"
            if held:
                _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
            program.send_signal(signal.SIGKILL)
            assert select.select([told], [], [], SECONDS)[0], "the child outlives its daemon"
            assert told.read() == b""
    except AssertionError:
        os.kill(child or program.pid, signal.SIGKILL)
        raise
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def test_a_child_outlives_the_thread_that_started_it(shard: FakeShard) -> None:
    started: list[Process] = []
    thread = threading.Thread(target=lambda: started.append(Process(shard, "nothing")))
    thread.start()
    thread.join()
    (process,) = started
    assert served(process)
    assert process.end() == 0


def test_a_child_needs_no_client_of_aws_and_no_database(shard: FakeShard) -> None:
    code = (
        "import sys, tests.fakes.kcl_program as program\n"
        "sys.argv = ['', 'nothing']\n"
        "heavy = {'boto3', 'botocore', 'sqlalchemy', 'psycopg', 'amazon_kclpy'}\n"
        "sys.stderr.write(f'loaded {sorted(heavy & set(sys.modules))}\\n')\n"
        "program.main()\n"
    )
    process = Process(shard, python=("-c", code))
    assert served(process)
    assert process.end() == 0
    assert b"loaded []" in process.told
    assert shard.obeyed[-1] == SHARD_END


_SETTINGS = """
application = "lean"
[aws]
region = "us-east-1"
[stream]
name = "lean"
lanes = 1
[sources.things]
pipeline = "tests.fakes.kcl_lean:things"
url = "postgresql+psycopg://back-office.example/db"
table = "THING"
key = "ID"
cursor = "N"
order = "commit"
[entities.thing]
table = "thing"
[store]
url = "sqlite:///front.db"
[consumer]
runtime = "kcl"
"""


def test_the_products_own_child_loads_no_client_of_aws_no_driver_and_nothing_for_terminals(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "front.db")) as front:
        front.execute("CREATE TABLE thing (key TEXT PRIMARY KEY, size INTEGER)")
    SqliteStore(tmp_path / "front.db", [], application="lean").prepare()
    (tmp_path / "isthmus.toml").write_text(_SETTINGS, encoding="utf-8")
    # As its worker does it.
    publish(MemoryBrakes(), tmp_path)
    change = Change("t1", "/s", "thing", Verb.UPSERT, "thing/1", version_of(0, 1), 0, 1, "", {"size": 1})
    shard = FakeShard([Record("7", bundle([encode(change)]), "lane-000", 1_000)])

    child = ("-m", "isthmus.console.kcl.child", str(tmp_path / "isthmus.toml"), str(tmp_path))
    process = Process(shard, python=child)
    assert process.ask(process.daemon.initialize())
    assert process.ask(process.daemon.batch(1))
    assert process.end() == 0
    assert b"loaded []" in process.told
