"""A shop with real processes: lives that are killed at chosen places, a proxy that misbehaves, and what must hold."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from isthmus.console.children import Child
from isthmus.console.proxy.behaviour import CLIENTS_WAIT
from isthmus.console.proxy.faults import Fault
from tests.fakes.emulator import Emulator
from tests.fakes.shop import SECRET, Shop, until
from tests.faults.row import Result
from tests.simulation.ground import folder

_ROOT: Final = Path(__file__).resolve().parents[2]
_FELL: Final = """
    CREATE TABLE fell (key TEXT, before TEXT, after TEXT);
    CREATE TRIGGER guard_fell AFTER UPDATE ON isthmus_guard WHEN new.version < old.version
        BEGIN INSERT INTO fell VALUES (new.key, old.version, new.version); END;
"""


class Life:
    """One process of `isthmus`, forked by the zygote."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self.code: int | None = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if self.code is None:
            os.kill(self.pid, number)

    def ends(self, what: str) -> int:
        """Wait for its end; give its exit code, negative for a signal."""
        until(lambda: self.code is not None, f"{what} ends\n{self.text()}")
        assert self.code is not None
        return self.code

    def terminate(self) -> None:
        """SIGTERM, once it listens to it."""
        until(lambda: self.code is not None or '"started"' in self._log(), f"it starts\n{self._log()}")
        self.signal(signal.SIGTERM)

    def stands(self, what: str) -> None:
        """Wait until it is stopped by SIGSTOP."""
        until(lambda: self.code is not None or self._state() == "T", f"{what} is stopped\n{self.text()}")

    def text(self) -> str:
        """Give its log."""
        return self._log()[-4000:]

    def _log(self) -> str:
        # It makes its log itself, a moment after it was started.
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _state(self) -> str:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return "X"


class Zygote:
    """Starts lives. See `tests.faults.zygote`."""

    def __init__(self, log: Path) -> None:
        self._out = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._out,
            env={**os.environ, "SHOP_SECRET": SECRET},
        )
        self._lives: dict[int, Life] = {}
        self._started: list[int] = []
        self._news = threading.Condition()
        self._listener = threading.Thread(target=self._listen, name="zygote")
        self._listener.start()

    def start(self, arguments: Sequence[str], log: Path, *, at: str = "", strike: str = "SIGKILL") -> Life:
        """Start a life; `at` says where it strikes itself."""
        assert self._process.stdin is not None
        asked = {"arguments": list(arguments), "log": str(log), "at": at, "signal": strike}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        with self._news:
            assert self._news.wait_for(lambda: self._started, timeout=30), "the zygote does not answer"
            return self._lives.setdefault(pid := self._started.pop(), Life(pid, log))

    def close(self) -> None:
        """End every life, and the zygote."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._listener.join()
        self._process.stdout.close()
        self._out.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._news:
                if "started" in told:
                    self._started.append(told["started"])
                    self._news.notify_all()
                elif told["ended"] in self._lives:
                    self._lives[told["ended"]].code = told["code"]


class Between:
    """The proxy in front of the emulator, with some faults so many times each."""

    def __init__(self, upstream: int, faults: Sequence[Fault], times: int, log: Path, seed: int = 1) -> None:
        arguments = ["--upstream", str(upstream), "--seed", str(seed), "--times", str(times), *faults]
        # A child finds nothing in the folder it stands in, and the tests are nowhere else.
        found = {**os.environ, "PYTHONPATH": str(_ROOT)}
        self._child = Child("proxy", "tests.faults.proxy", arguments, log, talks=True, environment=found)
        self.port = int(json.loads(self._child.stdout.readline())["port"])
        self.fired: Counter[str] = Counter()
        self._listener = threading.Thread(target=self._listen, name="proxy")
        self._listener.start()

    def close(self) -> None:
        """End it."""
        self._child.signal(signal.SIGTERM)
        self._child.wait(10)
        self._listener.join()
        self._child.end()

    def _listen(self) -> None:
        for line in self._child.stdout:
            self.fired[json.loads(line)["fired"]] += 1


class Works:
    """The shop and everything that runs for it. Use as a context: it ends all of it."""

    def __init__(self, place: Path, faults: Sequence[Fault] = (), times: int = 0) -> None:
        before = os.environ.get("SHOP_SECRET")
        os.environ["SHOP_SECRET"] = SECRET
        self._before = before
        self.place = place
        self.emulator = Emulator(place)
        self.between = Between(self.emulator.port, faults, times, place / "proxy.log") if faults else None
        if self.between:
            # They give up before the proxy does: their own time-out is met too.
            self.shop = Shop(place / "shop", self.between.port, answer_timeout=CLIENTS_WAIT)
        else:
            self.shop = Shop(place / "shop", self.emulator.port)
        self.zygote = Zygote(place / "zygote.log")
        self._logs = 0
        said = self.shop.command("setup")
        assert said.code == 0, said
        with closing(sqlite3.connect(self.shop.front)) as connection, connection:
            connection.executescript(_FELL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.zygote.close()
        self.shop.close()
        if self.between:
            self.between.close()
        self.emulator.close()
        if self._before is None:
            del os.environ["SHOP_SECRET"]
        else:
            os.environ["SHOP_SECRET"] = self._before

    def live(self, *arguments: str, at: str = "", strike: str = "SIGKILL") -> Life:
        """Start `isthmus` with these arguments and the shop's settings."""
        self._logs += 1
        log = self.place / f"life-{self._logs}.log"
        return self.zygote.start([*arguments, "--config", str(self.shop.config)], log, at=at, strike=strike)

    def sell(self, round_number: int, customers: int = 6) -> None:
        """Modify some customers in one transaction of the back office; now and then one cannot be translated."""
        with closing(sqlite3.connect(self.shop.back)) as connection, connection:
            for number in range(10, 10 + customers):
                connection.execute(
                    "INSERT INTO CUST (CUSTNO, NAM1, CTRY, CLS, STAT, TYP) VALUES (?, ?, ?, 'A', 'L', 'PRIV') "
                    "ON CONFLICT (CUSTNO) DO UPDATE SET NAM1 = excluded.NAM1, CTRY = excluded.CTRY",
                    (number, f"BODY {round_number}", "PL" if (number + round_number) % 7 == 0 else "DE"),
                )

    def judge(self, result: Result) -> None:
        """Wait until the front office is in step; note every promise that is broken."""
        try:
            self.shop.catches_up()
        except AssertionError as error:
            result.violated(f"I1, I2 or I8: {str(error)[:2000]}")
        for key, before, after in self.shop.read("SELECT key, before, after FROM fell"):
            result.violated(f"I3: {key} fell from {before} to {after}")


@contextmanager
def works(faults: Sequence[Fault] = (), times: int = 0) -> Iterator[Works]:
    """Give a shop with its emulator, set up, nothing running yet."""
    with folder() as place, Works(place, faults, times) as made:
        yield made
