"""The demo under the Kinesis Client Library, as a user starts it: with a reshard, under chaos, and killed midway."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from isthmus.console.demo.chaos import WITH_KCL, times
from isthmus.console.demo.kills import BY_KCL, number_of
from isthmus.console.dev import kcl as library
from isthmus.console.kcl.processes import children_of
from isthmus.console.proxy.faults import STRIKES
from isthmus.settings.load import environment
from tests.fakes import kinesis_mock
from tests.fakes.kinesis_mock import HOME
from tests.fakes.pids import ended, held
from tests.fakes.shop import until

LONG = 300.0
"""Seconds. Two starts of Java and of two workers: 10 s, and many times that where others use the machine too."""


@pytest.fixture(scope="module")
def installed() -> None:
    """Install what is needed, or skip and say why."""
    for why in (kinesis_mock.unavailable(), library.unavailable(HOME)):
        if why:
            pytest.skip(why)


@contextmanager
def demo(folder: Path, *options: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start `isthmus demo --days 1 --runtime kcl`, with what is installed for tests."""
    (folder / "cache").mkdir()
    (folder / "cache" / "isthmus").symlink_to(HOME)
    words = ["demo", "--days", "1", "--runtime", "kcl", "--dir", str(folder / "demo"), *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "isthmus.console.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | {"XDG_CACHE_HOME": str(folder / "cache")} | variables,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def says(process: subprocess.Popen[str], words: str) -> None:
    """Read on until the process says these words."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return
    pytest.fail(f"it never said {words!r}:\n{''.join(said)}")


def below(pid: int) -> dict[int, str]:
    """Give the command lines of a process's children, and of theirs, and so on."""
    found: dict[int, str] = {}
    for child in children_of(pid):
        with suppress(OSError):
            found[child] = Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8").replace("\0", " ")
            found |= below(child)
    return found


def everybody(pid: int) -> bool:
    """Say whether all that the demo starts is there, down to two shards' processes."""
    commands = " ".join(below(pid).values())
    wanted = {"MultiLangDaemon": 2, "isthmus.console.kcl.child": 2, "kinesis-mock/main.js": 1, " consume ": 2}
    return all(commands.count(words) >= number for words, number in wanted.items())


@pytest.mark.usefixtures("installed")
def test_whoever_is_killed_while_the_stream_is_resharded_the_front_office_is_right_all_the_same(
    tmp_path: Path,
) -> None:
    with demo(tmp_path, "--chaos", "--seed", "3", "--json") as process:
        out, said = process.communicate()
    assert process.returncode == 0, said + out
    summary = json.loads(out.splitlines()[-1])
    assert (summary["ok"], summary["mismatches"]) == (True, 0)
    # Each of the four that were closed was read to its end: the two that were split, and the two that were merged.
    assert (summary["reshard"], summary["closed"], summary["drained"], summary["shards"]) == ([2, 4, 3], 4, 4, 7)
    requests = {fault.value: times(1) for traffic in WITH_KCL.traffic for fault in STRIKES[traffic]}
    assert summary["faults"] == requests | {f"{victim}_killed": number_of(victim, 1) for victim in BY_KCL}
    restarts = summary["restarts"]
    assert (restarts["producer"], restarts["worker-1"] + restarts["worker-2"]) == (2, 1)
    assert "read to their end" in said
    assert set(summary["peak_rss_mb"]) == set(BY_KCL)


@pytest.mark.usefixtures("installed")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_demo_killed_with_sigkill_leaves_neither_java_nor_node_nor_a_shards_process_behind(tmp_path: Path) -> None:
    with demo(tmp_path) as process, ExitStack() as stack:
        says(process, "producer and consumer are starting")
        until(partial(everybody, process.pid), "every shard has a process", LONG)
        left = {pid: (command, stack.enter_context(held(pid))) for pid, command in below(process.pid).items()}
        process.kill()
        assert [command for command, descriptor in left.values() if not ended(descriptor)] == []


def test_a_machine_without_a_java_that_will_do_is_told_so_and_nothing_is_started(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("""#!/bin/sh\necho 'openjdk version "1.8.0_402"' >&2\n""", encoding="ascii")
    java.chmod(0o755)
    with demo(tmp_path, PATH=f"{java.parent}:{os.defpath}") as process:
        out, said = process.communicate()
    assert process.returncode == 3, said
    assert f"needs Java 11 or newer, and {java} is not" in said
    assert out == ""
    assert not list((tmp_path / "demo").glob("*.db"))
