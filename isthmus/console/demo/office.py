"""The back office as we see it from outside: a child process that says how far it is."""

import threading
from pathlib import Path

import orjson

from isthmus.console.children import Child
from isthmus.console.demo.example import SIMULATE
from isthmus.errors import Fatal


class Office:
    """The played back office."""

    def __init__(self, database: Path, days: int, rate: float | None, log: Path) -> None:
        arguments = ["--database", str(database), "--days", str(days), "--rate", _written(rate)]
        self.child = Child("back-office", SIMULATE, arguments, log, talks=True)
        self.modifications = 0
        """Committed so far, the schedule included."""
        self.scheduled: int | None = None
        """Rows of the schedule, once it is loaded."""
        self.planned: int | None = None
        """Modifications of the live phase, once it has begun."""
        self.done = False
        self._listener = threading.Thread(target=self._listen, name="back-office", daemon=True)
        self._listener.start()

    def live(self, rate: float | None) -> None:
        """Let it live through its days at that rate. Raises `Fatal` when it is gone."""
        self._tell(f"rate {_written(rate)}", "live")

    def pace(self, rate: float | None) -> None:
        """Let it live on at that rate. Raises `Fatal` when it is gone before it was done."""
        if not self.done:
            self._tell(f"rate {_written(rate)}")

    def check(self) -> None:
        """Raise `Fatal` when it ended before it was done."""
        code = self.child.poll()
        if code is not None and not self.done:
            # What it said last may still be on its way to us.
            self._listener.join(1.0)
            if not self.done:
                raise Fatal(f"The back office ended with code {code}.\n{self.child.log_tail()}")

    def _tell(self, *lines: str) -> None:
        try:
            for line in lines:
                self.child.stdin.write(f"{line}\n")
            self.child.stdin.flush()
        except OSError as error:
            self.check()
            if not self.done:
                raise Fatal(f"The back office is gone.\n{self.child.log_tail()}") from error

    def _listen(self) -> None:
        for line in self.child.stdout:
            told = orjson.loads(line)
            match told["event"]:
                case "schedule":
                    self.scheduled = self.modifications = int(told["modifications"])
                case "live":
                    self.planned = int(told["planned"])
                case "progress":
                    self.modifications = int(told["modifications"])
                case "done":
                    self.modifications = int(told["modifications"])
                    self.done = True


def _written(rate: float | None) -> str:
    return "max" if rate is None else str(rate)
