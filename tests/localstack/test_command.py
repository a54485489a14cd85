"""`make integration`: what it starts it ends, and where it cannot run it says why."""

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from isthmus.console.dev import background, localstack, ministack
from isthmus.console.dev.folder import Entry, Folder
from isthmus.console.dev.standin import Plan
from isthmus.errors import Fatal, Missing
from isthmus.lifecycle import ThreadStop
from tests.fakes.pids import ended, held
from tests.localstack import __main__ as command
from tests.localstack import finding
from tests.localstack.finding import Found

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it starts none")
URL = "http://127.0.0.1:4566"


@pytest.fixture(autouse=True)
def _none_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "find", lambda: Found(why="nobody answers"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an install folder in which ministack plays LocalStack."""
    if why := ministack.unavailable():
        pytest.skip(why)
    monkeypatch.setattr(localstack, "unavailable", lambda *_: "")
    monkeypatch.setattr(localstack, "plan", ministack.plan)
    monkeypatch.setattr(finding, "objection", lambda _: "")
    yield tmp_path
    folder = Folder(tmp_path / "integration")
    for entry in folder.entries().values():
        background.end(folder, entry)


def running(home: Path) -> Entry:
    (entry,) = Folder(home / "integration").entries().values()
    return entry


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), ValueError()])
def test_what_was_started_is_ended_however_the_tests_end(home: Path, error: BaseException | None) -> None:
    said: list[str] = []
    with contextlib.ExitStack() as holding:
        with contextlib.suppress(KeyboardInterrupt, ValueError), command.one_that_runs(said.append, home) as url:
            pid = running(home).process.pid
            process = holding.enter_context(held(pid))
            assert said[-1] == f"integration: on a LocalStack of its own at {url}, process {pid}"
            if error is not None:
                raise error
        assert ended(process)
    assert Folder(home / "integration").entries() == {}


def test_what_a_killed_run_left_is_ended_by_the_next_one(home: Path) -> None:
    folder = Folder(home / "integration")
    left = background.start(folder, partial(ministack.plan, home), localstack.NAME, ThreadStop())
    with held(left.process.pid) as process, command.one_that_runs(lambda _: None, home):
        assert ended(process)
        assert running(home).process != left.process


def test_one_that_came_up_and_does_not_serve_is_an_error_and_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "objection", lambda _: "does not serve sqs")
    with pytest.raises(Fatal, match="does not serve sqs"), command.one_that_runs(lambda _: None, home):
        pytest.fail("it was used")
    assert Folder(home / "integration").entries() == {}


def test_one_that_does_not_come_up_is_one_that_cannot_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mute(install: Path, own: Path) -> Plan:
        return ministack.plan(install, own)._replace(command=[sys.executable, "-c", "print('no port')"])

    monkeypatch.setattr(localstack, "plan", mute)
    with pytest.raises(Missing, match=r"did not come up(?s:.*)no port"), command.one_that_runs(lambda _: None, home):
        pytest.fail("it was used")
    assert Folder(home / "integration").entries() == {}


@pytest.mark.parametrize("given, code", [([], 1), (["--where-possible"], 0)])
def test_where_it_cannot_run_it_says_why_and_a_person_also_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: list[str], code: int
) -> None:
    monkeypatch.setattr(localstack, "unavailable", lambda *_: "LocalStack needs Python 3.13.")
    assert command.main(given) == code
    printed = capsys.readouterr().out
    assert "integration: not run, because LocalStack needs Python 3.13." in printed
    assert ("LOCALSTACK_HOST" in printed) == (code == 1)


@pytest.mark.parametrize(
    "codes, code",
    [((0, 0), 0), ((5, 0), 0), ((0, 5), 0), ((5, 5), 5), ((1, 0), 1), ((0, 1), 1), ((1, 5), 1), ((2,), 2)],
)
def test_the_suites_run_on_the_one_that_was_found_and_the_librarys_afterwards_alone(
    monkeypatch: pytest.MonkeyPatch, codes: tuple[int, ...], code: int
) -> None:
    monkeypatch.setattr(finding, "find", lambda: Found(URL))
    given: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        given.append(arguments)
        return codes[len(given) - 1]

    monkeypatch.setattr(pytest, "main", run)
    assert command.main(["--where-possible", "-k", "store"]) == code
    own = [f"--localstack={URL}", "-k", "store"]
    expected = [
        [str(command.SUITES), f"--ignore={command.KCL}", *own],
        [str(command.KCL), *own, "--numprocesses=0"],
    ]
    assert given == expected[: len(codes)]
