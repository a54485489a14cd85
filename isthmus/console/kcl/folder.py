"""The folder of one worker's life: what its daemon reads, what it starts, and where its children speak to us.

| name | what |
|---|---|
| `daemon.properties`, `logging.xml` | what the daemon is told |
| `child` | what it starts for each shard |
| `log` | a pipe: children write their logs into it, whole lines, and we pass them on |
| `brakes.json` | the notes of the park brake, see `brakefile` |
| `metrics/` | what each child counted, see `metricfiles` |
| `daemon.err` | what the Java machine itself says |
| `owner` | locked as long as we live |

It lies in the system's folder for temporary files, belongs to us alone, and goes with us. Whoever is killed leaves it
behind, and the next one that begins on this machine removes it.
"""

import fcntl
import os
import select
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from isthmus.console.kcl.metricfiles import FOLDER
from isthmus.console.kcl.properties import as_text

CHILD: Final = "isthmus.console.kcl.child"
LOG: Final = "log"
_PREFIX: Final = "isthmus-kcl-"
_OWNER: Final = "owner"
_PRIVATE: Final = 0o700
_PIPE_BYTES: Final = 65_536
"""What a pipe holds (pipe(7))."""
_LOGGING: Final = """<configuration>
<appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder>
<pattern>%level|%logger{{0}}|%replace(%msg %ex{{2}}){{'[\\r\\n\\t]+', ' '}}%nopex%n</pattern>
</encoder></appender>
<logger name="software.amazon.kinesis.metrics" level="ERROR"/>
<root level="{level}"><appender-ref ref="out"/></root>
</configuration>
"""
"""One line for each event, so that a line is an event of ours."""


class Folder:
    """Made at once, removed by `close`."""

    def __init__(self) -> None:
        self.path = _without_blanks()
        self._owner = _owned(self.path)
        _remove_left_over(self.path.parent)
        self.properties = self.path / "daemon.properties"
        self.logging = self.path / "logging.xml"
        self.child = self.path / "child"
        self.errors = self.path / "daemon.err"
        self.metrics = self.path / FOLDER
        os.mkfifo(self.path / LOG, 0o600)
        # Open for writing too: its end would come whenever the last child closes it.
        self._log = os.open(self.path / LOG, os.O_RDWR | os.O_CLOEXEC)
        self._closing, self._close = os.pipe()
        self._relaying: threading.Thread | None = None
        self._open = True

    @property
    def program(self) -> str:
        """What the daemon starts for each shard, cut at blanks. By the shell: the folder may forbid to execute."""
        return f"/bin/sh {self.child}"

    def write(self, properties: Mapping[str, str], settings: Path, level: str) -> None:
        """Write what the daemon reads. `level` is the least that it logs: WARN, INFO or DEBUG."""
        self.properties.write_text(as_text(properties), encoding="iso-8859-1")
        self.logging.write_text(_LOGGING.format(level=level), encoding="utf-8")
        words = [sys.executable, "-P", "-m", CHILD, str(settings.resolve()), str(self.path)]
        self.child.write_text(f"#!/bin/sh\nexec {shlex.join(words)}\n", encoding="utf-8")
        self.child.chmod(_PRIVATE)

    def pass_on(self, write: Callable[[bytes], object]) -> None:
        """Pass what children log on to a function, whole lines at a time, in a thread that ends with `close`."""
        self._relaying = threading.Thread(target=self._relay, args=(write,), name="children's logs", daemon=True)
        self._relaying.start()

    def _relay(self, write: Callable[[bytes], object]) -> None:
        rest = b""
        while True:
            readable, _, _ = select.select([self._log, self._closing], [], [])
            if self._log in readable:
                lines, newline, rest = (rest + os.read(self._log, _PIPE_BYTES)).rpartition(b"\n")
                if newline:
                    write(lines + newline)
            elif readable:
                return

    def close(self) -> None:
        """Pass on what is left, and remove it all. Safe to repeat."""
        if self._open:
            self._open = False
            os.close(self._close)
            if self._relaying is not None:
                self._relaying.join()
            os.close(self._log)
            os.close(self._closing)
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._owner)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _without_blanks() -> Path:
    """Make a folder. The daemon cuts the name of what it starts at blanks."""
    made = Path(tempfile.mkdtemp(prefix=_PREFIX))
    if any(map(str.isspace, str(made))):
        made.rmdir()
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
    return made


def _owned(folder: Path) -> int:
    """Give a lock that is held until it is closed, or we die."""
    # Under its name only once it is locked: nobody may take a folder for left over that is just being made.
    beginning = folder / f"{_OWNER}.new"
    lock = os.open(beginning, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    beginning.rename(folder / _OWNER)
    return lock


def _remove_left_over(beside: Path) -> None:
    """Remove the folders of our user's workers that are dead. Others may do so at the same time."""
    for folder in beside.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
