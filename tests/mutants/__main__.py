"""`python -m tests.mutants`: plant one bug after another in a copy of the code, and see whether some test catches it.

Last line: `N planted, N caught`. Exit code 1 when one was not caught, or when a bug could not be planted any more
because the code it stood in has changed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.planted import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "isthmus",
    "examples",
    "tests",
    "docs",
    "infra",
    "pyproject.toml",
    "setup.py",
    "README.md",
    "CHANGELOG.md",
    "Makefile",
)
SECONDS = 300
"""A planted bug may make a test wait for ever: that is caught too."""
CLEAN_SECONDS = 3600
"""Without one, every test of every planted bug runs in one process."""


def main() -> int:
    """Plant, run, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="only those whose name holds this text")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="side by side")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if arguments.only is None or arguments.only in mutant.name]
    with tempfile.TemporaryDirectory(prefix="isthmus-mutants-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(arguments.jobs):
            copies.put(_copy(Path(folder) / str(number)))
        tests = sorted({test for mutant in chosen for test in mutant.tests})
        sys.stdout.write(f"{len(chosen)} to plant; first the {len(tests)} tests and files without any ...\n")
        sys.stdout.flush()
        clean = _run(copies, None, tests)
        if clean is not None:
            sys.stdout.write(f"the tests fail without any planted bug:\n{clean.words}\n")
            return 1
        with ThreadPoolExecutor(arguments.jobs) as pool:
            results = pool.map(lambda mutant: (mutant, _run(copies, mutant, mutant.tests)), chosen)
            caught = sum(_tell(mutant, found) for mutant, found in results)
    sys.stdout.write(f"{len(chosen)} planted, {caught} caught\n")
    return 0 if caught == len(chosen) else 1


class _Failed(NamedTuple):
    """How a run of tests failed."""

    words: str
    how: str = "caught"
    """`caught`: a test failed. `in time`: one did not end. `BROKEN`: they could not be run, which catches nothing."""


def _tell(mutant: Mutant, found: _Failed | None) -> bool:
    how, words = ("MISSED", "") if found is None else (found.how, f": {found.words}")
    sys.stdout.write(f"{how:<7} {mutant.name}{words}\n")
    sys.stdout.flush()
    return how in {"caught", "in time"}


def _copy(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def _run(copies: "SimpleQueue[Path]", mutant: Mutant | None, tests: Sequence[str]) -> _Failed | None:
    """Run the tests in a copy; give what failed first."""
    copy = copies.get()
    try:
        if mutant is None:
            return _first_failure(copy, list(tests), CLEAN_SECONDS)
        file = copy / mutant.file
        sound = file.read_text()
        if sound.count(mutant.old) != 1:
            raise SystemExit(f"{mutant.name}: its place occurs {sound.count(mutant.old)} times in {mutant.file}")
        file.write_text(sound.replace(mutant.old, mutant.new))
        try:
            return _first_failure(copy, list(tests), SECONDS)
        finally:
            file.write_text(sound)
    finally:
        copies.put(copy)


def _first_failure(copy: Path, tests: list[str], seconds: float) -> _Failed | None:
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
    try:
        run = subprocess.run(
            command,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _Failed(f"not all ended within {seconds} s", "in time")
    if run.returncode == 0:
        return None
    failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if run.returncode != pytest.ExitCode.TESTS_FAILED or not failed:
        return _Failed(run.stdout[-2000:], "BROKEN")
    return _Failed(failed[0].split(" - ")[0].removeprefix("FAILED "))


if __name__ == "__main__":
    sys.exit(main())
