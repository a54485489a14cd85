"""The embedded AWS as a real child process."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.aws import client, describe_stream, ensure_stream
from isthmus.console import embedded
from isthmus.console.children import Child
from isthmus.console.embedded import Emulator
from isthmus.errors import Fatal
from isthmus.lifecycle import Stopped, ThreadStop

DEADLINE_SECONDS = 20.0
LISTENING = "0A"
"""proc_pid_net(5): TCP_LISTEN."""

PARENT = """
import sys
from pathlib import Path
from isthmus.console.embedded import Emulator
emulator = Emulator(Path(sys.argv[1]))
print(emulator.pid, emulator.port, flush=True)
sys.stdin.read()
"""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path) as emulator:
        yield emulator


def lives(pid: int) -> bool:
    """Say whether the process runs. One that ended and was not collected yet does not, where /proc tells."""
    status = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def becomes_true(condition: Callable[[], bool]) -> bool:
    pause, until = ThreadStop(), time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > until:
            return False
        pause.wait(0.02)
    return True


def listening_addresses(pid: int) -> list[str]:
    """Give the local addresses, as the kernel writes them, on which a process listens."""
    inodes = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed while we looked
            inodes.add(str(path.readlink()).removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    return [row[1] for row in rows[1:] if row[3] == LISTENING and row[9] in inodes]


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@on_linux
def test_only_one_loopback_port_listens_even_after_every_service_was_used(running: Emulator) -> None:
    access = running.access
    with (
        contextlib.closing(client(access, "kinesis")) as kinesis,
        contextlib.closing(client(access, "dynamodb")) as dynamodb,
        contextlib.closing(client(access, "sqs")) as sqs,
        contextlib.closing(client(access, "s3")) as s3,
    ):
        kinesis.list_streams()
        dynamodb.list_tables()
        sqs.list_queues()
        s3.list_buckets()
    assert listening_addresses(running.pid) == [f"0100007F:{running.port:04X}"]


def test_it_is_told_to_open_no_other_port_and_to_leave_docker_and_our_aws_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("DOCKER_HOST", "unix:///var/run/docker.sock")
    environment = embedded.environment(4566, tmp_path, "name")
    assert environment["DOCKER_HOST"] == f"unix://{tmp_path}/no-docker.sock"
    assert (environment["IOT_MTLS_ENABLED"], environment["SFTP_ENABLED"]) == ("0", "0")
    assert "AWS_PROFILE" not in environment


def test_it_serves_a_stream_and_is_gone_after_stop(running: Emulator) -> None:
    kinesis = client(running.access, "kinesis")
    with contextlib.closing(kinesis):
        assert ensure_stream(kinesis, "flights", 2, stop=ThreadStop())
        assert describe_stream(kinesis, "flights").open_shards == 2
    assert running.alive()
    running.stop()
    running.stop()
    assert not running.alive()
    assert not lives(running.pid)


def test_a_parent_killed_with_sigkill_leaves_no_emulator_behind(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid, port = (int(word) for word in parent.stdout.readline().split())
        assert lives(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait(DEADLINE_SECONDS)
    assert becomes_true(lambda: not lives(pid) and not accepts(port))


def test_an_emulator_killed_from_outside_is_seen_as_dead(running: Emulator) -> None:
    os.kill(running.pid, signal.SIGKILL)
    assert becomes_true(lambda: not running.alive())


def test_a_taken_port_is_not_mistaken_for_our_own_and_another_one_is_tried(
    running: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = embedded._free_port()
    ports = iter([running.port, free])
    monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))
    with Emulator(tmp_path) as second:
        assert second.port == free
        assert running.alive()


def test_one_that_never_comes_up_is_fatal_and_shows_the_end_of_its_log(
    running: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_free_port", lambda: running.port)
    with pytest.raises(Fatal, match="already in use"):
        Emulator(tmp_path)


def test_one_that_hangs_is_ended_when_the_deadline_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Child] = []

    def remembered(*arguments: Any, **named: Any) -> Child:
        started.append(Child(*arguments, **named))
        return started[-1]

    monkeypatch.setattr(embedded, "Child", remembered)
    monkeypatch.setattr(embedded, "READY_POLLS", 1)
    monkeypatch.setattr(embedded, "STARTS", 1)
    with pytest.raises(Fatal, match="did not come up"):
        Emulator(tmp_path)
    assert [child.poll() is not None for child in started] == [True]


def test_a_stop_ends_the_wait_for_it(tmp_path: Path) -> None:
    stop = ThreadStop()
    stop.request()
    with pytest.raises(Stopped):
        Emulator(tmp_path, stop=stop)


def test_a_missing_extra_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(Fatal) as caught:
        Emulator(tmp_path)
    assert str(caught.value) == "The demo needs the AWS emulator ministack: pip install 'isthmus[demo]'"
