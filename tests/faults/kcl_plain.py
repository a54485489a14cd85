"""Our child under a plain daemon of the library, without anybody of ours who looks after it."""

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from isthmus.console import become, programs
from isthmus.console.children import Child
from isthmus.console.kcl.beginning import first_leases
from isthmus.console.kcl.java import command, jars_of
from isthmus.console.kcl.processes import children_of
from isthmus.console.kcl.properties import as_text, properties
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.lifecycle import ThreadStop
from isthmus.settings import load
from tests.faults.kcl_workers import ROOT
from tests.faults.kcl_world import History

_LOGGING = """<configuration>
<appender name="err" class="ch.qos.logback.core.ConsoleAppender"><target>System.err</target>
<encoder><pattern>%level %msg%n</pattern></encoder></appender>
<root level="WARN"><appender-ref ref="err"/></root></configuration>"""


class PlainDaemon:
    """`MultiLangDaemon` as its own documentation starts it: a properties file, a program for each shard."""

    def __init__(self, history: History, number: int) -> None:
        settings = load(history.config)
        folder = history.place / f"plain-{number}"
        folder.mkdir()
        words = [sys.executable, "-P", "-m", "isthmus.console.kcl.child", str(history.config), str(folder)]
        program = folder / "child"
        program.write_text(f"#!/bin/sh\nexec {shlex.join(words)}\n", encoding="utf-8")
        told = folder / "daemon.properties"
        told.write_text(as_text(properties(settings, f"plain-{number}", f"/bin/sh {program}")), encoding="iso-8859-1")
        (folder / "logging.xml").write_text(_LOGGING, encoding="utf-8")
        java = programs.java()
        assert java is not None
        run = command(Path(java), jars_of(settings), settings.kcl.heap_mb, told, folder / "logging.xml")
        self.log = folder / "daemon.log"
        self._child = Child("plain", become.MODULE, ["child-of", str(os.getpid()), *run], self.log, environment=_as())

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def children(self) -> Sequence[int]:
        """Give the process IDs of its children."""
        return children_of(self.pid)

    def code(self) -> int | None:
        """Give its exit code, or None while it lives."""
        return self._child.poll()

    def end(self) -> int:
        """Ask it, and nobody else, to stop; give the exit code."""
        self._child.signal(signal.SIGTERM)
        return self._child.end(30.0)


def make_leases(history: History) -> None:
    """Do what `isthmus consume` does before its first daemon: else it takes the library two minutes."""
    settings = load(history.config)
    history.leases.ensure(stop=ThreadStop())
    shards = KinesisFeed(history.world.kinesis, settings.stream.name).shards()
    history.leases.seed(first_leases(shards, {}, "trim-horizon"))


def _as() -> dict[str, str]:
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    # Emulators answer in JSON.
    return {**os.environ, "PYTHONPATH": str(ROOT), "CBOR_ENABLED": "false", **credentials}
