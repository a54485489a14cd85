"""Stand-ins that outlive who starts them, with small programs in their place."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.checkpoint.process import process_of
from isthmus.console.dev import background
from isthmus.console.dev.folder import Entry, Folder, State
from isthmus.console.dev.standin import STARTS, Plan, Tied, free_ports
from isthmus.errors import Fatal
from isthmus.lifecycle import Stopped, ThreadStop
from tests.fakes.pids import DEADLINE_SECONDS, ended, held

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

NAME = "sleeper"

SLEEPER = """
import pathlib, signal, sys
pathlib.Path(sys.argv[1]).write_text("up\\n")
signal.pause()
"""
PARENT_OF = """
import pathlib, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
pathlib.Path(sys.argv[1]).write_text(f"{child.pid}\\n")
signal.pause()
"""
DEAF = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text("up\\n")
while True:
    signal.pause()
"""
POLITE = """
import pathlib, signal, sys, threading
def end(*_):
    threading.Event().wait(0.3)
    pathlib.Path(sys.argv[1]).write_text("ended\\n")
    sys.exit()
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1]).write_text("up\\n")
signal.pause()
"""
LISTENER = """
import pathlib, signal, socket, sys
listening = socket.create_server((sys.argv[2], int(sys.argv[3])))
pathlib.Path(sys.argv[1]).write_text("up\\n")
signal.pause()
"""
STARTER = """
import sys
from pathlib import Path
from isthmus.console.dev import background
from isthmus.console.dev.folder import Folder
from isthmus.lifecycle import ThreadStop
from tests.integration.test_dev_background import SLEEPER, plans
path = Path(sys.argv[1])
print(background.start(Folder(path), plans(SLEEPER), "sleeper", ThreadStop()).process.pid)
"""

DYING = """
import os
def note(_, entry):
    Path(TOLD).write_text(str(entry.process.pid))
    os.kill(os.getpid(), 9)
Folder.note = note
"""


def plans(program: str, grace: float = 0.0, *arguments: str, port: int | None = None) -> Callable[[Path], Plan]:
    """Give a maker of plans for a program that answers by writing into the file of its first argument."""

    def plan(folder: Path) -> Plan:
        file = folder / "answer"
        file.unlink(missing_ok=True)
        command = [sys.executable, "-c", program, str(file), *arguments]
        return Plan(NAME, command, {}, lambda: said(file), port, grace)

    return plan


def said(file: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        text = file.read_text()
        return text.strip() if text.endswith("\n") else ""
    return ""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "dev")
    yield made
    for entry in made.entries().values():
        background.end(made, entry)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process
        process.kill()


def start(folder: Folder, program: str, grace: float = 0.0) -> Entry:
    return background.start(folder, plans(program, grace), NAME, ThreadStop())


def test_it_is_written_down_with_its_address_when_it_answers_and_crossed_out_when_it_ends(folder: Folder) -> None:
    entry = start(folder, SLEEPER)
    assert (entry.url, entry.state()) == ("up", State.RUNNING)
    assert folder.entries() == {NAME: entry}
    with held(entry.process.pid) as process:
        background.end(folder, entry)
        assert ended(process)
    assert (folder.entries(), entry.state()) == ({}, State.ENDED)
    background.end(folder, entry)


def test_it_outlives_who_started_it_and_has_a_session_of_its_own(folder: Folder) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", STARTER, str(folder.path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    entry = folder.entries()[NAME]
    assert entry.process.pid == int(done.stdout)
    assert entry.state() is State.RUNNING
    assert os.getsid(entry.process.pid) == entry.process.pid


def test_what_could_not_be_written_down_never_begins(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    spawned: list[int] = []

    def full(entry: Entry) -> None:
        spawned.append(os.pidfd_open(entry.process.pid))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "note", full)
    with pytest.raises(OSError, match="No space left"):
        start(folder, SLEEPER)
    (process,) = spawned
    try:
        assert ended(process)
    finally:
        os.close(process)
    assert not (folder.path / NAME / "answer").exists()


