"""Gates in the settings: what a store can do, and names that somebody has."""

from pathlib import Path

import pytest

from tests.fakes.settings_file import RIGHT, Files

DYNAMODB = RIGHT.replace("sqlite:///front-office.db", "dynamodb:")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_nobody_looks_at_gates_who_does_not_say_so(files: Files) -> None:
    settings = files.load(RIGHT)
    gate = settings.gate
    assert (settings.watches_gates, gate.watched, gate.hold, gate.strict, gate.processes) == (
        False,
        None,
        True,
        False,
        [],
    )


def test_a_process_that_must_have_a_gate_is_that_of_some_entity_type(files: Files) -> None:
    assert files.load(f'{RIGHT}\n[gate]\nwatched = true\nprocesses = ["flight"]\n').gate.processes == ["flight"]
    (mistake,) = files.mistakes(f'{RIGHT}\n[gate]\nwatched = true\nprocesses = ["boards"]\n')
    assert (mistake.path, mistake.allowed) == ("gate.processes", "boards is the process of no entity type: flight")


@pytest.mark.parametrize("line", ["strict = true", 'processes = ["flight"]'])
def test_what_needs_somebody_who_looks_is_refused_without(files: Files, line: str) -> None:
    (mistake,) = files.mistakes(f"{RIGHT}\n[gate]\n{line}\n")
    assert mistake.path == "gate.watched"


def test_every_store_holds_and_takes_what_is_mirrored(files: Files) -> None:
    found = files.load(f"{DYNAMODB}\n[gate]\nwatched = true\nstrict = true\n").gate
    assert (found.hold, found.strict) == (True, True)
