"""`python -m tests.localstack`: find a LocalStack that runs, or start one, and run the suites of AWS's adapters on it.

Arguments that are not its own go to pytest. Exit code: pytest's own; 1 where no LocalStack can be had, and with
--where-possible 0 then.
"""

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from isthmus.console.dev import background, localstack
from isthmus.console.dev.folder import Folder
from isthmus.console.dev.install import Say, locked
from isthmus.errors import Fatal, Missing
from isthmus.lifecycle import ThreadStop
from tests.fakes.kinesis_mock import HOME
from tests.localstack import finding

SUITES = Path(__file__).parent / "suites"
KCL = SUITES / "test_kcl.py"
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WAY_OUT = (
    "Install what is named, or start one that runs otherwise (`docker run -p 127.0.0.1:4566:4566 "
    "localstack/localstack:4.14.0`). At another port: LOCALSTACK_HOST=localhost:PORT make integration."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Find or start, run, end what was started."""
    parser = argparse.ArgumentParser(prog="python -m tests.localstack", description=__doc__.splitlines()[0])
    parser.add_argument("--where-possible", action="store_true", help="exit with 0 where LocalStack cannot run")
    own, passed_on = parser.parse_known_args(arguments)
    try:
        # As Ctrl-C: pytest ends its tests, and what was started is ended.
        with _at_an_ending(signal.default_int_handler), one_that_runs(_say) as url:
            return _run([f"--localstack={url}", *passed_on])
    except Missing as missing:
        _say(f"integration: not run, because {missing}")
        if not own.where_possible:
            _say(_WAY_OUT)
        return 0 if own.where_possible else 1
    except Fatal as wrong:
        _say(f"integration: failed: {wrong}")
        return 1
    except KeyboardInterrupt:
        _say("integration: interrupted")
        return 128 + signal.SIGINT


def _run(options: Sequence[str]) -> int:
    found = pytest.ExitCode.NO_TESTS_COLLECTED
    # LocalStack is one busy process under the suites side by side. The library's daemon, which begins within so many
    # seconds or fails, gets it for itself afterwards.
    for part in ([str(SUITES), f"--ignore={KCL}", *options], [str(KCL), *options, "--numprocesses=0"]):
        code = pytest.ExitCode(pytest.main(part))
        if code is pytest.ExitCode.INTERRUPTED:
            return code
        if found in {pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.OK}:
            found = found if code is pytest.ExitCode.NO_TESTS_COLLECTED else code
    return found


@contextlib.contextmanager
def one_that_runs(say: Say, home: Path = HOME) -> Iterator[str]:
    """Give the address of a LocalStack: one that runs already, or one that is ours and is ended.

    Raises `Missing` where none runs and none comes up, and `Fatal` where one that came up does not serve.
    """
    found = finding.find()
    if found.url:
        say(f"integration: on the LocalStack that runs at {found.url}")
        yield found.url
        return
    say(f"integration: {found.why}; one is started")
    if sys.platform != "linux":
        raise Missing("LocalStack runs without a container on Linux alone.")
    if why := localstack.unavailable(home, say):
        raise Missing(why)
    folder = Folder(home / "integration")
    # Held for the whole run: the next one, which would end what runs, waits.
    with locked(folder.lock):
        for left in folder.entries().values():
            # Of a run that was killed.
            background.end(folder, left)
        try:
            with _at_an_ending(_once):
                entry = background.start(folder, partial(localstack.plan, home), localstack.NAME, ThreadStop())
        except Fatal as silent:
            raise Missing(str(silent)) from silent
        try:
            if why := finding.objection(entry.url):
                raise Fatal(f"The LocalStack that was started {why}. Its log: {entry.log}")
            say(f"integration: on a LocalStack of its own at {entry.url}, process {entry.process.pid}")
            yield entry.url
        finally:
            # A second Ctrl-C must not leave it running.
            with _at_an_ending(signal.SIG_IGN):
                background.end(folder, entry)


@contextlib.contextmanager
def _at_an_ending(handler: Any) -> Iterator[None]:
    """Handle the signals that end us in this way, for a while."""
    before = {number: signal.signal(number, handler) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)


def _once(*_: object) -> None:
    """Be interrupted, and not again while what was begun is ended."""
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
