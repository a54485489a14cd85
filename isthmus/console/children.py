"""Child processes that never outlive us, and what they cost."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from isthmus.clock import SystemClock
from isthmus.lifecycle import ThreadStop

_POLL_SECONDS = 0.02
_KIB = 1024


class Child:
    """One child: a Python module that runs tied to this process, with stderr in a log file."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        log: Path,
        *,
        talks: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it. With `talks` its stdin and stdout are pipes of text lines, else stdout goes into the log too."""
        self.name = name
        self.log = log
        self.peak_rss_mb = 0.0
        """Known once it has ended. Megabytes of 10^6 bytes."""
        self._code: int | None = None
        reading, self._tether = os.pipe()
        try:
            with log.open("ab") as out:
                self._process = subprocess.Popen(  # noqa: S603 - our own modules
                    # -P: whatever lies in the folder that somebody happens to stand in is none of our code.
                    [sys.executable, "-P", "-m", "isthmus.console.tether", str(reading), module, *arguments],
                    stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                    stdout=subprocess.PIPE if talks else out,
                    stderr=out,
                    text=True,
                    pass_fds=(reading,),
                    env=dict(environment) if environment is not None else None,
                    # Ctrl-C goes to the parent alone: it decides in which order its children end.
                    start_new_session=True,
                )
        finally:
            os.close(reading)

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    @property
    def stdin(self) -> IO[str]:
        """Where the child reads, if it talks."""
        if self._process.stdin is None:
            raise ValueError(f"{self.name} does not talk")
        return self._process.stdin

    @property
    def stdout(self) -> IO[str]:
        """Where the child writes, if it talks."""
        if self._process.stdout is None:
            raise ValueError(f"{self.name} does not talk")
        return self._process.stdout

    def poll(self) -> int | None:
        """Give the exit code (negative: the signal that ended it), or None while it lives."""
        if self._code is None:
            # wait4 instead of Popen.wait: only it tells what this one child used.
            with contextlib.suppress(ChildProcessError):
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
                if pid:
                    self._code = os.waitstatus_to_exitcode(status)
                    self._process.returncode = self._code
                    scale = 1 if sys.platform == "darwin" else _KIB
                    self.peak_rss_mb = round(usage.ru_maxrss * scale / 1e6, 1)
        return self._code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Wait for its end, at most so long."""
        clock, pause = SystemClock(), ThreadStop()
        until = clock.monotonic() + seconds
        while self.poll() is None and clock.monotonic() < until:
            pause.wait(_POLL_SECONDS)
        return self.poll()

    def end(self, seconds: float = 12.0) -> int:
        """End it: softly first, then at once. Safe to repeat."""
        self.signal(signal.SIGTERM)
        if self.wait(seconds) is None:
            self.signal(signal.SIGKILL)
            self.wait(seconds)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._tether >= 0:
            os.close(self._tether)
            self._tether = -1
        return self._code if self._code is not None else -signal.SIGKILL

    def log_tail(self, lines: int = 15) -> str:
        """Give the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
