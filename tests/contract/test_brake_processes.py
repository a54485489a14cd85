"""Two deciders in two processes, which park into one front office, have one limit."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from isthmus.checkpoint.brakes import Word
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator

LIMIT, BATCH, BATCHES = 30, 10, 8
Starts = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def office(emulator: Emulator) -> DynamoOffice:
    return DynamoOffice(emulator.client("dynamodb"))


@pytest.fixture
def starts(emulator: Emulator, checkpoints: DynamoCheckpoints, office: DynamoOffice) -> Iterator[Starts]:
    table = checkpoints.brakes._table._name
    words = ["-m", "tests.fakes.brake_process", emulator.url, table, office.settings.table, str(LIMIT)]
    with ExitStack() as stack:

        def start() -> "subprocess.Popen[str]":
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=Path(__file__).parents[2],
                )
            )
            stack.callback(process.kill)
            return process

        yield start


def ask(process: "subprocess.Popen[str]", prefix: str) -> None:
    stdin: IO[str] = process.stdin  # type: ignore[assignment]
    stdin.write(f"decide {prefix} {BATCH}\n")
    stdin.flush()


def answer(process: "subprocess.Popen[str]") -> str:
    stdout: IO[str] = process.stdout  # type: ignore[assignment]
    return stdout.readline().strip()


def test_they_park_the_limit_and_at_most_a_batch_of_each(
    starts: Starts, office: DynamoOffice, checkpoints: DynamoCheckpoints
) -> None:
    one, other = starts(), starts()
    assert (answer(one), answer(other)) == ("ready", "ready")
    answers: list[str] = []
    for number in range(BATCHES):
        # Both at once: each of them may go before it knows of the other.
        ask(one, f"one-{number}")
        ask(other, f"other-{number}")
        answers += [answer(one), answer(other)]
    keys = {row["key"] for row in office.own("parked")}
    assert LIMIT <= len(keys) <= LIMIT + 2 * BATCH
    assert answers[-2:] == ["held", "held"]
    for process in (one, other):
        process.stdin.close()  # type: ignore[union-attr]
        assert process.wait() == 0
    # The last thing that they do is to write it down.
    (note,) = checkpoints.brakes.read_all().values()
    assert (note.reason, note.word) == ("no-airport", Word.ON)


def test_what_a_process_parked_before_it_was_killed_counts_for_the_next_one(
    starts: Starts, office: DynamoOffice
) -> None:
    one = starts()
    assert answer(one) == "ready"
    for number in range(2):
        ask(one, f"one-{number}")
        assert answer(one) == "parked"
    # It waits for the answer before the next batch; this one parks nothing new, and so leaves nothing untold.
    ask(one, "one-0")
    assert answer(one) == "parked"
    one.kill()
    one.wait()
    next_one = starts()
    assert answer(next_one) == "ready"
    found = []
    for number in range(3):
        ask(next_one, f"next-{number}")
        found.append(answer(next_one))
    assert found == ["parked", "held", "held"]
    assert len({row["key"] for row in office.own("parked")}) <= LIMIT + BATCH
