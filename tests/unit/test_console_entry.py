"""The first moments of the command line."""

import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from isthmus.console import entry
from isthmus.console.main import COMMANDS, cli


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


@pytest.mark.parametrize("command", ["status", "parked list", "parked retry", "consume", "gate list", "dlq list"])
def test_a_command_loads_neither_sqlalchemy_nor_the_aws_library_before_it_needs_them(command: str) -> None:
    code = (
        "import sys\n"
        "from isthmus.console.main import invoke\n"
        f"invoke({[*command.split(), '--help']!r})\n"
        "print(sorted({'sqlalchemy', 'boto3', 'psycopg'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_each_command_is_where_the_entry_looks_for_it_under_its_own_name() -> None:
    cli.load_all()
    assert {name: command.name for name, command in cli.commands.items()} == {name: name for name in COMMANDS}
