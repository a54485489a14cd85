"""How a reshard shows where it stands, and that its page tells every word of it."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from isthmus.console.resharding.advising import Verdict
from isthmus.console.resharding.lives import Life
from isthmus.console.resharding.showing import showing
from tests.fakes.clock import FakeClock

PAGE = (Path(__file__).parents[2] / "docs" / "shards.md").read_text(encoding="utf-8")


def test_on_a_terminal_a_bar_shows_how_many_of_how_many() -> None:
    out = io.StringIO()
    with showing(Console(file=out, force_terminal=True, width=100), FakeClock(), quiet=False) as tell:
        tell("waiting [for] Kinesis", 2, 7)
    assert "waiting [for] Kinesis" in out.getvalue()
    assert "2/7" in out.getvalue()


def test_elsewhere_a_line_that_tells_something_new_is_printed_every_five_seconds() -> None:
    out, clock = io.StringIO(), FakeClock()
    with showing(Console(file=out, width=100), clock, quiet=False) as tell:
        for words, done, of in (("", 0, 0), ("looking", 0, 0), ("on", 1, 7), *[("on", 2, 7)] * 5, ("", 3, 7)):
            tell(words, done, of)
            clock.move(2.5)
    assert out.getvalue().splitlines() == ["looking", "2 of 7; on", "3 of 7"]


def test_a_script_is_shown_nothing() -> None:
    out = io.StringIO()
    with showing(Console(file=out), FakeClock(), quiet=True) as tell:
        tell("on", 1, 7)
    assert out.getvalue() == ""


@pytest.mark.parametrize("words, heading", [(Life, "A shard's life"), (Verdict, "Advice")])
def test_every_state_and_every_verdict_is_told_and_no_other(words: type[Life] | type[Verdict], heading: str) -> None:
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [word.value for word in words]


def test_every_life_of_a_shard_is_drawn() -> None:
    section = PAGE.split("## A shard's life\n", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"--> (\w+)", section)) == {life.value for life in Life}
