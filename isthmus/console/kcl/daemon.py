"""The library's daemon as a child of ours: started, heard, asked to stop, and ended."""

import os
import signal
import threading
from collections.abc import Mapping, Sequence

from isthmus.console import become
from isthmus.console.children import Child
from isthmus.console.kcl.folder import Folder
from isthmus.console.kcl.processes import ask_to_stop, children_of
from isthmus.log import get_logger

log = get_logger(__name__)


class Daemon:
    """One life of the daemon. Start it from a thread that lives as long as it shall: it ends with that thread."""

    def __init__(self, command: Sequence[str], folder: Folder, environment: Mapping[str, str]) -> None:
        self._child = Child(
            "kcl",
            become.MODULE,
            ["child-of", str(os.getpid()), *command],
            folder.errors,
            talks=True,
            environment=environment,
        )
        self._child.stdin.close()
        self._hearing = threading.Thread(target=self._hear, name="the daemon's log", daemon=True)
        self._hearing.start()

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._child.pid

    @property
    def peak_rss_mb(self) -> float:
        """How much memory it took; known once it has ended."""
        return self._child.peak_rss_mb

    def children(self) -> list[int]:
        """Give the process IDs of the shards' children."""
        return children_of(self.pid)

    def poll(self) -> int | None:
        """Give the exit code, or None while it lives."""
        return self._child.poll()

    def stop(self) -> None:
        """Ask it, and every shard's child, to stop.

        The children too: the daemon can tell one nothing while a batch of it is not answered.
        """
        self._child.signal(signal.SIGTERM)
        ask_to_stop(self.children())

    def end(self) -> int:
        """End it at once; give the exit code. Its children see it. Safe to repeat."""
        self._child.signal(signal.SIGKILL)
        code = self._child.end()
        self._hearing.join()
        return code

    def _hear(self) -> None:
        for line in self._child.stdout:
            level, _, rest = line.rstrip("\n").partition("|")
            place, _, message = rest.partition("|")
            words = message.strip() or line.strip()
            if level in {"ERROR", "WARN"}:
                log.warning("kcl_says", about=place, message=words)
            else:
                log.info("kcl_says", about=place, message=words)
