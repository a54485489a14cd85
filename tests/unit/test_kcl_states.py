"""The table of a child's life is what the code does."""

import re
from pathlib import Path

from isthmus.consumer.runtimes.kcl import states
from isthmus.consumer.runtimes.kcl.protocol import (
    Callback,
    Initialize,
    LeaseLost,
    ProcessRecords,
    ShardEnded,
    ShutdownRequested,
)
from isthmus.consumer.runtimes.kcl.states import Act, ChildState, act_on

QUESTIONS: list[Callback] = [
    Initialize("s", None),
    ProcessRecords([], None),
    ShutdownRequested(),
    LeaseLost(),
    ShardEnded(),
]


def test_the_drawn_table_is_the_coded_one() -> None:
    rows = [line.strip("|").split("|") for line in (states.__doc__ or "").splitlines() if line.startswith("|")]
    cells = [[cell.strip(" `") for cell in row] for row in rows]
    drawn = {row[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells[2:]}

    assert drawn == {
        state.value: {question.action: act_on(state, question).name.lower().replace("_", " ") for question in QUESTIONS}
        for state in ChildState
    }


def test_the_drawing_shows_every_move_and_no_other() -> None:
    text = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")
    section = text.split("## A child's life", 1)[1].split("\n## ", 1)[0]
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)", section, flags=re.MULTILINE))
    after = {
        Act.BEGIN: ChildState.READING,
        Act.SAVE: ChildState.STOPPING,
        Act.GIVE_UP: ChildState.LOST,
        Act.END: ChildState.ENDED,
    }
    moves = {(state, after.get(act_on(state, question), state)) for state in ChildState for question in QUESTIONS}

    assert drawn == {(state.value, target.value) for state, target in moves if state is not target}


def test_the_old_shutdown_means_what_its_reason_says() -> None:
    for old, new in ((LeaseLost("shutdown"), LeaseLost()), (ShardEnded("shutdown"), ShardEnded())):
        assert all(act_on(state, old) is act_on(state, new) for state in ChildState)