def test_who_is_killed_between_start_and_record_leaves_nothing_behind(folder: Folder, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    dying = DYING.replace("TOLD", repr(str(told)))
    program = STARTER.replace("path = Path", f"{dying}path = Path")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program, str(folder.path)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    with contextlib.suppress(ProcessLookupError), held(int(told.read_text())) as process:
        assert ended(process)
    assert not (folder.path / NAME / "answer").exists()


def test_another_process_with_the_number_of_one_of_ours_is_left_alone(
    folder: Folder, stranger: subprocess.Popen[bytes]
) -> None:
    ours = replace(process_of(stranger.pid, NAME), started="1")
    entry = Entry(NAME, ours, "no such mark", str(folder.path / "log"), 1.0, "up")
    folder.note(entry)
    background.end(folder, entry)
    assert stranger.poll() is None
    assert folder.entries() == {}


def test_a_process_of_another_host_is_neither_ended_nor_forgotten(
    folder: Folder, stranger: subprocess.Popen[bytes]
) -> None:
    entry = Entry(NAME, replace(process_of(stranger.pid, NAME), host="elsewhere"), "mark", "", 0.0, "up")
    folder.note(entry)
    with pytest.raises(Fatal, match="Nobody can tell"):
        background.end(folder, entry)
    assert stranger.poll() is None
    assert folder.entries() == {NAME: entry}
    folder.forget(NAME)


@pytest.mark.parametrize("killed_before", [False, True])
def test_what_it_started_itself_ends_with_it_even_in_another_session(folder: Folder, killed_before: bool) -> None:  # noqa: FBT001 - both
    entry = start(folder, PARENT_OF)
    with held(int(entry.url)) as child, held(entry.process.pid) as process:
        if killed_before:
            os.kill(entry.process.pid, signal.SIGKILL)
            assert ended(process)
            assert entry.state() is State.ENDED
        background.end(folder, entry)
        assert ended(child)


def test_one_that_keeps_something_is_asked_to_end_and_one_that_does_not_listen_is_killed(folder: Folder) -> None:
    polite = start(folder, POLITE, grace=DEADLINE_SECONDS)
    background.end(folder, polite)
    assert said(folder.path / NAME / "answer") == "ended"
    deaf = start(folder, DEAF, grace=0.1)
    background.end(folder, deaf)
    assert deaf.state() is State.ENDED


def test_one_that_ends_by_itself_is_tried_again_and_then_told_with_the_end_of_its_log(folder: Folder) -> None:
    with pytest.raises(Fatal, match=r"sleeper did not come up[^$]*no such port"):
        start(folder, "print('no such port')")
    assert (folder.path / NAME / f"{NAME}.log").read_text().count("no such port") == STARTS
    assert folder.entries() == {}


def test_one_that_says_nothing_is_ended_and_not_tried_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.console.dev.standin._READY_POLLS", 3)
    made: list[Path] = []

    def make(own: Path) -> Plan:
        made.append(own)
        return plans("import signal; signal.pause()")(own)

    with pytest.raises(Fatal, match="did not come up"):
        background.start(folder, make, NAME, ThreadStop())
    assert folder.entries() == {}
    with pytest.raises(Fatal, match="did not come up"):
        Tied(folder.path, lambda: make(folder.path))
    assert made == [folder.path / NAME, folder.path]


def test_a_start_that_is_stopped_leaves_nothing(folder: Folder) -> None:
    stop = ThreadStop()
    stop.request()
    with pytest.raises(Stopped):
        background.start(folder, plans("import signal; signal.pause()"), NAME, stop)
    assert folder.entries() == {}


def test_one_that_others_could_reach_is_refused(folder: Folder) -> None:
    (port,) = free_ports(1)
    make = plans(LISTENER, 0.0, "0.0.0.0", str(port), port=port)  # noqa: S104 - what must not be
    with pytest.raises(Fatal, match=r"listens on 0\.0\.0\.0, for others than this machine"):
        background.start(folder, make, NAME, ThreadStop())
    assert folder.entries() == {}
    near = plans(LISTENER, 0.0, "127.0.0.1", str(port), port=port)
    assert background.start(folder, near, NAME, ThreadStop()).url == "up"


def test_a_stranger_on_its_port_is_not_mistaken_for_it(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.console.dev.standin._READY_POLLS", 3)
    (port,) = free_ports(1)
    plan = plans("import signal; signal.pause()", port=port)
    with pytest.raises(Fatal, match="did not come up"):
        background.start(folder, lambda own: plan(own)._replace(answers=lambda: "a stranger"), NAME, ThreadStop())


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def test_one_that_is_tied_is_retried_told_and_closed(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"sleeper did not come up[^$]*no such port"):
        Tied(tmp_path, lambda: plans("print('no such port')")(tmp_path))
    assert (tmp_path / f"{NAME}.log").read_text().count("no such port") == STARTS
    stop = ThreadStop()
    stop.request()
    with pytest.raises(Stopped):
        Tied(tmp_path, lambda: plans("import signal; signal.pause()")(tmp_path), stop=stop)
    with Tied(tmp_path, lambda: plans(POLITE, DEADLINE_SECONDS)(tmp_path)) as running, held(running.pid) as process:
        assert running.alive()
        running.close()
        assert ended(process)
        assert said(tmp_path / "answer") == "ended"
    assert not running.alive()


def test_nothing_begins_for_a_parent_that_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "isthmus.console.become", "child-of", "1", sys.executable, "-c", SLEEPER]
    done = subprocess.run([*command, str(tmp_path / "answer")], check=False, timeout=DEADLINE_SECONDS)
    assert done.returncode == 1
    assert not (tmp_path / "answer").exists()
