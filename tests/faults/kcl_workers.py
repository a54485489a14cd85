"""The processes of a history: workers with their daemons and children, and what stands between these and AWS."""

import json
import os
import signal
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from isthmus.console.children import Child
from isthmus.console.kcl.processes import children_of
from tests.faults.kcl_aws import Aws, port_of

ROOT: Final = Path(__file__).resolve().parents[2]
_WORKER: Final = "tests.faults.kcl_worker"
_JVM: Final = "-XX:TieredStopAtLevel=1"
"""For 5 s of a processor's time to a start instead of 9: no row lets a daemon run long enough to gain by more."""


class Worker:
    """One `isthmus consume` with its daemon and its children."""

    def __init__(self, number: int, config: Path, log: Path, child: str, *more: str) -> None:
        self.number = number
        self._child = Child(
            "worker",
            _WORKER,
            [child, "consume", "--config", str(config), *more],
            log,
            # A child finds nothing in the folder it stands in, and the tests are nowhere else.
            environment={**os.environ, "PYTHONPATH": str(ROOT), "JAVA_TOOL_OPTIONS": _JVM},
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def text(self) -> str:
        """Give its log."""
        return self._child.log.read_text(encoding="utf-8", errors="replace")

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Give the events in its log so far, with these names."""
        found = []
        for line in self.text.splitlines():
            if any(f'"{name}"' in line for name in names):
                with suppress(ValueError):
                    found.append(json.loads(line))
        return [each for each in found if each.get("event") in names]

    def daemon(self) -> int | None:
        """Give its daemon's process ID."""
        return next(iter(children_of(self.pid)), None)

    def children(self) -> list[int]:
        """Give the process IDs of its shards' children."""
        daemon = self.daemon()
        return children_of(daemon) if daemon is not None else []

    def tree(self) -> list[int]:
        """Give all of it: itself, its daemon, its children."""
        daemon = self.daemon()
        return [self.pid, *([daemon, *children_of(daemon)] if daemon is not None else [])]

    def code(self) -> int | None:
        """Give its exit code, or None while it lives."""
        return self._child.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send it, and nobody else, a signal."""
        self._child.signal(number)

    def end(self) -> int:
        """End it: softly first."""
        return self._child.end(20.0)


class Between:
    """What stands between the daemons and their AWS. See `tests.faults.kcl_between`."""

    def __init__(self, world: Aws, table: str, office: str, journal: Path, log: Path) -> None:
        arguments = ["--dynamodb", str(port_of(world.dynamo.url)), "--kinesis", str(port_of(world.mock.url))]
        arguments += ["--table", table, "--office", office, "--journal", str(journal)]
        found = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._child = Child("between", "tests.faults.kcl_between", arguments, log, talks=True, environment=found)
        told = json.loads(self._child.stdout.readline() or "{}")
        assert told, log.read_text()
        self.dynamodb, self.kinesis = int(told["dynamodb"]), int(told["kinesis"])
        self.fired: Counter[str] = Counter()
        self._listener = threading.Thread(target=self._listen, name="between")
        self._listener.start()

    def order(self, **order: object) -> None:
        """Give an order: see the module."""
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()

    def close(self) -> None:
        """End it."""
        self._child.stdin.close()
        self._child.wait(10)
        self._child.end()
        self._listener.join()

    def _listen(self) -> None:
        for line in self._child.stdout:
            self.fired[json.loads(line)["fired"]] += 1
