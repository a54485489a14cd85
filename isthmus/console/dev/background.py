"""Starts stand-ins that outlive us, and ends exactly those.

None is ever unknown: its process waits at a pipe until it is written down, and ends if that never happens.
"""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from isthmus.chance import unique_name
from isthmus.checkpoint.process import is_dead, process_of
from isthmus.clock import SystemClock, rfc3339
from isthmus.console import become
from isthmus.console.dev.folder import Entry, Folder, State
from isthmus.console.dev.standin import STARTS, Plan, comes_up
from isthmus.errors import Fatal
from isthmus.lifecycle import Stop

MARK = "ISTHMUS_DEV"
"""The environment variable by which what a stand-in started itself is known as ours."""
_KILLED_SECONDS = 10.0
_TAIL_LINES = 15


def start(folder: Folder, make: Callable[[Path], Plan], name: str, stop: Stop) -> Entry:
    """Start a stand-in, and give its entry when it answers. `make` plans it, in its own folder.

    The caller holds the folder's lock. Raises `Fatal`, with the end of its log, when it does not come up, and
    `Stopped`; nothing of it runs then.
    """
    own = folder.path / name
    own.mkdir(parents=True, exist_ok=True)
    log = own / f"{name}.log"
    for _ in range(STARTS):
        entry = _begin(folder, plan := make(own), log)
        try:
            url = comes_up(plan, entry.process.pid, partial(_lives, entry), stop)
        except BaseException:
            end(folder, entry)
            raise
        if url:
            folder.note(replace(entry, url=url))
            return replace(entry, url=url)
        silent = _lives(entry)
        end(folder, entry)
        if silent:
            break
    said = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:])
    raise Fatal(f"{name} did not come up. The end of {log}:\n{said}")


def end(folder: Folder, entry: Entry) -> None:
    """End a stand-in with all that it started, and cross it out. Safe to repeat; the caller holds the folder's lock.

    Raises `Fatal` where its process cannot be told from another one, or does not end.
    """
    entry.state()
    with _hold(entry) as process:
        if process is not None and entry.grace:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            _gone(process, entry.grace)
    _kill(entry)
    # Asked again until there are none: one that was about to be killed may have started another one.
    while left := _offspring(entry):
        for each in left:
            _kill(each)
    folder.forget(entry.name)


def _lives(entry: Entry) -> bool:
    return entry.state() is not State.ENDED


def _begin(folder: Folder, plan: Plan, log: Path) -> Entry:
    mark = unique_name()
    reading, writing = os.pipe()
    try:
        os.set_inheritable(reading, True)  # noqa: FBT003 - the function takes no name for it
        into = (os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", become.MODULE, "after", str(reading), *plan.command],
            {**plan.environment, MARK: mark},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), *into),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
        process = replace(process_of(pid, plan.name), since=rfc3339(SystemClock().now_ms()))
        entry = Entry(plan.name, process, mark, str(log), plan.grace)
        folder.note(entry)
        os.write(writing, b"\n")
        return entry
    finally:
        os.close(reading)
        os.close(writing)


@contextlib.contextmanager
def _hold(entry: Entry) -> Iterator[int | None]:
    """Give a descriptor of its process, or None when that is no more.

    What is sent through it reaches that process alone, even if its number is given to another one meanwhile.
    """
    try:
        descriptor = os.pidfd_open(entry.process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        # Asked after it was opened: whose process the descriptor is cannot change any more.
        yield descriptor if is_dead(entry.process) is False else None
    finally:
        os.close(descriptor)


def _kill(entry: Entry) -> None:
    with _hold(entry) as process:
        if process is not None:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            if not _gone(process, _KILLED_SECONDS):
                raise Fatal(f"Process {entry.process.pid} of {entry.name} does not end.")


def _gone(process: int, seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def _offspring(entry: Entry) -> list[Entry]:
    wanted = f"{MARK}={entry.mark}".encode()
    found: list[Entry] = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            process = process_of(int(place.name), entry.name)
            if wanted in (place / "environ").read_bytes().split(b"\0"):
                found.append(replace(entry, process=process))
    return found
