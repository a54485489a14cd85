"""What the rows with the real daemon do to workers, on workers that are only played."""

import os
import random
import signal
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults import kcl_kills, kcl_strikes
from tests.faults.kcl_strikes import kill_all, kill_daemon, living, reading
from tests.faults.row import Result


class PlayedWorker:
    """A worker that ends when it is killed, and reads when it has children."""

    def __init__(self, *children: int, daemon: int | None = None) -> None:
        self._children = list(children)
        self._daemon = daemon
        self._code: int | None = None

    def children(self) -> list[int]:
        return self._children

    def daemon(self) -> int | None:
        return self._daemon

    def code(self) -> int | None:
        return self._code

    def signal(self, number: signal.Signals) -> None:
        assert self._code is None, "it has ended already"
        self._code = -number


def played(*workers: PlayedWorker) -> Any:
    return SimpleNamespace(workers=list(workers), told=lambda: "its logs")


def test_nobody_is_left_of_workers_that_are_killed_neither_of_one_that_reads_nothing_yet() -> None:
    history = played(PlayedWorker(11), PlayedWorker())
    ended = PlayedWorker(12)
    ended.signal(signal.SIGTERM)
    history.workers.append(ended)
    assert len(living(history)) == 2
    assert len(reading(history)) == 1

    kill_all(history)

    assert [worker.code() for worker in history.workers] == [-signal.SIGKILL, -signal.SIGKILL, -signal.SIGTERM]


def test_a_daemon_that_is_not_there_was_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))

    assert not kill_daemon(played(PlayedWorker()).workers[0])
    assert kill_daemon(played(PlayedWorker(daemon=77)).workers[0])
    assert killed == [(77, signal.SIGKILL)]


@pytest.mark.parametrize("seconds, says", [(2.5, ["a child outlived its daemon by 2.5 s"]), (0.2, [])])
def test_a_child_that_acts_for_longer_than_two_seconds_after_its_daemon_breaks_the_promise(
    monkeypatch: pytest.MonkeyPatch, seconds: float, says: list[str]
) -> None:
    result = Result(counts=Counter())
    monkeypatch.setattr(kcl_strikes, "kill", lambda *_: True)
    monkeypatch.setattr(kcl_kills, "kill", lambda *_: True)
    monkeypatch.setattr(kcl_kills, "seconds_until_gone", lambda _: seconds)

    kcl_kills.DAEMON_KILLED.struck(played(PlayedWorker(21, daemon=20)), random.Random(1), 1, result)

    assert [sentence.splitlines()[0] for sentence in result.violations] == says
    assert result.counts["longest life of a child, ms"] == round(1000 * seconds)
