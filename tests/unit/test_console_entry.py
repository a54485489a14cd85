"""The first moments of the command line."""

import sys
from types import ModuleType
from typing import Any

import pytest

from isthmus.console import entry


class _Interrupted(ModuleType):
    """A module in whose loading somebody pressed Ctrl-C."""

    def __getattr__(self, name: str) -> Any:
        raise KeyboardInterrupt


def test_an_interrupt_while_the_command_line_is_loaded_ends_silently_with_130(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "isthmus.console.main", _Interrupted("isthmus.console.main"))
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 130
    assert capfd.readouterr() == ("", "")


def test_the_exit_code_of_a_command_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["isthmus", "--nonsense"])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 2
