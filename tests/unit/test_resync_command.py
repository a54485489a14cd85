"""How `isthmus resync` shows where it stands."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from isthmus.console.commands import resync as command
from isthmus.console.rereading import Extent
from isthmus.errors import Missing, TargetDown
from tests.fakes.clock import FakeClock, FakeStop


@pytest.fixture
def wiring() -> Any:
    clock = FakeClock()
    return SimpleNamespace(clock=clock, stop=FakeStop(clock))


def on(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> io.StringIO:
    out = io.StringIO()
    monkeypatch.setattr(command, "console", lambda: Console(file=out, force_terminal=terminal, width=100))
    return out


def test_on_a_terminal_a_bar_shows_how_many_of_how_many(monkeypatch: pytest.MonkeyPatch, wiring: Any) -> None:
    out = on(monkeypatch, terminal=True)
    with command._showing(wiring, 40, quiet=False) as tell:
        tell("reading [again]", 17)
    assert "reading [again]" in out.getvalue()
    assert "17/40" in out.getvalue()


def test_elsewhere_a_line_that_tells_something_new_is_printed_every_five_seconds(
    monkeypatch: pytest.MonkeyPatch, wiring: Any
) -> None:
    out = on(monkeypatch, terminal=False)
    with command._showing(wiring, 4000, quiet=False) as tell:
        for done in (0, 1000, 1000, 2000, 2000, 2000, 2000, 2000):
            tell("reading", done)
            wiring.clock.move(2.0)
    assert out.getvalue().splitlines() == ["0 of 4,000 rows; reading", "2,000 of 4,000 rows; reading"]


def test_without_a_total_only_the_words_are_told(monkeypatch: pytest.MonkeyPatch, wiring: Any) -> None:
    out = on(monkeypatch, terminal=False)
    with command._showing(wiring, None, quiet=False) as tell:
        tell("reading", 0)
    assert out.getvalue() == "reading\n"


def test_a_script_is_shown_nothing(monkeypatch: pytest.MonkeyPatch, wiring: Any) -> None:
    out = on(monkeypatch, terminal=True)
    with command._showing(wiring, 4, quiet=True) as tell:
        tell("reading", 0)
    assert out.getvalue() == ""


def test_what_is_away_is_told_and_looked_at_again(wiring: Any) -> None:
    answers = [False, TargetDown("Nobody answers."), False, True]
    told: list[str] = []

    def look() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    command._until(wiring, look, told.append)
    assert told == ["", "Nobody answers.", ""]
    assert wiring.stop.waits == [1.0, 1.0, 1.0]


def test_what_no_repeat_mends_ends_the_waiting(wiring: Any) -> None:
    def look() -> bool:
        raise Missing("gone")

    with pytest.raises(Missing):
        command._until(wiring, look, lambda _trouble: None)


@pytest.mark.parametrize(
    "extent, plan",
    [
        (Extent(4000, 4711), "customers: 4,000 rows, up to position 4711; generation 2 becomes 3"),
        (Extent(0, None), "customers: 0 rows; generation 2 becomes 3"),
        (
            Extent(None, 7),
            "customers: rows that could not be counted in time, up to position 7; generation 2 becomes 3",
        ),
    ],
)
def test_the_plan_names_rows_and_generations(extent: Extent, plan: str) -> None:
    answer = {"source": "customers", "generation": {"before": 2, "now": 3}}
    assert command._plan(answer, extent) == plan


@pytest.mark.parametrize(
    "of, outcomes, summary",
    [
        (
            4000,
            {"applied": 3999},
            "3,990 of 4,000 rows read again; decided since it began, of all sources: applied 3,999",
        ),
        (None, {}, "all rows read again; decided since it began, of all sources: nothing"),
    ],
)
def test_the_end_tells_how_many_of_how_many(of: int | None, outcomes: dict[str, int], summary: str) -> None:
    assert command._summary({"rows": {"again": 3990, "of": of}, "outcomes": outcomes}) == summary


def test_ctrl_c_ends_the_waiting_and_says_that_the_resync_goes_on(
    wiring: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_until", interrupted)
    monkeypatch.setattr(command.aws, "client", lambda *_: None)
    wiring.access, wiring.settings = None, SimpleNamespace(stream=SimpleNamespace(name="s"))
    parts: Any = (wiring, None, None, None, "source/customers", Extent(0, None), {})
    with pytest.raises(KeyboardInterrupt):
        command._follow(*parts, quiet=True)
    assert "The resync goes on" in capsys.readouterr().err
